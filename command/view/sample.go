package view

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/harrowdata/harrow/io/lakeio"
)

// When a sample is large enough to say that a rule is wrong.
const (
	enoughRows    = 10  // rows, or pages, of a record that was parsed
	enoughFetched = 100 // pages that no rule of a record matches
)

// samples adds up what the workers of all rounds say of each record.
func samples(all []lakeio.Status, since time.Time) []lakeio.RecordSample {
	var sum []lakeio.RecordSample
	for _, st := range all {
		if st.At.Before(since) {
			continue
		}
		for _, r := range st.Sample {
			i := slices.IndexFunc(sum, func(s lakeio.RecordSample) bool { return s.Record == r.Record })
			if i < 0 {
				sum = append(sum, r)
				continue
			}
			sum[i].Merge(r)
		}
	}
	return sum
}

// coverage is the share of the sample's rows in which a field is not null, in
// percent. A row that is rejected for the field counts; one that is rejected
// for another is not known.
func coverage(r lakeio.RecordSample, f lakeio.FieldSample) int64 {
	rows := r.Rows + f.Failed
	if rows == 0 {
		return 0
	}
	percent := f.Filled * 100 / rows
	if f.Filled > 0 {
		percent = max(percent, 1)
	}
	return percent
}

// sampleText says of each record with rows what the sample found, the fields
// that are filled least by name.
func sampleText(all []lakeio.RecordSample) string {
	var words []string
	for _, r := range all {
		if r.Pages == 0 {
			continue
		}
		text := fmt.Sprintf("%s %s of %s", r.Record, plural(r.Rows, "row"), plural(r.Pages, "page"))
		if fields := fieldText(r, 3); fields != "" {
			text += " (" + fields + ")"
		}
		words = append(words, text)
	}
	if len(words) == 0 {
		return ""
	}
	return "sample: " + strings.Join(words, ", ")
}

func plural(n int64, word string) string {
	if n != 1 {
		word += "s"
	}
	return Count(n) + " " + word
}

// fieldText names the fields that are not always filled, at most most.
func fieldText(r lakeio.RecordSample, most int) string {
	var poor []lakeio.FieldSample
	for _, f := range r.Fields {
		if coverage(r, f) < 100 && r.Rows+f.Failed > 0 {
			poor = append(poor, f)
		}
	}
	if len(poor) == 0 {
		return ""
	}
	slices.SortStableFunc(poor, func(a, b lakeio.FieldSample) int { return cmp.Compare(coverage(r, a), coverage(r, b)) })
	var words []string
	for _, f := range poor[:min(len(poor), most)] {
		words = append(words, fmt.Sprintf("%s %d%%", f.Field, coverage(r, f)))
	}
	if left := len(poor) - most; left > 0 {
		words = append(words, fmt.Sprintf("%d more below 100%%", left))
	}
	return strings.Join(words, ", ")
}

// warning is a word on a rule that is most likely wrong; each is said once.
type warning struct{ id, text string }

// warnings judges a sample.
func warnings(all []lakeio.RecordSample) (found []warning) {
	warn := func(r lakeio.RecordSample, what, format string, args ...any) {
		found = append(found, warning{r.Record + " " + what, "warning: record " + r.Record + ": " + fmt.Sprintf(format, args...)})
	}
	for _, r := range all {
		rejects := int64(0)
		for _, n := range r.Rejects {
			rejects += n
		}
		before := len(found)
		for _, f := range r.Fields {
			if f.Required && f.Filled == 0 && f.Failed >= enoughRows {
				warn(r, f.Field, "the required field %s has no value in any of %s of the sample", f.Field, plural(f.Failed, "row"))
			}
		}
		switch {
		case len(found) > before:
		case r.Matched == 0 && r.Fetched >= enoughFetched:
			warn(r, "match", "no rule matches any of the %s fetched so far", plural(r.Fetched, "page"))
		case r.Rows == 0 && rejects >= enoughRows:
			warn(r, "rejects", "all %s of the sample are rejects (%s)", plural(rejects, "row"), countText(r.Rejects))
		case r.Rows == 0 && rejects == 0 && r.Pages >= enoughRows:
			warn(r, "rows", "%s of the sample gave no row; harrow try URL shows why", plural(r.Pages, "page"))
		}
	}
	return found
}

// writeSample writes what the sample found as a block of lines.
func writeSample(b io.Writer, all []lakeio.RecordSample) {
	for _, r := range all {
		fmt.Fprintf(b, "    sample     record %s: %s of %s parsed, of %s that match; %s fetched\n", Printable(r.Record), plural(r.Rows, "row"),
			plural(r.Pages, "page"), Count(r.Matched), plural(r.Fetched, "page"))
		var words []string
		for _, f := range r.Fields {
			if r.Rows+f.Failed > 0 {
				words = append(words, fmt.Sprintf("%s %d%%", f.Field, coverage(r, f)))
			}
		}
		if len(words) > 0 {
			fmt.Fprintf(b, "               filled: %s\n", Printable(strings.Join(words, ", ")))
		}
		if len(r.Rejects) > 0 {
			fmt.Fprintf(b, "               rejects: %s\n", Printable(countText(r.Rejects)))
		}
	}
	for _, w := range warnings(all) {
		fmt.Fprintf(b, "    %s\n", Printable(w.text))
	}
}
