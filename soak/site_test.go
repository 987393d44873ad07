package soak

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/harrowdata/harrow/internal/demosite"
	"github.com/harrowdata/harrow/internal/serverlog"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/soak/fakegcs"
	"github.com/harrowdata/harrow/soak/postgres"
	"github.com/harrowdata/harrow/soak/rig"
	"github.com/harrowdata/harrow/soak/stable"
)

const (
	jobName = "soak"
	// What testdata/soak.yaml says.
	timeout   = 2 * time.Second
	inFlight  = 16
	rollEvery = time.Second
)

// limit is the politeness that a host was promised.
type limit struct {
	concurrency int
	delay       time.Duration
}

// limits of the job's hosts; the shop's media host and all others have the
// default.
func limitOf(host string) limit {
	switch host {
	case demosite.Books:
		return limit{4, 10 * time.Millisecond}
	case demosite.Partner:
		return limit{2, 50 * time.Millisecond}
	}
	return limit{2, 15 * time.Millisecond}
}

// latency of the server.
const latency = 12 * time.Millisecond

// site is what the job is about, served by this process, and its log.
type site struct {
	shop *demosite.Site
	log  *serverlog.Recorder
	addr string
}

func newSite(t *testing.T) *site {
	s := &site{shop: demosite.New(demosite.Options{Products: 160})}
	bench := demosite.Bench(300, 16<<10)
	s.log = serverlog.Record(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(latency):
		case <-r.Context().Done():
			return
		}
		switch strings.ToLower(r.Host) {
		case demosite.Books, demosite.Media, demosite.Partner:
			s.shop.Handler().ServeHTTP(w, r)
		default:
			bench.ServeHTTP(w, r)
		}
	}))
	server := httptest.NewServer(s.log)
	t.Cleanup(server.Close)
	s.addr = strings.TrimPrefix(server.URL, "http://")
	return s
}

// way is how a run is run, where its parts are and where its rows go.
type way struct {
	runner   string
	postgres bool // else SQLite
	bucket   bool // else a disk
}

func (w way) String() string {
	text := w.runner + " sqlite"
	if w.postgres {
		text = w.runner + " postgres"
	}
	if w.bucket {
		return text + " gs"
	}
	return text + " disk"
}

// harvest is a workspace with the site harvested into it.
type harvest struct {
	t        *testing.T
	site     *site
	way      way
	program  *rig.Program
	job      string // the job file
	dir      string // the workspace's
	out      string // where Parquet files go
	database string // URL of PostgreSQL's
	store    lakeio.Store
	busy     bool           // others harvest beside
	changes  bool           // every other process has the other runner, and one core
	past     []*rig.Process // in their order
	moved    bool           // a process that goes on does so on another machine
	place    lakeio.Lake    // of the run, once it is known, where there is only one
}

// harvest begins anew: an empty workspace on disk, an empty log, a shop whose
// pages fail their first time.
func (s *site) harvest(t *testing.T) *harvest {
	t.Helper()
	return s.harvestInto(t, way{runner: "direct"}, t.TempDir())
}

