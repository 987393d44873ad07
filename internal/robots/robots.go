// Package robots reads robots.txt and says what a crawler may fetch, by RFC
// 9309. Parsing never fails: what isn't understood is left out.
//
// Beyond the RFC it reads Crawl-delay and Sitemap lines, and takes "allow /x"
// for "allow: /x". Crawl-delay belongs to the group it stands in and never
// begins or ends one (RFC 9309 2.2.4).
package robots

import (
	"strings"
	"time"
)

// MaxBytes is how much of a robots.txt is read (RFC 9309 2.5 asks for at least
// that); a line that is cut there is dropped.
const MaxBytes = 500 << 10

// MaxCrawlDelay is the longest crawl-delay that is obeyed; longer ones count as
// this.
const MaxCrawlDelay = time.Hour

// Verdict says what to do with the answer to a request for robots.txt.
type Verdict int

const (
	// Defer: the file is unreachable; the host must not be asked for now.
	Defer Verdict = iota
	// ParseBody: the body holds the rules.
	ParseBody
	// AllowAll: the file is unavailable; everything is allowed.
	AllowAll
)

// Status returns the verdict for a final HTTP status (RFC 9309 2.3.1): 2xx is
// parsed; 4xx save 429 allows all, and so does a 3xx, which is what is left
// when redirects were given up; 429, 5xx and anything else defers.
func Status(code int) Verdict {
	switch {
	case code >= 200 && code <= 299:
		return ParseBody
	case code == 429:
		return Defer
	case code >= 300 && code <= 499:
		return AllowAll
	}
	return Defer
}

// Robots is a parsed robots.txt. The zero value and nil allow everything.
type Robots struct {
	groups   []*section
	sitemaps []string
}

// section is a group as the file has it: user-agent lines, then rules.
type section struct {
	agents   []string // product tokens; "*" for everyone
	rules    []line
	delay    time.Duration
	hasDelay bool
}

// line is a rule as the file has it.
type line struct {
	allow  bool
	path   string
	number int // in the file, from 1
}

// Parse reads a robots.txt.
func Parse(body []byte) *Robots {
	p := parser{robots: &Robots{}, number: 1}
	text := string(bounded(body))
	for _, bom := range []string{"\xef\xbb\xbf", "\xef\xbb", "\xef"} {
		if rest, ok := strings.CutPrefix(text, bom); ok {
			text = rest
			break
		}
	}
	for text != "" {
		end := strings.IndexAny(text, "\r\n")
		if end < 0 {
			end = len(text)
		}
		p.line(text[:end])
		if !strings.HasPrefix(text[end:], "\r\n") { // two characters, one end of a line
			p.number++
		}
		text = text[min(end+1, len(text)):]
	}
	return p.robots
}

// bounded cuts the body at MaxBytes, behind the last whole line.
func bounded(body []byte) []byte {
	if len(body) <= MaxBytes {
		return body
	}
	body = body[:MaxBytes]
	for i := len(body) - 1; i >= 0; i-- {
		if body[i] == '\n' || body[i] == '\r' {
			return body[:i]
		}
	}
	return nil
}

// parser holds the group that is being read.
type parser struct {
	robots *Robots
	group  *section // nil before the first user-agent line
	number int      // of the line
	rules  bool     // group has had a rule line: the next user-agent line begins another
}

func (p *parser) line(text string) {
	text, _, _ = strings.Cut(text, "#")
	key, value, ok := strings.Cut(text, ":")
	if !ok {
		fields := strings.Fields(text)
		if len(fields) != 2 {
			return
		}
		key, value = fields[0], fields[1]
	}
	value = strings.TrimSpace(value)
	switch strings.ToLower(strings.TrimSpace(key)) {
	case "user-agent":
		p.agent(value)
	case "allow":
		p.rule(true, value)
	case "disallow":
		p.rule(false, value)
	case "crawl-delay":
		if delay, ok := parseDelay(value); ok && p.group != nil {
			p.group.delay, p.group.hasDelay = max(p.group.delay, delay), true
		}
	case "sitemap":
		if value != "" {
			p.robots.sitemaps = append(p.robots.sitemaps, value)
		}
	}
}

