package html

import (
	"bytes"
	"regexp"
	"slices"
	"strings"

	nethtml "golang.org/x/net/html"

	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/html5"
)

// explained are the differences that are right: where golang.org/x/net/html, or
// cascadia, does something else than the standard says, and Harrow what it says.
// A rule holds for the first place where two trees differ, so the narrower it
// looks, the less it hides. docs/html.md lists them for readers.
var explained = []rule{
	{
		name: "nesting", section: "13.2.4.2: the stack of open elements has no limit",
		why:    "refuses a page that nests deeper than 512 elements",
		covers: func(d *difference) bool { return strings.Contains(d.limit, "exceeds 512") },
	},
	{
		name: "references in comments and doctypes", section: "13.2.5.41, 13.2.5.45, 13.2.5.54: these states know no character references",
		why: "decodes them",
		covers: func(d *difference) bool {
			return strings.HasPrefix(d.ours, "<!") && strings.HasPrefix(d.theirs, "<!") && d.theirs == nethtml.UnescapeString(d.ours)
		},
	},
	{
		name: "references in CDATA sections", section: "13.2.5.69: the CDATA section state knows no character references",
		why:    "decodes them",
		covers: has(`(?s)<!\[CDATA\[.*&`, inside("svg", "math"), func(d *difference) bool { return strings.HasPrefix(d.ours, `"`) }),
	},
	{
		name: "an end tag without a name", section: "13.2.5.7: </> is nothing",
		why: "has an empty comment for it",
		covers: has(`</>`, func(d *difference) bool {
			return d.theirs == "<!---->" || d.theirs != "" && strings.HasPrefix(d.ours, strings.TrimSuffix(d.theirs, `"`))
		}),
	},
	{
		name: "doctypes that make no quirks", section: "13.2.5.53, 13.2.6.4.1: the name is read in lower case, and identifiers that are empty or not there make no quirks",
		why:    "is in quirks mode after <!DOCTYPE HTML>, where a table stays within its paragraph",
		covers: has(`(?i)<!doctype`, `(?i)<table[\s/>]`, inside("p"), func(d *difference) bool { return quirks(d.text) != dom.FullQuirks }),
		gone:   swap{regexp.MustCompile(`(?i)<!doctype[^>]*>`), "<!DOCTYPE html>"},
	},
	{
		name: "template within SVG or MathML", section: "13.2.6.4.4: a template is a template wherever it is",
		why:    "ignores the rest of the page",
		covers: has(`(?is)<(svg|math)[\s/>].*<template[\s/>]`, func(d *difference) bool { return d.theirs == "" || within(d, "template") }),
	},
	{
		name: "th in a caption", section: "13.2.6.4.11: the start tag th closes the caption",
		why:    "ignores it",
		covers: has(`(?i)<caption[\s/>]`, `(?i)<th[\s/>]`),
		gone:   swap{regexp.MustCompile(`(?i)(</?)th([\s/>])`), "${1}td${2}"},
	},
	{
		name: "search is special", section: "13.2.4.2: search is in the category special",
		why:    "has it among the ordinary elements: end tags of what is around it close it",
		covers: has(`(?i)<search[\s/>]`),
		gone:   swap{regexp.MustCompile(`(?i)(</?)search([\s/>])`), "${1}section${2}"},
	},
	{
		name: "raw text of ignored tags", section: "13.2.6.4.12, 13.2.6.4.20: framesets and columns ignore the start tag, and the tokenizer stays in the data state",
		why:    "goes by the tag alone",
		covers: has(`(?is)<(frameset[\s/>].*|template[\s/>].*<col[\s/>].*)<(style|script|title|textarea|xmp|iframe|noembed|noscript|plaintext)[\s/>]`),
	},
	{
		name: "first line end of pre and listing", section: "13.2.6.4.7: only a line end that is the next token is dropped",
		why: "drops it after tags and comments that leave no node, too, and a CR that a reference stands for",
		covers: has(inside("pre", "listing"), func(d *difference) bool {
			text := strings.TrimPrefix(d.ours, `"`)
			left := strings.TrimLeft(text, "\r\n")
			return left != text && (left == `"` || left == strings.TrimLeft(strings.TrimPrefix(d.theirs, `"`), "\r\n"))
		}),
	},
	{
		name: "text in a template's rows", section: "13.2.6.4.9, 13.2.6.1: it is text of a table, too, and joins the text that is there",
		why: "has white space reopen formatting elements, and begins a text for each token",
		covers: has(`(?i)<template[\s/>]`, func(d *difference) bool {
			return strings.HasSuffix(d.ourPath, "template") && strings.HasPrefix(d.ours, `"`)
		}),
	},
	{
		name: "fourth element of the adoption agency", section: "13.2.6.4.7, adoption agency, step 4.13.5 and 6: the element leaves the stack of open elements, too",
		why: "leaves it there",
		covers: has(`(?i)</(a|b|big|code|em|font|i|nobr|s|small|strike|strong|tt|u)[\s/>]`, inside(formatting...), func(d *difference) bool {
			return bytes.Count(d.text, []byte("<")) > 6 // it takes six elements in one another, and an end tag
		}),
	},
	{
		name: "selectedcontent", section: "4.10.7, 13.2.6.4.7: selectedcontent has a copy of what the selected option has in it",
		why:    "knows no such element",
		covers: has(`(?i)<selectedcontent[\s/>]`, `(?i)<select[\s/>]`, inside("select", "option")),
	},
	{
		name: "a slash that is a value", section: "13.2.5.37: the slash of a=/> is the value, and the element isn't closed",
		why:    "closes it where the attribute is there twice",
		covers: has(`=[^\s"'>]*/>`, inside("svg", "math")),
	},
	{
		name: "U+0000 in names", section: "13.2.5.8, 13.2.5.33, 13.2.5.54: it is replaced with U+FFFD",
		why: "keeps it",
		covers: func(d *difference) bool {
			return strings.HasPrefix(d.ours, "<") && d.ours == strings.NewReplacer("\x00", "\uFFFD", `\x00`, "\uFFFD").Replace(d.theirs)
		},
	},
}

