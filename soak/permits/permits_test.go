package permits

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/internal/serverlog"
	_ "github.com/harrowdata/harrow/io/gcsio"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/soak/fakegcs"
	"github.com/harrowdata/harrow/soak/judges"
	"github.com/harrowdata/harrow/soak/rig"
	"github.com/harrowdata/harrow/transforms/fetch/round"
	"github.com/harrowdata/harrow/transforms/parts/engine"
)

const (
	timeout = 2 * time.Second
	ttl     = 5 * time.Second
	delay   = 30 * time.Millisecond
	atOnce  = 2
	latency = 10 * time.Millisecond
	pages   = 50 // of each host
	hosts   = 3  // of each shard
	job     = "crew"
)

var program = &rig.Program{Name: "worker", Package: "./soak/permits/worker", Flags: []string{"-ldflags", "-X github.com/harrowdata/harrow/io/lakeio.minTTL=" + ttl.String()}}

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "6"); err != nil { // they mostly wait
		panic(err)
	}
	rig.Main(m)
}

// site is one round of a run with two fetch shards, and the server it is about.
type site struct {
	t      *testing.T
	log    *serverlog.Recorder
	cfg    round.Config
	lake   lakeio.Lake
	shards [2][]harrow.Request

	mu    sync.Mutex
	heard []heard
}

func newSite(t *testing.T, workspace string) *site {
	t.Helper()
	s := &site{t: t}
	s.log = serverlog.Record(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.heard = append(s.heard, heard{r.UserAgent(), time.Now()})
		s.mu.Unlock()
		if r.URL.Path == "/robots.txt" {
			http.NotFound(w, r)
			return
		}
		time.Sleep(latency)
		fmt.Fprint(w, r.Host, r.URL.Path)
	}))
	server := httptest.NewServer(s.log)
	t.Cleanup(server.Close)
	var spec harrow.Job
	spec.SetDefaults()
	spec.Discover.Scope.Hosts = []string{"*.example"}
	spec.Fetch.Resolve = map[string]string{"*.example": server.Listener.Addr().String()}
	spec.Fetch.Timeout, spec.Fetch.Roll.Every = harrow.Duration(timeout), harrow.Duration(500*time.Millisecond)
	wait := harrow.Duration(delay)
	spec.Fetch.Politeness.Default = harrow.PolitenessLimits{Concurrency: atOnce, Delay: &wait}
	never := false
	spec.Fetch.Politeness.Adaptive = &never
	run, err := lakeio.NewRunID()
	if err != nil {
		t.Fatal(err)
	}
	s.cfg = round.Config{Env: engine.Env{Workspace: workspace, Job: job, Run: run, Stage: lakeio.FetchStage(0), Memory: 64 << 20, Spill: t.TempDir(), Shards: 2},
		Rounds: 1, Scope: spec.Discover.Scope, Canonical: spec.Discover.Canonical, Fetch: spec.Fetch, Document: 1 << 20, Remote: true, Process: "first", Status: time.Second}
	if s.lake, err = s.cfg.Env.Open(); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(spec)
	if err == nil {
		err = lakeio.CreateRun(t.Context(), s.lake.Store, lakeio.Run{ID: run, Job: job, Spec: text, Rounds: 2, FetchShards: len(s.shards), Process: s.cfg.Process, State: lakeio.Active, CreatedAt: time.Now()})
	}
	if err == nil {
		err = s.lake.BeginWorkers(t.Context(), s.cfg.Process)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.fill()
	return s
}

// fill makes the requests.
func (s *site) fill() {
	s.t.Helper()
	c, err := canon.New(canon.Policy{})
	if err != nil {
		s.t.Fatal(err)
	}
	for n := range s.shards {
		for host := range hosts {
			for page := range pages {
				u, err := c.Parse(fmt.Sprintf("http://h%d%d.example/%d", n, host, page))
				if err != nil {
					s.t.Fatal(err)
				}
				s.shards[n] = append(s.shards[n], harrow.Request{ID: canon.ID("GET", u.String(), nil, nil), URL: u.String(), Method: "GET",
					Key: canon.Key(harrow.KeyHost, u), Domain: canon.Domain(u.Host()), Kind: harrow.KindPage})
			}
		}
	}
}

