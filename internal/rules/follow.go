package rules

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/net/html"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/internal/xpath"
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

// followRule selects elements or attributes, by CSS or XPath, or texts.
type followRule struct {
	within []*canon.Glob
	css    *cssSource
	xpath  *xpath.Expr
	texts  source   // JSONPath or regex alone
	regex  *pattern // cuts what another selector selects; nil: none
	carry  []*field
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
	if r.within, err = canon.CompileGlobs(def.Within); err != nil {
		return r, fmt.Errorf("within: %w", err)
	}
	selectors := 0
	for _, one := range []struct {
		expr    string
		compile func() error
	}{
		{def.CSS, func() error { r.css, err = compileFollowCSS(def.CSS); return err }},
		{def.XPath, func() error { r.xpath, err = compileFollowXPath(def.XPath); return err }},
		{def.JSONPath, func() error { r.texts, err = compileJSON(def.JSONPath); return err }},
	} {
		if one.expr == "" {
			continue
		}
		if selectors++; one.compile() != nil {
			return r, err
		}
	}
	if selectors > 1 || selectors == 0 && def.Regex == "" {
		return r, fmt.Errorf(`got %d selectors; want one of css, xpath and jsonpath, or regex alone, for example css: "a@href"`, selectors)
	}
	if err := r.compileRegex(def.Regex, selectors == 0); err != nil {
		return r, err
	}
	for _, named := range def.Carry {
		f, err := compileCarry(named)
		if err != nil {
			return r, fmt.Errorf("carry.%s: %w", named.Name, err)
		}
		r.carry = append(r.carry, f)
	}
	return r, nil
}

func (r *followRule) compileRegex(expr string, alone bool) (err error) {
	if expr == "" {
		return nil
	}
	if alone {
		r.texts, err = compileRegex(expr)
		return err
	}
	p, err := compilePattern(expr)
	r.regex = &p
	return err
}

func compileFollowCSS(expr string) (*cssSource, error) {
	s, err := compileCSS(expr)
	if err == nil && s.matcher == nil {
		err = fmt.Errorf("css %q means a rule's element; want a selector", expr)
	}
	return s, err
}

func compileFollowXPath(expr string) (*xpath.Expr, error) {
	e, err := xpath.CompileNodes(expr)
	if err != nil {
		return nil, fmt.Errorf("xpath %q: %w", expr, err)
	}
	return e, nil
}

// compileCarry compiles a column to hand on. It is a text: the field that
// reads it has its type.
func compileCarry(named harrow.NamedField) (*field, error) {
	switch t := named.Type; {
	case named.IsList():
		return nil, errors.New("list: one value is handed on")
	case t != "" && t != string(harrow.Text) && t != harrow.TypeURL:
		return nil, fmt.Errorf("type %s belongs to the field that reads it (from: carry:%s); want text or url", t, named.Name)
	}
	f, err := compileField(named.Name, named.Field)
	if err != nil {
		return nil, err
	}
	for _, s := range sourcesOf(f.source) {
		if css, ok := s.(*cssSource); ok && css.matcher == nil {
			return nil, fmt.Errorf("css %q means a rule's element; want a selector", css.expr)
		}
		if column, ok := s.(columnSource); ok {
			return nil, fmt.Errorf("column %q: a page has no rows", column.name)
		}
	}
	return f, nil
}

func (r *followRule) looksInto(u canon.URL) bool {
	return len(r.within) == 0 || slices.ContainsFunc(r.within, func(g *canon.Glob) bool { return g.Match(u) })
}

// LooksInto reports whether a page at this URL is looked into for links.
func (f *Follower) LooksInto(u canon.URL) bool {
	return slices.ContainsFunc(f.rules, func(r followRule) bool { return r.looksInto(u) })
}