func (p *parser) agent(value string) {
	if p.group == nil || p.rules {
		p.group, p.rules = &section{}, false
		p.robots.groups = append(p.robots.groups, p.group)
	}
	token := leadingToken(value)
	if value == "*" || strings.HasPrefix(value, "* ") || strings.HasPrefix(value, "*\t") {
		token = "*"
	}
	if token != "" {
		p.group.agents = append(p.group.agents, token)
	}
}

// rule adds a rule. An empty one rules nothing, but ends the user-agent lines.
func (p *parser) rule(allow bool, value string) {
	if p.group == nil {
		return // RFC 9309 2.2.1: rules outside a group are ignored
	}
	p.rules = true
	if value != "" && (value[0] == '/' || value[0] == '*') {
		p.group.rules = append(p.group.rules, line{allow, value, p.number})
	}
}

// parseDelay reads seconds, digits with at most one point; anything else
// (negative, NaN, exponents, units) is no delay.
func parseDelay(s string) (time.Duration, bool) {
	whole, fraction, _ := strings.Cut(s, ".")
	if whole+fraction == "" || strings.Trim(whole+fraction, "0123456789") != "" {
		return 0, false
	}
	var delay time.Duration
	for i := range len(whole) {
		delay = delay*10 + time.Duration(whole[i]-'0')*time.Second
		if delay >= MaxCrawlDelay {
			return MaxCrawlDelay, true
		}
	}
	unit := time.Second
	for i := range len(fraction) {
		unit /= 10
		delay += time.Duration(fraction[i]-'0') * unit
	}
	return delay, true
}

// Sitemaps returns the values of the Sitemap lines, in order, as they are:
// they ought to be absolute URLs, on any host.
func (r *Robots) Sitemaps() []string {
	if r == nil {
		return nil
	}
	return r.sitemaps
}

// Group returns what applies to a crawler of that product token: the groups
// that name it, merged; else those for "*", merged; else none, which allows
// everything. Case doesn't matter. It is never nil.
func (r *Robots) Group(product string) *Group {
	g := &Group{}
	if r == nil {
		return g
	}
	product = leadingToken(product)
	if product == "" || !g.merge(r.groups, product) {
		g.merge(r.groups, "*")
	}
	g.sort()
	return g
}

// merge adds the groups that name the agent and reports whether any does.
func (g *Group) merge(groups []*section, agent string) (found bool) {
	for _, s := range groups {
		if !s.names(agent) {
			continue
		}
		found, g.agent = true, agent
		for _, l := range s.rules {
			g.rules = append(g.rules, compile(l))
		}
		if s.hasDelay {
			g.delay, g.hasDelay = max(g.delay, s.delay), true
		}
	}
	return found
}

func (s *section) names(agent string) bool {
	for _, a := range s.agents {
		if strings.EqualFold(a, agent) {
			return true
		}
	}
	return false
}

// ProductToken returns the name by which robots.txt addresses a User-Agent:
// "bookshop-harvest" of "bookshop-harvest/1.0 (+http://…)". Of a User-Agent
// that begins like a browser's, "Mozilla/5.0 (compatible; ExampleBot/0.1; …)",
// it is the name behind "compatible;" (the example of RFC 9309 2.2.1).
func ProductToken(userAgent string) string {
	token := leadingToken(strings.TrimSpace(userAgent))
	if strings.EqualFold(token, "mozilla") {
		if _, rest, ok := strings.Cut(userAgent, "compatible;"); ok {
			if named := leadingToken(strings.TrimSpace(rest)); named != "" {
				return named
			}
		}
	}
	return token
}

// leadingToken returns the product token that s begins with. The RFC knows
// letters, hyphen and underscore only; names with digits and dots exist, and
// cutting them there would make "bot1" and "bot2" the same.
func leadingToken(s string) string {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c|0x20 && c|0x20 <= 'z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return s[:i]
		}
	}
	return s
}
