package robots

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Group is what a robots.txt says to one crawler. It is immutable; the zero
// value allows everything.
type Group struct {
	rules    []rule // most specific first
	agent    string // that it was found by; empty: no group is for this crawler
	delay    time.Duration
	hasDelay bool
}

// rule is a compiled path pattern.
type rule struct {
	allow    bool
	anchored bool     // ended in $
	weight   int      // octets: how specific it is
	path     string   // as the file has it
	line     int      // in the file, from 1
	pieces   []string // decoded, between the stars
}

// CrawlDelay returns the least time between two fetches that the site asks
// for, and whether it asks: of several, the longest.
func (g *Group) CrawlDelay() (time.Duration, bool) { return g.delay, g.hasDelay }

// Allowed reports whether the crawler may fetch a path with its query, and the
// rule that decided ("Disallow: /private"), empty if none did. The longest
// matching rule decides, of equally long ones an Allow. /robots.txt itself is
// always allowed.
func (g *Group) Allowed(pathQuery string) (ok bool, rule string) {
	d := g.Decide(pathQuery)
	return d.Allowed, d.Rule
}

// Decision is what a robots.txt says of one path, and why.
type Decision struct {
	Allowed bool
	Rule    string // that decided ("Disallow: /private"); empty if none did
	Line    int    // of the rule in the file, from 1; 0: none decided
}

// Agent is the user-agent by which the group was found, in the case the
// crawler has it: its own or "*"; empty when the file has no group for it.
func (g *Group) Agent() string { return g.agent }

// Decide is Allowed with the place of the rule.
func (g *Group) Decide(pathQuery string) Decision {
	if pathQuery == "" || pathQuery[0] != '/' {
		pathQuery = "/" + pathQuery
	}
	path, _, _ := strings.Cut(pathQuery, "?")
	if path == "/robots.txt" {
		return Decision{Allowed: true}
	}
	text := decode(pathQuery)
	for i := range g.rules {
		r := &g.rules[i]
		if !r.match(text) {
			continue
		}
		if r.allow {
			return Decision{true, "Allow: " + r.path, r.line}
		}
		return Decision{false, "Disallow: " + r.path, r.line}
	}
	return Decision{Allowed: true}
}

// sort puts the rule that decides before those it wins over.
func (g *Group) sort() {
	slices.SortStableFunc(g.rules, func(a, b rule) int {
		if a.weight != b.weight {
			return cmp.Compare(b.weight, a.weight)
		}
		switch {
		case a.allow && !b.allow:
			return -1
		case b.allow && !a.allow:
			return 1
		}
		return 0
	})
}

// compile splits a pattern at its stars. A $ is special at the end only; %24
// and %2A are literal.
func compile(l line) rule {
	r := rule{allow: l.allow, path: l.path, line: l.number}
	pattern, anchored := strings.CutSuffix(l.path, "$")
	if r.anchored = anchored; anchored {
		r.weight++
	}
	for i, piece := range strings.Split(pattern, "*") {
		if i > 0 {
			r.weight++
		}
		piece = decode(piece)
		r.weight += octets(piece)
		last := i == strings.Count(pattern, "*")
		if i == 0 || piece != "" || last {
			r.pieces = append(r.pieces, piece)
		}
	}
	return r
}

// match reports whether the rule matches a decoded path. Between stars each
// piece is taken where it first occurs, so the time is about linear in the
// path however many stars there are.
func (r *rule) match(path string) bool {
	rest, ok := strings.CutPrefix(path, r.pieces[0])
	if !ok {
		return false
	}
	for i, piece := range r.pieces[1:] {
		if r.anchored && i == len(r.pieces)-2 {
			return strings.HasSuffix(rest, piece)
		}
		at := strings.Index(rest, piece)
		if at < 0 {
			return false
		}
		rest = rest[at+len(piece):]
	}
	return !r.anchored || rest == ""
}

// decode brings a path into the form that is compared. RFC 9309 2.2.2 has
// paths and patterns percent-encoded alike: every octet but unreserved ones
// encoded, those decoded. Two strings are equal in that form exactly if they
// are equal with all escapes decoded, which is shorter.
func decode(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if hi, lo := hexValue(s[i+1]), hexValue(s[i+2]); hi >= 0 && lo >= 0 {
				b = append(b, byte(hi<<4|lo))
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

// octets is the length that counts for "most specific": non-ASCII counts as
// its encoded form, so that all spellings of a pattern weigh the same.
func octets(s string) int {
	n := len(s)
	for i := range len(s) {
		if s[i] >= 0x80 {
			n += 2
		}
	}
	return n
}

func hexValue(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}
