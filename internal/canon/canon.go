package canon

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// What is wrong with a reference. Errors of [Canonicalizer.Parse] and
// [Canonicalizer.Resolve] wrap one of these; the link or seed is not a request.
var (
	// ErrSyntax: not a URL, or a relative reference without a base.
	ErrSyntax = errors.New("not a valid URL")
	// ErrScheme: neither http nor https.
	ErrScheme = errors.New("scheme is not http or https")
	// ErrUserinfo: the URL holds a user name or password. The error's text
	// doesn't repeat them.
	ErrUserinfo = errors.New("user name or password in the URL")
	// ErrTooLong: longer than MaxBytes.
	ErrTooLong = fmt.Errorf("longer than %d bytes", MaxBytes)
)

// Policy is what a job decides about the canonical form; see the package
// comment for the rest. The zero value strips and sorts nothing.
type Policy struct {
	// Strip names query parameters to remove; `*` is any run of characters.
	// Case matters. A pattern is compared with the parameter's name in
	// canonical form.
	Strip []string `json:"strip,omitempty"`
	// SortQuery sorts the query's parameters by name.
	SortQuery bool `json:"sort_query,omitempty"`
}

// Canonicalizer makes canonical URLs under one policy. It is immutable and may
// be used by several goroutines.
type Canonicalizer struct {
	strip []string
	sort  bool
}

// New compiles a policy. An empty pattern is an error.
func New(p Policy) (*Canonicalizer, error) {
	c := &Canonicalizer{sort: p.SortQuery}
	for i, pattern := range p.Strip {
		if pattern == "" || strings.ContainsAny(pattern, "&=#") {
			return nil, fmt.Errorf("canonical.strip[%d] %q: want the name of a query parameter, * for any run of characters", i, pattern)
		}
		name := string(appendEscaped(nil, pattern, &queryByte))
		c.strip = append(c.strip, name)
	}
	return c, nil
}

// Parse returns the canonical form of an absolute URL.
func (c *Canonicalizer) Parse(raw string) (URL, error) { return c.Resolve(URL{}, raw) }

// Resolve returns the canonical form of a reference found in the document at
// base. With the zero base the reference must be absolute.
func (c *Canonicalizer) Resolve(base URL, ref string) (URL, error) {
	u, err := c.resolve(base, ref)
	if err != nil {
		return URL{}, describe(ref, err)
	}
	return u, nil
}

func (c *Canonicalizer) resolve(base URL, ref string) (URL, error) {
	ref = strings.TrimFunc(ref, func(r rune) bool { return r <= ' ' })
	if scheme := schemeOf(ref); scheme != "" && !isWeb(scheme) {
		return URL{}, ErrScheme // early: data: URLs may be megabytes
	}
	if len(ref) > MaxBytes {
		return URL{}, ErrTooLong
	}
	ref = clean(ref)
	var stack [512]byte
	if b, ok := c.fast(stack[:0], base, ref); ok {
		return b.url()
	}
	b, err := c.standard(base, ref)
	if err != nil {
		return URL{}, err
	}
	return b.url()
}

// clean does what the standard does to its input before it looks at it, and
// drops the fragment.
func clean(ref string) string {
	if strings.ContainsAny(ref, "\t\n\r") {
		ref = strings.NewReplacer("\t", "", "\n", "", "\r", "").Replace(ref)
	}
	ref, _, _ = strings.Cut(ref, "#")
	if !utf8.ValidString(ref) {
		ref = string([]rune(ref)) // each bad byte becomes U+FFFD
	}
	return ref
}

// schemeOf returns what stands before the colon if that could be a scheme.
func schemeOf(ref string) string {
	for i := 0; i < len(ref); i++ {
		switch c := ref[i]; {
		case c == ':' && i > 0:
			return ref[:i]
		case isAlpha(c):
		case i > 0 && (isDigit(c) || c == '+' || c == '-' || c == '.'):
		case c == '\t' || c == '\n' || c == '\r':
			return schemeOf(clean(ref[:min(len(ref), MaxBytes)]))
		default:
			return ""
		}
	}
	return ""
}

func isWeb(scheme string) bool {
	return strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https")
}

// build is a canonical URL in the making: b holds it up to where it is known.
type build struct {
	b       []byte
	hostEnd int
	path    int
	pathEnd int
}

func (b build) url() (URL, error) {
	if len(b.b) > MaxBytes {
		return URL{}, ErrTooLong
	}
	return URL{string(b.b), uint16(b.hostEnd), uint16(b.path), uint16(b.pathEnd)}, nil
}

// finish appends path (with its leading slash) and query.
func (c *Canonicalizer) finish(b build, path, query string) build {
	b.path = len(b.b)
	b.b = append(b.b, '/')
	b.b = appendPath(b.b, b.path, strings.TrimPrefix(path, "/"))
	b.pathEnd = len(b.b)
	b.b = c.appendQuery(b.b, query)
	return b
}

// appendQuery appends "?" and what is left of the query, or nothing.
func (c *Canonicalizer) appendQuery(dst []byte, query string) []byte {
	if query == "" {
		return dst
	}
	mark := len(dst)
	dst = append(dst, '?')
	for kept, more := 0, true; more; {
		var pair string
		pair, query, more = strings.Cut(query, "&")
		start := len(dst)
		if kept > 0 {
			dst = append(dst, '&')
		}
		name := len(dst)
		dst = appendEscaped(dst, pair, &queryByte)
		if c.stripped(dst[name:]) {
			dst = dst[:start]
			continue
		}
		kept++
	}
	if len(dst) == mark+1 {
		return dst[:mark]
	}
	if c.sort {
		sortQuery(dst[mark+1:])
	}
	return dst
}

// stripped reports whether the policy removes the parameter.
func (c *Canonicalizer) stripped(pair []byte) bool {
	if len(c.strip) == 0 {
		return false
	}
	for i, b := range pair {
		if b == '=' {
			pair = pair[:i]
			break
		}
	}
	for _, pattern := range c.strip {
		if wildcard(pattern, pair) {
			return true
		}
	}
	return false
}

// sortQuery sorts the parameters in place, by name, stably.
func sortQuery(query []byte) {
	pairs := strings.Split(string(query), "&")
	slices.SortStableFunc(pairs, func(a, b string) int {
		nameA, _, _ := strings.Cut(a, "=")
		nameB, _, _ := strings.Cut(b, "=")
		return strings.Compare(nameA, nameB)
	})
	at := 0
	for i, pair := range pairs {
		if i > 0 {
			query[at] = '&'
			at++
		}
		at += copy(query[at:], pair)
	}
}

// wildcard matches a name against a pattern in which only * is special.
func wildcard(pattern string, name []byte) bool {
	p, n, star, from := 0, 0, -1, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, n
			p++
		case p < len(pattern) && pattern[p] == name[n]:
			p++
			n++
		case star >= 0:
			from++
			p, n = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// describe names the reference in the error, shortened. What could be
// credentials is left out whatever the error is: it ends up in tables and logs.
func describe(ref string, err error) error {
	if at := strings.LastIndexByte(ref, '@'); at >= 0 {
		head := ""
		if scheme := schemeOf(ref); scheme != "" {
			head = scheme + ":"
		}
		ref = head + "…" + ref[at:]
	}
	return fmt.Errorf("URL %.200q: %w", ref, err)
}
