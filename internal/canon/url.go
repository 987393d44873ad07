package canon

import (
	"strconv"
	"strings"
)

// URL is a canonical URL: a small value, comparable with ==. The zero URL is
// no URL; its methods return empty values. Values are made by a
// [Canonicalizer] only.
type URL struct {
	s       string
	hostEnd uint16 // end of the host, brackets included
	path    uint16 // start of the path
	pathEnd uint16 // end of the path: the "?", or len(s)
}

// String returns the whole URL.
func (u URL) String() string { return u.s }

// IsZero reports whether u is no URL.
func (u URL) IsZero() bool { return u.s == "" }

// Scheme is "http" or "https".
func (u URL) Scheme() string {
	if u.s == "" {
		return ""
	}
	return u.s[:u.hostStart()-len("://")]
}

// Host is the host name or IP address without port and without the brackets of
// an IPv6 address.
func (u URL) Host() string {
	if u.s == "" {
		return ""
	}
	h := u.s[u.hostStart():u.hostEnd]
	if h[0] == '[' {
		h = h[1 : len(h)-1]
	}
	return h
}

// Authority is host or host:port; an IPv6 address is in brackets. The port is
// there only if it isn't the scheme's default.
func (u URL) Authority() string {
	if u.s == "" {
		return ""
	}
	return u.s[u.hostStart():u.path]
}

// Port is the port a connection goes to: the URL's own or the scheme's
// default; 0 for the zero URL.
func (u URL) Port() int {
	switch {
	case u.s == "":
		return 0
	case u.hostEnd < u.path:
		port, _ := strconv.Atoi(u.s[u.hostEnd+1 : u.path])
		return port
	case u.hostStart() == len("https://"):
		return 443
	}
	return 80
}

// Path is the path; it begins with a slash.
func (u URL) Path() string { return u.s[u.path:u.pathEnd] }

// Query is what follows the question mark; empty without a query.
func (u URL) Query() string {
	if int(u.pathEnd) == len(u.s) {
		return ""
	}
	return u.s[u.pathEnd+1:]
}

// PathQuery is path and query, what an HTTP request line holds and robots.txt
// is matched against.
func (u URL) PathQuery() string { return u.s[u.path:] }

func (u URL) hostStart() int {
	if strings.HasPrefix(u.s, "https") {
		return len("https://")
	}
	return len("http://")
}

// MarshalText implements encoding.TextMarshaler.
func (u URL) MarshalText() ([]byte, error) { return []byte(u.s), nil }