// Links hands on what the rules that look into the page select, in document
// order rule by rule. A rule whose selector wants another kind of page (elements
// on one that is no markup, JSON on one that isn't) has none there.
//
// What a rule carries is evaluated once on the page as a whole. A column that
// selects nothing, or whose text isn't in its map, is null; if it is required,
// the page's links by this rule are not handed on, and once the other rules
// have had their turn the fault is "carry".
//
// An error is emit's, or a *Fault of the page: as of [Document.Tree] and
// [Document.JSON], "cost", "carry", or "links" once [MaxLinks] were emitted and
// there are more.
func (f *Follower) Links(d *Document, emit func(Link) error) error {
	l := &linkFinder{doc: d, emit: emit}
	var uncarried *Fault
	for i := range f.rules {
		r := &f.rules[i]
		if !r.looksInto(d.final) {
			continue
		}
		err := l.of(r)
		var fault *Fault
		switch {
		case err == nil:
		case errors.As(err, &fault) && fault.Code == CodeContentType:
		case errors.As(err, &fault) && fault.Code == CodeCarry:
			uncarried = fault
		default:
			return err
		}
	}
	if uncarried != nil {
		return uncarried
	}
	return nil
}

// linkFinder is one look into a page.
type linkFinder struct {
	doc   *Document
	emit  func(Link) error
	n     int
	carry string // what the rule at hand carries
	ready bool   // carry is made
}

func (l *linkFinder) of(r *followRule) error {
	l.carry, l.ready = "", len(r.carry) == 0
	if r.texts != nil {
		return l.texts(r)
	}
	root, fault := l.doc.Tree()
	if fault != nil {
		return fault
	}
	if r.xpath != nil {
		return l.nodes(r, root)
	}
	for node := next(root, root); node != nil; node = next(root, node) {
		if node.Type != html.ElementNode || !r.css.matcher.Match(node) {
			continue
		}
		if ref, ok := r.css.value(node); ok {
			if err := l.found(r, ref, node); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *linkFinder) texts(r *followRule) error {
	v, fault := view{doc: l.doc}.with(r.texts.needs())
	if fault != nil {
		return fault
	}
	refs, fault := r.texts.pick(v, nil, true)
	if fault != nil {
		return fault
	}
	for _, ref := range refs {
		if err := l.found(r, ref, nil); err != nil {
			return err
		}
	}
	return nil
}

func (l *linkFinder) nodes(r *followRule, root *html.Node) error {
	nodes, err := r.xpath.Nodes(xpath.NodeOf(root), &l.doc.budget)
	if err != nil {
		return l.doc.spent()
	}
	for _, node := range nodes {
		ref := ""
		if a := node.Attribute(); a != nil {
			ref = a.Val
		} else if ref = node.Data; node.Type == html.ElementNode || node.Type == html.DocumentNode {
			ref = textOf(node.Node, 0)
		}
		if err := l.found(r, ref, node.Node); err != nil {
			return err
		}
	}
	return nil
}

// found hands one reference on; node is where it stands, if anywhere.
func (l *linkFinder) found(r *followRule, ref string, node *html.Node) error {
	if r.regex != nil {
		var ok bool
		if ref, ok = r.regex.find(tidy(ref)); !ok {
			return nil
		}
	}
	if !l.ready {
		var fault *Fault
		if l.carry, fault = r.carried(l.doc); fault != nil {
			return fault
		}
		l.ready = true
	}
	if l.n++; l.n > MaxLinks {
		return faultf(CodeLinks, "the page has more than %d links", MaxLinks)
	}
	found := Link{Ref: ref, Carry: l.carry}
	if node != nil && node.Type == html.ElementNode {
		found.Text = linkText(node)
	}
	return l.emit(found)
}

// carried is the columns that the rule hands on from a page, as JSON.
func (r *followRule) carried(d *Document) (string, *Fault) {
	values := make(map[string]any, len(r.carry))
	for _, f := range r.carry {
		var row [1]any
		v, fault := view{doc: d}.with(f.source.needs())
		if fault == nil {
			if wrong := f.eval(v, row[:], new([]string)); wrong != nil {
				fault = &Fault{wrong.code, wrong.err}
			}
		}
		if fault != nil && f.required {
			return "", faultf(CodeCarry, "carry %s: %w", f.name, fault)
		}
		values[f.name] = row[0]
	}
	return jsonLine(values), nil
}

// linkText is the beginning of an element's text.
func linkText(n *html.Node) string {
	// White space goes, so look further than what is kept.
	return cut(tidy(cut(textOf(n, 8*MaxLinkText), 16*MaxLinkText)), MaxLinkText)
}
