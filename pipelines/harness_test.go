package pipelines

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/harrowdata/harrow/internal/demosite"
	"github.com/harrowdata/harrow/internal/serverlog"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/soak/stable"
	"github.com/harrowdata/harrow/testdata/demo"
)

// bench is a site that is served, a job file and a workspace to harvest it
// into. When its test ends, the server's log is held against the limits.
type bench struct {
	t        *testing.T
	site     *demosite.Site // nil: another site
	log      *serverlog.Log
	addr     string
	dir      string // the workspace's folder
	request  Request
	limits   map[string]limit // by host
	ttl      time.Duration    // of the job lock where it is a lease; 0: as ever
	whole    bool             // the job is the demo's, with all that is in it, and runs undisturbed
	requests atomic.Int64     // requests, whether answered or not
	quick    atomic.Int64     // how many of them are answered at once: see drag
}

type limit struct {
	concurrency int
	delay       time.Duration
}

// shopLimits are what testdata/demo/shop.yaml and the partner's robots.txt
// allow.
var shopLimits = map[string]limit{
	demosite.Books:   {4, 5 * time.Millisecond},
	demosite.Media:   {1, 10 * time.Millisecond},
	demosite.Partner: {1, 50 * time.Millisecond},
}

// wholeShop serves the demo site; its job is testdata/demo/shop.yaml.
func wholeShop(t *testing.T) *bench {
	t.Helper()
	b := newShop(t, demosite.Options{})
	b.whole = true
	b.write(wholeJob(t))
	return b
}

// newShop serves the demo site; its job is shopJob.
func newShop(t *testing.T, o demosite.Options, replace ...string) *bench {
	t.Helper()
	site := demosite.New(o)
	b := newBench(t, site.Handler(), shopJob(t, replace...))
	b.site, b.log, b.limits = site, site.Log(), shopLimits
	return b
}

// wholeJob is the text of the demo's job file.
func wholeJob(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "testdata", "demo", "shop.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// added is what refine adds to the demo's books, and its second store.
var added = []*regexp.Regexp{regexp.MustCompile(`(?s)    # A row that fails a check.*?\n(  offer:)`), regexp.MustCompile(`(?s)  # The same rows as Parquet.*?()$`)}

// shopJob is the demo's job without checks, lookup and thresholds and with one
// store, so that tests put there what they are about: texts are replaced, old,
// new, old, new, …
func shopJob(t *testing.T, replace ...string) string {
	t.Helper()
	text := wholeJob(t)
	for _, part := range added {
		if !part.MatchString(text) {
			t.Fatalf("shop.yaml has no %s", part)
		}
		text = part.ReplaceAllString(text, "$1")
	}
	for pair := range slices.Chunk(replace, 2) {
		if !strings.Contains(text, pair[0]) {
			t.Fatalf("shop.yaml has no %q", pair[0])
		}
		text = strings.ReplaceAll(text, pair[0], pair[1])
	}
	return text
}

// newBench serves a handler for every *.example host; ${param.site} in the
// job's text is its address.
func newBench(t *testing.T, h http.Handler, job string) *bench {
	t.Helper()
	b := &bench{t: t}
	b.drag(math.MaxInt32)
	recorder := serverlog.Record(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if b.requests.Add(1) > b.quick.Load() {
			select {
			case <-time.After(dragged):
			case <-r.Context().Done():
			}
		}
		h.ServeHTTP(w, r)
	}))
	server := httptest.NewServer(recorder)
	b.log, b.addr, b.dir, b.limits = &recorder.Log, server.Listener.Addr().String(), filepath.Join(t.TempDir(), "workspace"), map[string]limit{}
	b.request = Request{JobFile: filepath.Join(t.TempDir(), "job.yaml"), Workspace: b.dir, Runner: "direct"}
	if err := demo.LayOut(filepath.Dir(b.request.JobFile)); err != nil {
		t.Fatal(err)
	}
	b.write(job)
	t.Cleanup(func() {
		server.Close()
		b.checkPoliteness()
	})
	return b
}

// dragged is how long each answer takes of a site that drags.
const dragged = 200 * time.Millisecond

// drag has the site take its time after so many more requests, so that on a busy
// machine too a run is not through before the test has done something to it.
func (b *bench) drag(after int) { b.quick.Store(b.requests.Load() + int64(after)) }

// write rewrites the job file, and with it the site's parameter if it has one.
func (b *bench) write(job string) {
	b.t.Helper()
	if b.request.Params = nil; strings.Contains(job, "${param.site}") {
		b.request.Params = map[string]string{"site": b.addr}
	}
	if err := os.WriteFile(b.request.JobFile, []byte(job), 0o666); err != nil {
		b.t.Fatal(err)
	}
}

// seedFile writes a file beside the job file.
func (b *bench) seedFile(name, text string) {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(filepath.Dir(b.request.JobFile), name), []byte(text), 0o666); err != nil {
		b.t.Fatal(err)
	}
}

// run runs the job.
func (b *bench) run(change ...func(*Request)) (Result, error) {
	req := b.request
	for _, c := range change {
		c(&req)
	}
	ctx, cancel := context.WithTimeout(b.t.Context(), 5*time.Minute)
	defer cancel()
	return Run(ctx, req)
}

// must runs the job to its end: exit 0.
func (b *bench) must(change ...func(*Request)) lakeio.Run {
	b.t.Helper()
	res, err := b.run(change...)
	if err != nil {
		b.t.Fatal(err)
	}
	if res.Exit != 0 {
		b.t.Fatalf("exit %d: %s", res.Exit, res.Why)
	}
	return res.Run
}

