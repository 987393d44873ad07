package expr

import (
	"fmt"
	"slices"
	"strings"
)

type op uint8

const (
	opColumn op = iota
	opNumber
	opText
	opBool
	opNull
	opNegate
	opNot
	opBinary // text: + - * / = != < <= > >= and or
	opIn
	opIsNull
	opIsNotNull
	opCall
)

// syntax is a node of the tree as it was written.
type syntax struct {
	op   op
	at   int    // byte offset
	text string // name, number, text, sign
	args []*syntax
}

// walk calls f for the node and all below it.
func (n *syntax) walk(f func(*syntax)) {
	f(n)
	for _, a := range n.args {
		a.walk(f)
	}
}

type parser struct {
	lex   lexer
	now   token
	depth int
	nodes int
}

// parse reads a whole source.
func parse(source string) (*syntax, error) {
	if len(source) > maxSource {
		return nil, &Error{1, fmt.Sprintf("the expression has %d bytes; expected at most %d", len(source), maxSource)}
	}
	p := &parser{lex: lexer{source: source}}
	root, err := p.all()
	if err != nil {
		return nil, locate(source, err)
	}
	return root, nil
}

func (p *parser) all() (*syntax, error) {
	if err := p.advance(); err != nil {
		return nil, err
	}
	root, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.now.kind != tokenEnd {
		return nil, wrongf(p.now.at, "%s can't follow here; expected an operator or the end", p.now)
	}
	return root, nil
}

func (p *parser) advance() (err error) {
	p.now, err = p.lex.next()
	return err
}

func (p *parser) node(op op, at int, text string, args ...*syntax) (*syntax, error) {
	if p.nodes++; p.nodes > maxNodes {
		return nil, wrongf(at, "the expression has more than %d parts; expected a shorter one", maxNodes)
	}
	return &syntax{op, at, text, args}, nil
}

// deeper guards what recurses.
func (p *parser) deeper(f func() (*syntax, error)) (*syntax, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, wrongf(p.now.at, "the expression is nested deeper than %d; expected a flatter one", maxDepth)
	}
	defer func() { p.depth-- }()
	return f()
}

// binary reads operands of a level, joined from the left.
func (p *parser) binary(operand func() (*syntax, error), is func(token) (sign string, ok bool)) (*syntax, error) {
	left, err := operand()
	if err != nil {
		return nil, err
	}
	for {
		sign, ok := is(p.now)
		if !ok {
			return left, nil
		}
		at := p.now.at
		if err := p.advance(); err != nil {
			return nil, err
		}
		right, err := operand()
		if err != nil {
			return nil, err
		}
		if left, err = p.node(opBinary, at, sign, left, right); err != nil {
			return nil, err
		}
	}
}

func word(w string) func(token) (string, bool) {
	return func(t token) (string, bool) { return w, t.isWord(w) }
}

func anySign(list ...string) func(token) (string, bool) {
	return func(t token) (string, bool) { return t.text, t.kind == tokenSign && slices.Contains(list, t.text) }
}

func (p *parser) or() (*syntax, error)  { return p.binary(p.and, word("or")) }
func (p *parser) and() (*syntax, error) { return p.binary(p.not, word("and")) }

func (p *parser) not() (*syntax, error) {
	if !p.now.isWord("not") {
		return p.comparison()
	}
	at := p.now.at
	if err := p.advance(); err != nil {
		return nil, err
	}
	arg, err := p.deeper(p.not)
	if err != nil {
		return nil, err
	}
	return p.node(opNot, at, "not", arg)
}

var plainSign = map[string]string{"==": "=", "<>": "!="}

func (p *parser) comparison() (*syntax, error) {
	left, err := p.sum()
	if err != nil {
		return nil, err
	}
	at := p.now.at
	switch sign, ok := anySign("=", "==", "!=", "<>", "<", "<=", ">", ">=")(p.now); {
	case ok:
		if err := p.advance(); err != nil {
			return nil, err
		}
		right, err := p.sum()
		if err != nil {
			return nil, err
		}
		if plain := plainSign[sign]; plain != "" {
			sign = plain
		}
		return p.node(opBinary, at, sign, left, right)
	case p.now.isWord("is"):
		return p.isNull(left)
	case p.now.isWord("in"):
		return p.in(left, false)
	case p.now.isWord("not"):
		if err := p.advance(); err != nil {
			return nil, err
		}
		if !p.now.isWord("in") {
			return nil, p.expected("in")
		}
		return p.in(left, true)
	}
	return left, nil
}

