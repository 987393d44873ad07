package harrow

import (
	"fmt"
	"io"

	"golang.org/x/net/html"
	"golang.org/x/net/html/charset"
)

// HTML is a page's elements for an extractor that walks them itself, or by a
// library over golang.org/x/net/html:
//
//	root, err := harrow.HTML(page)
//	if err != nil {
//		return err
//	}
//	doc := goquery.NewDocumentFromNode(root)
//
// In a run it is a copy, the caller's to keep, of the tree that rules select
// in; XML is read too then, its names in lower case. An error is for Extract to
// return: the page is rejected with the code that says what is wrong with it, as
// for rules ("document", "content_type", "elements", …), or "nesting", where
// elements nest over 512 deep, since such libraries call themselves for each
// level. A Page that isn't a run's is read as HTML.
func HTML(page Page) (*html.Node, error) {
	if p, ok := page.(interface{ HTML() (*html.Node, error) }); ok {
		return p.HTML()
	}
	body := page.Body()
	root, err := readHTML(body, page.Capture().ContentType)
	if closed := body.Close(); err == nil && closed != nil {
		return nil, fmt.Errorf("the page's body: %w", closed)
	}
	return root, err
}

func readHTML(body io.Reader, contentType string) (*html.Node, error) {
	text, err := charset.NewReader(body, contentType)
	if err != nil {
		return nil, fmt.Errorf("the page's body: %w", err)
	}
	root, err := html.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("the page's body: %w", err)
	}
	return root, nil
}
