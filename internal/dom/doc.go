// Package dom holds the tree of a page in flat arrays: one of nodes in document
// order, one of attributes, and the page's own bytes, which texts, values and
// names are slices of. A tree has no pointer for the garbage collector to
// follow, and its arrays are used again for the next page ([Tree.Reset]).
//
// A node is its place in the array, an [ID]. 0 is the document. Once a tree is
// finished ([Tree.Finish]) IDs are in document order, so what lies below node n
// is n+1 … End-1, "before" is "less", and walking a tree is counting.
//
// # Names
//
// A [Name] stands for the name of an element or attribute. Those that HTML, SVG
// and MathML have are constants of the program ([Known]); what else a page comes
// up with gets a number of that tree ([Tree.Intern]), which says nothing to
// another tree.
//
// # Texts
//
// A text is a range of the page's bytes, as the page wrote it: its character
// references are decoded where it is read ([Tree.Text], [Tree.AppendText],
// [Tree.Value]). Strings and slices that a tree gives out are views of the page
// or of the tree's own memory, unless they had to be put together: they are
// valid until the tree is reset or the page's bytes change.
//
// # Memory
//
// A node takes 40 bytes, an attribute 16, a name that isn't known 24 and its
// bytes.
package dom
