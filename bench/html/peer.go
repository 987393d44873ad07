package main

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/harrowdata/harrow/bench/internal/measure"
)

//go:embed side.py
var sideScript string

// errLate says that a child took too long and was killed.
var errLate = errors.New("took too long")

// peer is one side in a process of its own, which is started when it is asked
// something, and again after it was killed.
type peer struct {
	name  string
	start func(ctx context.Context) (*exec.Cmd, error)

	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	said bytes.Buffer // to standard error
}

// newPeer is a side in Go, or in Python where an interpreter is given.
func newPeer(side, interpreter, manifest string, groups []group) *peer {
	return &peer{name: side, start: func(ctx context.Context) (*exec.Cmd, error) {
		if side == ours || side == goquery {
			return measure.Command(ctx, side, groups)
		}
		return exec.CommandContext(ctx, interpreter, "-c", sideScript, side, strconv.Itoa(most), manifest), nil
	}}
}

func (p *peer) begin(ctx context.Context) (err error) {
	cmd, err := p.start(ctx)
	if err != nil {
		return err
	}
	p.said.Reset()
	cmd.Stderr = &p.said
	if p.in, err = cmd.StdinPipe(); err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	p.cmd, p.out = cmd, bufio.NewReader(out)
	return nil
}

// watch kills the child once it has taken the limit in CPU, or ten times as long
// on the clock, unless it is told to stop; it says whether it has.
func (p *peer) watch(limit time.Duration) (stop func() (late bool)) {
	pid, begun := p.cmd.Process.Pid, time.Now()
	before, _ := measure.Taken(pid)
	done, late := make(chan struct{}), make(chan bool)
	go func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			taken, _ := measure.Taken(pid)
			if taken-before >= limit || time.Since(begun) >= 10*limit {
				_ = p.cmd.Process.Kill()
				<-done
				late <- true
				return
			}
			select {
			case <-done:
				late <- false
				return
			case <-tick.C:
			}
		}
	}()
	return func() bool { close(done); return <-late }
}

// ask has a question answered within the limit. errLate: it was not. Any other
// error says how the child ended.
func (p *peer) ask(ctx context.Context, q question, limit time.Duration) (a answer, err error) {
	if p.cmd == nil {
		if err := p.begin(ctx); err != nil {
			return a, err
		}
	}
	line, err := json.Marshal(q)
	if err != nil {
		return a, err
	}
	stop := p.watch(limit)
	_, err = p.in.Write(append(line, '\n'))
	if err == nil {
		line, err = p.out.ReadBytes('\n')
	}
	late := stop()
	if err == nil && !late {
		return a, json.Unmarshal(line, &a)
	}
	ended := p.cmd.Wait()
	p.cmd = nil
	if late {
		return a, errLate
	}
	return a, fmt.Errorf("%s, %s: %w: %s", p.name, q.Do, errors.Join(err, ended), lastOf(p.said.String()))
}

// lastOf is what a process said before it ended: the line that says most.
func lastOf(said string) string {
	lines := strings.Split(strings.TrimSpace(said), "\n")
	if first := lines[0]; strings.HasPrefix(first, "fatal error:") || strings.HasPrefix(first, "panic:") {
		return first // of Go; goroutines follow
	}
	return lines[len(lines)-1]
}

func (p *peer) stop() error {
	if p.cmd == nil {
		return nil
	}
	err := errors.Join(p.in.Close(), p.cmd.Wait())
	p.cmd = nil
	return err
}
