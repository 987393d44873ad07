// Package cookies keeps what servers set and says what is sent back to them
// (RFC 6265, with the prefixes and the rules about Secure of its revision,
// draft-ietf-httpbis-rfc6265bis), within bounds that no server can move.
//
// It is a jar of our own because net/http/cookiejar can't be bounded: it lists
// nothing, evicts nothing, and reads the clock itself.
package cookies

import (
	"container/list"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
	"golang.org/x/net/publicsuffix"
)

// Bounds of a jar. What RFC 6265, 6.1 wants kept at least is kept at most; one
// registered domain's cookies together fit the fields that servers take.
const (
	MaxCookie       = 4 << 10  // bytes of a cookie's name and value
	MaxDomain       = 50       // cookies of a registered domain
	MaxDomainBytes  = 32 << 10 // of their names and values
	maxAttribute    = 1 << 10  // longer attributes are not read
	longest         = 400 * 24 * time.Hour
	cookieOverhead  = 256 // bytes of memory, beside its texts
	domainOverhead  = 512
	securePrefix    = "__secure-"
	hostPrefix      = "__host-"
	nobodysLifetime = 1 << 62 // no expiry: as long as the jar
)

// Jar holds the cookies of one run in one process. It is safe for use by
// several goroutines.
type Jar struct {
	mu      sync.Mutex
	limit   int64
	used    int64
	domains map[string]*domain
	recent  *list.List // of *domain, the one used last first
	kept    *list.List // as recent: those with a session
}

// domain is what is kept of a registered domain.
type domain struct {
	name    string
	cookies []*cookie // in the order they came
	bytes   int       // of names and values
	at      *list.Element
	session bool
}

// cookie is one cookie (RFC 6265, 5.3).
type cookie struct {
	name, value string
	host        string // of the Domain attribute, or the host that set it
	path        string
	hostOnly    bool
	secure      bool
	origin      bool  // it came over TLS
	expires     int64 // Unix seconds; nobodysLifetime: with the jar
	used        int64 // Unix nanoseconds: when it was sent or set last
}

// New makes a jar whose cookies take at most limit bytes of memory. When they
// would take more, the registered domain whose cookies were used least recently
// loses all of its, those with a session last: see [Jar.Keep].
func New(limit int64) *Jar {
	return &Jar{limit: limit, domains: map[string]*domain{}, recent: list.New(), kept: list.New()}
}

// Header is the Cookie field of a request for the URL at now; empty: none is
// sent. It is a valid field value whatever servers set, of at most
// MaxDomainBytes and what separates its cookies.
func (j *Jar) Header(u canon.URL, now time.Time) string {
	j.mu.Lock()
	defer j.mu.Unlock()
	d := j.domains[canon.Domain(u.Host())]
	if d == nil {
		return ""
	}
	j.touch(d)
	j.expire(d, now)
	var send []*cookie
	for _, c := range d.cookies {
		if c.matches(u) {
			send = append(send, c)
		}
	}
	// Longer paths first; of equal ones, what was set first (5.4).
	slices.SortStableFunc(send, func(a, b *cookie) int { return len(b.path) - len(a.path) })
	var b strings.Builder
	for _, c := range send {
		c.used = now.UnixNano()
		if b.Len() > 0 {
			b.WriteString("; ")
		}
		b.WriteString(c.name)
		b.WriteByte('=')
		b.WriteString(c.value)
	}
	return b.String()
}

// Store takes the Set-Cookie fields of an answer from the URL over. One that
// says what it may not (a foreign domain, a public suffix, Secure without TLS, a
// prefix that it doesn't keep to), or that no field could send back, is left
// out, as browsers do.
func (j *Jar) Store(u canon.URL, headers []harrow.Header, now time.Time) {
	for _, h := range headers {
		if !strings.EqualFold(h.Name, "Set-Cookie") {
			continue
		}
		if c := read(h.Value, u, now); c != nil {
			j.put(canon.Domain(u.Host()), c, now)
		}
	}
}

// Keep says whether a registered domain holds a session of a login: its cookies
// are the last to go when there are too many.
func (j *Jar) Keep(registered string, session bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	d := j.domains[registered]
	if d == nil {
		if !session {
			return
		}
		d = j.add(registered)
	}
	if d.session != session {
		j.order(d).Remove(d.at)
		d.session = session
		d.at = j.order(d).PushFront(d)
	}
	j.shrink()
}

// Size is what the jar's cookies take of memory, in bytes.
func (j *Jar) Size() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.used
}

