package fetch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/io/lakeio/laketest"
	"github.com/harrowdata/harrow/transforms/fetch/round"
	"github.com/harrowdata/harrow/transforms/parts/engine"
)

// testTime is when the first run of a history asks.
var testTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// history is a job's runs: what the lake holds and what must be known.
type history struct {
	t     *rapid.T
	dir   string
	runs  int
	last  string // run with the newest version
	model map[harrow.ID]harrow.PageState
}

func idOf(n int) (id harrow.ID) {
	id[0], id[15] = byte(n*97), byte(n+1) // zero is no id
	return id
}

func anyCapture(t *rapid.T, id harrow.ID, run, at int) harrow.Capture {
	c := harrow.Capture{ID: id, URL: "http://x.example/" + id.String(), Kind: harrow.KindPage, Method: "GET",
		StartedAt: testTime.Add(time.Duration(run*1000+at) * time.Hour), ElapsedMS: 250}
	c.Outcome = rapid.SampledFrom([]harrow.Outcome{harrow.Fetched, harrow.Fetched, harrow.NotModified, harrow.Gone, harrow.Failed, harrow.Denied, harrow.Redirected}).Draw(t, "outcome")
	switch c.Outcome {
	case harrow.Fetched, harrow.NotModified:
		c.Status = rapid.SampledFrom([]int32{200, 200, 203}).Draw(t, "status")
		c.FinalURL, c.ContentType = c.URL+"/final", "text/html"
		if rapid.Bool().Draw(t, "has an ETag") {
			c.Headers = append(c.Headers, harrow.Header{Name: "Etag", Value: fmt.Sprintf(`"%d"`, run)})
		}
		c.Digest, c.BodyBytes, c.BodyPart, c.BodyRow, c.BodyRows = fmt.Sprintf("d%d", run), 10, fmt.Sprintf("job/runs/%d/x.arrow", run), int64(at), 1
	case harrow.Gone, harrow.Failed: // an error page has a body and headers too
		c.Status, c.Headers = 410, []harrow.Header{{Name: "Etag", Value: `"error"`}}
		c.Digest, c.BodyBytes, c.BodyPart, c.BodyRows = "error", 3, "job/runs/error.arrow", 1
	}
	return c
}

// run commits the rounds of one run, then its version of pages, and keeps the
// model.
func (h *history) run() {
	t := h.t
	h.runs++
	id, err := lakeio.NewRunID()
	if err != nil {
		t.Fatal(err)
	}
	env := engine.Env{Workspace: h.dir, Job: "job", Run: id, Memory: 256 << 20, Spill: h.dir, Shards: 2}
	lake, err := env.Open()
	if err != nil {
		t.Fatal(err)
	}
	limit, rounds := rapid.Bool().Draw(t, "limit"), rapid.IntRange(1, 2).Draw(t, "rounds")
	capped := rapid.IntRange(0, 4).Draw(t, "over max_pages") == 0
	deferred := false
	perRound := make([][]harrow.Capture, rounds)
	final := map[harrow.ID]harrow.Capture{}
	for n := range 12 {
		if rapid.Bool().Draw(t, "is not admitted") {
			continue
		}
		for r := rapid.IntRange(0, rounds-1).Draw(t, "round"); r < rounds; r++ {
			c := anyCapture(t, idOf(n), h.runs, r)
			if rapid.IntRange(0, 5).Draw(t, "is deferred") == 0 { // and admitted again in the next round
				c = harrow.Capture{ID: c.ID, URL: c.URL, Outcome: harrow.Deferred, StartedAt: c.StartedAt}
				deferred = true
			}
			perRound[r], final[c.ID] = append(perRound[r], c), c
			if c.Outcome != harrow.Deferred {
				break
			}
		}
	}
	h.learn(id, final, !limit && !deferred && !capped)
	var in []harrow.Part
	for r, captures := range perRound {
		parts := h.commitRound(lake, r, captures, capped && r == 0)
		in = append(in, parts...)
	}
	cfg := pagesConfig{Env: env, Rounds: rounds, Part: limit, Variant: "v"}
	cfg.Env.Stage = lakeio.PagesStage
	h.last = h.commitPages(cfg, in)
}

func (h *history) commitRound(l lakeio.Lake, r int, captures []harrow.Capture, capped bool) (parts []harrow.Part) {
	stage := lakeio.FetchStage(r)
	var waiting []harrow.Request
	for _, c := range captures {
		if c.Outcome == harrow.Deferred {
			waiting = append(waiting, harrow.Request{ID: c.ID, URL: c.URL})
		}
	}
	all := writeTable(h.t, l, stage, lakeio.DeferredRequests, waiting)
	for some := range slices.Chunk(captures, 4) {
		parts = append(parts, writeTable(h.t, l, stage, lakeio.Captures, some)...)
	}
	counters := map[string]int64{}
	if capped {
		counters["links_not_taken.max_pages"] = 1
	}
	if _, err := l.Commit(h.t.Context(), stage, append(all, parts...), counters, testTime); err != nil {
		h.t.Fatal(err)
	}
	return parts
}

