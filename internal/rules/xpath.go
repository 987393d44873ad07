package rules

import (
	"fmt"

	"github.com/harrowdata/harrow/internal/xpath"
)

// maxVisits is the budget of all XPath and JSONPath evaluations of a page.
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
	dst, err := s.expr.Texts(dst, xpath.NodeOf(v.node), all, &v.doc.budget)
	if err != nil {
		return dst, v.doc.spent()
	}
	return dst, nil
}
