package css

import (
	"math"
	"strings"
)

// simplePseudos are pseudo-classes without an argument.
var simplePseudos = map[string][]test{
	"first-child":   {{kind: nth, b: 1}},
	"last-child":    {{kind: nth, b: 1, last: true}},
	"only-child":    {{kind: nth, b: 1}, {kind: nth, b: 1, last: true}},
	"first-of-type": {{kind: nth, b: 1, ofType: true}},
	"last-of-type":  {{kind: nth, b: 1, ofType: true, last: true}},
	"only-of-type":  {{kind: nth, b: 1, ofType: true}, {kind: nth, b: 1, ofType: true, last: true}},
	"root":          {{kind: isRoot}},
	"empty":         {{kind: isEmpty}},
	// What only a page that is shown can have.
	"visited": {{kind: never}}, "hover": {{kind: never}}, "active": {{kind: never}}, "focus": {{kind: never}}, "target": {{kind: never}},
}

// longPseudos are pseudo-classes that are short for a longer selector (HTML
// 4.16.3, but for :input).
var longPseudos = map[string]string{
	"input":    "input, select, textarea, button",
	"link":     "a[href], area[href]",
	"checked":  "input[checked]:is([type=checkbox], [type=radio]), option[selected]",
	"disabled": "optgroup[disabled], option:is([disabled], optgroup[disabled] > *), " + controls + "[disabled], " + controls + inDisabled,
	"enabled":  ":is(button, input, select, textarea, optgroup, option, fieldset):not(:disabled)",
}

const (
	controls = ":is(button, input, select, textarea, fieldset)"
	// A fieldset disables what is in it, but for what is in its first legend.
	inDisabled = ":is(fieldset[disabled] > :not(legend), fieldset[disabled] > :not(legend) *, fieldset[disabled] > legend ~ legend *)"
)

// pseudo reads what is behind a colon.
func (p *parser) pseudo() ([]test, error) {
	if p.peek() == ':' {
		return nil, p.wrong("pseudo-elements, as ::before, are no elements of a page")
	}
	begin := p.at
	name, err := p.identifier("a pseudo-class")
	if err != nil {
		return nil, err
	}
	name = lowered(name)
	if tests, ok := simplePseudos[name]; ok {
		return tests, nil
	}
	if text, ok := longPseudos[name]; ok {
		args, err := parse(text)
		return []test{{kind: isAny, args: args}}, err
	}
	read, ok := argumentPseudos[name]
	if !ok {
		p.at = begin
		return nil, p.wrong("no pseudo-class is called %q", name)
	}
	if !p.take('(') {
		return nil, p.expected("'('")
	}
	if p.depth++; p.depth > maxDepth {
		return nil, p.wrong("arguments are nested over %d deep", maxDepth)
	}
	p.space()
	t, err := read.read(p, read.test)
	if err != nil {
		return nil, err
	}
	p.depth--
	p.space()
	if !p.take(')') {
		return nil, p.expected("')'")
	}
	return []test{t}, nil
}

// argumentPseudo reads the argument of a pseudo-class into what is said of it.
type argumentPseudo struct {
	test test
	read func(*parser, test) (test, error)
}

var argumentPseudos map[string]argumentPseudo

func init() { // the readers come back to this map
	argumentPseudos = map[string]argumentPseudo{
		"not":              {test{kind: isNot}, (*parser).groupArgument},
		"is":               {test{kind: isAny}, (*parser).groupArgument},
		"where":            {test{kind: isAny}, (*parser).groupArgument},
		"has":              {test{kind: has}, (*parser).groupArgument},
		"haschild":         {test{kind: hasChild}, (*parser).groupArgument},
		"contains":         {test{kind: contains}, (*parser).textArgument},
		"containsown":      {test{kind: contains, own: true}, (*parser).textArgument},
		"matches":          {test{kind: matches}, (*parser).regexArgument},
		"matchesown":       {test{kind: matches, own: true}, (*parser).regexArgument},
		"lang":             {test{kind: isLanguage}, (*parser).languageArgument},
		"nth-child":        {test{kind: nth}, (*parser).nthArgument},
		"nth-last-child":   {test{kind: nth, last: true}, (*parser).nthArgument},
		"nth-of-type":      {test{kind: nth, ofType: true}, (*parser).nthArgument},
		"nth-last-of-type": {test{kind: nth, ofType: true, last: true}, (*parser).nthArgument},
	}
}

func (p *parser) groupArgument(t test) (_ test, err error) {
	t.args, err = p.group(t.kind == has)
	return t, err
}

func (p *parser) textArgument(t test) (_ test, err error) {
	t.value, err = p.textOrName("a text")
	t.value = strings.ToLower(t.value)
	return t, err
}

func (p *parser) regexArgument(t test) (_ test, err error) {
	t.re, err = p.regex()
	return t, err
}

func (p *parser) languageArgument(t test) (_ test, err error) {
	t.value, err = p.identifier("a language")
	t.value = lowered(t.value)
	return t, err
}

// nthArgument reads odd, even, or an+b (CSS Syntax 3, section 6).
func (p *parser) nthArgument(t test) (_ test, err error) {
	const what = "odd, even or the like of 2n+1"
	if c := p.peek() | 0x20; c == 'o' || c == 'e' {
		begin := p.at
		word, err := p.name(what)
		switch lowered(word) {
		case "odd":
			t.a, t.b = 2, 1
		case "even":
			t.a = 2
		default:
			if p.at = begin; err == nil {
				err = p.expected(what)
			}
		}
		return t, err
	}
	sign := 1
	if p.take('-') {
		sign = -1
	} else {
		p.take('+')
	}
	n := 1
	if p.peek()|0x20 != 'n' {
		if n, err = p.number(what); err != nil {
			return t, err
		}
	}
	if p.peek()|0x20 != 'n' {
		t.b = sign * n
		return t, nil
	}
	p.at++
	t.a = sign * n
	p.space()
	if sign = 1; p.take('-') {
		sign = -1
	} else if !p.take('+') {
		return t, nil
	}
	p.space()
	n, err = p.number("a number")
	t.b = sign * n
	return t, err
}

func (p *parser) number(what string) (n int, err error) {
	if !isDigit(p.peek()) {
		return 0, p.expected(what)
	}
	for ; isDigit(p.peek()); p.at++ {
		n = min(10*n+int(p.peek()-'0'), math.MaxInt32) // more nodes there are not
	}
	return n, nil
}
