package parse

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/transforms/parts/engine"
)

// lines is an extractor that streams: a row for each read, with its length.
type lines struct{}

var lineType = harrow.RecordType{Name: "line", Columns: []harrow.Column{{Name: "bytes", Type: harrow.Type{Kind: harrow.Int}}}}

func init() {
	harrow.RegisterExtractor("test_lines", func(json.RawMessage) (harrow.Extractor, error) { return lines{}, nil })
}

func (lines) Records() []harrow.RecordType { return []harrow.RecordType{lineType} }

func (lines) Extract(_ context.Context, page harrow.Page, emit func(harrow.Record) error) error {
	one, two := page.Body(), page.Body() // take turns
	for {
		a, b := make([]byte, 4), make([]byte, 4)
		n, err := io.ReadFull(one, a)
		m, err2 := io.ReadFull(two, b)
		if n != m || string(a) != string(b) {
			return fmt.Errorf("got %q and %q", a[:n], b[:m])
		}
		if n > 0 {
			if err := emit(harrow.Record{Name: "line", Values: map[string]any{"bytes": int64(n)}}); err != nil {
				return err
			}
		}
		if err != nil {
			if err := errors.Join(one.Close(), two.Close()); err != nil {
				return err
			}
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return nil
			}
			return errors.Join(err, err2)
		}
	}
}

// shelf is a bodies part in memory. Like the real one it forgets a row when
// the next is asked for.
type shelf struct {
	rows []harrow.Body
	fail int64 // row that can't be read, from 1; 0: none
	last harrow.Batch
}

func (s *shelf) Rows(part string, first, n int64) iter.Seq2[engine.Row, error] {
	return func(yield func(engine.Row, error) bool) {
		for i := first; i < first+n; i++ {
			if s.last.Rows() > 0 { // spoil what a reader should not hold on to
				clear(s.last.Column("body").(*array.LargeBinary).ValueBytes())
			}
			if part != "bodies-1" || i+1 == s.fail {
				yield(engine.Row{}, fmt.Errorf("%s: row %d: disk", part, i))
				return
			}
			if i >= int64(len(s.rows)) {
				return
			}
			b := lakeio.Bodies.NewBuilder()
			b.Append(s.rows[i])
			s.last = b.Batch()
			if !yield(engine.Row{Batch: s.last, Index: 0}, nil) {
				return
			}
		}
	}
}

// outcome is what an operator put out.
type outcome struct {
	rows    []string
	batches []string
	rejects []harrow.Reject
}

func (o *outcome) Emit(table string, b harrow.Batch) error {
	o.batches = append(o.batches, fmt.Sprintf("%s %d", table, b.Rows()))
	for i := range b.Rows() {
		var cells []string
		for c, f := range b.Arrow().Schema().Fields() {
			if f.Name == "_fetched_at" || f.Name == "_id" || b.Arrow().Column(c).IsNull(i) {
				continue
			}
			cells = append(cells, f.Name+"="+b.Arrow().Column(c).ValueStr(i))
		}
		o.rows = append(o.rows, table+" "+strings.Join(cells, " "))
	}
	return nil
}

func (o *outcome) Reject(r harrow.Reject) error {
	o.rejects = append(o.rejects, r)
	return nil
}

func bookConfig() Config {
	rules := []harrow.Rule{{Record: "book", Each: "article", Fields: harrow.Fields{
		{Name: "title", Field: harrow.Field{CSS: "h1", Required: true}},
		{Name: "stock", Field: harrow.Field{CSS: "b", Type: "int"}},
	}}}
	types := []harrow.RecordType{{Name: "book"}}
	for _, f := range rules[0].Fields {
		types[0].Columns = append(types[0].Columns, f.Columns(f.Name)...)
	}
	return Config{Rules: rules, Types: types, Run: "run-1"}
}

// made makes the operator the way a worker does.
func made(t testing.TB, c Config) engine.BesideOperator {
	t.Helper()
	config, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	create, err := harrow.LookupOperator(Operator)
	if err != nil {
		t.Fatal(err)
	}
	o, err := create(config)
	if err != nil {
		t.Fatal(err)
	}
	return o.(engine.BesideOperator)
}

func capture(n byte, row, rows int64, bytes int) harrow.Capture {
	return harrow.Capture{
		ID: harrow.ID{n}, URL: fmt.Sprintf("http://books.example/%d", n), FinalURL: fmt.Sprintf("http://books.example/%d.html", n),
		Kind: harrow.KindPage, Outcome: harrow.Fetched, Status: 200, ContentType: "text/html; charset=utf-8",
		StartedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), ElapsedMS: 1500,
		Digest: "d", BodyBytes: int64(bytes), BodyPart: "bodies-1", BodyRow: row, BodyRows: rows,
	}
}

