package rules

import (
	"fmt"

	"github.com/harrowdata/harrow/internal/xpath"
)

// maxVisits is the budget of a page's selectors: nodes that XPath and JSONPath
// evaluations visit, and elements whose texts are read.
const maxVisits = 200_000_000

// spent is the fault of a page whose selectors' budget is.
func (d *Document) spent() *Fault { return faultf(CodeCost, "%w: over %d", xpath.ErrBudget, maxVisits) }

// xpathSource is an XPath from the rule's element, or from the root.
type xpathSource struct{ expr *xpath.Expr }

func compileXPath(expr string) (*xpathSource, error) {
	e, err := xpath.Compile(expr)
	if err != nil {
		return nil, fmt.Errorf("xpath %q: %w", expr, err)
	}
	return &xpathSource{e}, nil
}

func (s *xpathSource) String() string { return "xpath: " + s.expr.String() }
func (s *xpathSource) needs() needs   { return needs{tree: true} }

func (s *xpathSource) pick(v view, dst []string, all bool) ([]string, *Fault) {
	m := v.doc.mem
	nodes, computed, isText, err := s.expr.Select(m.nodes[:0], v.doc.tree.value, v.node, all, &v.doc.budget)
	if err != nil {
		return dst, v.doc.spent()
	}
	if isText {
		return append(dst, computed), nil
	}
	m.nodes = nodes
	for _, n := range nodes {
		text, fault := v.doc.nodeText(n)
		if fault != nil {
			return dst, fault
		}
		dst = append(dst, text)
	}
	return dst, nil
}

// nodeText is the string-value of a node: see textOf.
func (d *Document) nodeText(n xpath.Node) (string, *Fault) {
	if a := n.Attribute(d.tree.value); a != nil {
		return d.valueOf(a)
	}
	return d.textOf(n.ID, 0)
}
