package canon

import (
	"fmt"
	"strconv"
	"strings"
)

// hostKey is a host pattern in parts.
type hostKey struct {
	host string // canonical; behind the "*.", if wild; empty for "*"
	wild bool
	port int // 0: any
}

// CheckHostGlob says what is wrong with a pattern of [HostGlobs]; the error
// names it.
func CheckHostGlob(pattern string) error {
	_, err := parseHostGlob(pattern)
	return err
}

func parseHostGlob(pattern string) (k hostKey, err error) {
	host := pattern
	if i := strings.LastIndexByte(host, ':'); i >= 0 && strings.LastIndexByte(host, ']') < i {
		port, err := strconv.ParseUint(host[i+1:], 10, 16)
		if err != nil || port == 0 {
			return hostKey{}, fmt.Errorf("host pattern %q: port %q: want 1 to 65535", pattern, host[i+1:])
		}
		k.port, host = int(port), host[:i]
	}
	if host == "*" {
		k.wild = true
		return k, nil
	}
	host, k.wild = strings.CutPrefix(host, "*.")
	if k.host, err = canonicalHost(host); err != nil || k.wild && isIP(k.host) {
		return hostKey{}, fmt.Errorf(`host pattern %q: want a host, "*.host" or "*", and perhaps ":port"`, pattern)
	}
	return k, nil
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

// HostGlobs finds the longest of many host patterns in a few map look-ups,
// however many there are: "books.example" is that host, "*.books.example" any
// name below it but not itself, "*" any host. With ":port" a pattern matches
// that port only, the scheme's default port included; without, any port.
type HostGlobs struct{ byKey map[hostKey]int }

// CompileHostGlobs compiles patterns; the first of two equal ones counts.
func CompileHostGlobs(patterns []string) (*HostGlobs, error) {
	h := &HostGlobs{make(map[hostKey]int, len(patterns))}
	for i, pattern := range patterns {
		k, err := parseHostGlob(pattern)
		if err != nil {
			return nil, err
		}
		if _, ok := h.byKey[k]; !ok {
			h.byKey[k] = i
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
