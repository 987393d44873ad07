// Package extractortest is the conformance suite of extractors: one call in
// the test of a plug-in holds it to what Harrow relies on.
package extractortest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"go.uber.org/goleak"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// Case is an extractor and what it is tried on.
type Case struct {
	Extractor string          // its registered name
	Config    json.RawMessage // `with:` of a job file; null when absent
	Pages     []Page          // at least one that it gets records out of
}

// Page is a page as it was fetched.
type Page struct {
	Capture harrow.Capture // what the extractor looks at: URL, FinalURL, ContentType, Headers, …
	Body    string
}

// Run runs the suite, each demand as a subtest:
//
//   - Records is the same each time, and every column has a name of its own
//     and a type that there is;
//   - only those records are emitted, with values of their columns' types;
//   - the same page gives the same records, from the same instance and from
//     another, however its body is cut, and whether or not it was read before;
//   - each body that was opened is closed, and no goroutine is left behind;
//   - an error of the body or of emit is returned, and nothing is emitted
//     after it; a context that has ended is an error or changes nothing;
//   - pages of nothing, of noise and of deep nesting are errors or records, no
//     panics, within half a minute.
func Run(t *testing.T, c Case) {
	t.Helper()
	for _, d := range demands {
		t.Run(d.name, func(t *testing.T) { d.check(t, c) })
	}
}

// demand is one subtest.
type demand struct {
	name  string
	check func(testing.TB, Case)
}

var demands = []demand{
	{"declares its records", declares},
	{"emits what it declares", emitsDeclared},
	{"is deterministic", deterministic},
	{"reads a body however it is cut", readsPieces},
	{"closes what it opens", closes},
	{"leaves no goroutine", leavesNothing},
	{"returns the error of a body", bodyFails},
	{"returns the error of emit", emitFails},
	{"bears a context that has ended", contextEnds},
	{"bears hostile bodies", hostile},
}

func (c Case) make(tb testing.TB) harrow.Extractor {
	tb.Helper()
	f, err := harrow.LookupExtractor(c.Extractor)
	if err != nil {
		tb.Fatal(err)
	}
	e, err := f(slices.Clone(c.Config))
	if err != nil {
		tb.Fatalf("config %s: %v", c.Config, err)
	}
	return e
}

// page is a Page that watches its bodies.
type page struct {
	Page
	wrap   func(io.Reader) io.Reader
	opened atomic.Int32
	closed atomic.Int32
}

func (p *page) Capture() harrow.Capture { return p.Page.Capture }

func (p *page) Body() io.ReadCloser {
	p.opened.Add(1)
	r := io.Reader(strings.NewReader(p.Page.Body))
	if p.wrap != nil {
		r = p.wrap(r)
	}
	return &body{Reader: r, page: p}
}

type body struct {
	io.Reader
	page *page
	done atomic.Bool
}

func (b *body) Read(p []byte) (int, error) {
	if b.done.Load() {
		return 0, errors.New("read after Close")
	}
	return b.Reader.Read(p)
}

func (b *body) Close() error {
	if !b.done.Swap(true) {
		b.page.closed.Add(1)
	}
	return nil
}

// extract returns what a page gives, as text, and the error.
func extract(tb testing.TB, ctx context.Context, e harrow.Extractor, p *page) (list []string, err error) {
	tb.Helper()
	defer func() {
		if p := recover(); p != nil {
			tb.Fatalf("Extract panics: %v", p)
		}
	}()
	err = e.Extract(ctx, p, func(r harrow.Record) error {
		list = append(list, text(r))
		return nil
	})
	return list, err
}

// text is a record with its values and their Go types, in one form.
func text(r harrow.Record) string {
	keys := make([]string, 0, len(r.Values))
	for k, v := range r.Values {
		if v != nil { // null and absent are one
			keys = append(keys, fmt.Sprintf("%s: %T %v", k, v, v))
		}
	}
	slices.Sort(keys)
	return r.Name + " {" + strings.Join(keys, ", ") + "}"
}

