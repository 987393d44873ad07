// Package css matches the selectors of a job against the tree of a page: all of
// them in one walk.
//
//	set := css.NewSet()
//	title := set.Add(selector)      // of css.Compile
//	m := css.NewMatcher(set)        // one a goroutine, for page after page
//	err := m.Run(tree, want)        // css.First or css.All for what is wanted
//	for _, n := range m.All(title)  // or m.Below(title, row)
package css
