package xpath

import (
	"errors"
	"fmt"
	"strings"
)

// Bounds of an expression.
const (
	maxLength = 8 << 10 // bytes
	maxNested = 64      // parentheses and predicates in one another
)

// Expr is a compiled expression. It may be used by several goroutines at once.
type Expr struct {
	source string
	root   expr
	names  []qualified // of its node tests
}

// String is the expression as it was compiled.
func (e *Expr) String() string { return e.source }

// Compile reads an expression. Errors name the place in it.
func Compile(source string) (*Expr, error) {
	if strings.TrimSpace(source) == "" {
		return nil, errors.New("the expression is empty")
	}
	if len(source) > maxLength {
		return nil, fmt.Errorf("the expression has %d bytes; want at most %d", len(source), maxLength)
	}
	tokens, err := lex(source)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens}
	root, err := p.or()
	if err == nil && p.peek().kind != endToken {
		err = p.unexpected("an operator or the end")
	}
	if err != nil {
		return nil, err
	}
	return &Expr{source, root, p.names}, nil
}

type parser struct {
	tokens []token
	at     int
	nested int
	names  []qualified
}

func (p *parser) peek() token { return p.tokens[p.at] }

// second is the token after the next one.
func (p *parser) second() token { return p.tokens[min(p.at+1, len(p.tokens)-1)] }

func (p *parser) is(kind tokenKind, text string) bool {
	t := p.peek()
	return t.kind == kind && t.text == text
}

// take goes over a symbol if it comes next.
func (p *parser) take(symbol string) bool {
	if p.is(symbolToken, symbol) {
		p.at++
		return true
	}
	return false
}

func (p *parser) want(symbol string) error {
	if !p.take(symbol) {
		return p.unexpected(symbol)
	}
	return nil
}

func (p *parser) unexpected(want string) error {
	t := p.peek()
	if t.kind == endToken {
		return fmt.Errorf("at its end: want %s", want)
	}
	return fmt.Errorf("at byte %d: got %.40q; want %s", t.at, t.text, want)
}

// levels are the binary operators from the loosest to the tightest.
var levels = [][]string{{"or"}, {"and"}, {"=", "!="}, {"<", "<=", ">", ">="}, {"+", "-"}, {"*", "div", "mod"}}

func (p *parser) or() (expr, error) {
	if p.nested++; p.nested > maxNested {
		return nil, fmt.Errorf("at byte %d: nested over %d deep", p.peek().at, maxNested)
	}
	defer func() { p.nested-- }()
	return p.binary(0)
}

func (p *parser) binary(level int) (expr, error) {
	if level == len(levels) {
		return p.unary()
	}
	left, err := p.binary(level + 1)
	for err == nil {
		op := ""
		for _, o := range levels[level] {
			if p.is(operatorToken, o) {
				op = o
			}
		}
		if op == "" {
			return left, nil
		}
		p.at++
		var right expr
		if right, err = p.binary(level + 1); err == nil {
			left = newOperation(op, left, right)
		}
	}
	return nil, err
}

func newOperation(op string, left, right expr) expr {
	switch op {
	case "or", "and":
		return &logic{op == "or", left, right}
	case "+", "-", "*", "div", "mod":
		return &arithmetic{op, left, right}
	}
	return newComparison(op, left, right)
}

func (p *parser) unary() (expr, error) {
	minus := 0
	for ; p.is(operatorToken, "-"); minus++ {
		p.at++
	}
	e, err := p.union()
	if err == nil && minus > 0 {
		e = &negation{e, minus%2 == 1}
	}
	return e, err
}

func (p *parser) union() (expr, error) {
	e, err := p.path()
	for err == nil && p.is(operatorToken, "|") {
		p.at++
		var right expr
		if right, err = p.path(); err != nil {
			return nil, err
		}
		a, ok := e.(nodeSet)
		b, ok2 := right.(nodeSet)
		if !ok || !ok2 {
			return nil, errors.New("| joins node-sets only")
		}
		e = &union{a, b}
	}
	return e, err
}

// path is a location path, or a primary expression with predicates and steps.
func (p *parser) path() (expr, error) {
	switch {
	case p.take("/"):
		out := &path{absolute: true}
		if !p.stepFollows() {
			return out, nil
		}
		return p.steps(out)
	case p.take("//"):
		return p.steps(&path{absolute: true, steps: []step{anyBelow}})
	case !p.primaryFollows():
		return p.steps(&path{})
	}
	e, err := p.primary()
	if err != nil {
		return nil, err
	}
	preds, err := p.predicates()
	if err != nil {
		return nil, err
	}
	slash, below := p.is(symbolToken, "/"), p.is(symbolToken, "//")
	if len(preds) == 0 && !slash && !below {
		return e, nil
	}
	set, ok := e.(nodeSet)
	if !ok {
		return nil, fmt.Errorf("at byte %d: predicates and steps want a node-set before them", p.peek().at)
	}
	if len(preds) > 0 {
		set = &filter{set, preds}
	}
	if !slash && !below {
		return set, nil
	}
	p.at++
	out := &path{start: set}
	if below {
		out.steps = []step{anyBelow}
	}
	return p.steps(out)
}

