package cookies

import (
	"fmt"
	"strings"
	"time"

	"github.com/harrowdata/harrow/internal/canon"
	"golang.org/x/net/http/httpguts"
)

// attributes are what a Set-Cookie field says beside name and value; of one
// that it says twice the last counts.
type attributes struct {
	domain  string
	path    string
	secure  bool
	expires time.Time // zero: not said
	maxAge  string
}

// read reads one Set-Cookie field of an answer from the URL (RFC 6265, 5.2 and
// 5.3); nil: nothing is stored. What it returns shares no memory with the field.
func read(field string, u canon.URL, now time.Time) *cookie {
	pair, rest, _ := strings.Cut(field, ";")
	name, value, ok := strings.Cut(pair, "=")
	name, value = trim(name), trim(value)
	if !ok || name == "" || len(name)+len(value) > MaxCookie || !httpguts.ValidHeaderFieldValue(name) || !httpguts.ValidHeaderFieldValue(value) {
		return nil
	}
	a, ok := readAttributes(rest)
	if !ok {
		return nil
	}
	c := &cookie{name: strings.Clone(name), value: strings.Clone(value), secure: a.secure, path: defaultPath(u), expires: a.end(now)}
	if strings.HasPrefix(a.path, "/") {
		c.path = strings.Clone(a.path)
	}
	if !c.setHost(a.domain, u.Host()) {
		return nil
	}
	c.origin = u.Scheme() == "https"
	if c.secure && !c.origin || !c.keepsPrefix(a) {
		return nil
	}
	return c
}

// readAttributes reads what follows name and value; false: the cookie is none,
// for a character that no field may have.
func readAttributes(rest string) (a attributes, ok bool) {
	for part := range strings.SplitSeq(rest, ";") {
		key, value, _ := strings.Cut(part, "=")
		key, value = trim(key), trim(value)
		if !httpguts.ValidHeaderFieldValue(part) {
			return a, false
		}
		if len(value) > maxAttribute {
			continue
		}
		switch strings.ToLower(key) {
		case "expires":
			if t, ok := parseDate(value); ok {
				a.expires = t
			}
		case "max-age":
			if isAge(value) {
				a.maxAge = value
			}
		case "domain":
			a.domain = strings.TrimPrefix(value, ".")
		case "path":
			a.path = value
		case "secure":
			a.secure = true
		}
	}
	return a, true
}

// setHost says where the cookie goes: to hosts of the Domain attribute, which
// must be the host or above it and no public suffix, or to the host alone (5.3,
// 4 to 6).
func (c *cookie) setHost(domain, host string) bool {
	if domain == "" {
		c.host, c.hostOnly = strings.Clone(host), true
		return true
	}
	if domain != host { // written as canonical URLs write hosts
		to, err := plain.Parse("http://" + domain + "/")
		if err != nil || strings.ContainsAny(domain, "@:/?#\\") {
			return false
		}
		domain = to.Host()
	}
	// Not above the registered domain: of the rule *.kobe.jp alone, kobe.jp is
	// no public suffix.
	if registered := canon.Domain(host); !domainMatch(host, domain) || domain != host && !domainMatch(domain, registered) {
		return false
	}
	c.host, c.hostOnly = strings.Clone(domain), publicSuffix(domain)
	return !c.hostOnly || host == domain
}

var plain = func() *canon.Canonicalizer {
	c, err := canon.New(canon.Policy{})
	if err != nil {
		panic(fmt.Sprintf("cookies: %v", err)) // the empty policy is valid
	}
	return c
}()

// keepsPrefix holds a name that promises something to its promise
// (draft-ietf-httpbis-rfc6265bis, 4.1.3).
func (c *cookie) keepsPrefix(a attributes) bool {
	name := strings.ToLower(c.name)
	switch {
	case strings.HasPrefix(name, securePrefix):
		return c.secure
	case strings.HasPrefix(name, hostPrefix):
		return c.secure && a.domain == "" && a.path == "/"
	}
	return true
}

// end is when the cookie's time is over, in Unix seconds. Max-Age wins over
// Expires; neither is believed beyond 400 days.
func (a attributes) end(now time.Time) int64 {
	most := now.Add(longest).Unix()
	switch {
	case a.maxAge != "":
		seconds := age(a.maxAge)
		if seconds <= 0 {
			return 0
		}
		return min(now.Unix()+seconds, most)
	case !a.expires.IsZero():
		return min(a.expires.Unix(), most)
	}
	return nobodysLifetime
}

// isAge reports whether a text is digits, with a sign before them perhaps
// (5.2.2).
func isAge(text string) bool {
	digits := strings.TrimPrefix(text, "-")
	return digits != "" && strings.Trim(digits, "0123456789") == ""
}

// age is the number of an isAge, as far as it matters.
func age(text string) (n int64) {
	if text[0] == '-' {
		return 0
	}
	for _, digit := range text {
		if n = n*10 + int64(digit-'0'); n > int64(longest/time.Second) {
			break
		}
	}
	return n
}

// defaultPath is the path of a cookie that names none (5.1.4).
func defaultPath(u canon.URL) string {
	path := u.Path()
	i := strings.LastIndexByte(path, '/')
	if i <= 0 {
		return "/"
	}
	return strings.Clone(path[:i])
}

func trim(text string) string { return strings.Trim(text, " \t") }