var formatting = strings.Fields("a b big code em font i nobr s small strike strong tt u")

// A test is one condition of a rule.
type test func(*difference) bool

// has makes a condition of several: regular expressions that the page must
// match, and tests.
func has(conditions ...any) test {
	var tests []test
	for _, c := range conditions {
		switch c := c.(type) {
		case string:
			r := regexp.MustCompile(c)
			tests = append(tests, func(d *difference) bool { return r.Match(d.text) })
		case test:
			tests = append(tests, c)
		case func(*difference) bool:
			tests = append(tests, c)
		}
	}
	return func(d *difference) bool {
		for _, t := range tests {
			if !t(d) {
				return false
			}
		}
		return true
	}
}

// inside: the place is, on either side, an element of one of these names or
// below one.
func inside(names ...string) test {
	return func(d *difference) bool { return within(d, names...) }
}

func within(d *difference, names ...string) bool {
	for _, name := range names {
		for _, path := range []string{d.path, d.ourPath} {
			if slices.Contains(strings.Fields(path), name) {
				return true
			}
		}
		for _, node := range []string{d.ours, d.theirs} {
			if node == "<"+name+">" || strings.HasPrefix(node, "<"+name+" ") {
				return true
			}
		}
	}
	return false
}

// rule is why a difference is right.
type rule struct {
	name    string
	section string // of the HTML standard, unless it says which
	why     string // what the oracle does
	covers  func(*difference) bool
	gone    swap // if there is one: the difference is another, or none, once it is made
}

// A swap makes of a page one that leaves the oracle no reason to differ.
type swap struct {
	from *regexp.Regexp
	to   string
}

// explains reports whether the page differs no more, or for a reason of its own,
// once what the oracle doesn't know is swapped for what it knows.
func (s swap) explains(d *difference) bool {
	if s.from == nil {
		return true
	}
	text := s.from.ReplaceAll(d.text, []byte(s.to))
	theirs, err := ask(text)
	if bytes.Equal(text, d.text) || err != nil {
		return err != nil
	}
	again := compare(parsed(text), theirs, text)
	return again == nil || explain(again) != nil
}

func parsed(text []byte) *dom.Tree {
	t := &dom.Tree{}
	if err := new(html5.Parser).Parse(t, text); err != nil {
		panic(err) // there is no limit
	}
	return t
}

func quirks(text []byte) dom.Quirks { return parsed(text).Quirks }

// explain is the rule that covers a difference; nil: there is none.
func explain(d *difference) *rule {
	for i := range explained {
		if r := &explained[i]; r.covers(d) && r.gone.explains(d) {
			return &explained[i]
		}
	}
	return nil
}
