package rules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/harrowdata/harrow/internal/canon"
)

// Matching returns which rules, by their index in the job file, [Program.Apply]
// would apply to a page, without reading its body.
func (p *Program) Matching(d *Document) (rules []int) {
	p.matching(d, func(i int) bool {
		rules = append(rules, i)
		return true
	})
	return rules
}

func (p *Program) matching(d *Document, visit func(i int) bool) {
	for i, r := range p.rules {
		if len(r.match) > 0 && d.final.IsZero() || !r.matches(d) {
			continue
		}
		if !visit(i) || r.last {
			break
		}
	}
}

// mismatch says why a rule doesn't apply to a page.
func (r *rule) mismatch(d *Document) string {
	if len(r.match) > 0 && !slices.ContainsFunc(r.match, func(g *canon.Glob) bool { return g.Match(d.final) }) {
		return "no match: " + quoted(r.match) + " does not match " + d.final.String()
	}
	return fmt.Sprintf("no match: content_type is %s; the page is %s", strings.Join(r.contentTypes, ", "), orNothing(d.media))
}

func orNothing(media string) string {
	if media == "" {
		return "of no type"
	}
	return media
}

func quoted(globs []*canon.Glob) string {
	words := make([]string, len(globs))
	for i, g := range globs {
		words[i] = fmt.Sprintf("%q", g)
	}
	return strings.Join(words, ", ")
}

// Looking returns which follow rules, by their index in the job file, look
// into a page at this URL.
func (f *Follower) Looking(u canon.URL) (rules []int) {
	for i := range f.rules {
		if f.rules[i].looksInto(u) {
			rules = append(rules, i)
		}
	}
	return rules
}
