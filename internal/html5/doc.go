// Package html5 builds the tree of a page as the WHATWG HTML standard says a
// browser with scripts does: a tokenizer (13.2.5), which reads the page's bytes
// once, and tree construction (13.2.6), which writes a [dom.Tree]. Neither
// reports parse errors.
//
// What differs from a browser's tree:
//
//   - What is in a template is its children, where a browser has a document of
//     its own for it.
//   - No script runs: what one would write or change isn't there.
//   - A page that is made to be expensive has formatting elements repeated, and
//     moved out of the blocks they are closed in, only until it has used up what
//     its size gives it: see the constants in parser.go. It keeps its texts and
//     elements, however deep they are nested.
//
// # Cost
//
// Time is linear in the page's size, whatever the page is: for each byte there
// are some steps, and nothing is searched for from far away. A tree has at most
// one node or attribute for each byte of the page, and 8256 more; what it writes
// anew takes at most four bytes for each, where character references and texts
// in pieces need it. A parser keeps some 24 bytes for each element that was ever
// open at once.
//
// A parser and a tree that have seen a page of some size parse the next without
// allocating.
package html5
