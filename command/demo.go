package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/harrowdata/harrow/command/view"
	"github.com/harrowdata/harrow/internal/demosite"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/pipelines"
	"github.com/harrowdata/harrow/testdata/demo"
)

type demoCmd struct {
	workspaceFlag
	runnerFlags
	Keep bool `help:"Go on serving the site afterwards, until Ctrl-C."`
	JSON bool `name:"json" help:"Print the summary as JSON."`
}

// demoJob is the name of the job in testdata/demo/shop.yaml.
const demoJob = "shop"

// Run implements the command. The shop's address is part of the run's
// parameters, so it is kept in the workspace: a run that was interrupted goes
// on only at the same address. Each finished run moves the shop on, so the
// next one finds changes.
func (c *demoCmd) Run(e *env) error {
	store, err := lakeio.Open(c.Workspace)
	if err != nil {
		return err
	}
	if store.Local() == "" {
		return view.Usagef("demo needs a local workspace")
	}
	finished, err := finishedRuns(e.ctx, store)
	if err != nil {
		return err
	}
	dir := filepath.Join(store.Local(), "demo")
	site, err := serveDemo(e.ctx, dir, finished)
	if err != nil {
		return err
	}
	defer func() { _ = site.stop() }()
	file := filepath.Join(dir, "shop.yaml")
	if err := demo.LayOut(dir); err != nil {
		return err
	}
	fmt.Fprintf(e.stderr, "the shop is open at %s: %s\n", site.addr, strings.Join(demosite.Hosts, ", "))
	req := pipelines.Request{JobFile: file, Workspace: c.Workspace, Params: map[string]string{"site": site.addr}, Runner: c.Runner, Options: c.options(e)}
	if site.moved {
		req.Run = "new" // an unfinished run was about another address
	}
	harvested := e.harvest(req, c.JSON)
	if quiet := errQuiet(0); harvested != nil && (!errors.As(harvested, &quiet) || quiet != exitCrossed) {
		return harvested
	}
	if !c.JSON {
		c.next(e, file, site.addr, finished)
	}
	if c.Keep {
		e.wait()
	}
	return errors.Join(harvested, site.stop())
}

// finishedRuns counts the runs of the demo's job that are done.
func finishedRuns(ctx context.Context, store lakeio.Store) (int, error) {
	ids, err := lakeio.Runs(ctx, store, demoJob)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, id := range ids {
		r, err := lakeio.ReadRun(ctx, store, demoJob, id)
		if err != nil {
			return 0, err
		}
		if r.State == lakeio.Done {
			n++
		}
	}
	return n, nil
}

type demoServer struct {
	addr  string
	moved bool // its former address was taken
	stop  func() error
}

// serveDemo opens the shop, where it was before if that is possible.
func serveDemo(ctx context.Context, dir string, revision int) (s demoServer, err error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return s, err
	}
	note := filepath.Join(dir, "address")
	before, err := os.ReadFile(note)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return s, err
	}
	if addr := strings.TrimSpace(string(before)); strings.HasPrefix(addr, "127.0.0.1:") {
		s.addr, s.stop, err = demosite.New(demosite.Options{Revision: revision, Addr: addr}).Listen(ctx)
		if err == nil {
			return s, nil
		}
		s.moved = true
	}
	if s.addr, s.stop, err = demosite.New(demosite.Options{Revision: revision}).Listen(ctx); err != nil {
		return s, err
	}
	return s, os.WriteFile(note, []byte(s.addr+"\n"), 0o666)
}

// next says what to try now.
func (c *demoCmd) next(e *env, file, addr string, finished int) {
	flag := ""
	if c.Workspace != view.DefaultWorkspace {
		flag = " --workspace " + c.Workspace
	}
	again := "harrow demo again: the shop has new prices then, and the summary says what changed"
	if finished > 0 {
		again = fmt.Sprintf("this was the %s visit to the shop, which changes after each: see added and changed above", ordinal(finished+1))
	}
	fmt.Fprintf(e.stdout, `
try next
  harrow cat records/book --job %[1]s%[2]s --sort -price_amount --limit 10
  harrow cat captures --job %[1]s%[2]s --where outcome=gone
  harrow rejects --job %[1]s%[2]s
  harrow ls%[2]s
  harrow demo --keep%[2]s, and meanwhile: harrow try %[3]s http://books.example/ --param site=%[4]s
  %[5]s
`, demoJob, flag, file, addr, again)
}

func ordinal(n int) string {
	switch {
	case n%10 == 2 && n%100 != 12:
		return fmt.Sprintf("%dnd", n)
	case n%10 == 3 && n%100 != 13:
		return fmt.Sprintf("%drd", n)
	case n%10 == 1 && n%100 != 11:
		return fmt.Sprintf("%dst", n)
	}
	return fmt.Sprintf("%dth", n)
}

// wait waits for an interrupt.
func (e *env) wait() {
	ctx, done := e.interruptible("the shop closes")
	defer done()
	fmt.Fprintln(e.stderr, "the shop stays open until Ctrl-C")
	<-ctx.Done()
}
