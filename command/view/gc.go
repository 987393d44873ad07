package view

import (
	"fmt"
	"io"
	"strings"

	"github.com/harrowdata/harrow/io/lakeio/collect"
)

// WriteCollected writes for people what was removed, or would be.
func WriteCollected(w io.Writer, reports []collect.Report, dry bool) error {
	var b strings.Builder
	verb := "removed"
	if dry {
		verb = "would remove"
	}
	if len(reports) == 0 {
		b.WriteString("no job has run here yet\n")
	}
	for _, r := range reports {
		total := r.Total()
		if total == (collect.Count{}) {
			fmt.Fprintf(&b, "job %s: nothing to remove\n", r.Job)
			continue
		}
		fmt.Fprintf(&b, "job %s: %s %s\n", r.Job, verb, amount(total))
		for _, id := range r.Runs {
			fmt.Fprintf(&b, "  run %s\n", id)
		}
		for _, kind := range r.KindsOf() {
			fmt.Fprintf(&b, "  %-9s  %s\n", kind, amount(r.Kinds[kind]))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func amount(n collect.Count) string {
	text := fmt.Sprintf("%s files, %s", Count(n.Files), Bytes(n.Bytes))
	if n.Rows > 0 {
		text += fmt.Sprintf(", %s rows", Count(n.Rows))
	}
	return text
}
