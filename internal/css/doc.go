// Package css matches the selectors of a job against the tree of a page: all of
// them in one walk.
package css