// put adds a cookie in the place of the one it replaces.
func (j *Jar) put(registered string, c *cookie, now time.Time) {
	j.mu.Lock()
	defer j.mu.Unlock()
	d := j.domains[registered]
	if d == nil {
		if c.expires <= now.Unix() {
			return
		}
		d = j.add(registered)
	}
	j.touch(d)
	j.expire(d, now)
	if !c.origin && d.shadows(c) {
		return
	}
	at := slices.IndexFunc(d.cookies, c.same)
	switch {
	case c.expires <= now.Unix():
		if at >= 0 {
			j.remove(d, at)
		}
		j.drop(d)
		return
	case at >= 0: // which keeps its place in the order (5.3, 11.3)
		j.used += c.memory() - d.cookies[at].memory()
		d.bytes += c.size() - d.cookies[at].size()
		d.cookies[at] = c
	default:
		j.used += c.memory()
		d.bytes += c.size()
		d.cookies = append(d.cookies, c)
	}
	c.used = now.UnixNano()
	for len(d.cookies) > MaxDomain || d.bytes > MaxDomainBytes {
		j.remove(d, d.oldest(c))
	}
	j.shrink()
}

// shadows reports whether a cookie that came without TLS would take the place
// of, or be sent in front of, one that is only sent over TLS
// (draft-ietf-httpbis-rfc6265bis, 5.7).
func (d *domain) shadows(c *cookie) bool {
	return slices.ContainsFunc(d.cookies, func(old *cookie) bool {
		return old.secure && old.name == c.name && (domainMatch(c.host, old.host) || domainMatch(old.host, c.host)) && pathMatch(c.path, old.path)
	})
}

// add begins a domain.
func (j *Jar) add(registered string) *domain {
	d := &domain{name: strings.Clone(registered)}
	d.at = j.recent.PushFront(d)
	j.domains[d.name] = d
	j.used += d.memory()
	return d
}

func (j *Jar) order(d *domain) *list.List {
	if d.session {
		return j.kept
	}
	return j.recent
}

func (j *Jar) touch(d *domain) { j.order(d).MoveToFront(d.at) }

// expire removes the cookies whose time is over.
func (j *Jar) expire(d *domain, now time.Time) {
	for i := len(d.cookies) - 1; i >= 0; i-- {
		if d.cookies[i].expires <= now.Unix() {
			j.remove(d, i)
		}
	}
}

func (j *Jar) remove(d *domain, i int) {
	j.used -= d.cookies[i].memory()
	d.bytes -= d.cookies[i].size()
	d.cookies = slices.Delete(d.cookies, i, i+1)
}

// drop forgets a domain without cookies, unless it holds a session.
func (j *Jar) drop(d *domain) {
	if len(d.cookies) > 0 || d.session {
		return
	}
	j.order(d).Remove(d.at)
	delete(j.domains, d.name)
	j.used -= d.memory()
}

// shrink forgets whole domains until the rest fits.
func (j *Jar) shrink() {
	for j.used > j.limit {
		last := j.recent.Back()
		if last == nil {
			last = j.kept.Back()
		}
		if last == nil {
			return
		}
		d := last.Value.(*domain)
		for len(d.cookies) > 0 {
			j.remove(d, len(d.cookies)-1)
		}
		j.order(d).Remove(d.at)
		delete(j.domains, d.name)
		j.used -= d.memory()
	}
}

// oldest is the cookie that goes when there are too many: the one that was not
// used for longest, and never the one that came now.
func (d *domain) oldest(except *cookie) int {
	at := -1
	for i, c := range d.cookies {
		if c != except && (at < 0 || c.used < d.cookies[at].used) {
			at = i
		}
	}
	return at
}

func (d *domain) memory() int64 { return int64(len(d.name) + domainOverhead) }

func (c *cookie) memory() int64 {
	return int64(len(c.name) + len(c.value) + len(c.host) + len(c.path) + cookieOverhead)
}

func (c *cookie) size() int { return len(c.name) + len(c.value) }

// same reports whether a cookie is this one, whatever its value.
func (c *cookie) same(o *cookie) bool {
	return c.name == o.name && c.host == o.host && c.path == o.path && c.hostOnly == o.hostOnly
}

// matches reports whether the cookie is sent to the URL (RFC 6265, 5.4).
func (c *cookie) matches(u canon.URL) bool {
	host := u.Host()
	return (host == c.host || !c.hostOnly && domainMatch(host, c.host)) && pathMatch(u.Path(), c.path) && (!c.secure || u.Scheme() == "https")
}

// domainMatch is RFC 6265, 5.1.3. An IP address matches itself only.
func domainMatch(host, domain string) bool {
	return host == domain || strings.HasSuffix(host, "."+domain) && canon.Domain(host) != host
}

// pathMatch is RFC 6265, 5.1.4.
func pathMatch(path, of string) bool {
	return strings.HasPrefix(path, of) && (len(path) == len(of) || strings.HasSuffix(of, "/") || path[len(of)] == '/')
}

// publicSuffix reports whether nobody may set a cookie for all of a domain.
func publicSuffix(domain string) bool {
	suffix, _ := publicsuffix.PublicSuffix(domain)
	return suffix == domain
}
