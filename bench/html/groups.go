package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/harrowdata/harrow/internal/html5/pages"
)

// group is pages that are measured together, as children get it.
type group struct {
	Name    string        `json:"name"`
	Fields  []pages.Field `json:"fields"`
	Files   []string      `json:"files"`
	Largest bool          `json:"-"` // memory is measured with these
}

// named is the name of the group of a kind and size.
func named(kind pages.Kind, kb int) string { return fmt.Sprintf("%v, %d KB", kind, kb) }

// generate makes the generated pages.
func (b *bencher) generate() error {
	for _, kind := range pages.Kinds {
		for _, kb := range b.sizes {
			g := group{Name: named(kind, kb), Fields: kind.Fields(), Largest: kb == slices.Max(b.sizes)}
			var want [][]string
			bytes := 0
			for i := range b.pages {
				page := pages.Make(kind, kb*1000, seed+uint64(i))
				file := filepath.Join(b.dir, fmt.Sprintf("%v-%d-%d.html", kind, kb, i))
				if err := os.WriteFile(file, page.HTML, 0o666); err != nil {
					return err
				}
				g.Files, want, bytes = append(g.Files, file), append(want, page.Want), bytes+len(page.HTML)
			}
			b.add(g, want, bytes)
		}
	}
	return nil
}

func (b *bencher) add(g group, want [][]string, bytes int) {
	b.groups, b.want = append(b.groups, g), append(b.want, want)
	b.results.groups = append(b.results.groups, figures{group: g, bytes: bytes / len(g.Files)})
}

// manualPages are where make setup installs PostgreSQL's manual: some 1,200
// pages that nobody made for a measurement.
const manualPages = "/usr/share/doc/postgresql-doc-15/html/*.html"

// manual takes some pages of PostgreSQL's manual, where it is installed.
func (b *bencher) manual(out io.Writer) error {
	files, err := filepath.Glob(manualPages)
	if err != nil || b.every == 0 {
		return err
	}
	if len(files) == 0 {
		_, err = fmt.Fprintf(out, "PostgreSQL's manual is not there: make setup installs it\n")
		return err
	}
	g := group{Name: "PostgreSQL's manual", Fields: manualFields}
	bytes := int64(0)
	for i := 0; i < len(files); i += b.every {
		info, err := os.Stat(files[i])
		if err != nil {
			return err
		}
		g.Files, bytes = append(g.Files, files[i]), bytes+info.Size()
	}
	b.add(g, nil, int(bytes))
	return nil
}

// manualFields are what the manual's pages are asked for; not all have all. (There
// is no tbody in them: lxml makes none, where the standard does.)
var manualFields = []pages.Field{
	{Name: "title", CSS: "title"},
	{Name: "heading", CSS: "h1.title, h2.title, h3.title"},
	{Name: "next", CSS: `link[rel="next"]`, Attr: "href"},
	{Name: "links", CSS: "a.xref", Attr: "href", All: true},
	{Name: "terms", CSS: "dt > span.term", All: true},
	{Name: "examples", CSS: "pre.programlisting", All: true},
	{Name: "cells", CSS: "table td", All: true},
	{Name: "up", CSS: `th[align="center"]`},
}
