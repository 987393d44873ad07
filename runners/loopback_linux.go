package runners

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// onlyLoopback has what listens at the port in this process take connections
// only from this machine. Prism listens on all addresses, without a way to say
// otherwise, and who reaches it may have it run commands.
func onlyLoopback(port int) error {
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	bound := false
	for _, entry := range fds {
		fd, err := strconv.Atoi(entry.Name())
		if err != nil || !listens(fd, port) {
			continue
		}
		if err := unix.BindToDevice(fd, "lo"); err != nil {
			return fmt.Errorf("binding port %d to the loopback device: %w", port, err)
		}
		bound = true
	}
	if !bound {
		return errors.New("no socket of this process listens at port " + strconv.Itoa(port))
	}
	return nil
}

// listens reports whether the file is a socket that listens at the port.
func listens(fd, port int) bool {
	if on, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || on == 0 {
		return false
	}
	addr, err := unix.Getsockname(fd)
	if err != nil {
		return false
	}
	switch a := addr.(type) {
	case *unix.SockaddrInet4:
		return a.Port == port
	case *unix.SockaddrInet6:
		return a.Port == port
	}
	return false
}
