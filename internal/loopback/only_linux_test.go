package loopback

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// listenEnv has the test's program listen as a child, until its input ends.
const listenEnv = "HARROW_TEST_LISTEN"

func TestMain(m *testing.M) {
	if os.Getenv(listenEnv) == "" {
		os.Exit(m.Run())
	}
	lis, err := net.Listen("tcp", ":0")
	if err != nil {
		panic(err)
	}
	fmt.Println(lis.Addr().(*net.TCPAddr).Port)
	_, _ = os.Stdin.Read(make([]byte, 1))
}

// device is the network device that a process's socket which listens at the port
// is bound to; "" stands for all of them.
func device(t *testing.T, pid, port int) string {
	t.Helper()
	handle, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(handle)
	fds, err := socketsOf(pid)
	if err != nil {
		t.Fatal(err)
	}
	for _, theirs := range fds {
		fd, err := unix.PidfdGetfd(handle, theirs, 0)
		if err != nil {
			continue
		}
		defer unix.Close(fd)
		if listensAt(fd) == port {
			name, err := unix.GetsockoptString(fd, unix.SOL_SOCKET, unix.SO_BINDTODEVICE)
			if err != nil {
				t.Fatal(err)
			}
			return strings.TrimRight(name, "\x00")
		}
	}
	t.Fatalf("process %d does not listen at port %d", pid, port)
	return ""
}

// at is a port's endpoint on this machine.
func at(port int) string { return net.JoinHostPort("localhost", strconv.Itoa(port)) }

func listen(t *testing.T) int {
	t.Helper()
	lis, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lis.Close() })
	return lis.Addr().(*net.TCPAddr).Port
}

func TestOnlyTheNamedPortsOfAProcessAreClosed(t *testing.T) {
	one, two, other := listen(t), listen(t), listen(t)
	if err := Only(os.Getpid(), at(one), at(two)); err != nil {
		t.Fatal(err)
	}
	for port, want := range map[int]string{one: "lo", two: "lo", other: ""} {
		if got := device(t, os.Getpid(), port); got != want {
			t.Errorf("port %d is bound to %q; want %q", port, got, want)
		}
	}
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", one))
	if err != nil {
		t.Fatalf("this machine is kept out: %v", err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
}

func TestAChildsPortsAreClosed(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), listenEnv+"=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := in.Close(); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	if err := Only(cmd.Process.Pid, at(port)); err != nil {
		t.Fatal(err)
	}
	if got := device(t, cmd.Process.Pid, port); got != "lo" {
		t.Errorf("the child's socket is bound to %q; want lo", got)
	}
}

func TestAPortThatNobodyListensAtIsNamed(t *testing.T) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := lis.Addr().(*net.TCPAddr).Port
	if err := lis.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Only(os.Getpid(), at(port)); err == nil || !strings.Contains(err.Error(), strconv.Itoa(port)) {
		t.Errorf("got %v; want an error that names port %d", err, port)
	}
}
