package jobfile

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Pos is a place in a job file; lines and columns count from 1, columns in
// characters. The zero Pos is the file as a whole.
type Pos struct{ Line, Col int }

// Error is one thing that is wrong with a job file.
type Error struct {
	File string
	Line int    // 0: the file as a whole
	Col  int    // in characters
	Path string // "fetch.retry.base", "parse[0].fields.price"; empty where there is none
	Msg  string // what is wrong; what was expected
}

// Error returns FILE:LINE:COL: what; expected …
func (e *Error) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Msg
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Col, e.Msg)
}

// Errors are all that is wrong with a job file, in the file's order.
type Errors []*Error

// Error lists one problem a line.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.As find each problem.
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i, one := range e {
		all[i] = one
	}
	return all
}

// sorted returns the errors in the file's order, or a nil error for none.
func (e Errors) sorted() error {
	if len(e) == 0 {
		return nil
	}
	slices.SortStableFunc(e, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
	})
	return e
}

// under reports whether something at the path or below it is wrong.
func (e Errors) under(path string) bool {
	return slices.ContainsFunc(e, func(one *Error) bool { return one.below(path) })
}

// above reports whether what the path leads through is wrong.
func (e Errors) above(path string) bool {
	return slices.ContainsFunc(e, func(one *Error) bool {
		return one.Path != "" && strings.HasPrefix(path, one.Path+".")
	})
}

func (e *Error) below(path string) bool {
	rest, ok := strings.CutPrefix(e.Path, path)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// nearest returns the known name that a typing error most likely stands for,
// or "".
func nearest(name string, known []string) string {
	best, bestDistance := "", max(2, len(name)/3)+1
	for _, k := range known {
		if d := distance(name, k); d < bestDistance && d < max(len(name), len(k)) {
			best, bestDistance = k, d
		}
	}
	return best
}

// distance is the edit distance of two short names, in bytes.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substitute := diagonal
			if a[i] != b[j] {
				substitute++
			}
			diagonal = row[j+1]
			row[j+1] = min(substitute, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// oneOf lists names as "a, b or c".
func oneOf(names []string) string {
	switch n := len(names); n {
	case 0:
		return "nothing"
	case 1:
		return names[0]
	default:
		return strings.Join(names[:n-1], ", ") + " or " + names[n-1]
	}
}
