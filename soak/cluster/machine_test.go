package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/harrowdata/harrow/soak/rig"
)

// machine is what processes of a cluster run on: this one or, in a network
// namespace, one with an address of its own; a home and a folder for temporary
// files of its own in any case.
type machine struct {
	t         *testing.T
	name      string
	namespace string // empty: this machine's network
	address   string
	home, tmp string
	env       []string
	pool      *rig.Process
	poolAt    string   // where it listens
	poolEnv   []string // what it was started with
}

// marking is the environment variable that everything here is started with, so
// that what is left of it can be found.
const marking = "HARROW_TEST_CLUSTER"

func mark(t *testing.T) string { return marking + "=" + fmt.Sprint(os.Getpid(), " ", t.Name()) }

// newMachine makes one on loopback.
func newMachine(t *testing.T, name string) *machine {
	t.Helper()
	m := &machine{t: t, name: name, address: loopback}
	for _, dir := range []*string{&m.home, &m.tmp} {
		*dir = t.TempDir()
	}
	m.env = []string{"HOME=" + m.home, "TMPDIR=" + m.tmp, mark(t)}
	return m
}

// wrap lets a command run on the machine.
func (m *machine) wrap(cmd *exec.Cmd) {
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, m.env...)
	if m.namespace != "" {
		cmd.Args = append([]string{"ip", "netns", "exec", m.namespace, cmd.Path}, cmd.Args[1:]...)
		cmd.Path, cmd.Err = exec.LookPath("ip")
	}
}

// wrapped is a command line that runs another on the machine.
func (m *machine) wrapped(args []string) []string {
	args = slices.Concat([]string{"env"}, m.env, args)
	if m.namespace != "" {
		args = slices.Concat([]string{"ip", "netns", "exec", m.namespace}, args)
	}
	return args
}

// startPool starts the machine's worker pool, with variables in its
// environment, and waits until it serves. It ends with the test.
func (m *machine) startPool(t *testing.T, env ...string) {
	t.Helper()
	if m.poolAt == "" {
		m.poolAt = loopback + ":" + strconv.Itoa(freePort(t))
	}
	m.poolEnv = env
	cmd := exec.Command(rig.Harrow.Path(t), "worker", "--pool", "--listen", m.poolAt)
	cmd.Env = append(os.Environ(), env...)
	m.wrap(cmd)
	m.pool = rig.Launch(t, cmd)
	m.pool.Patience = patience
	if !m.pool.Eventually(func() bool { return strings.Contains(m.pool.Out.String(), m.poolAt) }) {
		t.Fatalf("the pool on %s does not serve:\n%s", m.name, m.pool.Out.String())
	}
}

// killPool kills the pool and, as Kubernetes would, starts another in its
// place.
func (m *machine) killPool(t *testing.T) {
	t.Helper()
	m.pool.Signal(unix.SIGKILL)
	m.pool.Wait()
	m.startPool(t, m.poolEnv...)
}

// freePort finds one below those that the kernel gives to clients.
func freePort(t *testing.T) int {
	t.Helper()
	for port := 21000 + os.Getpid()%5000; port < 30000; port++ {
		if l, err := listen(port); err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// workers are the processes that the machine's pool has started and that live.
func (m *machine) workers() []int {
	if m.pool == nil {
		return nil
	}
	return children(m.pool.Cmd.Process.Pid)
}

// children are the processes whose parent is this one, oldest first.
func children(of int) (list []int) {
	for pid := range processes() {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(stat), ") ") // the name may hold anything
		fields := strings.Fields(rest)
		if len(fields) > 1 && fields[1] == strconv.Itoa(of) && fields[0] != "Z" {
			list = append(list, pid)
		}
	}
	slices.Sort(list)
	return list
}

// processes are all there are.
func processes() func(func(int) bool) {
	return func(yield func(int) bool) {
		entries, err := os.ReadDir("/proc")
		if err != nil {
			return
		}
		for _, e := range entries {
			if pid, err := strconv.Atoi(e.Name()); err == nil && !yield(pid) {
				return
			}
		}
	}
}

// marked are the processes that were started for this test and live, with their
// command lines.
func marked(t *testing.T) (list []string) {
	want := []byte(mark(t))
	for pid := range processes() {
		env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err != nil || !slices.ContainsFunc(bytes.Split(env, []byte{0}), func(v []byte) bool { return bytes.Equal(v, want) }) {
			continue // it has ended, or is another's
		}
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)) // it may have ended
		if line = bytes.ReplaceAll(line, []byte{0}, []byte{' '}); len(line) > 0 {
			list = append(list, fmt.Sprintf("%d %.300s", pid, line))
		}
	}
	return list
}

// nothingLeft checks, once everything was told to end, that no process of the
// test's lives, and that the machines' temporary folders hold nothing of ours.
func nothingLeft(t *testing.T, machines ...*machine) {
	t.Helper()
	var left []string
	for end := time.Now().Add(settling); ; time.Sleep(50 * time.Millisecond) {
		if left = marked(t); len(left) == 0 || time.Now().After(end) {
			break
		}
	}
	for _, line := range left {
		t.Errorf("still runs: %s", line)
	}
	for _, m := range machines {
		for _, file := range m.ours() {
			t.Errorf("%s: left behind: %s", m.name, file)
		}
	}
}

// ours are the files of harrow's and of Beam's Go workers in the machine's
// temporary folder.
func (m *machine) ours() (files []string) {
	err := filepath.WalkDir(m.tmp, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		name := d.Name()
		if strings.HasPrefix(name, "harrow") || strings.HasPrefix(name, "worker") || strings.HasPrefix(name, "beam") || strings.HasPrefix(name, "go-") {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		m.t.Error(err)
	}
	return files
}

// send sends a signal to a process that is not a child of ours.
func send(t *testing.T, pid int, s unix.Signal) {
	t.Helper()
	if err := unix.Kill(pid, s); err != nil && !errors.Is(err, unix.ESRCH) {
		t.Errorf("%v to %d: %v", s, pid, err)
	}
}