// all extracts every page, and fails where there is an error.
func (c Case) all(tb testing.TB, e harrow.Extractor, wrap func(io.Reader) io.Reader) (list []string) {
	tb.Helper()
	for i, p := range c.Pages {
		got, err := extract(tb, tb.Context(), e, &page{Page: p, wrap: wrap})
		if err != nil {
			tb.Errorf("page %d: %v", i, err)
		}
		list = append(list, fmt.Sprintf("page %d", i))
		list = append(list, got...)
	}
	return list
}

func declares(tb testing.TB, c Case) {
	e := c.make(tb)
	types := e.Records()
	if len(types) == 0 {
		tb.Error("Records lists no record")
	}
	if again := fmt.Sprint(e.Records(), c.make(tb).Records()); again != fmt.Sprint(types, types) {
		tb.Errorf("Records changes: %v, then %s", types, again)
	}
	names := map[string]bool{}
	for _, t := range types {
		if t.Name == "" || names[t.Name] || len(t.Columns) == 0 {
			tb.Errorf("record %q: want a name of its own and at least one column", t.Name)
		}
		names[t.Name] = true
		columns := map[string]bool{}
		for _, col := range t.Columns {
			if lower := strings.ToLower(col.Name); lower == "" || columns[lower] || strings.HasPrefix(lower, "_") {
				tb.Errorf("record %s: column %q: want a name of its own, whatever the case, that doesn't begin with an underscore", t.Name, col.Name)
			}
			columns[strings.ToLower(col.Name)] = true
			if parsed, err := harrow.ParseType(col.Type.String()); err != nil || parsed != col.Type {
				tb.Errorf("record %s: column %s: there is no type %+v", t.Name, col.Name, col.Type)
			}
		}
	}
}

// fits appends a record to a batch of its type: that is where the values are
// judged.
func fits(types []harrow.RecordType, r harrow.Record) error {
	i := slices.IndexFunc(types, func(t harrow.RecordType) bool { return t.Name == r.Name })
	if i < 0 {
		return fmt.Errorf("record %q is not among those of Records", r.Name)
	}
	values := make([]any, len(types[i].Columns))
	for j, col := range types[i].Columns {
		values[j] = r.Values[col.Name]
	}
	for name := range r.Values {
		if _, ok := types[i].Column(name); !ok {
			return fmt.Errorf("record %s has no column %q", r.Name, name)
		}
	}
	b := lakeio.NewRecordBuilder(types[i])
	defer b.Release()
	return b.Append(values, lakeio.Origin{})
}

func emitsDeclared(tb testing.TB, c Case) {
	e := c.make(tb)
	types, n := e.Records(), 0
	for i, p := range c.Pages {
		err := e.Extract(tb.Context(), &page{Page: p}, func(r harrow.Record) error {
			n++
			if err := fits(types, r); err != nil {
				tb.Errorf("page %d: %v", i, err)
			}
			return nil
		})
		if err != nil {
			tb.Errorf("page %d: %v", i, err)
		}
	}
	if n == 0 {
		tb.Error("no page of the case has a record: the suite shows nothing")
	}
}

func deterministic(tb testing.TB, c Case) {
	e := c.make(tb)
	want := c.all(tb, e, nil)
	for range 3 {
		same(tb, "the same instance again", c.all(tb, e, nil), want)
		same(tb, "another instance", c.all(tb, c.make(tb), nil), want)
	}
}

