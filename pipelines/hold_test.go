package pipelines

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/harrowdata/harrow/internal/demosite"
	"github.com/harrowdata/harrow/io/lakeio"
)

// holdEnv makes the test's binary run a job, in a process of its own: its value
// is the Request as JSON.
const holdEnv = "HARROW_TEST_HOLD"

// hold runs the job of holdEnv and says so on standard output.
func hold() int {
	var req struct {
		JobFile, Workspace, Runner string
		Params                     map[string]string
		TTL                        time.Duration
	}
	if err := json.Unmarshal([]byte(os.Getenv(holdEnv)), &req); err != nil {
		fmt.Println(err)
		return 2
	}
	if req.TTL > 0 {
		lockTTL = func(time.Duration) time.Duration { return req.TTL }
	}
	_, err := Run(context.Background(), Request{JobFile: req.JobFile, Workspace: req.Workspace, Runner: req.Runner, Params: req.Params,
		Started: func(_ lakeio.Lake, r lakeio.Run) { fmt.Println("run", r.ID) }})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// elsewhere runs the bench's job in another process, with more in its
// environment, and returns its run once that has begun.
func (b *bench) elsewhere(env ...string) (p *exec.Cmd, run string) {
	b.t.Helper()
	req, err := json.Marshal(map[string]any{"JobFile": b.request.JobFile, "Workspace": b.dir, "Runner": "direct", "Params": b.request.Params, "TTL": b.ttl})
	if err != nil {
		b.t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		b.t.Fatal(err)
	}
	p = exec.Command(self)
	p.Env = append(append(os.Environ(), env...), holdEnv+"="+string(req))
	p.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	p.Stderr = os.Stderr
	out, err := p.StdoutPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = p.Process.Kill() }) // mostly it has ended
	line, err := bufio.NewReader(out).ReadString('\n')
	run, ok := strings.CutPrefix(strings.TrimSpace(line), "run ")
	if !ok {
		b.t.Fatalf("the other process said %q, %v", line, err)
	}
	return p, run
}

// await waits until the site was asked for n things.
func (b *bench) await(n int) {
	b.t.Helper()
	for end := time.Now().Add(2 * time.Minute); len(b.log.Requests()) < n; time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("the site was asked for %d things, want %d", len(b.log.Requests()), n)
		}
	}
}

func TestAJobHasOneRunAtATime(t *testing.T) {
	b := newShop(t, demosite.Options{Products: 40}, exact...).beside()
	b.drag(10)
	other, id := b.elsewhere()
	b.await(10)
	signal(t, other.Process.Pid, unix.SIGSTOP) // it is not to be through before its death
	b.drag(math.MaxInt32)
	for _, run := range []string{"", "new", "last"} {
		_, err := b.run(which(run))
		if !errors.Is(err, lakeio.ErrLocked) || errors.Is(err, ErrUsage) {
			t.Errorf("--run %q beside another process: %v, want ErrLocked", run, err)
			continue
		}
		if text := err.Error(); !strings.Contains(text, id) || !strings.Contains(text, strconv.Itoa(other.Process.Pid)) {
			t.Errorf("%q does not name run %s of process %d", text, id, other.Process.Pid)
		}
	}

	// Its process dies: the kernel frees the lock, the run goes on.
	if err := other.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = other.Wait() // killed
	res, err := b.run()
	if err != nil || !res.Resumed || res.Run.ID != id {
		t.Fatalf("after its death: resumed %v run %s, %v; want %s", res.Resumed, res.Run.ID, err, id)
	}
	checkCaptures(b, res.Run)
	checkRejects(b, res.Run, b.site.Rejects())
	checkRecords(b, res.Run, b.site.Books(), b.site.Offers())
}

// Whoever begins after a process that died knows nothing of what it asked last:
// it waits each host's delay, with a new run too.
func TestARunAfterADeadProcessWaitsForEachDelay(t *testing.T) {
	const delay = 1200 * time.Millisecond
	b := newBench(t, smallSite(), strings.Replace(pagesJob("a", "b"), "delay: 0s", "delay: "+delay.String(), 1)).beside()
	b.limits["one.example"] = limit{2, delay}
	other, id := b.elsewhere()
	b.await(1)
	if err := other.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = other.Wait() // killed
	if run := b.must(which("new")); run.ID == id {
		t.Errorf("--run new went on with %s", id)
	}
}

// checkCaptures holds captures alone against the model: after a kill some pages
// are asked for again.
func checkCaptures(b *bench, run lakeio.Run) {
	b.t.Helper()
	var got, want []string
	for _, c := range rows(b, lakeio.Captures, run) {
		got = append(got, fmt.Sprint(c.URL, " ", c.Outcome, " ", c.Status, " ", c.FinalURL))
	}
	for _, p := range b.site.Pages() {
		want = append(want, fmt.Sprint(p.URL, " ", p.Outcome, " ", p.Status, " ", p.Final))
	}
	sameSet(b.t, "captures", got, want)
}

func TestAJobHasOneRunAtATimeInThisProcessToo(t *testing.T) {
	b := newShop(t, demosite.Options{Products: 40}, exact...).beside()
	started, others, ended := make(chan string, 1), make(chan struct{}), make(chan error, 1)
	go func() {
		_, err := b.run(func(r *Request) {
			r.Started = func(_ lakeio.Lake, run lakeio.Run) { started <- run.ID; <-others }
		})
		ended <- err
	}()
	id := <-started
	for _, run := range []string{"", "new"} {
		if _, err := b.run(which(run)); !errors.Is(err, lakeio.ErrLocked) || !strings.Contains(err.Error(), id) {
			t.Errorf("--run %q beside run %s: %v, want ErrLocked naming it", run, id, err)
		}
	}
	close(others)
	if err := <-ended; err != nil {
		t.Errorf("the run itself ended with %v", err)
	}
	checkHits(b, b.site.Hits())
}
