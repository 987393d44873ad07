package xpath

import (
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/harrowdata/harrow/internal/dom"
)

// Budget bounds evaluations: about how many nodes they may visit. 64 bytes of
// text that is copied or searched count as one, and [LookedAt] bytes that are
// looked at one by one. It is shared by as many as one likes, one after the
// other.
type Budget struct{ Left int64 }

// LookedAt is how many bytes of text are as much work as a node where each is
// looked at: decoded, translated, read as a number.
const LookedAt = 4

// ErrBudget is what an evaluation returns that needs more than its budget has
// left.
var ErrBudget = errors.New("the selectors visit too many nodes of the page, or too much of its text")

// run is one evaluation. Its memory is used again for others.
type run struct {
	tree   *dom.Tree
	budget *Budget
	names  []treeName // of the expression's node tests

	// stack has the node-sets that are being worked on, one above the other:
	// the value of an expression of node-sets is what lies above where the
	// stack ended before. One that needs none of it any more cuts it off.
	stack []Node
	// scratch has texts that were put together. Once it is cut off, they are
	// gone.
	scratch []byte
	open    []dom.ID // see siblings
}

var runs = sync.Pool{New: func() any { return new(run) }}

// Bounds of the memory that is kept for other evaluations.
const (
	keptNodes = 1 << 16
	keptBytes = 1 << 20
)

// evaluate ends with ErrBudget where run.spend gave up.
func (e *Expr) evaluate(t *dom.Tree, at dom.ID, b *Budget, do func(context)) (err error) {
	r := runs.Get().(*run)
	defer func() {
		p := recover()
		r.free()
		if p != nil {
			if p != errSpent { //nolint:errorlint // the very value that spend panics with
				panic(p)
			}
			err = ErrBudget
		}
	}()
	r.tree, r.budget = t, b
	r.names = r.names[:0]
	for _, n := range e.names {
		r.names = append(r.names, n.in(t))
	}
	do(context{r, NodeOf(at), 1, 1})
	return nil
}

func (r *run) free() {
	r.tree, r.budget = nil, nil
	r.stack, r.scratch = r.stack[:0], r.scratch[:0]
	if cap(r.stack) > keptNodes {
		r.stack = nil
	}
	if cap(r.scratch) > keptBytes {
		r.scratch = nil
	}
	runs.Put(r)
}

var errSpent = errors.New("spent")

// spend takes from the budget; it unwinds the evaluation when nothing is left.
func (r *run) spend(n int) {
	if r.budget.Left -= int64(n); r.budget.Left < 0 {
		panic(errSpent)
	}
}

// lookAt spends for n bytes of text that are looked at one by one.
func (r *run) lookAt(n int) { r.spend(n / LookedAt) }

// mark is a state of a run's memory.
type mark struct{ stack, scratch int }

func (r *run) mark() mark { return mark{len(r.stack), len(r.scratch)} }

// cut forgets what came to be since the mark.
func (r *run) cut(m mark) { r.stack, r.scratch = r.stack[:m.stack], r.scratch[:m.scratch] }

func (r *run) push(n Node) { r.stack = append(r.stack, n) }

// Evaluate returns what the expression selects or computes at a node: []Node
// in document order, string, float64 or bool.
func (e *Expr) Evaluate(t *dom.Tree, at dom.ID, b *Budget) (v any, err error) {
	err = e.evaluate(t, at, b, func(c context) {
		switch e.root.kind() {
		case nodesKind:
			v = slices.Clone(e.root.(nodeSet).nodes(c, wantAll))
		case stringKind:
			v = strings.Clone(e.root.text(c))
		case numberKind:
			v = e.root.number(c)
		case boolKind:
			v = e.root.truth(c)
		}
	})
	if err != nil {
		return nil, err
	}
	return v, nil
}

// Nodes returns what an expression of [CompileNodes] selects in document
// order.
func (e *Expr) Nodes(t *dom.Tree, at dom.ID, b *Budget) (nodes []Node, err error) {
	err = e.evaluate(t, at, b, func(c context) {
		nodes = slices.Clone(e.root.(nodeSet).nodes(c, wantAll))
	})
	return nodes, err
}

// Select appends to dst the nodes that the expression selects in document order,
// or only the first. Of an expression that computes a value, which isText says,
// it returns that as the function string writes it.
func (e *Expr) Select(dst []Node, t *dom.Tree, at dom.ID, all bool, b *Budget) (nodes []Node, computed string, isText bool, err error) {
	set, ok := e.root.(nodeSet)
	err = e.evaluate(t, at, b, func(c context) {
		switch {
		case !ok:
			computed = strings.Clone(e.root.text(c))
		case all:
			dst = append(dst, set.nodes(c, wantAll)...)
		default:
			nodes := set.nodes(c, wantFirst)
			dst = append(dst, nodes[:min(1, len(nodes))]...)
		}
	})
	return dst, computed, !ok, err
}