func same(tb testing.TB, what string, got, want []string) {
	tb.Helper()
	if !slices.Equal(got, want) {
		tb.Errorf("%s:\n got %.2000s\nwant %.2000s", what, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
}

func readsPieces(tb testing.TB, c Case) {
	want := c.all(tb, c.make(tb), nil)
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"a byte at a time": iotest.OneByteReader, "half at a time": iotest.HalfReader, "the end comes with data": iotest.DataErrReader,
	} {
		same(tb, name, c.all(tb, c.make(tb), wrap), want)
	}
}

func closes(tb testing.TB, c Case) {
	e := c.make(tb)
	pages := append(slices.Clone(c.Pages), Page{Capture: first(c).Capture, Body: strings.Repeat("<noise \x00\xff", 100)})
	for i, p := range pages {
		watched := &page{Page: p}
		_, _ = extract(tb, tb.Context(), e, watched)
		if o, d := watched.opened.Load(), watched.closed.Load(); o != d {
			tb.Errorf("page %d: %d bodies opened, %d closed", i, o, d)
		}
	}
}

func first(c Case) Page {
	if len(c.Pages) == 0 {
		return Page{}
	}
	return c.Pages[0]
}

func leavesNothing(tb testing.TB, c Case) {
	before := goleak.IgnoreCurrent()
	e := c.make(tb)
	c.all(tb, e, nil)
	_, _ = extract(tb, tb.Context(), e, &page{Page: first(c), wrap: func(io.Reader) io.Reader { return iotest.ErrReader(errAway) }})
	if err := goleak.Find(before); err != nil {
		tb.Error(err)
	}
}

var errAway = errors.New("the suite's error")

func bodyFails(tb testing.TB, c Case) {
	for i, p := range c.Pages {
		half := func(r io.Reader) io.Reader {
			return io.MultiReader(io.LimitReader(r, int64(len(p.Body)/2)), iotest.ErrReader(errAway))
		}
		watched := &page{Page: p, wrap: half}
		_, err := extract(tb, tb.Context(), c.make(tb), watched)
		if watched.opened.Load() > 0 && err == nil {
			tb.Errorf("page %d: the body ended with an error, Extract with none: half a page passes for a whole one", i)
		}
	}
}

func emitFails(tb testing.TB, c Case) {
	for i, p := range c.Pages {
		n := 0
		err := c.make(tb).Extract(tb.Context(), &page{Page: p}, func(harrow.Record) error { n++; return errAway })
		if n > 0 && !errors.Is(err, errAway) {
			tb.Errorf("page %d: emit's error is not returned: %v", i, err)
		}
		if n > 1 {
			tb.Errorf("page %d: emit was called %d times, though the first returned an error", i, n)
		}
	}
}

func contextEnds(tb testing.TB, c Case) {
	ctx, cancel := context.WithCancel(tb.Context())
	cancel()
	for i, p := range c.Pages {
		got, err := extract(tb, ctx, c.make(tb), &page{Page: p})
		if err != nil {
			continue
		}
		want, _ := extract(tb, tb.Context(), c.make(tb), &page{Page: p})
		same(tb, fmt.Sprintf("page %d: no error, but not all records", i), got, want)
	}
}

// hostileBodies are what a server may send; with -short they are smaller.
func hostileBodies() map[string]string {
	size := 5 << 20
	if testing.Short() {
		size /= 50
	}
	noise := make([]byte, size)
	x := uint32(1)
	for i := range noise {
		x = x*1664525 + 1013904223
		noise[i] = byte(x >> 24)
	}
	return map[string]string{
		"nothing": "", "NUL": "\x00", "noise": string(noise), "one long line": strings.Repeat("x", size),
		"deep HTML": strings.Repeat("<div>", size/50), "deep JSON": strings.Repeat("[", size/50), "open": "<a href=\"", "BOM": "\xff\xfe<\x00",
		"many lines": strings.Repeat("a: b\n", size/25), "no UTF-8": "\xc3\x28: \xff\n",
	}
}

func hostile(tb testing.TB, c Case) {
	e := c.make(tb)
	types := e.Records()
	for name, text := range hostileBodies() {
		ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
		done := make(chan error, 1)
		go func() {
			defer func() {
				if p := recover(); p != nil {
					done <- fmt.Errorf("panics: %v", p)
				}
			}()
			var wrong error
			_ = e.Extract(ctx, &page{Page: Page{Capture: first(c).Capture, Body: text}}, func(r harrow.Record) error {
				if err := fits(types, r); err != nil && wrong == nil {
					wrong = err
				}
				return nil
			})
			done <- wrong
		}()
		select {
		case err := <-done:
			if err != nil {
				tb.Errorf("a body of %s: %v", name, err)
			}
		case <-time.After(30 * time.Second):
			cancel()
			tb.Fatalf("a body of %s: Extract is not done after 30 s", name)
		}
		cancel()
	}
	// It goes on with the next page.
	same(tb, "after hostile bodies", c.all(tb, e, nil), c.all(tb, c.make(tb), nil))
}
