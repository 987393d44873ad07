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

// writer writes a report for people: a label of fixed width, then words.
type writer struct {
	b     *bufio.Writer
	width int
	paint view.Paint
}

// line writes a label and a text; what came from a site is made printable.
func (w *writer) line(label, format string, args ...any) {
	w.verdict(label, "", format, args...)
}

// verdict writes a line that begins with a painted word.
func (w *writer) verdict(label, word, format string, args ...any) {
	text := view.Printable(fmt.Sprintf(format, args...))
	if w.width > labelWidth+20 { // a terminal: the rest is in --json
		text = view.Truncate(text, 3*w.width)
	}
	fmt.Fprintf(w.b, "%s %s%s\n", w.paint.Bold(fmt.Sprintf("%-*s", labelWidth, label)), word, text)
}

// judged is a yes or no with its colour.
func (w *writer) judged(ok bool, yes, no string) string {
	if ok {
		return w.paint.Good(yes)
	}
	return w.paint.Bad(no)
}

const labelWidth = 9

// WriteText writes the report for people; width is that of the terminal, 0
// where there is none; paint colours what matters.
func (r *Report) WriteText(out io.Writer, width int, paint view.Paint) error {
	w := &writer{bufio.NewWriter(out), width, paint}
	w.line("url", "%s", r.URL)
	if r.Given != r.URL {
		w.line("", "given as %s", r.Given)
	}
	w.line("id", "%s", r.ID)
	w.line("key", "%s", r.Politeness)
	for i, h := range r.Hops {
		h.write(w, i)
	}
	if r.Login != nil {
		w.verdict("login", w.judged(r.Login.OK, "in", "no"), ": %s", r.Login.Why)
	}
	w.verdict("outcome", w.judged(r.Outcome == harrow.Fetched, string(r.Outcome), string(r.Outcome)), "%s", r.outcome())
	r.writeBody(w)
	r.writeLinks(w)
	r.writeRules(w)
	err := r.writeFields(w)
	r.writeRecords(w)
	r.writeRefined(w)
	for i, rej := range r.Rejects {
		if i == mostRecords {
			w.line("", "… %d more; --json shows all", len(r.Rejects)-i)
			break
		}
		w.verdict("reject", w.paint.Bad(string(rej.Class)), ": %s: %s", rej.Code, rej.Reason)
		if rej.Field != "" {
			w.line("", "record %s, field %s, value %q", rej.Record, rej.Field, rej.Value)
		}
	}
	return errors.Join(err, w.b.Flush())
}

// String says a pace in words.
func (p Politeness) String() string {
	text := fmt.Sprintf("%s: %d at a time, %s between starts (%s)", p.Key, p.Concurrency, took(p.DelayMS), p.From)
	if p.CrawlMS > 0 {
		text += fmt.Sprintf("; robots.txt asks for a crawl-delay of %s", took(p.CrawlMS))
	}
	return text
}

func (h Hop) write(w *writer, i int) {
	if i > 0 {
		w.line("hop", "%s", h.URL)
	}
	w.verdict("scope", w.judged(h.Scope.OK, "in", "out"), ": %s", h.Scope.Why)
	if h.Robots != nil {
		w.verdict("robots", w.judged(h.Robots.OK, "allowed", "no"), ": %s", h.Robots.Why)
	}
	switch {
	case h.Error != "":
		w.line("answer", "none: %s", h.Error)
	case h.Location != "":
		w.line("answer", "%d, moved to %s in %s", h.Status, h.Location, took(h.ElapsedMS))
	}
}

func count(n int, word string) string {
	if n != 1 {
		word += "s"
	}
	return fmt.Sprintf("%d %s", n, word)
}

func orNone(s, none string) string {
	if s != "" {
		return s
	}
	return none
}

func took(ms int64) string { return view.Took(time.Duration(ms) * time.Millisecond) }

