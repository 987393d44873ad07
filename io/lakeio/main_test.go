package lakeio

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// helperEnv makes the test binary play another process.
const helperEnv = "HARROW_LAKEIO_HELPER"

func TestMain(m *testing.M) {
	if args := strings.Fields(os.Getenv(helperEnv)); len(args) > 0 {
		if err := help(context.Background(), args); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// help is the other process: it says "ready", does its work at the first line
// of its input and says what came of it.
func help(ctx context.Context, args []string) error {
	s, err := Open(args[1])
	if err != nil {
		return err
	}
	fmt.Println("ready")
	if _, err := bufio.NewReader(os.Stdin).ReadString('\n'); err != nil {
		return err
	}
	switch args[0] {
	case "create":
		err = s.Create(ctx, "once", []byte(args[2]))
		if errors.Is(err, ErrExists) {
			fmt.Println("lost")
			return nil
		}
	case "count":
		for range 50 {
			if _, err = addOne(ctx, s); err != nil {
				break
			}
		}
	case "lock":
		if _, err = LockJob(ctx, Lake{Store: s, Job: "shop", Run: args[2]}, LockConfig{Now: time.Now()}); err == nil {
			fmt.Println("done")
			_, err = io.Copy(io.Discard, os.Stdin) // holds it until killed, or told to end without releasing
		}
		return err
	}
	if err == nil {
		fmt.Println("done")
	}
	return err
}

type counter struct {
	Version int `json:"version"`
	N       int `json:"n"`
}

func addOne(ctx context.Context, s Store) (counter, error) {
	return swapJSON(ctx, s, "shared/counter.json", func(*counter) bool { return false }, func(c *counter) error {
		c.Version, c.N = jsonVersion, c.N+1
		return nil
	})
}

// process is a helper that runs.
type process struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// spawn starts a helper and waits until it is ready.
func spawn(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(os.Args[0])}
	p.cmd.Env = append(os.Environ(), helperEnv+"="+strings.Join(args, " "))
	var err error
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	if line := p.line(); line != "ready" {
		t.Fatalf("helper %v: %s", args, line)
	}
	return p
}

func (p *process) goOn() {
	p.t.Helper()
	if _, err := io.WriteString(p.in, "\n"); err != nil {
		p.t.Fatal(err)
	}
}

func (p *process) line() string {
	p.t.Helper()
	line, err := p.out.ReadString('\n')
	if err != nil {
		p.t.Fatalf("helper said %q, then: %v", line, err)
	}
	return strings.TrimSuffix(line, "\n")
}

// kill ends the helper with SIGKILL; it may have ended before.
func (p *process) kill() {
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	}
}

func openTemp(t testing.TB) Store {
	t.Helper()
	s, err := Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wants fails unless err is one of a kind and says all the words.
func wants(t testing.TB, err, kind error, words ...string) {
	t.Helper()
	if err == nil || kind != nil && !errors.Is(err, kind) {
		t.Errorf("error %v, want %v", err, kind)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q doesn't name %s", err, w)
		}
	}
}
