// Package html proves Harrow's HTML parser and selectors (internal/html5,
// internal/css, internal/xpath) against golang.org/x/net/html and cascadia,
// which goquery stands on: the same tree of every page there is to be had, and
// the same elements by a hundred selectors. Where the two differ on purpose, a
// rule names the section of the standard ([explained] in explained_test.go); any
// other difference fails and is shown on a page made as small as can be.
//
// The pages: Debian's documentation packages (tools/pages fetches them into
// .build/pages; `make soak` does), the demo shop, pages that a seed makes, of
// the kinds that are harvested and of tag soup, and pages of all of these with
// parts cut out, doubled, swapped and flipped.
//
// Beside them are the fuzz targets of whole pages, and what hostile pages cost.
//
// The environment it goes by is that of package soak, and
//
//	HARROW_PAGES=FOLDER:…       with HARROW_SOAK=1: further folders whose HTML files are compared
//	HARROW_PAGES_FAILED=FOLDER  where pages that fail are kept as they were
package html