func (p *parser) isNull(left *syntax) (*syntax, error) {
	at, kind := p.now.at, opIsNull
	if err := p.advance(); err != nil {
		return nil, err
	}
	if p.now.isWord("not") {
		kind = opIsNotNull
		if err := p.advance(); err != nil {
			return nil, err
		}
	}
	if !p.now.isWord("null") {
		return nil, p.expected("null")
	}
	if err := p.advance(); err != nil {
		return nil, err
	}
	return p.node(kind, at, "is null", left)
}

func (p *parser) in(left *syntax, negated bool) (*syntax, error) {
	at := p.now.at
	if err := p.advance(); err != nil {
		return nil, err
	}
	if !p.now.isSign("(") {
		return nil, p.expected("( and a list")
	}
	args, err := p.list()
	if err != nil {
		return nil, err
	}
	if len(args) == 0 {
		return nil, wrongf(at, "in () holds for nothing; expected at least one value")
	}
	n, err := p.node(opIn, at, "in", append([]*syntax{left}, args...)...)
	if err != nil || !negated {
		return n, err
	}
	return p.node(opNot, at, "not", n)
}

func (p *parser) sum() (*syntax, error)     { return p.binary(p.product, anySign("+", "-")) }
func (p *parser) product() (*syntax, error) { return p.binary(p.sign, anySign("*", "/")) }

func (p *parser) sign() (*syntax, error) {
	if !p.now.isSign("-") && !p.now.isSign("+") {
		return p.operand()
	}
	t := p.now
	if err := p.advance(); err != nil {
		return nil, err
	}
	arg, err := p.deeper(p.sign)
	if err != nil {
		return nil, err
	}
	if t.text == "-" && arg.op == opNumber && !strings.HasPrefix(arg.text, "-") {
		arg.at, arg.text = t.at, "-"+arg.text
		return arg, nil
	}
	return p.node(opNegate, t.at, t.text, arg)
}

func (p *parser) operand() (*syntax, error) {
	t := p.now
	switch {
	case t.isSign("("):
		if err := p.advance(); err != nil {
			return nil, err
		}
		inner, err := p.deeper(p.or)
		if err != nil {
			return nil, err
		}
		return inner, p.take(")")
	case t.kind == tokenNumber:
		return p.literal(opNumber)
	case t.kind == tokenText:
		return p.literal(opText)
	case t.kind == tokenQuotedName:
		return p.literal(opColumn)
	case t.isWord("true"), t.isWord("false"):
		p.now.text = strings.ToLower(t.text)
		return p.literal(opBool)
	case t.isWord("null"):
		return p.literal(opNull)
	case t.kind == tokenName && !keyword(t):
		return p.name()
	}
	return nil, p.expected("a column, a number, a text in quotes or (")
}

func keyword(t token) bool {
	return slices.ContainsFunc([]string{"and", "or", "not", "in", "is"}, t.isWord)
}

func (p *parser) literal(op op) (*syntax, error) {
	t := p.now
	if err := p.advance(); err != nil {
		return nil, err
	}
	return p.node(op, t.at, t.text)
}

// name is a column, or a function where a bracket follows.
func (p *parser) name() (*syntax, error) {
	t := p.now
	if err := p.advance(); err != nil {
		return nil, err
	}
	if !p.now.isSign("(") {
		return p.node(opColumn, t.at, t.text)
	}
	args, err := p.list()
	if err != nil {
		return nil, err
	}
	return p.node(opCall, t.at, strings.ToLower(t.text), args...)
}

// list reads ( a, b, … ).
func (p *parser) list() (args []*syntax, err error) {
	if err := p.take("("); err != nil {
		return nil, err
	}
	for !p.now.isSign(")") {
		if len(args) > 0 {
			if err := p.take(","); err != nil {
				return nil, err
			}
		}
		arg, err := p.deeper(p.or)
		if err != nil {
			return nil, err
		}
		args = append(args, arg)
	}
	return args, p.advance()
}

// take wants a sign and passes over it.
func (p *parser) take(sign string) error {
	if !p.now.isSign(sign) {
		return p.expected(sign)
	}
	return p.advance()
}

func (p *parser) expected(what string) error {
	return wrongf(p.now.at, "got %s; expected %s", p.now, what)
}
