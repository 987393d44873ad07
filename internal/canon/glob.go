package canon

import (
	"fmt"
	"regexp"
	"strings"
)

// Glob is a compiled pattern over URLs, as scope, match and within use it:
//
//   - a pattern that begins with "/" or "*" matches the path;
//   - one that contains "//" (but a path pattern like "/a//b" is none of these)
//     matches scheme://host/path, the port included if it isn't the default;
//     a leading "//" stands for any scheme;
//   - "re:" and an RE2 expression matches anywhere in the whole canonical URL.
//
// In globs `*` is any run of characters except "/", `**` any run at all, and
// `**/` after a slash or at the beginning may be nothing: "/a/**/b" matches
// "/a/b". A glob matches the whole of what it is held against; the query is
// not part of that. Case matters. Literals are compared in canonical form, so
// "/café" matches "/caf%C3%A9".
type Glob struct {
	pattern string
	program string         // the pattern with its stars as the bytes below
	whole   bool           // matches scheme://host/path
	re      *regexp.Regexp // "re:"
}

// Stars of a program. Control characters never occur in canonical URLs.
const (
	star     = 0x01 // `*`
	deepStar = 0x02 // `**`
	dirStar  = 0x03 // `**/` at the beginning of a segment
)

// CompileGlob compiles a pattern; the error names it.
func CompileGlob(pattern string) (*Glob, error) {
	if expression, ok := strings.CutPrefix(pattern, "re:"); ok {
		re, err := regexp.Compile(expression)
		if err != nil {
			return nil, fmt.Errorf("pattern %q: %w", pattern, err)
		}
		return &Glob{pattern: pattern, re: re}, nil
	}
	if strings.ContainsAny(pattern, "?#") {
		return nil, fmt.Errorf("pattern %q: a glob matches the path, without the query; use re: for that", pattern)
	}
	g := &Glob{pattern: pattern}
	text := pattern
	switch {
	case strings.HasPrefix(pattern, "//"):
		g.whole, text = true, "*:"+pattern
	case strings.HasPrefix(pattern, "/"):
	case strings.Contains(pattern, "//"):
		g.whole = true
	case strings.HasPrefix(pattern, "*") && !strings.HasPrefix(pattern, "**") && !strings.HasPrefix(pattern, "*/"):
		return nil, fmt.Errorf("pattern %q: * stops at /, and every path begins with one: want **%s", pattern, pattern[1:])
	case !strings.HasPrefix(pattern, "*"):
		return nil, fmt.Errorf("pattern %q: want a path glob beginning with / or *, scheme://host/path, or re: and an expression", pattern)
	}
	if g.whole {
		var err error
		if text, err = canonicalOrigin(text); err != nil {
			return nil, fmt.Errorf("pattern %q: %w", pattern, err)
		}
	}
	g.program = program(string(appendEscaped(nil, text, &pathByte)))
	return g, nil
}

// canonicalOrigin lower-cases scheme and host of a whole-URL glob, removes the
// default port and adds the path of a bare host.
func canonicalOrigin(text string) (string, error) {
	scheme, rest, _ := strings.Cut(text, "//")
	host, path, hasPath := strings.Cut(rest, "/")
	for i := range len(host) {
		if host[i] >= 0x80 {
			return "", fmt.Errorf("host %q: write it in punycode", host)
		}
	}
	scheme, host = strings.ToLower(scheme), strings.ToLower(host)
	if scheme == "http:" {
		host = strings.TrimSuffix(host, ":80")
	}
	if scheme == "https:" {
		host = strings.TrimSuffix(host, ":443")
	}
	if !hasPath && strings.HasSuffix(host, "**") {
		return scheme + "//" + host, nil
	}
	return scheme + "//" + host + "/" + path, nil
}

// program replaces stars by their bytes.
func program(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); {
		run := 0
		for i+run < len(text) && text[i+run] == '*' {
			run++
		}
		atStart := i == 0 || text[i-1] == '/'
		i += run
		switch {
		case run == 0:
			b.WriteByte(text[i])
			i++
		case run == 1:
			b.WriteByte(star)
		case atStart && i < len(text) && text[i] == '/':
			b.WriteByte(dirStar)
			i++
		default:
			b.WriteByte(deepStar)
		}
	}
	return b.String()
}

// String returns the pattern as it was written.
func (g *Glob) String() string { return g.pattern }

// Match reports whether the URL matches. Its time is at most quadratic in the
// URL's length, and linear where no star follows a `**`.
func (g *Glob) Match(u URL) bool {
	switch {
	case g.re != nil:
		return g.re.MatchString(u.s)
	case g.whole:
		return run(g.program, u.s[:u.pathEnd])
	}
	return run(g.program, u.Path())
}

// run matches text against a program. It remembers the last star and the last
// deep star only: an earlier one, matched as short as possible, never needs to
// give more than a later one can take.
func run(p, s string) bool {
	i, j := 0, 0
	starP, starS := -1, 0
	deepP, deepS, dirs := -1, 0, false
	for {
		if j < len(p) && p[j] <= dirStar {
			op := p[j]
			j++
			if op == star {
				starP, starS = j, i
			} else {
				starP, deepP, deepS, dirs = -1, j, i, op == dirStar
			}
			continue
		}
		if i == len(s) {
			return j == len(p)
		}
		if j < len(p) && p[j] == s[i] {
			i++
			j++
			continue
		}
		switch {
		case starP >= 0 && starS < len(s) && s[starS] != '/':
			starS++
			i, j = starS, starP
		case deepP >= 0 && !dirs && j == len(p) && deepP == len(p):
			return true // a deep star at the end takes the rest
		case deepP >= 0:
			if dirs {
				next := strings.IndexByte(s[deepS:], '/')
				if next < 0 {
					return false
				}
				deepS += next
			}
			deepS++
			i, j, starP = deepS, deepP, -1
		default:
			return false
		}
	}
}

// anyMatch returns the first glob that matches, or nil.
func anyMatch(globs []*Glob, u URL) *Glob {
	for _, g := range globs {
		if g.Match(u) {
			return g
		}
	}
	return nil
}
