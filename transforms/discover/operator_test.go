package discover

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/io/lakeio/laketest"
	"github.com/harrowdata/harrow/transforms/parts/engine"
)

// sink keeps what an operator emits.
type sink struct {
	requests []harrow.Request
	rejects  []harrow.Reject
}

func (s *sink) Emit(_ string, b harrow.Batch) error {
	for _, r := range lakeio.Requests.Rows(b) {
		r.URL, r.Method, r.Carry, r.Kind, r.Body = strings.Clone(r.URL), strings.Clone(r.Method), strings.Clone(r.Carry), strings.Clone(r.Kind), slices.Clone(r.Body)
		s.requests = append(s.requests, r)
	}
	return nil
}

func (s *sink) Reject(r harrow.Reject) error { s.rejects = append(s.rejects, r); return nil }

func lakeOf(t *testing.T) lakeio.Lake {
	t.Helper()
	run, err := lakeio.NewRunID()
	if err != nil {
		t.Fatal(err)
	}
	lake, err := engine.Env{Workspace: t.TempDir(), Job: "test", Run: run}.Open()
	if err != nil {
		t.Fatal(err)
	}
	return lake
}

// discovered reads one source.
func discovered(t *testing.T, lake lakeio.Lake, cfg Config, part harrow.Part) *sink {
	t.Helper()
	data, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	op, err := newOperator(data)
	if err != nil {
		t.Fatal(err)
	}
	out := &sink{}
	if err := op.(engine.Source).ReadSource(t.Context(), lake, part, out); err != nil {
		t.Fatal(err)
	}
	if err := op.Finish(t.Context(), out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestSeedsBecomeRequestsAndWhatIsNoneIsARejectThatNamesItsPlace(t *testing.T) {
	lake := lakeOf(t)
	file := strings.Join([]string{`{"url": "HTTP://A.example/x?utm_source=1", "method": "post", "body": {"page": 2}, "shop": "a"}`,
		`{"url": "no url", "body": "b"}`, `[]`, `{"url": "http://b.example"}`}, "\n")
	if err := lake.Store.Create(t.Context(), "in/seeds", []byte(file)); err != nil {
		t.Fatal(err)
	}
	out := discovered(t, lake, Config{Canonical: harrow.Canonical{Strip: harrow.DefaultStrip}, Key: harrow.KeyHost}, harrow.Part{URI: "in/seeds", Tag: "shops.jsonl"})
	if len(out.requests) != 2 || len(out.rejects) != 2 {
		t.Fatalf("requests %+v, rejects %+v", out.requests, out.rejects)
	}
	r := out.requests[0]
	if r.URL != "http://a.example/x" || r.Method != "POST" || string(r.Body) != `{"page":2}` || r.Carry != `{"shop":"a"}` || r.Key != "a.example" || r.Kind != harrow.KindPage ||
		fmt.Sprint(r.Headers) != "[{Content-Type application/json}]" || r.ID != canon.ID("POST", r.URL, r.Body, r.Headers) || r.Depth != 0 || !r.Parent.IsZero() {
		t.Errorf("request %+v", r)
	}
	for i, want := range []struct{ reason, code, payload string }{
		{"shops.jsonl:2: ", "url", `{"url":"no url","method":"POST","body":"Yg=="}`}, {"shops.jsonl:3: want a JSON object", "line", `{"line":"[]","file":"shops.jsonl"}`}} {
		if got := out.rejects[i]; !strings.HasPrefix(got.Reason, want.reason) || got.Code != want.code || got.Payload != want.payload || got.Class != harrow.DataFault {
			t.Errorf("reject %+v; want %+v", got, want)
		}
	}
}

func TestSitemapsOfTheJobFileAreRequestsThatGoFirst(t *testing.T) {
	out := discovered(t, lakeOf(t), Config{URLs: []string{"http://a.example/"}, Sitemaps: []string{"http://a.example/sitemap.xml", "x"}, Key: harrow.KeyHost}, harrow.Part{Tag: "urls"})
	if len(out.requests) != 2 || out.requests[0].Kind != harrow.KindPage || out.requests[1].Kind != harrow.KindSitemap || out.requests[1].Priority <= out.requests[0].Priority {
		t.Errorf("requests %+v", out.requests)
	}
	if len(out.rejects) != 1 || !strings.HasPrefix(out.rejects[0].Reason, "discover.seeds.sitemaps: ") || out.rejects[0].Payload != `{"url":"x","method":"GET","kind":"sitemap"}` {
		t.Errorf("rejects %+v", out.rejects)
	}
}

// deferredPart is a part with one request that was deferred.
func deferredPart(t *testing.T, lake lakeio.Lake, r harrow.Request) harrow.Part {
	t.Helper()
	return laketest.WriteRows(t, lake.Store, "in/"+r.Reason+".arrow", lakeio.DeferredRequests, r)
}

// What a run deferred comes back as it was, first; so does what its stage
// discover carried on, which it may have taken over.
func TestDeferredRequestsKeepAllThatTheyWere(t *testing.T) {
	lake := lakeOf(t)
	owner := lake
	owner.Run = "0190e000-0000-7000-8000-000000000001"
	last := lakeio.Run{ID: lake.Run, Job: lake.Job, Spec: []byte("{}"), Rounds: 1, Sources: map[string]string{"discover": owner.Run}}
	if err := lakeio.CreateRun(t.Context(), lake.Store, last); err != nil {
		t.Fatal(err)
	}
	want := harrow.Request{URL: "http://a.example/x", Method: "POST", Body: []byte("q=1"), Headers: []harrow.Header{{Name: "X-A", Value: "b"}}, Key: "a.example", Domain: "a.example",
		Depth: 3, Kind: harrow.KindSitemap, Parent: harrow.ID{1}, Carry: `{"a":1}`, Reason: "retry_after",
		NotBefore: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)}
	want.ID = canon.ID(want.Method, want.URL, want.Body, want.Headers)
	carried := harrow.Request{ID: harrow.ID{7}, URL: "http://a.example/y", Method: "GET", Reason: "breaker"}
	for stage, r := range map[string]harrow.Request{"discover": carried, lakeio.FetchStage(0): want} {
		lake := lake
		lake.Run = last.Source(lakeio.BaseStage(stage))
		if _, err := lake.Commit(t.Context(), stage, []harrow.Part{deferredPart(t, lake, r)}, nil, time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
	}
	out := discovered(t, lake, Config{Previous: lake.Run}, harrow.Part{URI: lake.Run, Tag: "deferred"})
	want.Priority, want.Reason = firstOfAll, ""
	if len(out.requests) != 2 || fmt.Sprintf("%+v", out.requests[1]) != fmt.Sprintf("%+v", want) || out.requests[0].URL != carried.URL || out.requests[0].Priority != firstOfAll {
		t.Errorf("got\n%+v\nwant\n%+v", out.requests, want)
	}
}