func (b *bench) lake(run string) lakeio.Lake {
	b.t.Helper()
	store, err := lakeio.Open(b.dir)
	if err != nil {
		b.t.Fatal(err)
	}
	job, err := lakeio.Jobs(b.t.Context(), store)
	if err != nil || len(job) != 1 {
		b.t.Fatalf("jobs %v, %v; want one", job, err)
	}
	return lakeio.Lake{Store: store, Job: job[0], Run: run}
}

// manifest is what a stage of the run committed.
func (b *bench) manifest(run lakeio.Run, stage string) lakeio.Manifest {
	b.t.Helper()
	m, err := b.lake(run.Source(strings.TrimRight(stage, "-0123456789"))).Manifest(b.t.Context(), stage)
	if err != nil {
		b.t.Fatal(err)
	}
	return m
}

// stages are the names of a run's stages, rounds apart.
func stages(run lakeio.Run) []string {
	list := []string{"discover"}
	for r := range run.Rounds {
		list = append(list, lakeio.FetchStage(r))
	}
	return append(list, "parse", "refine", "load")
}

// rows reads a table of some stages, all stages where none is named.
func rows[R any](b *bench, table *lakeio.Table[R], run lakeio.Run, in ...string) (list []R) {
	b.t.Helper()
	if in == nil {
		in = stages(run)
	}
	store := b.lake(run.ID).Store
	for _, stage := range in {
		for _, part := range b.manifest(run, stage).TablesOf(table.Name()) {
			for r, err := range lakeio.ReadRows(b.t.Context(), store, table, part) {
				if err != nil {
					b.t.Fatal(err)
				}
				list = append(list, r)
			}
		}
	}
	return list
}

// records reads a records table of a stage, as JSON.
func (b *bench) records(run lakeio.Run, stage, record string, columns ...string) (list []string) {
	b.t.Helper()
	store := b.lake(run.ID).Store
	for _, part := range b.manifest(run, stage).TablesOf(lakeio.RecordsPrefix + record) {
		for batch, err := range lakeio.ReadBatches(b.t.Context(), store, part) {
			if err != nil {
				b.t.Fatal(err)
			}
			for i := range batch.Rows() {
				list = append(list, string(lakeio.AppendJSON(nil, batch, i, columns)))
			}
		}
	}
	slices.Sort(list)
	return list
}

// tables are a run's tables and the database in the stable projection.
func (b *bench) tables(run lakeio.Run) map[string][]string {
	b.t.Helper()
	tables, err := stable.Tables(b.t.Context(), b.lake(run.ID), run)
	if err != nil {
		b.t.Fatal(err)
	}
	maps.Copy(tables, b.database())
	return tables
}

// database is the SQLite file in the stable projection.
func (b *bench) database() map[string][]string {
	b.t.Helper()
	job := b.lake("").Job
	tables, err := stable.SQLite(b.t.Context(), filepath.Join(b.dir, job, job+".db"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		b.t.Fatal(err)
	}
	return tables
}

// same fails the test where two sets of tables differ.
func same(t *testing.T, what string, want, got map[string][]string) {
	t.Helper()
	if diff := stable.Diff(want, got); diff != "" {
		t.Errorf("%s: the tables differ:\n%s", what, diff)
	}
}

// sameSet fails the test where two lists differ as sets.
func sameSet[T cmp.Ordered](t *testing.T, what string, got, want []T) {
	t.Helper()
	got, want = slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
	if slices.Equal(got, want) {
		return
	}
	t.Errorf("%s: got %d, want %d", what, len(got), len(want))
	for _, side := range []struct {
		mark string
		a, b []T
	}{{"missing", want, got}, {"too many", got, want}} {
		left := slices.Clone(side.b)
		for _, x := range side.a {
			if i := slices.Index(left, x); i >= 0 {
				left = slices.Delete(left, i, i+1)
			} else {
				t.Errorf("  %s: %v", side.mark, x)
			}
		}
	}
}

// beside lets other tests run beside this one.
func (b *bench) beside() *bench {
	b.t.Parallel()
	return b
}

func runner(name string) func(*Request) { return func(r *Request) { r.Runner = name } }
func from(stage string) func(*Request)  { return func(r *Request) { r.From = stage } }
func until(stage string) func(*Request) { return func(r *Request) { r.Until = stage } }
func which(run string) func(*Request)   { return func(r *Request) { r.Run = run } }

// meaning marks a test of what a run comes to. With the race detector (which
// comes with -short) it is left out: what its goroutines do to each other those
// of the tests that stay do, too.
func meaning(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("with -short: it says nothing of races")
	}
}

// eachRunner runs a test on both runners in this process.
func eachRunner(t *testing.T, test func(t *testing.T, runner string)) {
	for _, name := range []string{"direct", "prism"} {
		if testing.Short() && name == "direct" {
			continue // one bundle at a time: Prism shows more races
		}
		t.Run(name, func(t *testing.T) { test(t, name) })
	}
}

// eachStopped is eachRunner for tests that cut runs off. The race detector
// (which comes with -short) is kept from Prism there: Beam v2.77's own harness
// closes a channel of a job that is cancelled while it still sends on it.
func eachStopped(t *testing.T, test func(t *testing.T, runner string)) {
	for _, name := range []string{"direct", "prism"} {
		if testing.Short() && name == "prism" {
			continue
		}
		t.Run(name, func(t *testing.T) { test(t, name) })
	}
}

// random is decided by HARROW_SEED (default 1), which it prints.
func random(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(1)
	if text := os.Getenv("HARROW_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("HARROW_SEED=%q: want a number from 0", text)
		}
	}
	t.Logf("HARROW_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// files lists a folder's files with their contents' length and time of change.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		found[name] = strconv.FormatInt(info.Size(), 10) + " " + info.ModTime().String()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
