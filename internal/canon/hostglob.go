package canon

import (
	"fmt"
	"strconv"
	"strings"
)

// HostGlob is a compiled pattern over hosts: "books.example" is that host,
// "*.books.example" any name below it but not itself, "*" any host. With
// ":port" it matches that port only, the scheme's default port included;
// without it matches any port.
type HostGlob struct {
	pattern string
	key     hostKey
}

// hostKey is a host pattern in parts.
type hostKey struct {
	host string // canonical; behind the "*.", if wild; empty for "*"
	wild bool
	port int // 0: any
}

// CompileHostGlob compiles a pattern; the error names it.
func CompileHostGlob(pattern string) (HostGlob, error) {
	g := HostGlob{pattern: pattern}
	host := pattern
	if i := strings.LastIndexByte(host, ':'); i >= 0 && strings.LastIndexByte(host, ']') < i {
		port, err := strconv.ParseUint(host[i+1:], 10, 16)
		if err != nil || port == 0 {
			return HostGlob{}, fmt.Errorf("host pattern %q: port %q: want 1 to 65535", pattern, host[i+1:])
		}
		g.key.port, host = int(port), host[:i]
	}
	if host == "*" {
		g.key.wild = true
		return g, nil
	}
	host, g.key.wild = strings.CutPrefix(host, "*.")
	canonical, err := canonicalHost(host)
	if err != nil || g.key.wild && isIP(canonical) {
		return HostGlob{}, fmt.Errorf(`host pattern %q: want a host, "*.host" or "*", and perhaps ":port"`, pattern)
	}
	g.key.host = canonical
	return g, nil
}

// canonicalHost returns the canonical form of a host, without brackets.
func canonicalHost(host string) (string, error) {
	if host == "" || strings.ContainsAny(host, "*/?#@\\: \t\r\n%") && host[0] != '[' {
		return "", ErrSyntax
	}
	c := Canonicalizer{}
	u, err := c.Parse("http://" + host + "/")
	if err != nil {
		return "", err
	}
	return u.Host(), nil
}

// String returns the pattern as it was written.
func (g HostGlob) String() string { return g.pattern }

// Match reports whether the URL's host and port match.
func (g HostGlob) Match(u URL) bool { return g.MatchHost(u.Host(), u.Port()) }

// MatchHost is Match for a canonical host without brackets and the port a
// connection goes to.
func (g HostGlob) MatchHost(host string, port int) bool {
	k := g.key
	if k.port != 0 && k.port != port {
		return false
	}
	if !k.wild {
		return k.host == host
	}
	if k.host == "" {
		return true
	}
	sub, ok := strings.CutSuffix(host, k.host)
	return ok && len(sub) > 1 && sub[len(sub)-1] == '.'
}

// HostGlobs finds the longest of many host patterns in a few map look-ups,
// however many there are.
type HostGlobs struct{ byKey map[hostKey]int }

// CompileHostGlobs compiles patterns; the first of two equal ones counts.
func CompileHostGlobs(patterns []string) (*HostGlobs, error) {
	h := &HostGlobs{make(map[hostKey]int, len(patterns))}
	for i, pattern := range patterns {
		g, err := CompileHostGlob(pattern)
		if err != nil {
			return nil, err
		}
		if _, ok := h.byKey[g.key]; !ok {
			h.byKey[g.key] = i
		}
	}
	return h, nil
}

// Longest returns the index of the pattern that wins for a canonical host
// (without brackets) and the port a connection goes to, or -1 if none matches.
// The longest host part wins; of equal ones, that with a port.
func (h *HostGlobs) Longest(host string, port int) int {
	if i := h.find(hostKey{host: host, port: port}); i >= 0 {
		return i
	}
	if !isIP(host) {
		for rest := host; ; {
			_, suffix, ok := strings.Cut(rest, ".")
			if !ok {
				break
			}
			if i := h.find(hostKey{host: suffix, wild: true, port: port}); i >= 0 && suffix != "" {
				return i
			}
			rest = suffix
		}
	}
	return h.find(hostKey{wild: true, port: port})
}

// find looks the key up with its port, then with any.
func (h *HostGlobs) find(k hostKey) int {
	if i, ok := h.byKey[k]; ok {
		return i
	}
	k.port = 0
	if i, ok := h.byKey[k]; ok {
		return i
	}
	return -1
}
