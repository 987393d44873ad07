package fetch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/internal/serverlog"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/io/lakeio/laketest"
	"github.com/harrowdata/harrow/soak/fault"
	"github.com/harrowdata/harrow/transforms/fetch/round"
	"github.com/harrowdata/harrow/transforms/parts/engine"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errDied = errors.New("the worker died")

// pages is a site whose / links to pages of its own and of another domain, and
// has one that is forbidden.
func pages() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/robots.txt", http.NotFound)
	mux.HandleFunc("/forbidden", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		text := "<p>" + r.Host + r.URL.Path
		if r.URL.Path == "/" {
			for i := range 12 {
				text += fmt.Sprintf(`<a href="/%d">%d</a>`, i, i)
			}
			text += `<a href="/forbidden">no</a><a href="http://two.example/">two</a>`
		}
		_, _ = fmt.Fprint(w, text)
	})
	return mux
}

// stage is a round with two shards of requests, on a disk that may die.
type stage struct {
	t      *testing.T
	disk   *fault.Disk
	lake   lakeio.Lake
	env    engine.Env
	config []byte
	slices map[int][]engine.Slice
	log    *serverlog.Log
}

func newStage(t *testing.T) *stage {
	t.Helper()
	recorder := serverlog.Record(pages())
	server := httptest.NewServer(recorder)
	t.Cleanup(server.Close)
	disk, err := fault.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	run, err := lakeio.NewRunID()
	if err != nil {
		t.Fatal(err)
	}
	var job harrow.Job
	job.SetDefaults()
	job.Fetch.Resolve = map[string]string{"*.example": strings.TrimPrefix(server.URL, "http://")}
	zero := harrow.Duration(0)
	job.Fetch.Politeness.Default = harrow.PolitenessLimits{Concurrency: 2, Delay: &zero}
	job.Fetch.Roll.Bytes = 6000
	job.Discover.Scope.Hosts = []string{"*.example"}
	cfg := round.Config{
		Env:    engine.Env{Workspace: disk.URI(), Job: "test", Run: run, Stage: lakeio.FetchStage(0), Memory: 256 << 20, Spill: t.TempDir(), Shards: 1},
		Rounds: 3, Scope: job.Discover.Scope, Canonical: job.Discover.Canonical, Fetch: job.Fetch, Document: 10 << 20, Status: time.Hour,
		Follow: []harrow.Follow{{CSS: "a@href"}}}
	s := &stage{t: t, disk: disk, env: cfg.Env, log: &recorder.Log}
	if s.config, err = json.Marshal(cfg); err != nil {
		t.Fatal(err)
	}
	if s.lake, err = cfg.Env.Open(); err != nil {
		t.Fatal(err)
	}
	s.shuffle("http://one.example/", "http://three.example/x", "http://four.example/forbidden")
	return s
}

// shuffle makes the slices of the requests, as the step before does.
func (s *stage) shuffle(urls ...string) {
	s.t.Helper()
	c, err := canon.New(canon.Policy{})
	if err != nil {
		s.t.Fatal(err)
	}
	var requests []harrow.Request
	for _, text := range urls {
		u, err := c.Parse(text)
		if err != nil {
			s.t.Fatal(err)
		}
		requests = append(requests, harrow.Request{ID: canon.ID("GET", text, nil, nil), URL: text, Method: "GET", Key: canon.Key(harrow.KeyHost, u),
			Domain: canon.Domain(u.Host()), Kind: harrow.KindPage})
	}
	part := laketest.WriteRows(s.t, s.lake.Store, "in/requests.arrow", lakeio.Requests, requests...)
	worker, err := engine.NewWorker(s.env)
	if err != nil {
		s.t.Fatal(err)
	}
	s.slices = map[int][]engine.Slice{}
	for _, task := range worker.Spill(engine.Key{Columns: []string{"domain"}, Shards: 2}, engine.Step{}, []harrow.Part{part}) {
		sliced, err := task(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		for _, x := range sliced {
			s.slices[x.Shard] = append(s.slices[x.Shard], x.Slice)
		}
	}
}

// bundle runs the bundle of a fresh DoFn as a runner does; its emit number
// die, from 1, kills it.
func (s *stage) bundle(die int) (out []harrow.Part, err error) {
	fn := &roundFn{Config: s.config}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
		err = errors.Join(err, fn.Teardown())
	}()
	ctx := s.t.Context()
	for _, shard := range slices.Sorted(maps.Keys(s.slices)) {
		values := s.slices[shard]
		next := func(x *engine.Slice) bool {
			if len(values) == 0 {
				return false
			}
			*x, values = values[0], values[1:]
			return true
		}
		if err := fn.ProcessElement(ctx, shard, next, func(harrow.Part) {}); err != nil {
			return nil, err
		}
	}
	err = fn.FinishBundle(ctx, func(p harrow.Part) {
		if die--; die == 0 {
			panic(errDied)
		}
		out = append(out, p)
	})
	return out, err
}

