package compare

import (
	"encoding/csv"
	"fmt"
	"io"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/harrowdata/harrow/command/view"
	"github.com/harrowdata/harrow/io/lakeio"
)

// writer shows the rows of one record.
type writer interface {
	row(c change) error
	end(r Record) error
}

func newWriter(w io.Writer, out view.Output, paint view.Paint, q Query) writer {
	var f writer
	switch {
	case q.Summary:
		return nothing{}
	case out.Format == view.JSON:
		f = &jsonRows{w: w, terminal: out.Terminal}
	case out.Format == view.CSV:
		f = &csvRows{w: csv.NewWriter(w), terminal: out.Terminal}
	default:
		f = &textRows{w: w, out: out, paint: paint}
	}
	return &limited{writer: f, left: q.Limit, all: q.Limit == 0}
}

// nothing shows none.
type nothing struct{}

func (nothing) row(change) error { return nil }
func (nothing) end(Record) error { return nil }

// limited shows the first ones.
type limited struct {
	writer
	left int64
	all  bool
}

func (l *limited) row(c change) error {
	if !l.all {
		if l.left--; l.left < 0 {
			return nil
		}
	}
	return l.writer.row(c)
}

// jsonRows writes one object a line.
type jsonRows struct {
	w        io.Writer
	terminal bool
	buf      []byte
}

func (f *jsonRows) row(c change) error {
	b, row := c.batch()
	dst := append(f.buf[:0], `{"change":"`...)
	dst = append(append(dst, c.kind...), `","record":"`...)
	dst = append(append(dst, c.pair.name...), `","key":`...)
	dst = lakeio.AppendJSON(dst, b, row, c.pair.match)
	dst = lakeio.AppendJSONValue(append(dst, `,"url":`...), b.Column("_url"), row)
	if c.kind == changed {
		dst = append(dst, `,"fields":{`...)
		for i, name := range c.columns {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(append(append(dst, '"'), name...), `":{"old":`...)
			dst = lakeio.AppendJSONValue(dst, c.rows[0].Batch.Column(name), c.rows[0].Index)
			dst = lakeio.AppendJSONValue(append(dst, `,"new":`...), c.rows[1].Batch.Column(name), c.rows[1].Index)
			dst = append(dst, '}')
		}
		dst = append(dst, '}')
	} else {
		dst = lakeio.AppendJSON(append(dst, `,"row":`...), b, row, c.data())
	}
	f.buf = append(dst, "}\n"...)
	_, err := f.w.Write(view.TerminalJSON(f.buf, f.terminal))
	return err
}

func (f *jsonRows) end(Record) error { return nil }

// csvHeader: a line a field of a changed row, and one a row that only one run
// has.
var csvHeader = []string{"change", "record", "key", "url", "field", "old", "new"}

type csvRows struct {
	w        *csv.Writer
	terminal bool
}

func (f *csvRows) row(c change) error {
	b, row := c.batch()
	cells := []string{c.kind, c.pair.name, string(lakeio.AppendJSON(nil, b, row, c.pair.match)), view.ValueText(b.Column("_url"), row), "", "", ""}
	if c.kind != changed {
		return f.write(cells)
	}
	for _, name := range c.columns {
		cells[4] = name
		for i, r := range c.rows {
			cells[5+i] = view.ValueText(r.Batch.Column(name), r.Index)
		}
		if err := f.write(cells); err != nil {
			return err
		}
	}
	return nil
}

func (f *csvRows) write(cells []string) error {
	if f.terminal {
		for i := range cells {
			cells[i] = view.Printable(cells[i])
		}
	}
	return f.w.Write(cells)
}

func (f *csvRows) end(Record) error {
	f.w.Flush()
	return f.w.Error()
}

// textRows writes for people: a line a row, and one a field below a changed
// one.
type textRows struct {
	w     io.Writer
	out   view.Output
	paint view.Paint
	begun bool
	shown int64
}

func (f *textRows) row(c change) error {
	var b strings.Builder
	if !f.begun {
		f.begun = true
		b.WriteString("\n" + f.paint.Bold(c.pair.name) + "\n")
	}
	f.shown++
	mark, colour := "~ ", func(s string) string { return s }
	switch c.kind {
	case removed:
		mark, colour = "- ", f.paint.Bad
	case added:
		mark, colour = "+ ", f.paint.Good
	}
	batch, row := c.batch()
	var words []string
	for _, name := range c.pair.match {
		words = append(words, name+"="+shown(batch.Column(name), row))
	}
	words = append(words, view.Printable(view.ValueText(batch.Column("_url"), row)))
	b.WriteString(colour(f.fit(mark+strings.Join(words, "  "))) + "\n")
	if c.kind == changed {
		f.fields(&b, c)
	}
	_, err := io.WriteString(f.w, b.String())
	return err
}

func (f *textRows) fields(b *strings.Builder, c change) {
	widest := 0
	for _, name := range c.columns {
		widest = max(widest, view.Width(name))
	}
	for _, name := range c.columns {
		begin := "    " + name + strings.Repeat(" ", widest-view.Width(name)) + "  "
		was, is := shown(c.rows[0].Batch.Column(name), c.rows[0].Index), shown(c.rows[1].Batch.Column(name), c.rows[1].Index)
		if f.out.Terminal && f.out.Width > 0 {
			was, is = clip(was, is, f.out.Width-view.Width(begin)-3)
		}
		b.WriteString(begin + f.paint.Bad(was) + " → " + f.paint.Good(is) + "\n")
	}
}

func (f *textRows) fit(line string) string {
	if f.out.Terminal && f.out.Width > 0 {
		return view.Truncate(line, f.out.Width)
	}
	return line
}

func (f *textRows) end(r Record) error {
	rest := r.Removed + r.Added + r.Changed - f.shown
	if !f.begun || rest == 0 {
		return nil
	}
	_, err := fmt.Fprintf(f.w, "  … and %s more; --limit 0 shows all\n", view.Count(rest))
	return err
}

// shown is a value as cat shows it, a text in quotes so that null, an empty
// one and space at its ends can be told apart.
func shown(a arrow.Array, row int) string {
	switch a.(type) {
	case *array.String, *array.List:
		return view.Printable(string(lakeio.AppendJSONValue(nil, a, row)))
	}
	if a.IsNull(row) {
		return "null"
	}
	return view.Printable(view.ValueText(a, row))
}

// clip makes two values fit room columns together. What they begin with alike
// is left out first, but a few characters.
func clip(was, is string, room int) (string, string) {
	const context, least = 8, 16
	if view.Width(was)+view.Width(is) <= room {
		return was, is
	}
	alike := 0
	other := []rune(is)
	starts := []int{} // of the runes alike
	for i, r := range was {
		if alike == len(other) || other[alike] != r {
			break
		}
		starts = append(starts, i)
		alike++
	}
	if alike > 2*context {
		cut := starts[alike-context]
		was, is = "…"+was[cut:], "…"+is[cut:]
	}
	half := max(room/2, least)
	if w := view.Width(was); w < half {
		return was, view.Truncate(is, max(room-w, least))
	}
	if w := view.Width(is); w < half {
		return view.Truncate(was, max(room-w, least)), is
	}
	return view.Truncate(was, half), view.Truncate(is, half)
}
