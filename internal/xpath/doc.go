// Package xpath evaluates XPath 1.0 (W3C REC-xpath-19991116) on trees of package
// dom. It is here since a harvest needs what the libraries at hand don't give:
// node-sets in document order and without duplicates on every axis, comparisons
// as sections 3.4 and 4 say, and an evaluation that ends within a [Budget]
// whatever the page.
//
// # What there is
//
// All axes but namespace, all functions of the core library, no variables. An
// unknown function, an argument that is no node-set where one is wanted, and
// all else that can be known beforehand is an error of [Compile].
//
// # Names
//
// A name in an expression is compared with the name in the document as both
// are written, prefix included: no prefix is bound to a namespace, and
// //entry finds the entry elements of an Atom feed. HTML has its elements and
// attributes in lower case; "svg:path" also finds the path elements that HTML
// puts into SVG, and "xlink:href" their links. Trees of XML keep their capitals
// ([dom.Tree.Own]).
//
// # What it costs
//
// Document order is the order of numbers, so // is a scan of an array. A step
// from many nodes whose predicates count no positions comes to no node twice,
// whatever the axis: it visits no more nodes than the tree has. One that counts
// positions visits the axis of each node it starts from, which can be the square
// of that; what it holds at once is bounded by twice the tree. Texts that have to
// be put together are bounded by 64 MiB and twice the page.
package xpath
