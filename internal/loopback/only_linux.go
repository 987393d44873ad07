package loopback

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Only has what listens at the TCP ports of the endpoints (HOST:PORT) in a
// process take connections from this machine alone: its sockets are bound to the
// loopback device. The process is this one or one that this one may trace, such
// as a child. An error says which port is still open; Linux before 5.7 lets only
// root do this.
func Only(pid int, endpoints ...string) error {
	ports, err := portsOf(endpoints)
	if err != nil {
		return err
	}
	sockets, err := socketsOf(pid)
	if err != nil {
		return fmt.Errorf("looking for the sockets of process %d: %w", pid, err)
	}
	handle, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fmt.Errorf("process %d: %w", pid, err)
	}
	defer func() { _ = unix.Close(handle) }() // nothing was written to it
	left := slices.Clone(ports)
	var errs []error
	for _, theirs := range sockets {
		fd, err := unix.PidfdGetfd(handle, theirs, 0)
		if err != nil {
			if !errors.Is(err, unix.EBADF) { // it is closed meanwhile
				errs = append(errs, fmt.Errorf("a socket of process %d: %w", pid, err))
			}
			continue
		}
		if port := listensAt(fd); slices.Contains(ports, port) {
			if err := unix.BindToDevice(fd, "lo"); err != nil {
				errs = append(errs, fmt.Errorf("port %d: %w", port, err))
			}
			left = slices.DeleteFunc(left, func(p int) bool { return p == port })
		}
		_ = unix.Close(fd) // a copy
	}
	if len(left) > 0 {
		errs = append(errs, fmt.Errorf("process %d has no socket that listens at %v", pid, left))
	}
	return errors.Join(errs...)
}

func portsOf(endpoints []string) ([]int, error) {
	ports := make([]int, len(endpoints))
	for i, e := range endpoints {
		_, port, err := net.SplitHostPort(e)
		if err == nil {
			ports[i], err = strconv.Atoi(port)
		}
		if err != nil {
			return nil, fmt.Errorf("%q: %w", e, err)
		}
	}
	return ports, nil
}

// socketsOf are the numbers of a process's files that are sockets.
func socketsOf(pid int) (fds []int, err error) {
	dir := filepath.Join("/proc", strconv.Itoa(pid), "fd")
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		what, err := os.Readlink(filepath.Join(dir, e.Name()))
		if fd, nerr := strconv.Atoi(e.Name()); err == nil && nerr == nil && strings.HasPrefix(what, "socket:") {
			fds = append(fds, fd)
		}
	}
	return fds, err
}

// listensAt is the TCP port that a socket listens at; 0: none.
func listensAt(fd int) int {
	if on, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || on == 0 {
		return 0
	}
	addr, err := unix.Getsockname(fd)
	if err != nil {
		return 0
	}
	switch a := addr.(type) {
	case *unix.SockaddrInet4:
		return a.Port
	case *unix.SockaddrInet6:
		return a.Port
	}
	return 0
}
