// Package html5 builds the tree of a page as the WHATWG HTML standard says a
// browser with scripts does.
package html5