// tables commits what an attempt emitted and returns what timing does not
// decide.
func (s *stage) tables(refs []harrow.Part) map[string][]string {
	s.t.Helper()
	w, err := engine.NewWorker(s.env)
	if err != nil {
		s.t.Fatal(err)
	}
	parts, err := w.Commit(s.t.Context(), refs)
	if err != nil {
		s.t.Fatal(err)
	}
	columns := map[string][]string{
		"captures": {"url", "final_url", "status", "outcome", "class", "code", "digest", "body_bytes", "key", "kind"},
		"links":    {"from_id", "id", "rel", "same_domain"},
		"rejects":  {"url", "class", "code", "stage"},
		"bodies":   {"digest"},
	}
	tables := map[string][]string{}
	for _, p := range parts {
		for b, err := range lakeio.ReadBatches(s.t.Context(), s.lake.Store, p) {
			if err != nil {
				s.t.Fatal(err)
			}
			for i := range b.Rows() {
				if names := columns[p.Table]; names != nil {
					tables[p.Table] = append(tables[p.Table], string(lakeio.AppendJSON(nil, b, i, names)))
				}
			}
		}
	}
	for name, rows := range tables {
		slices.Sort(rows)
		if name == "links" || name == "bodies" { // sets
			tables[name] = slices.Compact(rows)
		}
	}
	return tables
}

// dieAndRunAgain lets the first attempt die at an emit or at a write, and a
// second one come through.
func dieAndRunAgain(t *testing.T, emit, write int) (tables map[string][]string, died bool) {
	t.Helper()
	s := newStage(t)
	s.disk.FailFrom(write, write%2 == 0)
	_, err := s.bundle(emit)
	s.disk.FailFrom(0, false)
	switch {
	case err == nil:
	case write > 0 && (!errors.Is(err, fault.ErrDisk) || errors.Is(err, round.ErrStopped)):
		t.Errorf("a dead disk ended the bundle with %v", err)
	case emit > 0 && err.Error() != errDied.Error():
		t.Errorf("ended with %v", err)
	}
	died = err != nil
	if done, err := s.lake.Committed(context.WithoutCancel(t.Context()), s.env.Stage); done || err != nil {
		t.Errorf("the round is committed before its commit: %v %v", done, err)
	}
	out, err := s.bundle(0)
	if err != nil {
		t.Fatal(err)
	}
	if emit > 0 {
		// The shards were done: nobody is asked again.
		for url, n := range s.log.AskedTwice(false) {
			t.Errorf("%s was asked %d times", url, n)
		}
	}
	return s.tables(out), died
}

// A worker may die at any emit and any write of a round: the next one takes
// its shards over, and each request has one capture in the end.
func TestARoundWhoseWorkerDiesAnywhereIsTakenOver(t *testing.T) {
	want, _ := dieAndRunAgain(t, 0, 0)
	if len(want["captures"]) != 16 || len(want["links"]) != 14 || len(want["rejects"]) != 2 || len(want["bodies"]) == 0 {
		t.Fatalf("undisturbed: %d captures, %d links, %d rejects, %d bodies", len(want["captures"]), len(want["links"]), len(want["rejects"]), len(want["bodies"]))
	}
	for _, of := range []string{"emit", "write"} {
		least := map[string]int{"emit": 8, "write": 20}[of]
		for n := 1; n <= least; n++ {
			t.Run(fmt.Sprint(of, " ", n), func(t *testing.T) {
				t.Parallel()
				emit, write := n, 0
				if of == "write" {
					emit, write = 0, n
				}
				got, died := dieAndRunAgain(t, emit, write)
				if !died {
					t.Error("nothing died: there are fewer")
				}
				if !maps.EqualFunc(got, want, slices.Equal[[]string]) {
					t.Errorf("tables %v,\nwant %v", got, want)
				}
			})
		}
	}
}

// Exported fields travel to the worker, all others stay behind.
func TestRoundFnTravelsWhole(t *testing.T) {
	sent := roundFn{Config: []byte(`{"round":1}`)}
	data, err := json.Marshal(&sent)
	if err != nil {
		t.Fatal(err)
	}
	var came roundFn
	if err := json.Unmarshal(data, &came); err != nil || string(came.Config) != string(sent.Config) {
		t.Errorf("came back as %q, %v", came.Config, err)
	}
}
