package main

import (
	"bytes"
	"fmt"
	"strings"

	gq "github.com/PuerkitoBio/goquery"
	"github.com/andybalholm/cascadia"
	"golang.org/x/net/html"

	"github.com/harrowdata/harrow/internal/html5/pages"
)

// selections reads pages with goquery as a careful user does: selectors are
// compiled once, and only the first element is looked for where one will do.
type selections struct {
	fields   []pages.Field
	matchers []gq.Matcher
}

func newGoquery(fields []pages.Field) (parser, error) {
	s := &selections{fields: fields}
	for _, f := range fields {
		m, err := cascadia.Compile(f.CSS)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.CSS, err)
		}
		if f.All {
			s.matchers = append(s.matchers, m)
		} else {
			s.matchers = append(s.matchers, gq.SingleMatcher(m))
		}
	}
	return s, nil
}

func (s *selections) tree(page []byte) (any, error) {
	return gq.NewDocumentFromReader(bytes.NewReader(page))
}

func (s *selections) values(page []byte) ([]string, error) {
	doc, err := gq.NewDocumentFromReader(bytes.NewReader(page))
	if err != nil {
		return nil, err
	}
	values := make([]string, len(s.fields))
	for i, f := range s.fields {
		found := doc.FindMatcher(s.matchers[i])
		if !f.All {
			values[i] = value(found, f.Attr)
			continue
		}
		values[i] = strings.Join(found.Map(func(_ int, one *gq.Selection) string { return value(one, f.Attr) }), "\n")
	}
	return values, nil
}

func value(s *gq.Selection, attr string) string {
	if attr != "" {
		v, _ := s.Attr(attr)
		return pages.Clean(v)
	}
	return pages.Clean(s.Text())
}

func (s *selections) elements(tree any) (count int) {
	root := tree.(*gq.Document).Nodes[0]
	for n := range root.Descendants() { // at most 512 deep
		if n.Type == html.ElementNode {
			count++
		}
	}
	return count
}