// worker starts a process that is given some shards.
func (s *site) worker(name string, shards ...int) *rig.Process {
	s.t.Helper()
	type shard struct {
		Number   int
		Requests []harrow.Request
	}
	cfg := s.cfg
	cfg.Fetch.UserAgent = name
	work := struct {
		Config round.Config
		Shards []shard
	}{Config: cfg}
	for _, n := range shards {
		work.Shards = append(work.Shards, shard{n, s.shards[n]})
	}
	text, err := json.Marshal(work)
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(program.Path(s.t))
	cmd.Stdin = bytes.NewReader(text)
	return rig.Launch(s.t, cmd)
}

// asked are the pages of a shard that were asked for since.
func (s *site) asked(shard int, since time.Time) (n int) {
	for _, e := range s.log.Requests() {
		if strings.HasPrefix(e.Host, fmt.Sprint("h", shard)) && e.Start.After(since) {
			n++
		}
	}
	return n
}

// awaitAsked waits until n pages of a shard were asked for since.
func (s *site) awaitAsked(p *rig.Process, shard, n int, since time.Time) {
	s.t.Helper()
	if !p.Eventually(func() bool { return s.asked(shard, since) >= n }) {
		s.t.Fatalf("%d pages of shard %d were asked for, want %d:\n%s", s.asked(shard, since), shard, n, p.Out.String())
	}
}

// judge holds what was asked to the limits, and the records to be whole.
func (s *site) judge() {
	s.t.Helper()
	v, err := judges.Case{Store: s.lake.Store, Log: &s.log.Log, Busy: true,
		Promised: func(string) (serverlog.Limits, bool) {
			return serverlog.Limits{Concurrency: atOnce, Delay: delay}, true
		}}.Judge(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, problem := range v.Problems() {
		s.t.Error(problem)
	}
	for n, requests := range s.shards {
		rec, err := lakeio.FetchShard{Lake: s.lake, Shard: n}.Read(s.t.Context())
		if err != nil || !rec.Done {
			s.t.Fatalf("shard %d is not done: %+v, %v", n, rec, err)
		}
		var got, want []string
		for _, roll := range rec.Rolls {
			for _, part := range roll.Parts {
				if part.Table != lakeio.Captures.Name() {
					continue
				}
				for c, err := range lakeio.ReadRows(s.t.Context(), s.lake.Store, lakeio.Captures, part) {
					if err != nil {
						s.t.Fatal(err)
					}
					if got = append(got, strings.Clone(c.URL)); c.Outcome != harrow.Fetched {
						s.t.Errorf("%s: %s %s", c.URL, c.Outcome, c.Code)
					}
				}
			}
		}
		for _, r := range requests {
			want = append(want, r.URL)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			s.t.Errorf("shard %d: %d captures, want one of each of %d requests", n, len(got), len(want))
		}
	}
}

// heard is a request by the worker that sent it.
type heard struct {
	worker string
	at     time.Time
}

// sent counts what a worker has sent since.
func (s *site) sent(worker string, since time.Time) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.heard {
		if h.worker == worker && h.at.After(since) {
			n++
		}
	}
	return n
}

