package view

// Paint colours words for a terminal; false leaves them as they are. What it
// is given must be printable already.
type Paint bool

func (p Paint) in(code, s string) string {
	if !p || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// Bold makes a word stand out.
func (p Paint) Bold(s string) string { return p.in("1", s) }

// Dim makes a word stand back.
func (p Paint) Dim(s string) string { return p.in("2", s) }

// Good is green.
func (p Paint) Good(s string) string { return p.in("32", s) }

// Bad is red.
func (p Paint) Bad(s string) string { return p.in("31", s) }
