package trial

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/command/view"
)

// WriteText writes the report for people; width is that of the terminal, 0
// where there is none.
func (r *Report) WriteText(w io.Writer, width int) error {
	b := bufio.NewWriter(w)
	line := func(label, format string, args ...any) {
		fmt.Fprintf(b, "%-9s %s\n", label, view.Printable(fmt.Sprintf(format, args...)))
	}
	line("url", "%s", r.URL)
	line("id", "%s, key %s", r.ID, r.Key)
	for i, h := range r.Hops {
		h.write(line, i)
	}
	line("outcome", "%s", r.outcome())
	if r.Status != 0 {
		line("body", "%s of %s from %s in %s", view.Bytes(r.BodyBytes), orNone(r.ContentType, "no type"), r.RemoteAddr, took(r.ElapsedMS))
	}
	if r.Truncated {
		line("", "it is longer: fetch.max_body cut it")
	}
	r.writeRecords(line)
	err := r.writeFields(b, width)
	for _, rej := range r.Rejects {
		line("reject", "%s: %s: %s", rej.Class, rej.Code, rej.Reason)
		if rej.Field != "" {
			line("", "record %s, field %s, value %q", rej.Record, rej.Field, rej.Value)
		}
	}
	r.writeLinks(line)
	return errors.Join(err, b.Flush())
}

func (h Hop) write(line func(string, string, ...any), i int) {
	if i > 0 {
		line("hop", "%s", h.URL)
	}
	line("scope", "%s: %s", choose(h.Scope.OK, "in", "out"), h.Scope.Why)
	if h.Robots != nil {
		line("robots", "%s: %s", choose(h.Robots.OK, "allowed", "no"), h.Robots.Why)
	}
	if h.Location != "" {
		line("answer", "%d, moved to %s", h.Status, h.Location)
	}
}

func choose(ok bool, yes, no string) string {
	if ok {
		return yes
	}
	return no
}

func orNone(s, none string) string { return choose(s != "", s, none) }

func took(ms int64) string { return view.Took(time.Duration(ms) * time.Millisecond) }

func (r *Report) outcome() string {
	text := string(r.Outcome)
	if r.Status != 0 {
		text += fmt.Sprintf(", status %d", r.Status)
	}
	if r.Code != "" {
		text += ", " + r.Code
	}
	if r.FinalURL != r.URL {
		text += " at " + r.FinalURL
	}
	return text
}

func (r *Report) writeRecords(line func(string, string, ...any)) {
	if r.Outcome == harrow.Fetched && len(r.Records) == 0 {
		line("records", "none")
	}
	for i, rec := range r.Records {
		if i == mostRecords {
			line("", "… %d more; --json shows all", len(r.Records)-i)
			return
		}
		line("record", "%s (%s, row %d)", rec.Record, rec.Rule, rec.Ordinal)
		line("", "%s", rec.Values)
	}
}

// What text shows of a page with many records; JSON has all.
const (
	mostRecords   = 10
	mostExplained = 2 // rows of a rule, and those with a fault
)

// writeFields writes a table for each row that a rule explains, and what
// there is to say of the rules that made none.
func (r *Report) writeFields(b *bufio.Writer, width int) error {
	for fields := r.Fields; len(fields) > 0; {
		f := fields[0]
		n := 1
		for n < len(fields) && f.Row >= 0 && fields[n].Rule == f.Rule && fields[n].Row == f.Row {
			n++
		}
		row := fields[:n]
		fields = fields[n:]
		switch {
		case f.Row < 0:
			fmt.Fprintf(b, "%-9s %s: %s\n", "rule", view.Printable(f.Rule), view.Printable(f.Note))
		case f.Row < mostExplained || slices.ContainsFunc(row, Field.faulty):
			if err := writeRow(b, width, row); err != nil {
				return err
			}
		}
	}
	return nil
}

// faulty reports whether the field makes its row a reject.
func (f Field) faulty() bool { return f.Note != "" && f.Note != "nothing selected" }

func writeRow(b *bufio.Writer, width int, row []Field) error {
	fmt.Fprintf(b, "%-9s %s, row %d\n", "fields", view.Printable(row[0].Rule), row[0].Row)
	t := view.NewTextTable(b, width > 0, width, "  field", "selected by", "raw", "value", "note")
	for _, f := range row {
		if err := t.Row("  "+f.Field, f.Selector, text(f.Raw), text(f.Value), f.Note); err != nil {
			return err
		}
	}
	return t.End()
}

// text writes a value for people: a text as it is, everything else as JSON.
func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Sprint(v)
	}
	return strings.TrimSpace(b.String())
}

func (r *Report) writeLinks(line func(string, string, ...any)) {
	l := r.Links
	if l == nil {
		if r.Outcome == harrow.Fetched {
			line("links", "no follow rule looks into this page")
		}
		return
	}
	text := fmt.Sprintf("%d in scope", l.Taken)
	for _, reason := range slices.Sorted(maps.Keys(l.NotTaken)) {
		text += fmt.Sprintf(", %d not taken (%s)", l.NotTaken[reason], reason)
	}
	if l.Problem != "" {
		text += "; " + l.Problem
	}
	line("links", "%s", text)
	for _, u := range l.First {
		line("", "%s", u)
	}
	if l.Taken > len(l.First) {
		line("", "… %d more", l.Taken-len(l.First))
	}
}
