package canon

import (
	"bytes"
	"fmt"
	"strings"

	whatwg "github.com/nlnwa/whatwg-url/url"
)

// maxHost is the longest host name in bytes (RFC 1035 2.3.4, as text).
const maxHost = 253

// fast resolves what nearly every link is: a plain http(s) URL, or a relative
// reference, whose host is ASCII letters, digits, hyphens, underscores and
// dots. For everything else it returns false and decides nothing. A test holds
// it equal to standard. ref is clean.
func (c *Canonicalizer) fast(dst []byte, base URL, ref string) (build, bool) {
	rest, web := cutWeb(ref)
	switch {
	case web && rest[0] == 's':
		return c.fastAuthority(append(dst, "https://"...), rest[len("s://"):])
	case web:
		return c.fastAuthority(append(dst, "http://"...), rest[len("://"):])
	case schemeOf(ref) != "" || base.IsZero():
		return build{}, false
	case strings.HasPrefix(ref, "//"):
		return c.fastAuthority(append(dst, base.s[:base.hostStart()]...), ref[len("//"):])
	}
	path, query, hasQuery := strings.Cut(ref, "?")
	if strings.IndexByte(path, '\\') >= 0 {
		return build{}, false
	}
	b := build{b: append(dst, base.s[:base.path]...), hostEnd: int(base.hostEnd)}
	switch {
	case path == "" && !hasQuery:
		return c.finish(b, base.Path(), base.Query()), true
	case path == "":
		return c.finish(b, base.Path(), query), true
	case path[0] == '/':
		return c.finish(b, path, query), true
	}
	dir := base.Path()
	dir = dir[:strings.LastIndexByte(dir, '/')+1]
	b.path = len(b.b)
	b.b = appendPath(append(b.b, dir...), b.path, path)
	b.pathEnd = len(b.b)
	b.b = c.appendQuery(b.b, query)
	return b, true
}

// cutWeb returns what follows "http", if ref begins with http:// or https://.
func cutWeb(ref string) (string, bool) {
	if len(ref) < len("http://") || !strings.EqualFold(ref[:4], "http") {
		return "", false
	}
	rest := ref[4:]
	if strings.HasPrefix(rest, "://") {
		return rest, true
	}
	if rest[0]|0x20 == 's' && strings.HasPrefix(rest[1:], "://") {
		return "s" + rest[1:], true
	}
	return "", false
}

// fastAuthority goes on behind the two slashes. dst holds scheme://.
func (c *Canonicalizer) fastAuthority(dst []byte, s string) (build, bool) {
	b := build{b: dst}
	end := strings.IndexAny(s, "/?\\")
	if end < 0 {
		end = len(s)
	} else if s[end] == '\\' {
		return build{}, false
	}
	host, port, hasPort := strings.Cut(s[:end], ":")
	start := len(dst)
	if b.b = appendPlainHost(dst, host); b.b == nil {
		return build{}, false
	}
	b.hostEnd = len(b.b)
	if hasPort && port != "" {
		n := 0
		for i := range len(port) {
			if !isDigit(port[i]) || len(port) > 5 {
				return build{}, false
			}
			n = n*10 + int(port[i]-'0')
		}
		if n > 65535 || port[0] == '0' {
			return build{}, false
		}
		if n != defaultPort(start) {
			b.b = append(append(b.b, ':'), port...)
		}
	}
	path, query, _ := strings.Cut(s[end:], "?")
	if strings.IndexByte(path, '\\') >= 0 {
		return build{}, false
	}
	return c.finish(b, path, query), true
}

// defaultPort tells the scheme by where the host starts.
func defaultPort(hostStart int) int {
	if hostStart == len("https://") {
		return 443
	}
	return 80
}

// appendPlainHost appends the host in lower case without its trailing dot, or
// returns nil if it is anything but plain: see fast. Punycode labels and hosts
// that could be an IPv4 address are not plain.
func appendPlainHost(dst []byte, host string) []byte {
	host = strings.TrimSuffix(host, ".")
	if host == "" || len(host) > maxHost {
		return nil
	}
	start, label := len(dst), 0
	for i := 0; i < len(host); i++ {
		c := host[i]
		switch {
		case isAlpha(c):
			c |= 0x20
		case isDigit(c) || c == '-' || c == '_':
		case c == '.' && i > label:
			label = i + 1
		default:
			return nil
		}
		dst = append(dst, c)
	}
	if label == len(host) || !isAlpha(host[label]) || bytes.Contains(dst[start:], []byte("xn--")) {
		return nil
	}
	return dst
}

// standard resolves by the WHATWG parser and puts the policy on top. It is
// right for every reference, and slow, so it refuses absurd ones.
func (c *Canonicalizer) standard(base URL, ref string) (b build, err error) {
	u, err := whatwgParse(base.s, ref+"#") // else a space before the fragment that clean dropped would be trimmed
	if err != nil {
		return build{}, err
	}
	if !isWeb(u.Scheme()) {
		return build{}, ErrScheme
	}
	if u.Username() != "" || u.Password() != "" {
		return build{}, ErrUserinfo
	}
	host, err := checkHost(u.Hostname())
	if err != nil {
		return build{}, err
	}
	b.b = append(append(append(b.b, u.Scheme()...), "://"...), host...)
	b.hostEnd = len(b.b)
	if port := u.Port(); port != "" {
		b.b = append(append(b.b, ':'), port...)
	}
	return c.finish(b, u.Pathname(), u.Query()), nil
}

// The library takes time quadratic in the number of path segments and of @;
// real URLs stay far below these.
const (
	maxSlashes = 1024
	maxAts     = 64
)

// whatwgParse calls the library; what it panics on is not a URL.
func whatwgParse(base, ref string) (u *whatwg.Url, err error) {
	defer func() {
		if p := recover(); p != nil {
			u, err = nil, fmt.Errorf("%w: the parser gave up: %v", ErrSyntax, p)
		}
	}()
	if slashes := strings.Count(base, "/") + strings.Count(ref, "/") + strings.Count(ref, "\\"); slashes > maxSlashes || strings.Count(ref, "@") > maxAts {
		return nil, fmt.Errorf("%w: over %d slashes or %d @", ErrSyntax, maxSlashes, maxAts)
	}
	u, err = whatwg.ParseRef(base, ref)
	if err != nil || u == nil {
		return nil, ErrSyntax
	}
	return u, nil
}

// checkHost holds a host that the standard accepts to our own rules.
func checkHost(host string) (string, error) {
	host = strings.TrimSuffix(host, ".")
	if host == "" || len(host) > maxHost || host[0] == '.' || strings.HasSuffix(host, ".") || strings.Contains(host, "..") {
		return "", fmt.Errorf("%w: host name with an empty label or over %d bytes", ErrSyntax, maxHost)
	}
	return host, nil
}
