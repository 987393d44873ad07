package harrow_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/net/html"

	"github.com/harrowdata/harrow"
)

type plainPage struct {
	body  io.Reader
	close error
}

func (p plainPage) Capture() harrow.Capture {
	return harrow.Capture{ContentType: "text/html; charset=iso-8859-1"}
}
func (p plainPage) Body() io.ReadCloser {
	return struct {
		io.Reader
		io.Closer
	}{p.body, closer{p.close}}
}

type closer struct{ err error }

func (c closer) Close() error { return c.err }

// treePage is a page that has its tree already.
type treePage struct {
	harrow.Page
	root *html.Node
}

func (p treePage) HTML() (*html.Node, error) { return p.root, nil }

func TestAnExtractorGetsThePagesElements(t *testing.T) {
	root, err := harrow.HTML(plainPage{body: strings.NewReader("<p>caf\xe9")})
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := html.Render(&b, root); err != nil || b.String() != "<html><head></head><body><p>café</p></body></html>" {
		t.Errorf("got %s, %v", b.String(), err)
	}
	if got, err := harrow.HTML(treePage{root: root}); got != root || err != nil {
		t.Errorf("the tree of a page that has one: got %p, %v; want %p", got, err, root)
	}
	away := errors.New("away")
	for _, page := range []plainPage{{body: iotest.ErrReader(away)}, {body: strings.NewReader("<p>"), close: away}} {
		if _, err := harrow.HTML(page); !errors.Is(err, away) {
			t.Errorf("got %v, want the error of reading the body", err)
		}
	}
}
