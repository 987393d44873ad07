package stable

import (
	"context"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/io/lakeio/laketest"
)

func capture(change func(*harrow.Capture)) harrow.Capture {
	c := harrow.Capture{ID: harrow.ID{1}, URL: "http://a.example/", FinalURL: "http://a.example/", Status: 200, Outcome: harrow.Fetched,
		Headers: []harrow.Header{{Name: "Date", Value: "now"}, {Name: "Etag", Value: "x"}}, Digest: "d", StartedAt: time.Unix(1, 0)}
	change(&c)
	return c
}

func project[R any](t *testing.T, table *lakeio.Table[R], row R) string {
	t.Helper()
	b := table.NewBuilder()
	defer b.Release()
	b.Append(row)
	batch := b.Batch()
	defer batch.Release()
	text, err := projection(table.Name())(batch, 0)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestWhatTimingDecidesDoesNotShowAndAllElseDoes(t *testing.T) {
	same := project(t, lakeio.Captures, capture(func(*harrow.Capture) {}))
	for name, c := range map[string]struct {
		change func(*harrow.Capture)
		shows  bool
	}{
		"start":       {func(c *harrow.Capture) { c.StartedAt = time.Unix(2, 0) }, false},
		"attempts":    {func(c *harrow.Capture) { c.Attempts = 3 }, false},
		"place":       {func(c *harrow.Capture) { c.BodyPart, c.BodyRow = "x", 7 }, false},
		"way there":   {func(c *harrow.Capture) { c.Depth, c.Parent, c.Carry = 2, harrow.ID{2}, "{}" }, false},
		"Date":        {func(c *harrow.Capture) { c.Headers[0].Value = "then" }, false},
		"no Date":     {func(c *harrow.Capture) { c.Headers = c.Headers[1:] }, false},
		"status":      {func(c *harrow.Capture) { c.Status = 201 }, true},
		"digest":      {func(c *harrow.Capture) { c.Digest = "e" }, true},
		"rows":        {func(c *harrow.Capture) { c.BodyRows = 2 }, true},
		"code":        {func(c *harrow.Capture) { c.Code = "timeout" }, true},
		"another tag": {func(c *harrow.Capture) { c.Headers[1].Value = "y" }, true},
	} {
		if got := project(t, lakeio.Captures, capture(c.change)); (got != same) != c.shows {
			t.Errorf("%s: shows %v, want %v: %s", name, got != same, c.shows, got)
		}
	}
}

func TestARejectsPayloadIsProjectedLikeItsRow(t *testing.T) {
	text := func(payload string) string { return project(t, lakeio.Rejects, harrow.Reject{Payload: payload}) }
	if a, b := text(`{"URL":"u","Depth":1,"Parent":"x"}`), text(`{"Parent":"y","URL":"u","Depth":2}`); a != b {
		t.Errorf("%s and %s differ", a, b)
	}
	if a, b := text(`{"URL":"u"}`), text(`{"URL":"v"}`); a == b {
		t.Errorf("%s for two URLs", a)
	}
	if a, b := text("a line"), text("another"); a == b {
		t.Errorf("%s for two lines", a)
	}
}

func TestTablesMergeRoundsAndLeaveDuplicatesOutOfSets(t *testing.T) {
	store, err := lakeio.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	id, err := lakeio.NewRunID()
	if err != nil {
		t.Fatal(err)
	}
	l := lakeio.Lake{Store: store, Job: "j", Run: id}
	link := harrow.Link{ID: harrow.ID{1}, FromID: harrow.ID{2}, Rel: "link"}
	commit(t, l, "discover", nil)
	commit(t, l, "fetch-0", []harrow.Capture{capture(func(*harrow.Capture) {})}, link, link)
	commit(t, l, "fetch-1", []harrow.Capture{capture(func(*harrow.Capture) {})}, link)
	for _, stage := range []string{"parse", "refine"} {
		commit(t, l, stage, nil)
	}
	run := lakeio.Run{ID: id, Job: "j", Rounds: 2}
	if _, err := Tables(t.Context(), l, run); err == nil {
		t.Error("no error, though load has not committed")
	}
	commit(t, l, "load", nil)
	got, err := Tables(t.Context(), l, run)
	if err != nil {
		t.Fatal(err)
	}
	if len(got["fetch captures"]) != 2 || len(got["fetch links"]) != 1 || len(got) != 2 {
		t.Errorf("%v, want 2 captures and 1 link", got)
	}
}

func commit(t *testing.T, l lakeio.Lake, stage string, captures []harrow.Capture, links ...harrow.Link) {
	t.Helper()
	var parts []harrow.Part
	if len(captures) > 0 {
		parts = append(parts,
			laketest.WriteRows(t, l.Store, l.RunDir()+"/"+stage+"/captures.arrow", lakeio.Captures, captures...),
			laketest.WriteRows(t, l.Store, l.RunDir()+"/"+stage+"/links.arrow", lakeio.Links, links...))
	}
	if _, err := l.Commit(context.Background(), stage, parts, nil, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
}
