package view_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/command/view"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/io/lakeio/laketest"
)

// The lake of these tests: job shop with one finished run, of which refine has
// not committed.
const runID = "0198c0de-0000-7000-8000-000000000001"

var begun = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

var bookType = harrow.RecordType{Name: "book", Columns: []harrow.Column{
	{Name: "title", Type: harrow.Type{Kind: harrow.Text}},
	{Name: "price_amount", Type: harrow.DefaultDecimal},
	{Name: "stock", Type: harrow.Type{Kind: harrow.Int}},
	{Name: "tags", Type: harrow.Type{Kind: harrow.Text, List: true}},
}}

func id(n byte) harrow.ID { return harrow.ID{n} }

func shop(name string) harrow.Job {
	j := harrow.Job{Name: name, Parse: []harrow.Rule{{Record: "book", Fields: harrow.Fields{
		{Name: "title", Field: harrow.Field{CSS: "h1"}},
		{Name: "price", Field: harrow.Field{CSS: ".p", Type: "decimal"}},
		{Name: "stock", Field: harrow.Field{CSS: ".s", Type: "int"}},
		{Name: "tags", Field: harrow.Field{CSS: "li", Type: "list"}},
	}}}}
	j.Parse[0].Fields[1].Name = "price_amount"
	j.SetDefaults()
	return j
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newLake writes the run and hands back its store and lake.
func newLake(t testing.TB, job string) (lakeio.Store, lakeio.Lake) {
	t.Helper()
	store, err := lakeio.Open(t.TempDir())
	check(t, err)
	l := lakeio.Lake{Store: store, Job: job, Run: runID}
	spec, err := json.Marshal(shop(job))
	check(t, err)
	check(t, lakeio.CreateRun(t.Context(), store, lakeio.Run{ID: runID, Job: job, Spec: spec, Digest: "d", Rounds: 2, FetchShards: 1, Shards: 1,
		CreatedAt: begun, State: lakeio.Done, Exit: 3, EndedAt: begun.Add(90 * time.Second), Elapsed: map[string]int64{"discover": 12, "fetch": 61_500}}))
	return store, l
}

func commit(t testing.TB, l lakeio.Lake, stage string, counters map[string]int64, parts ...harrow.Part) {
	t.Helper()
	_, err := l.Commit(t.Context(), stage, parts, counters, begun.Add(time.Minute))
	check(t, err)
}

func part[R any](t testing.TB, l lakeio.Lake, stage string, table *lakeio.Table[R], rows ...R) harrow.Part {
	t.Helper()
	return laketest.WriteRows(t, l.Store, fmt.Sprintf("%s/%s/0.arrow", l.Stage(stage), table.Name()), table, rows...)
}

type book struct {
	title string
	price string // empty: null
	stock int64
	tags  []string
}

func books(t testing.TB, l lakeio.Lake, stage string, rows ...book) harrow.Part {
	t.Helper()
	b := lakeio.NewRecordBuilder(bookType)
	defer b.Release()
	for i, r := range rows {
		values := []any{r.title, nil, r.stock, nil}
		if r.price != "" {
			values[1] = decimal.RequireFromString(r.price)
		}
		if r.tags != nil {
			values[3] = r.tags
		}
		check(t, b.Append(values, lakeio.Origin{ID: id(byte(i + 1)), URL: "http://books.example/" + r.title, Rule: "book#1", FetchedAt: begun, Run: l.Run}))
	}
	batch := b.Batch()
	defer batch.Release()
	return laketest.Write(t, l.Store, l.Stage(stage)+"/book/0.arrow", batch)
}

// fill commits discover, both rounds and parse.
func fill(t testing.TB, l lakeio.Lake) {
	t.Helper()
	commit(t, l, "discover", nil, part(t, l, "discover", lakeio.Requests,
		harrow.Request{ID: id(1), URL: "http://books.example/", Method: "GET", Key: "books.example", Domain: "books.example", Kind: "page"}))
	commit(t, l, "fetch-0", map[string]int64{"links_not_taken.host": 4},
		part(t, l, "fetch-0", lakeio.Captures,
			harrow.Capture{ID: id(1), URL: "http://books.example/", Status: 200, Outcome: harrow.Fetched, ContentType: "text/html", BodyBytes: 12, Attempts: 1},
			harrow.Capture{ID: id(2), URL: "http://books.example/2", Status: 404, Outcome: harrow.Gone, Class: harrow.Permanent, Code: "http_404", Attempts: 1}),
		part(t, l, "fetch-0", lakeio.Bodies, harrow.Body{Digest: "aa", Body: []byte("<h1>hi</h1>\n")}),
		part(t, l, "fetch-0", lakeio.Rejects,
			harrow.Reject{ID: id(3), Stage: "fetch", Class: harrow.Permanent, Code: "http_403", Reason: "answered 403", URL: "http://books.example/3"}))
	commit(t, l, "fetch-1", nil, part(t, l, "fetch-1", lakeio.Captures,
		harrow.Capture{ID: id(2), URL: "http://books.example/2", Outcome: harrow.Deferred, Class: harrow.Transient, Code: "rounds"}))
	commit(t, l, "pages", nil, part(t, l, "pages", lakeio.Pages,
		harrow.PageState{ID: id(1), URL: "http://books.example/", ETag: `"a"`, BodyBytes: 12, LastSeen: begun, Outcome: harrow.Fetched, Run: l.Run},
		harrow.PageState{ID: id(2), URL: "http://books.example/2", Outcome: harrow.Gone, Absences: 2}))
	commit(t, l, "parse", nil,
		books(t, l, "parse",
			book{title: "Harrow & Plough", price: "12.50", stock: 3, tags: []string{"farm", "art"}},
			book{title: "Äpfel\x1b[31m", price: "7", stock: 20},
			book{title: "", stock: 1}),
		part(t, l, "parse", lakeio.Rejects,
			harrow.Reject{Stage: "parse", Class: harrow.DataFault, Code: "type", Reason: "want a number", Record: "book", Field: "price", Value: "on\x1b[2Jrequest"},
			harrow.Reject{Stage: "parse", Class: harrow.DataFault, Code: "type", Reason: "want a number", Record: "book", Field: "price", Value: "?"}))
}

// full is a lake with everything in it, and its run.
func full(t testing.TB) (lakeio.Lake, view.Run) {
	t.Helper()
	store, l := newLake(t, "shop")
	fill(t, l)
	r, err := view.FindRun(t.Context(), store, "shop", "last")
	check(t, err)
	return l, r
}

func cat(t testing.TB, r view.Run, q view.Query, out view.Output) (string, error) {
	t.Helper()
	var b strings.Builder
	out.W = &b
	err := r.Cat(context.Background(), q, out)
	return b.String(), err
}