// outcome is what there is to say beside the word.
func (r *Report) outcome() (text string) {
	if r.Status != 0 && r.File == "" {
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

func (r *Report) writeBody(w *writer) {
	from := fmt.Sprintf("from %s in %s", r.RemoteAddr, took(r.ElapsedMS))
	if r.File != "" {
		from = "from the file " + r.File
	}
	if r.Status != 0 {
		w.line("body", "%s of %s %s", view.Bytes(r.BodyBytes), orNone(r.ContentType, "no type"), from)
	}
	if r.Truncated {
		w.line("", "it is longer: fetch.max_body cut it")
	}
	if r.Charset != "" {
		w.line("charset", "%s, by %s", r.Charset, r.CharsetFrom)
	}
}

// What text shows of a page with many records; JSON has all.
const (
	mostRecords   = 10
	mostExplained = 2 // rows of a rule
	mostFaulty    = 5 // rows beyond these that have a fault
)

func (r *Report) writeRecords(w *writer) {
	if r.Outcome == harrow.Fetched && len(r.Records) == 0 {
		w.line("records", "none")
	}
	for i, rec := range r.Records {
		if i == mostRecords {
			w.line("", "… %d more; --json shows all", len(r.Records)-i)
			return
		}
		w.line("record", "%s (%s, row %d)", rec.Record, rec.Rule, rec.Ordinal)
		w.line("", "%s", rec.Values)
	}
}

func (r *Report) writeRefined(w *writer) {
	told, plain := 0, 0
	for _, row := range r.Refined {
		if len(row.Failed)+len(row.Added)+len(row.Notes) == 0 {
			plain++
			continue
		}
		if told++; told > mostRecords {
			continue
		}
		w.verdict("refine", w.judged(row.OK, "kept", "reject"), ": %s (%s, row %d)", row.Record, row.Rule, row.Ordinal)
		row.write(w)
	}
	if told > mostRecords {
		w.line("", "… %d more; --json shows all", told-mostRecords)
	}
	if plain > 0 {
		w.verdict("refine", w.judged(true, "kept", ""), ": %s as parsed", count(plain, "row"))
	}
}

func (row Refined) write(w *writer) {
	row.writeFailed(w, false)
	for _, a := range row.Added {
		if a.Why != "" {
			w.line("", "enrich: %s: %s", a.Column, a.Why)
		} else {
			w.line("", "enrich: %s = %s", a.Column, shown(a.Value))
		}
	}
	row.writeFailed(w, true)
	for _, note := range row.Notes {
		w.line("", "%s", note)
	}
}

func (row Refined) writeFailed(w *writer, late bool) {
	when := ""
	if late {
		when = " of what was added"
	}
	for _, f := range row.Failed {
		if f.Late == late {
			w.line("", "check%s: %s: %s", when, f.What, f.Why)
		}
	}
}

func (r *Report) writeRules(w *writer) {
	for _, rule := range r.Rules {
		if !rule.Matched {
			w.line("rule", "%s: %s", rule.Rule, orNone(rule.Note, "no match"))
			continue
		}
		text := " " + count(rule.Rows, "row")
		if rule.Rejects > 0 {
			text += fmt.Sprintf("; %s of record %s", count(rule.Rejects, "reject"), rule.Record)
		}
		if rule.Note != "" {
			text += "; " + rule.Note
		}
		w.verdict("rule", view.Printable(rule.Rule)+": "+w.paint.Good("matches"), ",%s", text)
	}
}

// writeFields writes a table for the first rows that a rule explains, and for
// the first with a fault.
func (r *Report) writeFields(w *writer) error {
	faulty := 0
	for fields := r.Fields; len(fields) > 0; {
		f := fields[0]
		n := 1
		for n < len(fields) && fields[n].Rule == f.Rule && fields[n].Row == f.Row {
			n++
		}
		row := fields[:n]
		fields = fields[n:]
		if f.Row >= mostExplained {
			if !slices.ContainsFunc(row, Field.faulty) {
				continue
			}
			if faulty++; faulty > mostFaulty {
				continue
			}
		}
		if err := w.row(row); err != nil {
			return err
		}
	}
	if faulty > mostFaulty {
		w.line("", "… %s more with a fault; --json shows all", count(faulty-mostFaulty, "row"))
	}
	return nil
}

// faulty reports whether the field makes its row a reject.
func (f Field) faulty() bool {
	return f.Note != "" && f.Note != noteNothing && f.Note != noteCarried
}

const (
	noteNothing = "nothing selected"
	noteCarried = "carried by the page that links here, which try doesn't see"
)

func (w *writer) row(row []Field) error {
	w.line("fields", "%s, row %d", row[0].Rule, row[0].Row)
	t := view.NewTextTable(w.b, w.width > 0, w.width, "  field", "selected by", "raw", "value", "note")
	for _, f := range row {
		for _, a := range f.Tried {
			if a.Raw != nil {
				continue // it is the field's own line
			}
			if err := t.Row("  "+f.Field, a.Selector, "", "", orNone(a.Note, "nothing: the next is tried")); err != nil {
				return err
			}
		}
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

func (r *Report) writeLinks(w *writer) {
	l := r.Links
	if l == nil {
		if r.Outcome == harrow.Fetched {
			w.line("links", "no follow rule looks into this page")
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
	w.line("links", "%s; by %s", text, strings.Join(l.Rules, ", "))
	for _, u := range l.First {
		text := u.URL
		if u.Text != "" {
			text += fmt.Sprintf("  %.60q", u.Text)
		}
		if len(u.Carry) > 0 {
			text += "  carries " + string(u.Carry)
		}
		w.line("", "%s", text)
	}
	if l.Taken > len(l.First) {
		w.line("", "… %d more", l.Taken-len(l.First))
	}
}