// harvestInto does so in any way; the workspace must be empty.
func (s *site) harvestInto(t *testing.T, w way, workspace string) *harvest {
	t.Helper()
	s.shop.SetRevision(0)
	s.log.Reset()
	store, err := lakeio.Open(workspace)
	if err != nil {
		t.Fatal(err)
	}
	job, err := filepath.Abs(filepath.Join("testdata", "soak.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	h := &harvest{t: t, site: s, way: w, program: rig.Harrow, job: job, dir: workspace, out: t.TempDir(), store: store}
	if w.postgres {
		h.job, h.database = loading(t, "postgres: {url: \"${DATABASE_URL}\"}"), postgres.Shared(t).Database(t)
	}
	return h
}

// beside does so in a way of its own, in a folder or in the bucket, while
// others do.
func (s *site) beside(t *testing.T, w way, bucket *fakegcs.Server) *harvest {
	t.Helper()
	workspace := t.TempDir()
	if w.bucket {
		workspace = bucket.Workspace(strings.ReplaceAll(filepath.Base(workspace)+"-"+path.Base(t.Name()), "_", "-"))
	}
	h := s.harvestInto(t, w, workspace)
	h.busy = true
	return h
}

// askedSince counts the requests that came after a moment.
func (s *site) askedSince(at time.Time) (n int) {
	for _, e := range s.log.Requests() {
		if e.Start.After(at) {
			n++
		}
	}
	return n
}

// loading is testdata/soak.yaml with another store than SQLite.
func loading(t *testing.T, store string) (file string) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"soak.yaml", "rates.csv"} {
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		if name == "soak.yaml" {
			text := strings.Replace(string(data), "  sqlite: {}\n", "  "+store+"\n", 1)
			if text == string(data) {
				t.Fatal("soak.yaml does not load into sqlite: {}")
			}
			data = []byte(text)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "soak.yaml")
}

// run starts the command, always the same one.
func (h *harvest) run(more ...string) *rig.Process {
	h.t.Helper()
	p := rig.Launch(h.t, h.command(more...))
	h.past = append(h.past, p)
	return p
}

// command is what run starts.
func (h *harvest) command(more ...string) *exec.Cmd {
	h.t.Helper()
	w := h.wayOf(len(h.past))
	args := []string{"run", h.job, "--workspace", h.dir, "--runner", w.runner, "--param", "site=" + h.site.addr, "--param", "out=" + h.out}
	cmd := exec.Command(h.program.Path(h.t), append(args, more...)...)
	cmd.Env = append(os.Environ(), "DATABASE_URL="+h.database)
	if w != h.way {
		cmd.Env = append(cmd.Env, "GOMAXPROCS=1")
	}
	if h.moved {
		return elsewhere(h.t, cmd)
	}
	return cmd
}

// wayOf is how a process runs the job, by its number.
func (h *harvest) wayOf(process int) way {
	w := h.way
	if h.changes && process%2 == 1 {
		w.runner = map[string]string{"direct": "prism", "prism": "direct"}[w.runner]
	}
	return w
}

// lake is the newest run's place; ok is false while there is none.
func (h *harvest) lake() (lakeio.Lake, lakeio.Run, bool) {
	run, err := lakeio.LastRun(h.t.Context(), h.store, jobName)
	return lakeio.Lake{Store: h.store, Job: jobName, Run: run.ID}, run, err == nil
}

// tables is all that the run came to.
func (h *harvest) tables() map[string][]string {
	h.t.Helper()
	tables, err := stable.Result{Store: h.store, Job: jobName, SQLite: filepath.Join(h.dir, jobName, jobName+".db"),
		Postgres: h.database, Parquet: h.out}.Tables(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	return tables
}

// leg is what a run does between two commits.
type leg struct {
	stage  string // whose commit ends it
	before string // whose commit begins it; empty: the start of the process
	took   time.Duration
}

// calm is an undisturbed harvest: what all others are measured by.
type calm struct {
	tables map[string][]string
	asked  map[string]int // URL: how often
	legs   []leg
	pages  leg // beside that of parse
	took   time.Duration
}

// leg is the one that ends with the commit of a stage.
func (c *calm) leg(stage string) leg {
	if stage == lakeio.PagesStage {
		return c.pages
	}
	return c.legs[slices.IndexFunc(c.legs, func(l leg) bool { return l.stage == stage })]
}

var undisturbed struct {
	sync.Mutex
	calm *calm
}

// calm harvests without disturbance, once for all tests.
func (s *site) calm(t *testing.T) *calm {
	t.Helper()
	undisturbed.Lock()
	defer undisturbed.Unlock()
	if undisturbed.calm != nil {
		return undisturbed.calm
	}
	h := s.harvest(t)
	p := h.run()
	p.Want(rig.ExitDone)
	c := &calm{tables: h.tables(), asked: map[string]int{}, took: p.Ended.Sub(p.Began)}
	for _, e := range s.log.Requests() {
		c.asked[e.URL]++
	}
	lake, run, _ := h.lake()
	at, before := p.Began, ""
	var text strings.Builder
	for _, stage := range run.StageNames() {
		m, err := lake.Manifest(context.Background(), stage)
		if err != nil {
			t.Fatal(err)
		}
		if stage == lakeio.PagesStage { // parse doesn't wait for it
			c.pages = leg{stage, before, max(m.At.Sub(at), time.Millisecond)}
			continue
		}
		c.legs = append(c.legs, leg{stage, before, max(m.At.Sub(at), time.Millisecond)})
		fmt.Fprintf(&text, " %s %v", stage, m.At.Sub(at).Round(time.Millisecond))
		at, before = m.At, stage
	}
	// What sinks hold back until load has committed is shown after it.
	c.legs = append(c.legs, leg{publishing, before, max(p.Ended.Sub(at), time.Millisecond)})
	h.judge()
	rejects := len(c.tables["refine "+lakeio.Rejects.Name()])
	if rejects == 0 {
		t.Error("refine rejects nothing: its checks say nothing about a disturbed run")
	}
	t.Logf("undisturbed: %v in all:%s; %d URLs asked, %d rows to compare, %d of them rejects of refine",
		c.took.Round(time.Millisecond), text.String(), len(c.asked), count(c.tables), rejects)
	if t.Failed() {
		t.FailNow()
	}
	undisturbed.calm = c
	return c
}

// publishing is the leg after the last stage.
const publishing = "publish"