func batchOf(captures ...harrow.Capture) harrow.Batch {
	b := lakeio.Captures.NewBuilder()
	for _, c := range captures {
		b.Append(c)
	}
	return b.Batch()
}

func body(text string) harrow.Body { return harrow.Body{Digest: "d", Body: []byte(text)} }

func TestRecordsOfCaptures(t *testing.T) {
	notModified := capture(3, 1, 2, 60)
	notModified.Outcome, notModified.Status = harrow.NotModified, 304
	gone, sitemap, empty := capture(4, 0, 1, 10), capture(5, 0, 1, 10), capture(6, 0, 0, 0)
	gone.Outcome, sitemap.Kind, empty.BodyPart = harrow.Gone, harrow.KindSitemap, ""
	beside := &shelf{rows: []harrow.Body{
		body("<article><h1>One</h1><b>1</b></article><article><h1>Two</h1><b>x</b></article><article><h1>Three</h1></article>"),
		body("<article><h1>Split ac"), body("ross rows</h1><b>7</b></article>"),
	}}
	o, out := made(t, bookConfig()), &outcome{}
	if err := o.ProcessBeside(t.Context(), batchOf(capture(1, 0, 1, 100), gone, sitemap, empty, notModified), beside, out); err != nil {
		t.Fatal(err)
	}
	if len(out.batches) != 0 {
		t.Errorf("before Finish: %q", out.batches)
	}
	if err := o.Finish(t.Context(), out); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`records/book title=One stock=1 _url=http://books.example/1 _ordinal=0 _rule=book#1 _digest=d _run=run-1`,
		`records/book title=Three _url=http://books.example/1 _ordinal=2 _rule=book#1 _digest=d _run=run-1`,
		`records/book title=Split across rows stock=7 _url=http://books.example/3 _ordinal=0 _rule=book#1 _digest=d _run=run-1`,
	}
	if !slices.Equal(out.rows, want) || !slices.Equal(out.batches, []string{"records/book 3"}) {
		t.Errorf("got %q\nwant %q", out.rows, want)
	}
	if len(out.rejects) != 1 || out.rejects[0].ID != (harrow.ID{1}) || out.rejects[0].URL != "http://books.example/1" || out.rejects[0].Field != "stock" || out.rejects[0].Value != "x" {
		t.Errorf("rejects %+v", out.rejects)
	}
}

func TestFetchedAtIsTheEndOfTheAnswer(t *testing.T) {
	o, out := made(t, bookConfig()), &seen{}
	if err := errors.Join(o.ProcessBeside(t.Context(), batchOf(capture(1, 0, 1, 40)), &shelf{rows: []harrow.Body{body("<article><h1>One</h1></article>")}}, out), o.Finish(t.Context(), out)); err != nil {
		t.Fatal(err)
	}
	if want := "2026-01-02T03:04:06.5Z"; !strings.HasPrefix(out.at, "2026-01-02") || !strings.Contains(out.at, "03:04:06.5") {
		t.Errorf("got %s; want %s", out.at, want)
	}
}

type seen struct {
	outcome
	at string
}

func (s *seen) Emit(_ string, b harrow.Batch) error {
	s.at = b.Column("_fetched_at").ValueStr(0)
	return nil
}

func TestFullBatchesLeaveAtOnce(t *testing.T) {
	page := strings.Repeat("<article><h1>T</h1></article>", lakeio.BatchRows+10)
	o, out := made(t, bookConfig()), &outcome{}
	if err := o.ProcessBeside(t.Context(), batchOf(capture(1, 0, 1, len(page))), &shelf{rows: []harrow.Body{body(page)}}, out); err != nil {
		t.Fatal(err)
	}
	if want := []string{fmt.Sprintf("records/book %d", lakeio.BatchRows)}; !slices.Equal(out.batches, want) {
		t.Errorf("got %q", out.batches)
	}
	if err := errors.Join(o.Finish(t.Context(), out), o.Finish(t.Context(), out)); err != nil {
		t.Fatal(err)
	}
	if len(out.batches) != 2 || out.batches[1] != "records/book 10" {
		t.Errorf("got %q", out.batches)
	}
}

func TestNothingFoundIsNothingEmitted(t *testing.T) {
	o, out := made(t, bookConfig()), &outcome{}
	if err := errors.Join(o.ProcessBeside(t.Context(), batchOf(capture(1, 0, 1, 3)), &shelf{rows: []harrow.Body{body("<p>")}}, out), o.Finish(t.Context(), out)); err != nil {
		t.Fatal(err)
	}
	if len(out.batches)+len(out.rejects) != 0 {
		t.Errorf("got %+v", out)
	}
}

// asked notes the rows that were asked for.
type asked struct {
	shelf
	rows []int64
}