// primaryFollows tells a primary expression from a step.
func (p *parser) primaryFollows() bool {
	t := p.peek()
	switch t.kind {
	case literalToken, numberToken:
		return true
	case symbolToken:
		return t.text == "("
	case nameToken:
		return p.second().kind == symbolToken && p.second().text == "(" && !nodeTypes[t.text]
	}
	return false
}

func (p *parser) stepFollows() bool {
	t := p.peek()
	return t.kind == nameToken || t.kind == symbolToken && (t.text == "." || t.text == ".." || t.text == "@")
}

func (p *parser) primary() (expr, error) {
	t := p.peek()
	p.at++
	switch t.kind {
	case literalToken:
		return literal(t.text), nil
	case numberToken:
		return number(t.number), nil
	case nameToken:
		return p.call(t)
	}
	e, err := p.or()
	if err == nil {
		err = p.want(")")
	}
	return e, err
}

func (p *parser) call(name token) (expr, error) {
	p.at++ // the parenthesis
	var args []expr
	for !p.take(")") {
		if len(args) > 0 {
			if err := p.want(","); err != nil {
				return nil, err
			}
		}
		arg, err := p.or()
		if err != nil {
			return nil, err
		}
		args = append(args, arg)
	}
	c, err := newCall(name.text, args)
	if err != nil {
		return nil, fmt.Errorf("at byte %d: %w", name.at, err)
	}
	return c, nil
}

// steps reads the rest of a path; a step must follow.
func (p *parser) steps(out *path) (expr, error) {
	for {
		s, err := p.step()
		if err != nil {
			return nil, err
		}
		out.add(s)
		switch {
		case p.take("/"):
		case p.take("//"):
			out.steps = append(out.steps, anyBelow)
		default:
			out.short = len(out.steps) == 1 && !out.absolute && out.start == nil && len(s.preds) == 0
			return out, nil
		}
	}
}

func (p *parser) step() (s step, err error) {
	switch {
	case p.take("."):
		return step{axis: self, test: test{kind: anyNode}}, nil
	case p.take(".."):
		return step{axis: parent, test: test{kind: anyNode}}, nil
	case p.take("@"):
		s.axis = attribute
	case p.peek().kind == nameToken && p.second().kind == symbolToken && p.second().text == "::":
		var known bool
		if s.axis, known = axes[p.peek().text]; !known {
			return s, fmt.Errorf("at byte %d: no axis is called %.40q here", p.peek().at, p.peek().text)
		}
		p.at += 2
	}
	if s.test, err = p.nodeTest(); err != nil {
		return s, err
	}
	s.preds, err = p.predicates()
	return s, err
}

var nodeTypes = map[string]bool{"node": true, "text": true, "comment": true, "processing-instruction": true}

func (p *parser) nodeTest() (t test, err error) {
	name := p.peek()
	if name.kind != nameToken {
		return t, p.unexpected("a step")
	}
	p.at++
	if !nodeTypes[name.text] || !p.take("(") {
		return p.nameTest(name.text), nil
	}
	switch name.text {
	case "node":
		t.kind = anyNode
	case "text":
		t.kind = textNode
	case "comment":
		t.kind = commentNode
	default: // the trees have no processing instructions
		t.kind = noNode
		if p.peek().kind == literalToken {
			p.at++
		}
	}
	return t, p.want(")")
}

func (p *parser) predicates() (preds []predicate, err error) {
	for p.take("[") {
		e, err := p.or()
		if err != nil {
			return nil, err
		}
		if err := p.want("]"); err != nil {
			return nil, err
		}
		pred := predicate{e: e, positional: e.kind() == numberKind || e.positional()}
		if n, ok := e.(number); ok {
			pred.fixed = float64(n)
		}
		preds = append(preds, pred)
	}
	return preds, nil
}

var errNoNodes = errors.New("the expression computes a value; want one that selects nodes")

// CompileNodes is [Compile] for an expression that must select nodes.
func CompileNodes(source string) (*Expr, error) {
	e, err := Compile(source)
	if err == nil && e.root.kind() != nodesKind {
		return nil, errNoNodes
	}
	return e, err
}
