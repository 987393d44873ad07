package view

import (
	"bufio"
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// Format is how rows are written.
type Format int

const (
	// Text aligns columns and shortens wide values.
	Text Format = iota
	// JSON writes one object a line, see [lakeio.AppendJSON].
	JSON
	// CSV writes RFC 4180 with a header; null is empty.
	CSV
)

// Output says where and how rows are written.
type Output struct {
	W        io.Writer
	Format   Format
	Terminal bool // W is one: control characters of values are escaped in every format
	Width    int  // of the terminal in columns; 0: unknown
}

// Query says which rows of a table are shown.
type Query struct {
	Table   string
	Stage   string   // empty: where the table is; records: refine's, else parse's
	Columns []string // in this order; empty: all, in text the ones that matter most; "*": all
	Where   []string // COLUMN=VALUE, all must hold; the text or the JSON of the value
	Sort    []string // COLUMN or -COLUMN; null comes last
	Limit   int64    // rows; 0: all
	Body    bool     // with column body of table bodies
}

// textColumns are what text output shows of the wide tables. Of records it
// leaves out where they come from.
var textColumns = map[string][]string{
	"requests":  {"url", "method", "key", "depth", "kind"},
	"deferred":  {"url", "reason", "key", "depth", "kind"},
	"captures":  {"url", "outcome", "status", "code", "content_type", "body_bytes", "attempts", "elapsed_ms"},
	"exchanges": {"started_at", "kind", "url", "hop", "attempt", "status", "error"},
	"links":     {"url", "rel", "depth", "text", "from_id"},
	"pages":     {"url", "outcome", "last_seen", "absences", "etag", "last_modified", "body_bytes"},
	"rejects":   {"stage", "class", "code", "record", "field", "value", "url", "reason"},
}

// plan is a query that was held against its table.
type plan struct {
	columns []string
	where   []condition
	sort    []sortColumn
}

type condition struct{ column, value string }

type sortColumn struct {
	column     string
	descending bool
}

// Cat writes the rows of a query. Rows are streamed, unless they are to be
// sorted: then at most 5 million of them, or with a limit any number.
func (r Run) Cat(ctx context.Context, q Query, out Output) error {
	t, err := r.find(ctx, q.Table, q.Stage)
	if err != nil {
		return err
	}
	p, err := q.plan(t, out.Format)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(out.W, 64<<10)
	f := newFormat(w, out, p.columns)
	if t.name == lakeio.Rejects.Name() && out.Format == Text && len(q.Columns) == 0 {
		f = shortReasons{f}
	}
	if len(p.sort) > 0 {
		err = r.catSorted(ctx, t, p, q.Limit, f)
	} else {
		err = r.catStreamed(ctx, t, p, q.Limit, f)
	}
	if err == nil {
		err = f.end()
	}
	return errors.Join(err, w.Flush())
}

func (r Run) catStreamed(ctx context.Context, t table, p plan, limit int64, f format) error {
	n := int64(0)
	return r.each(ctx, t, func(b harrow.Batch, row int) error {
		if !p.holds(b, row) {
			return nil
		}
		if err := f.write(f.encode(b, row)); err != nil {
			return err
		}
		if n++; n == limit {
			return errEnough
		}
		return nil
	})
}

func (r Run) catSorted(ctx context.Context, t table, p plan, limit int64, f format) error {
	s := newSorter(p.sort, limit)
	err := r.each(ctx, t, func(b harrow.Batch, row int) error {
		if !p.holds(b, row) {
			return nil
		}
		return s.add(b, row, f.encode(b, row))
	})
	if err != nil {
		return err
	}
	for _, row := range s.sorted() {
		if err := f.write(row.cells); err != nil {
			return err
		}
	}
	return nil
}

func (p plan) holds(b harrow.Batch, row int) bool {
	for _, c := range p.where {
		if !matches(b.Column(c.column), row, c.value) {
			return false
		}
	}
	return true
}

// plan checks the query against the table.
func (q Query) plan(t table, f Format) (p plan, err error) {
	if q.Limit < 0 {
		return p, Usagef("--limit %d: want 0 or more", q.Limit)
	}
	if p.columns, err = q.shown(t, f); err != nil {
		return p, err
	}
	for _, w := range q.Where {
		column, value, ok := strings.Cut(w, "=")
		if !ok {
			return p, Usagef("--where %s: want COLUMN=VALUE", w)
		}
		if err := t.has("--where", column); err != nil {
			return p, err
		}
		p.where = append(p.where, condition{column, value})
	}
	for _, s := range q.Sort {
		column, descending := strings.CutPrefix(s, "-")
		if err := t.has("--sort", column); err != nil {
			return p, err
		}
		p.sort = append(p.sort, sortColumn{column, descending})
	}
	return p, nil
}

// shown are the columns to write.
func (q Query) shown(t table, f Format) ([]string, error) {
	all := t.columns
	if t.name == lakeio.Bodies.Name() && !q.Body {
		if slices.Contains(q.Columns, "body") {
			return nil, Usagef("--columns body: the bodies of pages are shown with --body only")
		}
		all = slices.DeleteFunc(slices.Clone(all), func(c string) bool { return c == "body" })
	}
	switch {
	case slices.Equal(q.Columns, []string{"*"}):
		return all, nil
	case len(q.Columns) > 0:
		for _, c := range q.Columns {
			if err := t.has("--columns", c); err != nil {
				return nil, err
			}
		}
		return q.Columns, nil
	case f != Text:
		return all, nil
	case textColumns[t.name] != nil:
		return textColumns[t.name], nil
	}
	return slices.DeleteFunc(slices.Clone(all), func(c string) bool { return c[0] == '_' }), nil
}

func (t table) has(flag, column string) error {
	if slices.Contains(t.columns, column) {
		return nil
	}
	return Usagef("%s: table %s has no column %q; known: %s", flag, t.name, column, strings.Join(t.columns, ", "))
}

// Bounds of what is sorted without a limit.
const (
	maxSortRows  = 5_000_000
	maxSortBytes = 2 << 30
)

// sorter gathers rows and sorts them; with a limit it keeps little more than
// that many.
type sorter struct {
	by    []sortColumn
	limit int
	rows  []sortedRow
	bytes int64
	most  int // rows
}

type sortedRow struct {
	keys  []sortKey
	cells []string
}

func newSorter(by []sortColumn, limit int64) *sorter {
	return &sorter{by: by, limit: int(min(limit, maxSortRows)), most: maxSortRows}
}

func (s *sorter) add(b harrow.Batch, row int, cells []string) error {
	keys := make([]sortKey, len(s.by))
	for i, c := range s.by {
		keys[i] = sortKeyOf(b.Column(c.column), row)
		s.bytes += int64(len(keys[i].s)) + 64
	}
	for _, c := range cells {
		s.bytes += int64(len(c)) + 16
	}
	s.rows = append(s.rows, sortedRow{keys, cells})
	if s.limit > 0 && len(s.rows) > 2*s.limit+1024 {
		s.sorted()
		s.bytes = s.bytes / int64(len(s.rows)) * int64(s.limit) // about
		s.rows = slices.Delete(s.rows, s.limit, len(s.rows))
	}
	if len(s.rows) > s.most || s.bytes > maxSortBytes {
		return Usagef("--sort: more than %d rows or %s to sort; narrow it with --where, --columns or --limit", s.most, Bytes(maxSortBytes))
	}
	return nil
}

// sorted sorts what there is, equal rows in the order they came.
func (s *sorter) sorted() []sortedRow {
	slices.SortStableFunc(s.rows, func(a, b sortedRow) int {
		for i, by := range s.by {
			if c := a.keys[i].compare(b.keys[i], by.descending); c != 0 {
				return c
			}
		}
		return 0
	})
	if s.limit > 0 && len(s.rows) > s.limit {
		return s.rows[:s.limit]
	}
	return s.rows
}

// ParseFormat reads a pair of flags.
func ParseFormat(json, csv bool) (Format, error) {
	switch {
	case json && csv:
		return Text, Usagef("want --json or --csv, not both")
	case json:
		return JSON, nil
	case csv:
		return CSV, nil
	}
	return Text, nil
}