// A worker is killed in the midst of its shard. The other one, which has another
// and was given this one, too, takes it over when the permit is dead.
func killed(t *testing.T, s *site) {
	began := time.Now()
	a := s.worker("a", 0)
	s.awaitAsked(a, 0, 30, began)
	b := s.worker("b", 1, 0)
	s.awaitAsked(b, 1, 20, began)
	a.Signal(unix.SIGKILL)
	a.Wait()
	dead := time.Now()
	b.Want(0)
	for _, e := range s.log.Requests() {
		if since := e.Start.Sub(dead); strings.HasPrefix(e.Host, "h0") && since > 0 && since < ttl-ttl/4-timeout/4 {
			t.Errorf("%s was asked for %v after the death of its shard's owner, whose permit lasted %v", e.URL, since, ttl)
		}
	}
	if s.sent("b", dead) < 2*pages {
		t.Error("the dead worker's shard was taken over by nobody")
	}
}

// A worker is stopped where it is until its permit has ended and another has its
// shard, and woken up in the midst of that one's work.
func frozen(t *testing.T, s *site) {
	began := time.Now()
	a := s.worker("a", 0)
	s.awaitAsked(a, 0, 30, began)
	a.Signal(unix.SIGSTOP)
	b := s.worker("b", 1, 0)
	if !b.Eventually(func() bool { return s.sent("b", began) > hosts*(pages+1)+10 }) {
		t.Fatalf("the sleeper's shard was not taken over:\n%s", b.Out.String())
	}
	s.wake(a)
	b.Want(0)
}

// wake wakes a worker up that slept past its permit: it sends nothing any more
// and ends.
func (s *site) wake(a *rig.Process) {
	s.t.Helper()
	woken := time.Now()
	a.Signal(unix.SIGCONT)
	if code := a.Wait(); code == 0 {
		s.t.Errorf("a worker that slept past its permit ended well:\n%s", a.Out.String())
	}
	if n := s.sent("a", woken); n > 0 {
		s.t.Errorf("it sent %d requests when it woke up", n)
	}
}

// Another command goes on with the run while a worker of the one before sleeps
// and another is at work.
func resumed(t *testing.T, s *site) {
	began := time.Now()
	a, b := s.worker("a", 0), s.worker("b", 1)
	s.awaitAsked(a, 0, 30, began)
	s.awaitAsked(b, 1, 30, began)
	a.Signal(unix.SIGSTOP)
	told := 0
	had, err := lakeio.EndWorkers(t.Context(), s.lake.Store, job, "test", func(_ string, left []lakeio.Holder) { told = max(told, len(left)) })
	if err != nil || !had || told == 0 {
		t.Fatalf("had workers: %t, waited for %d, %v", had, told, err)
	}
	quiet := time.Now()
	if code := b.Wait(); code != exitStopped && code != 0 { // it may have been through
		t.Errorf("a worker that was told to stop: exit %d\n%s", code, b.Out.String())
	}
	s.cfg.Process, s.cfg.Died = "second", true
	_, err = lakeio.ChangeRun(t.Context(), s.lake.Store, job, s.lake.Run, func(r *lakeio.Run) error { r.Process = s.cfg.Process; return nil })
	if err == nil {
		err = s.lake.ClearStop(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	if n := s.sent("a", quiet) + s.sent("b", quiet); n > 0 {
		t.Errorf("%d requests were sent by workers that had ended", n)
	}
	c := s.worker("c", 0, 1)
	if !c.Eventually(func() bool { return s.sent("c", began) > 20 }) {
		t.Fatalf("nobody goes on:\n%s", c.Out.String())
	}
	s.wake(a)
	c.Want(0)
}

// exitStopped is the exit code of a worker that was told to stop.
const exitStopped = 3

func TestPolitenessHoldsWhateverHappensToAWorker(t *testing.T) {
	bucket := fakegcs.Start(t)
	for name, harm := range map[string]func(*testing.T, *site){"killed": killed, "frozen": frozen, "resumed": resumed} {
		for _, where := range []string{"disk", "bucket"} {
			t.Run(name+" "+where, func(t *testing.T) {
				t.Parallel()
				workspace := t.TempDir()
				if where == "bucket" {
					workspace = bucket.Workspace(name)
				}
				s := newSite(t, workspace)
				harm(t, s)
				s.judge()
			})
		}
	}
}
