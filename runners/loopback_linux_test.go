package runners

import (
	"net"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// devices are the network devices that the process's sockets that listen at the
// port are bound to; "" stands for all of them.
func devices(t *testing.T, port int) (names []string) {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range fds {
		if fd, err := strconv.Atoi(entry.Name()); err == nil && listens(fd, port) {
			name, err := unix.GetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE)
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, strings.TrimRight(name, "\x00"))
		}
	}
	return names
}

func TestPrismTakesConnectionsOnlyFromThisMachine(t *testing.T) {
	service, err := startPrism()
	if err != nil {
		t.Fatal(err)
	}
	endpoint, err := endpointOf(t.Context(), service.jobs)
	if err != nil {
		t.Fatal(err)
	}
	_, text, err := net.SplitHostPort(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	if names := devices(t, port); len(names) != 1 || names[0] != "lo" {
		t.Errorf("Prism's sockets are bound to %q; want one, bound to lo", names)
	}
}

func TestAPortThatNobodyListensAtCantBeBound(t *testing.T) {
	lis, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	port := lis.Addr().(*net.TCPAddr).Port
	if err := onlyLoopback(port); err != nil {
		t.Error(err)
	}
	if names := devices(t, port); len(names) != 1 || names[0] != "lo" {
		t.Errorf("the socket is bound to %q; want lo", names)
	}
	if err := lis.Close(); err != nil {
		t.Fatal(err)
	}
	if err := onlyLoopback(port); err == nil {
		t.Error("a port that nobody listens at was bound")
	}
}