func (a *asked) Rows(part string, first, n int64) iter.Seq2[engine.Row, error] {
	a.rows = append(a.rows, first)
	return a.shelf.Rows(part, first, n)
}

func TestBodiesThatNoRuleWantsAreNotRead(t *testing.T) {
	c := bookConfig()
	c.Rules[0].Match, c.Rules[0].ContentType = []string{"/2.html", "/4.html"}, []string{"text/html"}
	var bodies []harrow.Body
	var captures []harrow.Capture
	for i := range byte(5) {
		bodies = append(bodies, body("<article><h1>Title</h1></article>"))
		captures = append(captures, capture(i, int64(i), 1, 33))
	}
	captures[4].ContentType = "image/png"
	captures[3].URL, captures[3].FinalURL = "no URL", "" // whether a rule wants it can't be told: a reject
	beside := &asked{shelf: shelf{rows: bodies}}
	o, out := made(t, c), &outcome{}
	if err := errors.Join(o.ProcessBeside(t.Context(), batchOf(captures...), beside, out), o.Finish(t.Context(), out)); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(beside.rows, []int64{2, 3}) || len(out.rows) != 1 || len(out.rejects) != 1 {
		t.Errorf("read %v, got %q and rejects %v", beside.rows, out.rows, out.rejects)
	}
}

func TestLargeBodiesAreStreamedToExtractorsOnly(t *testing.T) {
	c := bookConfig()
	c.Rules, c.Types = append(c.Rules, harrow.Rule{Use: "test_lines"}), append(c.Types, lineType)
	c.Limits.Document = 10
	beside := &shelf{rows: []harrow.Body{body("aaaaaa"), body("bbbbbb"), body("c")}}
	o, out := made(t, c), &outcome{}
	if err := errors.Join(o.ProcessBeside(t.Context(), batchOf(capture(1, 0, 3, 13)), beside, out), o.Finish(t.Context(), out)); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(out.batches, []string{"records/line 4"}) || len(out.rejects) != 1 || out.rejects[0].Code != "document" {
		t.Errorf("got %q, %+v", out.rows, out.rejects)
	}
}

func TestFaultsOfTheWorkspaceAreErrors(t *testing.T) {
	streaming := bookConfig()
	streaming.Rules, streaming.Types = []harrow.Rule{{Use: "test_lines"}}, []harrow.RecordType{lineType}
	streaming.Limits.Document = 1
	other := harrow.Body{Digest: "other", Body: []byte("x")}
	for name, tt := range map[string]struct {
		config Config
		beside *shelf
		rows   int64
	}{
		"one row":               {bookConfig(), &shelf{rows: []harrow.Body{body("a")}, fail: 1}, 1},
		"several rows":          {bookConfig(), &shelf{rows: []harrow.Body{body("a"), body("b")}, fail: 2}, 2},
		"streamed":              {streaming, &shelf{rows: []harrow.Body{body("a"), body("b")}, fail: 2}, 2},
		"a row is missing":      {bookConfig(), &shelf{}, 1},
		"a later row":           {bookConfig(), &shelf{rows: []harrow.Body{body("a")}}, 2},
		"a row, streamed":       {streaming, &shelf{rows: []harrow.Body{body("a")}}, 2},
		"another body":          {bookConfig(), &shelf{rows: []harrow.Body{other}}, 1},
		"another body later":    {bookConfig(), &shelf{rows: []harrow.Body{body("a"), other}}, 2},
		"another body streamed": {streaming, &shelf{rows: []harrow.Body{other, other}}, 2},
	} {
		out := &outcome{}
		err := made(t, tt.config).ProcessBeside(t.Context(), batchOf(capture(1, 0, tt.rows, 2)), tt.beside, out)
		if err == nil || !strings.Contains(err.Error(), "bodies-1") || !strings.Contains(err.Error(), "http://books.example/1") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if err := made(t, bookConfig()).Process(t.Context(), batchOf(), &outcome{}); err == nil {
		t.Error("Process without bodies: no error")
	}
}

func TestValidateNamesWhatIsWrong(t *testing.T) {
	if err := bookConfig().Validate(); err != nil {
		t.Error(err)
	}
	bad := bookConfig()
	bad.Rules[0].Fields[1].CSS = "b["
	if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), `parse[0].fields.stock: css "b["`) {
		t.Errorf("got %v", err)
	}
	bad = bookConfig()
	bad.Limits.Document = -1
	if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), "negative") {
		t.Errorf("got %v", err)
	}
	bad = bookConfig()
	bad.Canonical.Strip = []string{""}
	if err := bad.Validate(); err == nil || !strings.Contains(err.Error(), "strip") {
		t.Errorf("got %v", err)
	}
}
