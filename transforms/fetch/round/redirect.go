package round

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/internal/httpfetch"
)

// redirected follows a redirect within the registered domain as a hop; one
// that leaves it is a link for the next round, or nothing if out of scope.
func (p *Process) redirected(it *item, resp *httpfetch.Response, now time.Time) error {
	r := it.answered(resp, now)
	target, err := p.site.canon.Resolve(it.at, resp.Location)
	if err != nil {
		p.results <- r.fail(it, harrow.DataFault, "location", "redirect: "+err.Error())
		return nil
	}
	ok, reason := p.site.inScope(target, it.Req.Kind)
	next := it.hop(resp.Status, target)
	switch {
	case !ok:
		r.capture.Outcome, r.capture.Code = harrow.Redirected, "scope"
		r.skipped = map[string]int64{reason: 1}
	case canon.Domain(target.Host()) != it.Req.Domain:
		r.capture.Outcome, r.capture.Code = harrow.Redirected, "domain"
		r.links = []harrow.Link{next.link()}
	case int(it.Hop) >= p.maxRedirects():
		r.fail(it, harrow.Permanent, "redirects", fmt.Sprintf("more than %d redirects", p.maxRedirects()))
	case target == it.at && next.Got == it.Got && !p.gave(resp):
		r.fail(it, harrow.Permanent, "redirect_loop", "redirects to itself")
	default:
		resp.Body.Close()
		return p.hopOn(it.key, next, resp, now)
	}
	p.results <- r
	return nil
}

func (p *Process) maxRedirects() int {
	if m := p.cfg.Fetch.MaxRedirects; m != nil {
		return *m
	}
	return 10
}

// hop is the item as it goes on to a redirect's target. Its request stays what
// it is: a hop that ends as deferred is asked from its start again.
//
// What is sent changes as browsers have it (RFC 9110 15.4; Fetch, HTTP-redirect
// fetch): 303 makes everything but HEAD a GET, 301 and 302 only POST; 307 and
// 308 keep method and body. Another origin gets no credentials.
func (it *item) hop(status int, target canon.URL) *item {
	next := *it
	next.URL, next.Hop, next.Attempt, next.Via = target.String(), it.Hop+1, 0, 0
	switch method := it.method(); {
	case status == 303 && method != "HEAD", (status == 301 || status == 302) && method == "POST":
		next.Got = true
	}
	next.Bare = it.Bare || origin(target) != origin(it.at)
	next.at = target
	return &next
}

func (it *item) method() string {
	if it.Got {
		return "GET"
	}
	return it.Req.Method
}

func (it *item) body() []byte {
	if it.Got {
		return nil
	}
	return it.Req.Body
}

// ofBody are the headers that say what a body is; a GET has none.
var ofBody = []string{"content-encoding", "content-language", "content-location", "content-type"}

// credentials belong to an origin.
var credentials = []string{"authorization", "cookie"}

func (it *item) headers() []harrow.Header {
	if len(it.Req.Headers) == 0 || !it.Got && !it.Bare {
		return it.Req.Headers
	}
	return slices.DeleteFunc(slices.Clone(it.Req.Headers), func(h harrow.Header) bool {
		name := strings.ToLower(h.Name)
		return it.Got && slices.Contains(ofBody, name) || it.Bare && slices.Contains(credentials, name)
	})
}

// link is the redirect as a row of links: what the hop would have asked for.
func (it *item) link() harrow.Link {
	return harrow.Link{ID: canon.ID(it.method(), it.URL, it.body(), it.headers()), FromID: it.Req.ID, URL: it.URL, Method: it.method(),
		Headers: it.headers(), Body: it.body(), Rel: "redirect", Kind: it.Req.Kind, Depth: it.Req.Depth, Carry: it.Req.Carry,
		SameDomain: canon.Domain(it.at.Host()) == it.Req.Domain}
}
