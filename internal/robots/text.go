package robots

import (
	"strings"
	"unsafe"
)

// Empty reports whether the group has no rules: everything is allowed.
func (g *Group) Empty() bool { return len(g.rules) == 0 }

// Text is the group's rules as [ReadGroup] reads them: all that decides, and
// nothing of the file that they are from but that. Which lines the rules stood
// in, the agent and the crawl-delay are left out.
func (g *Group) Text() []byte {
	n := 0
	for i := range g.rules {
		n += len(g.rules[i].path) + 2
	}
	text := make([]byte, 0, n)
	for i := range g.rules {
		verb := byte('d')
		if g.rules[i].allow {
			verb = 'a'
		}
		text = append(append(append(text, verb), g.rules[i].path...), '\n')
	}
	return text
}

// ReadGroup makes a group of its Text. It holds no memory but its own.
func ReadGroup(text []byte) *Group {
	g := &Group{}
	rest := string(text)
	g.rules = make([]rule, 0, strings.Count(rest, "\n"))
	for rest != "" {
		var one string
		if one, rest, _ = strings.Cut(rest, "\n"); len(one) > 1 {
			g.rules = append(g.rules, compile(line{allow: one[0] == 'a', path: one[1:]}))
		}
	}
	g.sort()
	return g
}

// Size is about how many bytes a group from [ReadGroup] takes.
func (g *Group) Size() int64 {
	n := int64(unsafe.Sizeof(*g))
	for i := range g.rules {
		r := &g.rules[i]
		n += int64(unsafe.Sizeof(*r)) + 2*int64(len(r.path)) // pieces may be copies
		n += int64(cap(r.pieces)) * int64(unsafe.Sizeof(""))
	}
	return n
}
