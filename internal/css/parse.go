package css

import (
	"strings"
)

// maxDepth is how deep arguments may nest, as in :not(:not(p)).
const maxDepth = 64

// parse reads a whole selector.
func parse(expr string) ([]sequence, error) {
	p := parser{s: expr}
	group, err := p.group(false)
	if err == nil && p.at < len(expr) {
		err = p.expected("a combinator, a comma or the end")
	}
	return group, err
}

// group reads sequences with commas between. relative: they may begin with a
// combinator.
func (p *parser) group(relative bool) ([]sequence, error) {
	var group []sequence
	for {
		s, err := p.sequence(relative)
		if err != nil {
			return nil, err
		}
		group = append(group, s)
		if !p.take(',') {
			return group, nil
		}
	}
}

func (p *parser) sequence(relative bool) (s sequence, err error) {
	p.space()
	by := descendant
	if relative {
		if j, ok := p.combinator(); ok {
			by = j
			p.space()
		}
	}
	for {
		c := compound{join: by}
		if c.tests, err = p.compound(); err != nil {
			return nil, err
		}
		s = append(s, c)
		spaced := p.space()
		j, ok := p.combinator()
		switch c := p.peek(); {
		case ok:
			p.space()
		case !spaced || c == ',' || c == ')' || p.at == len(p.s):
			return s, nil
		default:
			j = descendant
		}
		by = j
	}
}

// combinator reads one that isn't white space.
func (p *parser) combinator() (join, bool) {
	switch {
	case p.take('>'):
		return child, true
	case p.take('+'):
		return next, true
	case p.take('~'):
		return later, true
	}
	return 0, false
}

// compound reads a type and what else there is without white space; for "*"
// alone there are no tests.
func (p *parser) compound() (tests []test, err error) {
	switch p.peek() {
	case '*':
		p.at++
		if strings.HasPrefix(p.s[p.at:], "|*") { // in any namespace
			p.at += len("|*")
		}
	case '#', '.', '[', ':':
	default:
		name, err := p.identifier("a selector")
		if err != nil {
			return nil, err
		}
		tests = append(tests, test{kind: isType, name: name})
	}
	for {
		t := test{}
		switch p.peek() {
		case '#':
			p.at++
			t.kind = isID
			t.value, err = p.name("an id")
		case '.':
			p.at++
			t.kind = hasClass
			t.value, err = p.identifier("a class")
		case '[':
			p.at++
			t, err = p.attribute()
		case ':':
			p.at++
			var more []test
			if more, err = p.pseudo(); err == nil {
				tests = append(tests, more...)
				continue
			}
		default:
			return tests, nil
		}
		if err != nil {
			return nil, err
		}
		tests = append(tests, t)
	}
}

// attribute reads what is between brackets, and the closing one.
func (p *parser) attribute() (t test, err error) {
	t.kind = hasAttr
	p.space()
	if t.name, err = p.identifier("an attribute's name"); err != nil {
		return t, err
	}
	p.space()
	if p.take(']') {
		return t, nil
	}
	op := "="
	if p.peek() != '=' && p.at+2 <= len(p.s) {
		op = p.s[p.at : p.at+2]
	}
	var known bool
	if t.op, known = attrOps[op]; !known || !strings.HasPrefix(p.s[p.at:], op) {
		return t, p.expected("], =, !=, ~=, |=, ^=, $=, *= or #=")
	}
	p.at += len(op)
	p.space()
	if t.op == expression {
		t.re, err = p.regex()
	} else {
		t.value, err = p.textOrName("a value")
	}
	if err != nil {
		return t, err
	}
	p.space()
	switch p.peek() | 0x20 {
	case 'i':
		p.at++
		t.letters = folded
	case 's':
		p.at++
		t.letters = asTyped
	}
	p.space()
	if !p.take(']') {
		return t, p.expected("']'")
	}
	return t, nil
}
