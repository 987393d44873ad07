package view_test

import (
	"strings"
	"testing"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/command/view"
	"github.com/harrowdata/harrow/io/lakeio"
)

// bundled is a run in which round 0 left two pages to round 1, which has
// fetched one of them and deferred the other.
func bundled(t *testing.T) view.Run {
	t.Helper()
	store, l := newLake(t, "shop")
	capture := func(n byte, o harrow.Outcome, code string) harrow.Capture {
		return harrow.Capture{ID: id(n), URL: "http://a.example/" + string('0'+rune(n)), Kind: harrow.KindPage, Outcome: o, Code: code, StartedAt: begun}
	}
	request := func(n byte, reason string) harrow.Request {
		return harrow.Request{ID: id(n), URL: "http://a.example/" + string('0'+rune(n)), Kind: harrow.KindPage, Reason: reason}
	}
	commit(t, l, "discover", nil, part(t, l, "discover", lakeio.Requests, request(1, ""), request(2, ""), request(3, "")))
	commit(t, l, "fetch-0", nil, part(t, l, "fetch-0", lakeio.Requests, request(2, ""), request(3, "")), part(t, l, "fetch-0", lakeio.Captures,
		capture(1, harrow.Fetched, ""), capture(2, harrow.Deferred, harrow.CodeBundleTime), capture(3, harrow.Deferred, harrow.CodeBundleTime)))
	commit(t, l, "fetch-1", nil, part(t, l, "fetch-1", lakeio.DeferredRequests, request(3, "rounds")), part(t, l, "fetch-1", lakeio.Captures,
		capture(2, harrow.Fetched, ""), capture(3, harrow.Deferred, "rounds")))
	commit(t, l, "pages", nil)
	commit(t, l, "parse", nil)
	run, err := lakeio.ReadRun(t.Context(), store, "shop", l.Run)
	check(t, err)
	r, err := view.OpenRun(store, run)
	check(t, err)
	return r
}

func TestARunsViewOfARequestIsThatOfItsLastRound(t *testing.T) {
	r := bundled(t)
	for _, c := range []struct {
		name string
		q    view.Query
		want string
	}{
		{"captures", view.Query{Table: "captures", Columns: []string{"url", "outcome", "code"}}, "url,outcome,code\n" +
			"http://a.example/1,fetched,\nhttp://a.example/2,fetched,\nhttp://a.example/3,deferred,rounds\n"},
		{"captures of fetch", view.Query{Table: "captures", Stage: "fetch", Columns: []string{"code"}, Where: []string{"outcome=deferred"}}, "code\nrounds\n"},
		{"of the round itself", view.Query{Table: "captures", Stage: "fetch-0", Columns: []string{"code"}, Where: []string{"outcome=deferred"}}, "code\nbundle_time\nbundle_time\n"},
		{"deferred", view.Query{Table: "deferred", Columns: []string{"url", "reason"}}, "url,reason\nhttp://a.example/3,rounds\n"},
		{"requests", view.Query{Table: "requests", Columns: []string{"url"}}, "url\nhttp://a.example/1\nhttp://a.example/2\nhttp://a.example/3\n"},
		{"requests of the next round", view.Query{Table: "requests", Stage: "fetch-0", Columns: []string{"url"}}, "url\nhttp://a.example/2\nhttp://a.example/3\n"},
	} {
		var b strings.Builder
		if err := r.Cat(t.Context(), c.q, view.Output{W: &b, Format: view.CSV}); err != nil || b.String() != c.want {
			t.Errorf("%s: %v\n%s", c.name, err, b.String())
		}
	}
	s, err := r.Summarize(t.Context(), view.Ending{})
	check(t, err)
	if s.Requests != 3 || s.Outcomes["fetched"] != 2 || s.Outcomes["deferred"] != 1 {
		t.Errorf("summary: %d requests, %v", s.Requests, s.Outcomes)
	}
}

// What a round has left that has not committed is not kept for it: the next one
// asks.
func TestSummaryKeepsOnlyWhatIsAnswered(t *testing.T) {
	_, l := newLake(t, "shop")
	at := lakeio.FetchShard{Lake: l}
	_, _, err := at.Claim(t.Context(), lakeio.Claim{Owner: "me"})
	check(t, err)
	check(t, at.Append(t.Context(), "me", lakeio.Roll{Name: "00001-00001-x", Parts: []harrow.Part{{Table: "captures", URI: "a", Rows: 7}, {Table: "requests", URI: "b", Rows: 4}}}))
	run, err := lakeio.ReadRun(t.Context(), l.Store, "shop", l.Run)
	check(t, err)
	r, err := view.OpenRun(l.Store, run)
	check(t, err)
	if s, err := r.Summarize(t.Context(), view.Ending{}); err != nil || s.Kept != 3 {
		t.Errorf("%d kept, %v; want 3", s.Kept, err)
	}
}

func TestProgressTellsWhatBundlesLeft(t *testing.T) {
	_, l := newLake(t, "shop")
	run, err := lakeio.ReadRun(t.Context(), l.Store, "shop", l.Run)
	check(t, err)
	r, err := view.OpenRun(l.Store, run)
	check(t, err)
	commit(t, l, "discover", nil)
	check(t, l.PutStatus(t.Context(), lakeio.Status{Worker: "w", Stage: "fetch-0", At: begun, Started: begun,
		Counters: map[string]int64{"requests": 9, "captures.fetched": 4, "left": 5}}))
	line, err := view.NewProgress(r, begun).Line(t.Context(), begun)
	check(t, err)
	if !strings.Contains(line, "9 requests · 4 fetched, 5 left to the next round") || !strings.Contains(line, "all answered") {
		t.Error(line)
	}
}
