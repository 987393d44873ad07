package view

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/harrowdata/harrow/internal/audit"
)

// WriteAudit writes an audit for people: what was broken, then the keys with
// most exchanges, at most so many of them. width is that of the terminal, 0
// where there is none.
func WriteAudit(w io.Writer, a Audit, most, width int) error {
	b := bufio.NewWriter(w)
	fmt.Fprintf(b, "job %s, run %s: %s\n", a.Job, a.Run, a.summary())
	for _, note := range a.notes() {
		fmt.Fprintf(b, "  %s\n", note)
	}
	for _, k := range a.Keys {
		for _, v := range k.Violations {
			writeViolation(b, k.Key, v)
		}
	}
	keys := a.Keys[:min(len(a.Keys), max(0, most))]
	if len(keys) > 0 {
		t := NewTextTable(b, width > 0, width, "key", "exchanges", "at once", "smallest gap", "allowed", "asked to wait", "limits")
		for _, k := range keys {
			if err := t.Row(Printable(k.Key), kindsText(k), fmt.Sprintf("%d of %d", k.MostAtOnce, k.Limits.Concurrency), gapText(k), allowedText(k.Limits), restText(k.RetryAfter), verdict(k)); err != nil {
				return err
			}
		}
		if err := t.End(); err != nil {
			return err
		}
	}
	if left := len(a.Keys) - len(keys); left > 0 {
		fmt.Fprintf(b, "… %s with fewer exchanges; --keys says more, --json all\n", plural(int64(left), "more key"))
	}
	return b.Flush()
}

func (a Audit) summary() string {
	if a.Exchanges == 0 {
		return "no exchange was sent"
	}
	asked := fmt.Sprintf("%s of %s, %s to %s: ", plural(a.Exchanges, "exchange"), plural(int64(len(a.Keys)), "key"), clock(*a.From), clock(*a.Until))
	if a.Held {
		return asked + "every limit held"
	}
	return asked + fmt.Sprintf("the limits of %s did not hold", plural(int64(a.Broken), "key"))
}

func (a Audit) notes() (notes []string) {
	if a.Fetched != a.Run {
		notes = append(notes, "its pages were fetched by run "+a.Fetched)
	}
	if !a.Complete {
		notes = append(notes, "its rounds of fetch have not all committed: this is what its closed rolls say so far")
	}
	return notes
}

func writeViolation(b *bufio.Writer, key string, v audit.Violation) {
	fmt.Fprintf(b, "%s: %s: %s", Printable(key), v.Rule, v.Text)
	if v.Times > 1 {
		fmt.Fprintf(b, "; %s times, this was the first", Count(v.Times))
	}
	fmt.Fprintln(b)
	for _, s := range []audit.Sent{v.First, v.Second} {
		fmt.Fprintf(b, "  %s to %s  %s", instant(s.StartedAt), instant(s.EndedAt), Printable(s.URL))
		if s.Earlier {
			fmt.Fprint(b, "  (of the run before)")
		}
		fmt.Fprintln(b)
	}
}

func instant(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000000Z") }

func kindsText(k audit.Key) string {
	var words []string
	for _, name := range sortedKinds(k.Kinds) {
		words = append(words, fmt.Sprintf("%s %s", Count(k.Kinds[name]), name))
	}
	return strings.Join(words, ", ")
}

func gapText(k audit.Key) string {
	if k.SmallestGap == nil {
		return "-"
	}
	return fine(*k.SmallestGap)
}

// fine writes a duration to the table's microsecond.
func fine(d time.Duration) string {
	if d >= time.Minute {
		return Took(d)
	}
	return d.Round(time.Microsecond).String()
}

func allowedText(p audit.Promise) string {
	if p.CrawlDelay > p.Delay {
		return fine(p.CrawlDelay) + " (robots.txt)"
	}
	return fine(p.Delay)
}

func restText(r audit.Rest) string {
	switch {
	case r.Asked == 0:
		return "-"
	case r.Asked == 1:
		return "once, " + Took(r.Longest)
	}
	return fmt.Sprintf("%s times, up to %s", Count(r.Asked), Took(r.Longest))
}

func verdict(k audit.Key) string {
	if k.Held {
		return "held"
	}
	return "not held"
}
