package soak

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/harrowdata/harrow/internal/demosite"
	"github.com/harrowdata/harrow/internal/serverlog"
	"github.com/harrowdata/harrow/io/lakeio"
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

// harvest is a workspace with the site harvested into it.
type harvest struct {
	t     *testing.T
	site  *site
	dir   string // the workspace's
	out   string // where Parquet files go
	store lakeio.Store
	past  []*process // in their order
}

// harvest begins anew: an empty workspace, an empty log, a shop whose pages
// fail their first time.
func (s *site) harvest(t *testing.T) *harvest {
	t.Helper()
	s.shop.SetRevision(0)
	s.log.Reset()
	dir := t.TempDir()
	store, err := lakeio.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return &harvest{t: t, site: s, dir: dir, out: t.TempDir(), store: store}
}

// run starts the command, always the same one.
func (h *harvest) run() *process {
	h.t.Helper()
	return h.runJob(filepath.Join("testdata", "soak.yaml"))
}

func (h *harvest) runJob(file string) *process {
	h.t.Helper()
	p := start(h.t, "run", file, "--workspace", h.dir, "--param", "site="+h.site.addr, "--param", "out="+h.out)
	h.past = append(h.past, p)
	return p
}

// lake is the newest run's place; ok is false while there is none.
func (h *harvest) lake() (lakeio.Lake, lakeio.Run, bool) {
	run, err := lakeio.LastRun(h.t.Context(), h.store, jobName)
	return lakeio.Lake{Store: h.store, Job: jobName, Run: run.ID}, run, err == nil
}

// tables is all that the run came to.
func (h *harvest) tables() map[string][]string {
	h.t.Helper()
	tables, _, err := stable.Run(h.t.Context(), h.store, jobName)
	if err != nil {
		h.t.Fatal(err)
	}
	stored, err := stable.SQLite(h.t.Context(), filepath.Join(h.dir, jobName, jobName+".db"))
	if err != nil {
		h.t.Fatal(err)
	}
	published, err := stable.Parquet(h.t.Context(), h.out)
	if err != nil {
		h.t.Fatal(err)
	}
	maps.Copy(tables, stored)
	maps.Copy(tables, published)
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
	took   time.Duration
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
	p.want(exitDone)
	c := &calm{tables: h.tables(), asked: map[string]int{}, took: p.ended.Sub(p.began)}
	for _, e := range s.log.Requests() {
		c.asked[e.URL]++
	}
	lake, run, _ := h.lake()
	at, before := p.began, ""
	var text strings.Builder
	for _, stage := range run.StageNames() {
		if stage == lakeio.PagesStage { // beside parse
			continue
		}
		m, err := lake.Manifest(context.Background(), stage)
		if err != nil {
			t.Fatal(err)
		}
		c.legs = append(c.legs, leg{stage, before, max(m.At.Sub(at), time.Millisecond)})
		fmt.Fprintf(&text, " %s %v", stage, m.At.Sub(at).Round(time.Millisecond))
		at, before = m.At, stage
	}
	// What sinks hold back until load has committed is shown after it.
	c.legs = append(c.legs, leg{publishing, before, max(p.ended.Sub(at), time.Millisecond)})
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
