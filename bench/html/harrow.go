package main

import (
	"bytes"
	"fmt"

	"github.com/harrowdata/harrow/internal/css"
	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/html5"
	"github.com/harrowdata/harrow/internal/html5/pages"
)

// harrowed reads pages as package rules does: one tree, parser and matcher for
// all of them.
type harrowed struct {
	fields  []pages.Field
	parser  html5.Parser
	page    dom.Tree
	matcher *css.Matcher
	want    []css.Want
	at      []int // of a field's selector in the set
	raw     []byte
	clean   []byte
}

func newHarrow(fields []pages.Field) (parser, error) {
	h := &harrowed{fields: fields}
	set := css.NewSet()
	for _, f := range fields {
		s, err := css.Compile(f.CSS)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.CSS, err)
		}
		at := set.Add(s)
		h.at = append(h.at, at)
		if at == len(h.want) {
			h.want = append(h.want, css.First)
		}
		if f.All {
			h.want[at] = css.All
		}
	}
	h.matcher = css.NewMatcher(set)
	return h, nil
}

func (h *harrowed) tree(page []byte) (any, error) {
	err := h.parser.Parse(&h.page, page)
	return &h.page, err
}

func (h *harrowed) values(page []byte) ([]string, error) {
	if err := h.parser.Parse(&h.page, page); err != nil {
		return nil, err
	}
	if err := h.matcher.Run(&h.page, h.want); err != nil {
		return nil, err
	}
	values := make([]string, len(h.fields))
	for i := range h.fields {
		found := h.matcher.All(h.at[i])
		if !h.fields[i].All {
			found = found[:min(1, len(found))]
		}
		h.clean = h.clean[:0]
		for k, n := range found {
			if k > 0 {
				h.clean = append(h.clean, '\n')
			}
			h.one(n, h.fields[i].Attr)
		}
		values[i] = string(h.clean)
	}
	return values, nil
}

// one appends the value that an element has.
func (h *harrowed) one(n dom.ID, attr string) {
	if attr == "" {
		h.raw = h.page.AppendText(h.raw[:0], n)
	} else {
		h.raw = h.raw[:0]
		if name, ok := h.page.Lookup(attr); ok {
			own := h.page.AttrsOf(n)
			for i := range own {
				if own[i].Name == name && own[i].Space == dom.HTML {
					h.raw = h.page.AppendValue(h.raw, &own[i])
				}
			}
		}
	}
	begin := len(h.clean)
	for word := range bytes.FieldsSeq(h.raw) {
		if len(h.clean) > begin {
			h.clean = append(h.clean, ' ')
		}
		h.clean = append(h.clean, word...)
	}
}

func (h *harrowed) elements(any) (count int) {
	for i := range h.page.Nodes {
		if h.page.Nodes[i].Kind == dom.Element {
			count++
		}
	}
	return count
}
