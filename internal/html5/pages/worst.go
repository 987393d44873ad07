package pages

import (
	"strconv"
	"strings"
)

// Hostile is a family of pages that cost a parser more than their size where it
// isn't careful.
type Hostile struct {
	Name string
	make func(size int) string
}

// Make makes the page of about size bytes.
func (h Hostile) Make(size int) []byte {
	return []byte("<!DOCTYPE html><html><head><title>x</title></head><body>" + h.make(size))
}

// Hostiles are the families.
var Hostiles = []Hostile{
	{"deep nesting", repeated("<div>")},
	// Each end tag looks through all of the open elements for its start tag.
	{"end tags of nothing", halves("<span>", "</q>")},
	{"tables in tables", repeated("<table><tr><td>")},
	{"templates in templates", repeated("<template>")},
	{"deep foreign elements", repeated("<svg><g><desc>")},
	// No two are alike, so that each paragraph repeats all that were there before.
	{"formatting elements repeated", numbered("<p><font size=", ">x")},
	{"links that are never closed", repeated("<a href=x><div>")},
	// The end tag's furthest block has ever more elements above it.
	{"adoption agency over a deep stack", halves("<font><p>", "</font>x")},
	{"adoption agency, quadratic", func(size int) string {
		n := size / len("<b><i><div></b>")
		return strings.Repeat("<b><i>", n) + strings.Repeat("<div></b>", n)
	}},
	{"a million siblings", repeated("<br>")}, // at 4 MB
	{"a huge attribute", func(size int) string {
		return `<a title="` + strings.Repeat("&amp;x&notit y ", size/15) + `">x</a>`
	}},
	{"many attributes", func(size int) string { return "<a" + numbered(" a", "=1")(size) + ">x</a>" }},
	{"tables with stray text", func(size int) string {
		return "<table>" + strings.Repeat("x<tr>y<td>z<b>", size/14)
	}},
	{"names that differ", numbered("<x-", ">")},
	{"character references", repeated("&am&#x41;&notin&NotEqualTilde;")},
	{"null characters", repeated("\x00x")},
	{"comments", repeated("<!--x--!>")},
	{"a tag that never ends", func(size int) string { return strings.Repeat("<a b='", 9) + strings.Repeat("x <", size/3) }},
	{"scripts that seem to end", func(size int) string { return "<script><!--<script>" + strings.Repeat("</scrip", size/7) }},
	{"select and options", repeated("<select><option><optgroup>")},
}

func repeated(s string) func(size int) string {
	return func(size int) string { return strings.Repeat(s, size/len(s)) }
}

// halves is as many of a as of b, all of a first.
func halves(a, b string) func(size int) string {
	return func(size int) string {
		n := size / (len(a) + len(b))
		return strings.Repeat(a, n) + strings.Repeat(b, n)
	}
}

func numbered(before, behind string) func(size int) string {
	return func(size int) string {
		var b strings.Builder
		for i := 0; b.Len() < size; i++ {
			b.WriteString(before)
			b.WriteString(strconv.Itoa(i))
			b.WriteString(behind)
		}
		return b.String()
	}
}