var files int

func writeTable[R any](t *rapid.T, l lakeio.Lake, stage string, table *lakeio.Table[R], rows []R) []harrow.Part {
	if len(rows) == 0 {
		return nil
	}
	files++
	part := laketest.WriteRows(t, l.Store, fmt.Sprintf("%s/%s/%d.arrow", l.Stage(stage), table.Name(), files), table, rows...)
	return []harrow.Part{part}
}

// commitPages does what the graph of remember does.
func (h *history) commitPages(cfg pagesConfig, in []harrow.Part) string {
	t := h.t
	data, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if h.last != "" {
		before := cfg.Env
		before.Run = h.last
		old, err := engine.NewWorker(before)
		if err != nil {
			t.Fatal(err)
		}
		parts, err := old.Stored(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		in = append(in, parts...)
	}
	w, err := engine.NewWorker(cfg.Env)
	if err != nil {
		t.Fatal(err)
	}
	g := engine.NewGroup[engine.Sliced](t.Context())
	for _, task := range w.Spill(engine.Key{Columns: []string{"id"}, Order: []string{"run"}}, engine.Step{Operator: visitsName, Config: data}, in) {
		g.Go(task)
	}
	shards := map[int][]engine.Slice{}
	if err := g.Drain(func(s engine.Sliced) { shards[s.Shard] = append(shards[s.Shard], s.Slice) }); err != nil {
		t.Fatal(err)
	}
	m := engine.NewGroup[harrow.Part](t.Context())
	for shard, slices := range shards {
		m.Go(w.Merge(engine.Step{Operator: pagesName, Config: data}, shard, slices, len(shards)))
	}
	var out []harrow.Part
	if err := m.Drain(func(p harrow.Part) { out = append(out, p) }); err != nil {
		t.Fatal(err)
	}
	for range 2 { // a repeated commit is a no-op
		if _, err := w.Commit(t.Context(), out); err != nil {
			t.Fatal(err)
		}
		out = nil
	}
	return cfg.Env.Run
}

// learn is the model: what DESIGN says is known after a run.
func (h *history) learn(run string, final map[harrow.ID]harrow.Capture, complete bool) {
	for id, s := range h.model {
		if _, asked := final[id]; !asked && complete {
			s.Absences++
			h.model[id] = s
		}
	}
	for id, c := range final {
		s := h.model[id]
		s.ID, s.URL, s.Outcome, s.Run, s.Absences = id, c.URL, c.Outcome, run, 0
		if c.Outcome == harrow.Fetched || c.Outcome == harrow.NotModified {
			s.LastSeen = c.StartedAt.Add(250 * time.Millisecond)
			if s.FirstSeen.IsZero() {
				s.FirstSeen = s.LastSeen
			}
			s.FinalURL, s.ContentType, s.Headers, s.Variant, s.ETag = c.FinalURL, c.ContentType, c.Headers, "v", ""
			if len(c.Headers) > 0 && (c.Status == 200 || c.Outcome == harrow.NotModified) {
				s.ETag = c.Headers[0].Value
			}
			s.Digest, s.BodyBytes, s.BodyPart, s.BodyRow, s.BodyRows = c.Digest, c.BodyBytes, c.BodyPart, c.BodyRow, c.BodyRows
		}
		h.model[id] = s
	}
}

// Whatever the runs of a job were like, its memory is what the model says.
func TestPagesAreWhatAllRunsTogetherSaw(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		h := &history{t: rt, dir: dir, model: map[harrow.ID]harrow.PageState{}}
		for range rapid.IntRange(1, 3).Draw(rt, "runs") {
			h.run()
			var got []harrow.PageState
			lake, err := (engine.Env{Workspace: dir, Job: "job", Run: h.last}).Open()
			if err != nil {
				rt.Fatal(err)
			}
			if err := lake.EachPage(rt.Context(), func(s harrow.PageState) error { got = append(got, round.Keep(s)); return nil }); err != nil {
				rt.Fatal(err)
			}
			want := slices.SortedFunc(maps.Values(h.model), func(a, b harrow.PageState) int { return bytes.Compare(a.ID[:], b.ID[:]) })
			for i := range min(len(got), len(want)) {
				if a, b := fmt.Sprintf("%+v", got[i]), fmt.Sprintf("%+v", want[i]); a != b {
					rt.Fatalf("after run %d:\ngot  %s\nwant %s", h.runs, a, b)
				}
			}
			if len(got) != len(want) {
				rt.Fatalf("after run %d: %d rows, want %d", h.runs, len(got), len(want))
			}
			if current, err := lakeio.CurrentPages(rt.Context(), lake.Store, "job"); err != nil || current != h.last {
				rt.Fatalf("current is %s, %v; want %s", current, err, h.last)
			}
		}
	})
}
