package rules

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/net/html"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
)

// Bounds of what a page's links may be.
const (
	// MaxLinks is the most references that are taken from one page.
	MaxLinks = 100_000
	// MaxLinkText is the most bytes of a link's text that are kept.
	MaxLinkText = 256
)

// Follower is the compiled `follow` of a job. It may be used by several
// goroutines at once.
type Follower struct{ rules []followRule }

type followRule struct {
	within []*canon.Glob
	css    *cssSource
}

// Link is one reference that a follow rule selected.
type Link struct {
	Ref   string // as the page has it, to be resolved against [Document.Base]
	Text  string // of its element, white space collapsed, at most [MaxLinkText] bytes
	Carry string // JSON object of columns to hand on, name to text or null; empty for none
}

// CompileFollow compiles follow rules. Errors name the rule by its index and
// the selector: discover.follow[0]: css "a[": ….
func CompileFollow(rules []harrow.Follow) (*Follower, error) {
	f := &Follower{}
	for i, def := range rules {
		r, err := compileFollow(def)
		if err != nil {
			return nil, fmt.Errorf("discover.follow[%d]: %w", i, err)
		}
		f.rules = append(f.rules, r)
	}
	return f, nil
}

func compileFollow(def harrow.Follow) (r followRule, err error) {
	switch {
	case def.XPath != "":
		return r, errors.New("xpath is not supported yet")
	case def.JSONPath != "":
		return r, errors.New("jsonpath is not supported yet")
	case def.Regex != "":
		return r, errors.New("regex is not supported yet")
	case len(def.Carry) > 0:
		return r, errors.New("carry is not supported yet")
	case def.CSS == "":
		return r, errors.New(`css is missing; want a selector, for example "a@href"`)
	}
	if r.within, err = canon.CompileGlobs(def.Within); err != nil {
		return r, fmt.Errorf("within: %w", err)
	}
	if r.css, err = compileCSS(def.CSS); err == nil && r.css.matcher == nil {
		err = fmt.Errorf("css %q means a rule's element; want a selector", def.CSS)
	}
	return r, err
}

func (r *followRule) looksInto(u canon.URL) bool {
	return len(r.within) == 0 || slices.ContainsFunc(r.within, func(g *canon.Glob) bool { return g.Match(u) })
}

// LooksInto reports whether a page at this URL is looked into for links.
func (f *Follower) LooksInto(u canon.URL) bool {
	return slices.ContainsFunc(f.rules, func(r followRule) bool { return r.looksInto(u) })
}

// Links hands on what the rules that look into the page select, in document
// order rule by rule. A page that is no markup has none. An error is emit's,
// or a *Fault of the page: as of [Document.Tree], or "links" once [MaxLinks]
// were emitted and there are more.
func (f *Follower) Links(d *Document, emit func(Link) error) error {
	n := 0
	for i := range f.rules {
		r := &f.rules[i]
		if !r.looksInto(d.final) {
			continue
		}
		root, fault := d.Tree()
		switch {
		case fault != nil && fault.Code == CodeContentType:
			return nil
		case fault != nil:
			return fault
		}
		for node := next(root, root); node != nil; node = next(root, node) {
			if node.Type != html.ElementNode || !r.css.matcher.Match(node) {
				continue
			}
			ref, ok := r.css.value(node)
			if !ok {
				continue
			}
			if n++; n > MaxLinks {
				return faultf(CodeLinks, "the page has more than %d links", MaxLinks)
			}
			if err := emit(Link{Ref: ref, Text: linkText(node)}); err != nil {
				return err
			}
		}
	}
	return nil
}

// linkText is the beginning of an element's text.
func linkText(n *html.Node) string {
	// White space goes, so look further than what is kept.
	return cut(tidy(cut(textOf(n, 8*MaxLinkText), 16*MaxLinkText)), MaxLinkText)
}
