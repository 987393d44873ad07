package session

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/internal/css"
)

// MaxLoginBody is how much is read of an answer on the way to a session, in
// bytes.
const MaxLoginBody = 1 << 20

// Login is a job's login by form: which requests open a session, and which
// answers say that it is over. It asks nothing itself: [Login.Begin] is the first
// request, [Login.Next] says what follows its answer.
//
// What a login asks for is not held against robots.txt: the job file names that
// page itself, it is asked once a session, and no link leads there. It keeps to
// the pace of its host's key as every exchange does, crawl-delay included where
// that is known.
type Login struct {
	url      canon.URL
	form     string        // as written
	selector *css.Selector // nil: the first form with a password field
	fields   map[string]string
	success  func(body []byte) bool // nil: 2xx without the form
	shown    string                 // success as written
}

// Step is one request of a login.
type Step struct {
	Method  string
	URL     canon.URL
	Headers []harrow.Header
	Body    []byte
	Hop     int32 // redirects since the page with the form was asked for, or since the form was sent
	sent    bool  // the form was
}

// Answer is what came of a [Step]: any but those that are worth another try.
type Answer struct {
	Status      int
	Location    string
	ContentType string
	Body        []byte // up to MaxLoginBody
}

// login fills a job's login in.
func (f *filler) login(l harrow.Login) *Login {
	const key = "fetch.login"
	out := &Login{form: l.Form, fields: map[string]string{}, shown: l.Success}
	raw := f.value(key+".url", l.URL)
	var err error
	if out.url, err = plainURLs.Parse(raw); err != nil && raw != "" {
		f.fail(key+".url", errors.New("expected the URL of the page with the form"))
	}
	for _, name := range slices.Sorted(maps.Keys(l.Fields)) {
		out.fields[name] = f.value(key+".fields."+name, l.Fields[name])
	}
	if l.Form != "" {
		if out.selector, err = css.Compile(l.Form); err != nil {
			f.fail(key+".form", fmt.Errorf("expected a selector (css): %w", err))
		}
	}
	out.success, err = marker(f.value(key+".success", l.Success))
	if err != nil {
		f.fail(key+".success", err)
	}
	return out
}

// marker is what tells that a login went well; nil: nothing is said.
func marker(text string) (func([]byte) bool, error) {
	expr, isRegex := strings.CutPrefix(text, "re:")
	switch {
	case text == "":
		return nil, nil
	case !isRegex:
		return func(body []byte) bool { return bytes.Contains(body, []byte(text)) }, nil
	}
	re, err := regexp.Compile(expr)
	if err != nil {
		return nil, fmt.Errorf("expected RE2 after re:, but %w", err)
	}
	return re.Match, nil
}

// URL is the page with the form.
func (l *Login) URL() canon.URL { return l.url }

// Domain is the registered domain that the session is for.
func (l *Login) Domain() string { return canon.Domain(l.url.Host()) }

// Begin asks for the page with the form.
func (l *Login) Begin() Step { return Step{Method: "GET", URL: l.url} }

// Next is the step after an answer, or done: the session is open. An error says
// why there will be none, without any value that was filled in.
func (l *Login) Next(s Step, a Answer, maxRedirects int) (next Step, done bool, err error) {
	switch {
	case a.Status >= 300 && a.Status < 400 && a.Location != "":
		next, err = l.follow(s, a, maxRedirects)
		return next, false, err
	case a.Status < 200 || a.Status > 299:
		what := "the page with the form"
		if s.sent {
			what = "the form, filled in,"
		}
		return Step{}, false, fmt.Errorf("%s was answered with %d", what, a.Status)
	case !s.sent:
		next, err = l.fill(s.URL, a)
		return next, false, err
	case l.success != nil && !l.success(a.Body):
		return Step{}, false, fmt.Errorf("the answer to the form does not hold fetch.login.success, %q: check the fields' values", l.shown)
	case l.success == nil && l.again(a):
		return Step{}, false, errors.New("the answer to the form is the form again: check the fields' values, or say by fetch.login.success what tells that they are right")
	}
	return Step{}, true, nil
}

// follow goes after a redirect, within the registered domain. What was filled in
// goes along with 307 and 308, but not out of TLS.
func (l *Login) follow(s Step, a Answer, most int) (Step, error) {
	target, err := plainURLs.Resolve(s.URL, a.Location)
	switch {
	case err != nil:
		return s, errors.New("it redirects to what is no URL")
	case canon.Domain(target.Host()) != l.Domain():
		return s, fmt.Errorf("it redirects to %s, which is out of the registered domain %s", target.Host(), l.Domain())
	case int(s.Hop) >= most:
		return s, fmt.Errorf("more than %d redirects", most)
	}
	next := Step{Method: s.Method, URL: target, Headers: s.Headers, Body: s.Body, Hop: s.Hop + 1, sent: s.sent}
	if a.Status != 307 && a.Status != 308 {
		next.Method, next.Headers, next.Body = "GET", nil, nil
	}
	if len(next.Body) > 0 && !l.safe(target) {
		return s, errors.New("it redirects what was filled in from https to http")
	}
	return next, nil
}

// safe reports whether what is filled in may go to a URL.
func (l *Login) safe(target canon.URL) bool {
	return target.Scheme() == "https" || l.url.Scheme() == "http"
}

// Over reports whether the answer to a page says that there is no session, or
// none any more: it is refused, or one is sent to the login's page.
func (l *Login) Over(page canon.URL, status int, location string) bool {
	if status == 401 || status == 403 {
		return true
	}
	if status < 300 || status > 399 || location == "" {
		return false
	}
	target, err := plainURLs.Resolve(page, location)
	// www.shop.example may send to its own /login, and that of blog.shop.example
	// is another.
	name := func(u canon.URL) string { return strings.TrimPrefix(u.Host(), "www.") }
	same := func(u canon.URL) bool { return name(u) == name(l.url) && u.Path() == l.url.Path() }
	return err == nil && same(target) && !same(page)
}
