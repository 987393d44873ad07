// Package css matches the selectors of a job against the tree of a page: all of
// them in one walk.
//
//	set := css.NewSet()
//	title := set.Add(selector)      // of css.Compile
//	m := css.NewMatcher(set)        // one a goroutine, for page after page
//	err := m.Run(tree, want)        // css.First or css.All for what is wanted
//	for _, n := range m.All(title)  // or m.Below(title, row)
//
// # Selectors
//
// A selector is a group as Selectors 4 has it, in the grammar of
// github.com/andybalholm/cascadia, which many know from goquery. From there are
// [a!=b] (it has no a, or another), [a#=regex], :contains(text),
// :containsOwn(text), :matches(regex), :matchesOwn(regex), :haschild(group) and
// :input. Texts of :contains are compared without regard to case; Own means the
// texts that are the element's children. A comment is white space. Refused are
// namespaces but "*|*", and pseudo-elements. Added are :is, :where, combinators
// at the beginning of what :has looks for, and [a=b s].
//
// What a selector means is what the standard says, where it says something; so
// it is what a browser would find:
//   - Names of types and attributes are compared in lower case for elements in
//     HTML, and as written for others: svg linearGradient. In a tree of XML they
//     have no case. An attribute with a prefix, as SVG's xlink:href, isn't found.
//   - Values of some attributes of HTML, as rel and type, have no case, nor have
//     classes and ids of a page in quirks mode.
//   - What :has looks for begins at the element: in article:has(section p) the
//     section is in the article. In :not, :is and :haschild ancestors may be
//     anywhere.
//   - :lang goes by the nearest lang attribute; :enabled, :disabled, :checked and
//     :link are HTML's; :empty allows for white space, which a no-break space
//     isn't.
//   - What a template has in it is found, since that is how the tree has it.
//
// A test holds these and the few other differences from cascadia, each with the
// line of the standard.
//
// # Cost
//
// A run takes one walk over the nodes for each 64 combinators of the set, and
// steps in proportion to the page's length, its nodes and attributes, and the
// number and length of the selectors that are wanted, however the page is
// nested: there is no going back. Each compound has a bit, and each open element
// has the bits that it, those around it, and its children so far have matched;
// so a combinator is one test of a bit. Compounds are found by the id, class,
// type or attribute that an element must have for them. What can't be told from
// what came before, as for :has, and sequences within :not, takes walks before
// that, one up and one down the page for each level of nesting; positions among
// siblings, the page's text and its languages are found once for all, if they
// are asked for. The one exception is :matches: an element's text has that of
// all elements in it, so that nested ones are bounded together: see [CostError].
//
// # Memory
//
// A matcher holds 40 bytes for an open element, 4 bytes for a match (one match
// where only the first is wanted), and where selectors need them: a bit a node
// for each sequence in :not and the like and each compound in :has; 8 bytes a
// node for each of :nth-child and :nth-of-type, 32 bytes a name for the latter;
// the page's text, in lower case and as it is, and 4 bytes a node for each; 4
// bytes a node for :lang. It keeps that between pages, but not that of large
// ones. Once it is warm a run allocates nothing.
package css
