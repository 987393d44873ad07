package rules

import (
	"errors"
	"fmt"
	"slices"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/internal/dom"
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
type Follower struct {
	rules []followRule
	css   *selectors
}

// followRule selects elements or attributes, by CSS or XPath, or texts.
type followRule struct {
	within []*canon.Glob
	css    *cssSource
	xpath  *xpath.Expr
	texts  source   // JSONPath or regex alone
	regex  *pattern // cuts what another selector selects; nil: none
	carry  []*field

	selectors []wanted // those of css and carry
}

// Link is one reference that a follow rule selected.
// Ref and Text are views of the page, valid until emit returns.
type Link struct {
	Ref   string // as the page has it, to be resolved against [Document.Base]
	Text  string // of its element, white space collapsed, at most [MaxLinkText] bytes
	Carry string // JSON object of columns to hand on, name to text or null; empty for none
}

// CompileFollow compiles follow rules. Errors name the rule by its index and
// the selector: discover.follow[0]: css "a[": ….
func CompileFollow(rules []harrow.Follow) (*Follower, error) {
	f := &Follower{css: newSelectors()}
	for i, def := range rules {
		r, err := compileFollow(def)
		if err != nil {
			return nil, fmt.Errorf("discover.follow[%d]: %w", i, err)
		}
		if r.css != nil {
			r.selectors = f.css.add(nil, r.css, true)
		}
		for _, carried := range r.carry {
			r.selectors = f.css.add(r.selectors, carried.source, false)
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
	if err == nil && s.selector == nil {
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
		if css, ok := s.(*cssSource); ok && css.selector == nil {
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
	l := &linkFinder{doc: d, emit: emit, css: f.selection(d)}
	defer l.css.close()
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

// selection begins with a page's elements.
func (f *Follower) selection(d *Document) *selection {
	return f.css.of(d, func(yield func([]wanted) bool) {
		for i := range f.rules {
			if f.rules[i].looksInto(d.final) && !yield(f.rules[i].selectors) {
				return
			}
		}
	})
}

// linkFinder is one look into a page.
type linkFinder struct {
	doc   *Document
	css   *selection
	emit  func(Link) error
	n     int
	carry string // what the rule at hand carries
	ready bool   // carry is made
}

func (l *linkFinder) of(r *followRule) error {
	l.carry, l.ready = "", len(r.carry) == 0
	l.css.begin(r.selectors)
	if r.texts != nil {
		return l.texts(r)
	}
	if _, fault := l.doc.Tree(); fault != nil {
		return fault
	}
	if r.xpath != nil {
		return l.nodes(r)
	}
	nodes, fault := l.css.below(r.css.number, dom.Root)
	if fault != nil {
		return fault
	}
	for _, node := range nodes {
		l.doc.nextRow()
		ref, ok, fault := l.reference(r.css, node)
		if fault != nil {
			return fault
		}
		if ok {
			if err := l.found(r, ref, node); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *linkFinder) texts(r *followRule) error {
	v, fault := view{doc: l.doc, css: l.css}.with(r.texts.needs())
	if fault != nil {
		return fault
	}
	refs, fault := r.texts.pick(v, nil, true)
	if fault != nil {
		return fault
	}
	for _, ref := range refs {
		if err := l.found(r, ref, dom.None); err != nil {
			return err
		}
	}
	return nil
}

func (l *linkFinder) nodes(r *followRule) error {
	tree := l.doc.tree.value
	nodes, err := r.xpath.Nodes(tree, dom.Root, &l.doc.budget)
	if err != nil {
		return l.doc.spent()
	}
	for _, node := range nodes {
		l.doc.nextRow()
		ref, fault := l.referenceOf(node)
		if fault != nil {
			return fault
		}
		if err := l.found(r, ref, node.ID); err != nil {
			return err
		}
	}
	return nil
}

// reference is what a selector takes of an element; false: nothing. Where it
// names no attribute, an element that links somewhere is taken by where it
// links to: its words are no address.
func (l *linkFinder) reference(s *cssSource, node dom.ID) (string, bool, *Fault) {
	if s.attribute == "" {
		if ref, ok, fault := l.doc.attributeOf(node, "href"); ok || fault != nil {
			return ref, ok, fault
		}
	}
	return s.of(l.doc, node)
}

// referenceOf is [linkFinder.reference] for what an XPath selects.
func (l *linkFinder) referenceOf(node xpath.Node) (string, *Fault) {
	if tree := l.doc.tree.value; node.Attribute(tree) == nil && tree.IsElement(node.ID) {
		if ref, ok, fault := l.doc.attributeOf(node.ID, "href"); ok || fault != nil {
			return ref, fault
		}
	}
	return l.doc.nodeText(node)
}

// found hands one reference on; node is where it stands, if anywhere.
func (l *linkFinder) found(r *followRule, ref string, node dom.ID) error {
	if r.regex != nil {
		var ok bool
		if ref, ok = r.regex.find(tidy(ref)); !ok {
			return nil
		}
	}
	if !l.ready {
		var fault *Fault
		if l.carry, fault = l.carried(r); fault != nil {
			return fault
		}
		l.ready = true
	}
	if l.n++; l.n > MaxLinks {
		return faultf(CodeLinks, "the page has more than %d links", MaxLinks)
	}
	found := Link{Ref: ref, Carry: l.carry}
	if node != dom.None && l.doc.tree.value.IsElement(node) {
		var fault *Fault
		if found.Text, fault = l.doc.linkText(node); fault != nil {
			return fault
		}
	}
	return l.emit(found)
}

// carried is the columns that the rule hands on from a page, as JSON.
func (l *linkFinder) carried(r *followRule) (string, *Fault) {
	values := make(map[string]any, len(r.carry))
	for _, f := range r.carry {
		var row [1]any
		v, fault := view{doc: l.doc, css: l.css}.with(f.source.needs())
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

// linkText is the beginning of an element's text; see textOf.
func (d *Document) linkText(n dom.ID) (string, *Fault) {
	// White space goes, so look further than what is kept.
	text, fault := d.textOf(n, 8*MaxLinkText)
	return cut(tidy(cut(text, 16*MaxLinkText)), MaxLinkText), fault
}
