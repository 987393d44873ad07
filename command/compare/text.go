package compare

import (
	"bufio"
	"cmp"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/harrowdata/harrow/command/view"
)

// Write writes the summary and the rows: text for people; JSON as one object a
// line, the first with the key summary, the others with the key change; CSV of
// the rows alone.
func (d *Diff) Write() error {
	w := bufio.NewWriterSize(d.out.W, 64<<10)
	var err error
	switch d.out.Format {
	case view.JSON:
		var line []byte
		if line, err = json.Marshal(map[string]Summary{"summary": d.Summary}); err == nil {
			_, err = w.Write(view.TerminalJSON(append(line, '\n'), d.out.Terminal))
		}
	case view.CSV:
		c := csv.NewWriter(w)
		err = c.Write(csvHeader)
		c.Flush()
	default:
		err = d.Summary.WriteText(w, d.out.Width)
	}
	if err == nil {
		err = d.rows.copyTo(w)
	}
	return errors.Join(err, w.Flush())
}

// WriteText writes the summary for people, tables to fit width columns (0: no
// limit).
func (s Summary) WriteText(out io.Writer, width int) error {
	var b strings.Builder
	fmt.Fprintf(&b, "job %s, records of %s\n  first   %s\n  second  %s\n", s.Job, s.Stage, s.First.text(), s.Second.text())
	if err := s.counts(&b, width); err != nil {
		return err
	}
	for _, r := range s.Records {
		r.text(&b)
	}
	if err := s.rejectsText(&b, width); err != nil {
		return err
	}
	if !s.Differ {
		b.WriteString("no difference\n")
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func (s Side) text() string {
	t := fmt.Sprintf("run %s, %s, begun %s", s.Run, s.State, s.CreatedAt.UTC().Format("2006-01-02 15:04:05Z"))
	if s.From != "" {
		t += fmt.Sprintf(", from %s of run %s", s.From, s.Parent)
	}
	if s.Owner != "" && s.Owner != s.Parent {
		t += ", rows of run " + s.Owner
	}
	return t
}

func (s Summary) counts(b *strings.Builder, width int) error {
	buf := bufio.NewWriter(b)
	t := view.NewTextTable(buf, width > 0, width, "record", "first", "second", "equal", "changed", "removed", "added", "matched by")
	for i := 1; i < 7; i++ {
		t.Right(i)
	}
	for _, r := range s.Records {
		if err := t.Row(r.Record, view.Count(r.FirstRows), view.Count(r.SecondRows), view.Count(r.Equal), view.Count(r.Changed),
			view.Count(r.Removed), view.Count(r.Added), strings.Join(r.MatchedBy, ", ")); err != nil {
			return err
		}
	}
	return errors.Join(t.End(), buf.Flush())
}

func (r Record) text(b *strings.Builder) {
	if len(r.Fields) > 0 {
		names := sortedKeys(r.Fields)
		slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(r.Fields[b], r.Fields[a]) })
		words := make([]string, len(names))
		for i, name := range names {
			words[i] = name + " " + view.Count(r.Fields[name])
		}
		fmt.Fprintf(b, "%s: rows that differ in %s\n", r.Record, strings.Join(words, ", "))
	}
	for _, c := range r.Columns {
		switch {
		case c.First == nil:
			fmt.Fprintf(b, "%s: column %s (%s) is only in the second\n", r.Record, c.Column, *c.Second)
		case c.Second == nil:
			fmt.Fprintf(b, "%s: column %s (%s) is only in the first\n", r.Record, c.Column, *c.First)
		default:
			fmt.Fprintf(b, "%s: column %s was %s and is %s: compared as text\n", r.Record, c.Column, *c.First, *c.Second)
		}
	}
	for _, note := range r.Notes {
		fmt.Fprintf(b, "%s: %s\n", r.Record, note)
	}
}

func (s Summary) rejectsText(b *strings.Builder, width int) error {
	if len(s.Rejects) == 0 {
		return nil
	}
	b.WriteString("rejects that are not as many in both:\n")
	buf := bufio.NewWriter(b)
	t := view.NewTextTable(buf, width > 0, width, "  stage", "class", "code", "record", "field", "first", "second")
	t.Right(5)
	t.Right(6)
	for _, r := range s.Rejects {
		if err := t.Row("  "+r.Stage, r.Class, r.Code, r.Record, r.Field, view.Count(r.First), view.Count(r.Second)); err != nil {
			return err
		}
	}
	return errors.Join(t.End(), buf.Flush())
}
