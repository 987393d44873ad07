// Package session says what of a job goes along with its requests: headers,
// credentials and the login that opens a session. It sends nothing itself.
//
// Who gets what is decided by the URL that is asked, hop by hop, never by the
// one that led there, and by its scheme, so that no redirect and no link
// carries a secret to where the job file doesn't send it:
//
//   - fetch.headers without secrets go to every host, with robots.txt too.
//   - What holds a secret (a value of fetch.headers with ${NAME} or
//     ${file:/path}; all of fetch.auth) goes to the hosts of
//     discover.scope.hosts, by default those of the seeds, and there over
//     https. Over http it goes only to hosts that the job file itself (seeds.urls,
//     seeds.sitemaps, login.url) writes with http:// and nowhere with https://.
//   - fetch.host_headers go to the hosts of their pattern. A pattern with a
//     scheme is about that scheme; one without sends secrets over http by the
//     rule above only.
//   - A login's fields are posted to the registered domain of login.url, never
//     over http if that is https.
//   - Cookies are of package cookies; a Cookie header of the job's own wins over
//     them.
package session

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/internal/httpheader"
	"github.com/harrowdata/harrow/internal/jobfile"
)

// Config is what a job sends along.
type Config struct {
	Fetch harrow.Fetch
	// Own reports whether a host is one of the job's: of discover.scope.hosts.
	Own func(canon.URL) bool
	// Plain are the hosts that the job file names with http:// alone: see
	// [Plain].
	Plain []string
	// Env finds secrets.
	Env jobfile.Env
}

// Sent is what goes along with a job's requests. It is immutable.
type Sent struct {
	own        func(canon.URL) bool
	plain      map[string]bool
	everywhere []harrow.Header
	secret     []harrow.Header // of headers and auth
	auth       string          // key of the job file; empty: none
	byScheme   map[string]*hostHeaders
	login      *Login
	redact     redactor
}

// hostHeaders are the headers by host pattern, for one scheme.
type hostHeaders struct {
	globs   *canon.HostGlobs
	headers [][]harrow.Header
	secret  [][]bool // whether the header holds a secret that the pattern alone doesn't send over http
}

// New fills the secrets in. An error joins one [harrow.ConfigError] a problem,
// which names the key of the job file ("fetch.auth.basic") and never a value.
func New(cfg Config) (*Sent, error) {
	s := &Sent{own: cfg.Own, plain: map[string]bool{}, byScheme: map[string]*hostHeaders{}}
	for _, host := range cfg.Plain {
		s.plain[host] = true
	}
	f := filler{env: cfg.Env, redact: &s.redact}
	for _, name := range slices.Sorted(maps.Keys(cfg.Fetch.Headers)) {
		h := f.header("fetch.headers."+name, name, cfg.Fetch.Headers[name])
		if jobfile.HoldsSecret(cfg.Fetch.Headers[name]) {
			s.secret = append(s.secret, h)
		} else {
			s.everywhere = append(s.everywhere, h)
		}
	}
	if a := cfg.Fetch.Auth; a != nil {
		s.secret = over(s.secret, f.auth(*a))
		if s.auth = "fetch.auth.headers"; a.Basic != "" {
			s.auth = "fetch.auth.basic"
		}
	}
	for _, scheme := range []string{"http", "https"} {
		s.byScheme[scheme] = f.hostHeaders(scheme, cfg.Fetch.HostHeaders)
	}
	if cfg.Fetch.Login != nil {
		s.login = f.login(*cfg.Fetch.Login)
	}
	if err := errors.Join(f.errs...); err != nil {
		return nil, err
	}
	s.redact.compile()
	return s, nil
}

// Everywhere are the headers that go along with every request.
func (s *Sent) Everywhere() []harrow.Header { return s.everywhere }

// Login is the job's login; nil: none.
func (s *Sent) Login() *Login { return s.login }

// Headers are those that go to the URL beside [Sent.Everywhere]; a request's
// own win over them.
func (s *Sent) Headers(u canon.URL, own []harrow.Header) []harrow.Header {
	var list []harrow.Header
	tls := u.Scheme() == "https"
	if len(s.secret) > 0 && (tls || s.plain[u.Host()]) && s.own(u) {
		list = s.secret
	}
	if h := s.byScheme[u.Scheme()]; h != nil {
		if i := h.globs.Longest(u.Host(), u.Port()); i >= 0 {
			allowed := h.headers[i]
			if !tls && !s.plain[u.Host()] {
				allowed = open(allowed, h.secret[i])
			}
			list = over(list, allowed)
		}
	}
	return over(list, own)
}

// open are the headers that anybody may read.
func open(headers []harrow.Header, secret []bool) (list []harrow.Header) {
	for i, h := range headers {
		if !secret[i] {
			list = append(list, h)
		}
	}
	return list
}

// over is a list with the headers of another in the place of those of the same
// name.
func over(list, by []harrow.Header) []harrow.Header {
	if len(list) == 0 || len(by) == 0 {
		return append(list[:len(list):len(list)], by...)
	}
	out := make([]harrow.Header, 0, len(list)+len(by))
	for _, h := range list {
		if !Has(by, h.Name) {
			out = append(out, h)
		}
	}
	return append(out, by...)
}

// Has reports whether there is a header of that name.
func Has(headers []harrow.Header, name string) bool {
	return slices.ContainsFunc(headers, func(h harrow.Header) bool { return strings.EqualFold(h.Name, name) })
}

// Refused says what to look at when a URL was answered with a status that asks
// for credentials; empty: nothing of the job's.
func (s *Sent) Refused(u canon.URL, status int) string {
	switch {
	case status != 401 && status != 403 || s.auth == "":
		return ""
	case !s.own(u):
		return fmt.Sprintf("; %s was not sent: the host is not in discover.scope.hosts", s.auth)
	case u.Scheme() != "https" && !s.plain[u.Host()]:
		return fmt.Sprintf("; %s was not sent: it goes over http only to hosts that the job file names with http:// and not with https://", s.auth)
	case status == 401:
		return fmt.Sprintf("; %s was sent: check that what its secrets hold is right and still valid", s.auth)
	}
	return fmt.Sprintf("; %s was sent: check that it may see this page", s.auth)
}

// Plain lists the hosts that the job file itself writes with http:// and nowhere
// with https://, for [Config]; none where nothing that is sent is secret.
func Plain(d harrow.Discover, f harrow.Fetch) (hosts []string) {
	if !secretive(f) {
		return nil
	}
	urls := slices.Concat(d.Seeds.URLs, d.Seeds.Sitemaps.URLs)
	if f.Login != nil {
		urls = append(urls, f.Login.URL)
	}
	tls := map[string]bool{} // by host: whether it is named with https
	for _, raw := range urls {
		if u, err := plainURLs.Parse(raw); err == nil {
			tls[u.Host()] = tls[u.Host()] || u.Scheme() == "https"
		}
	}
	for host, named := range tls {
		if !named {
			hosts = append(hosts, host)
		}
	}
	slices.Sort(hosts)
	return hosts
}

// plainURLs reads URLs as they are: a login's may not lose a parameter.
var plainURLs = func() *canon.Canonicalizer {
	c, err := canon.New(canon.Policy{})
	if err != nil {
		panic(fmt.Sprintf("session: %v", err)) // the empty policy is valid
	}
	return c
}()

// secretive reports whether a job sends headers that not everybody may read.
func secretive(f harrow.Fetch) bool {
	if f.Auth != nil {
		return true
	}
	for _, headers := range f.HostHeaders {
		if slices.ContainsFunc(slices.Collect(maps.Values(headers)), jobfile.HoldsSecret) {
			return true
		}
	}
	return slices.ContainsFunc(slices.Collect(maps.Values(f.Headers)), jobfile.HoldsSecret)
}

// filler fills secrets in and gathers what is wrong.
type filler struct {
	env    jobfile.Env
	redact *redactor
	errs   []error
}

func (f *filler) fail(key string, err error) {
	f.errs = append(f.errs, &harrow.ConfigError{Key: key, Err: err})
}

func (f *filler) value(key, text string) string {
	filled, err := jobfile.Secrets(text, f.env)
	f.redact.add(filled...)
	if err == nil {
		text, err = jobfile.Resolve(text, f.env)
	}
	if err != nil {
		f.fail(key, err)
		return ""
	}
	return text
}

func (f *filler) header(key, name, text string) harrow.Header {
	h := harrow.Header{Name: name, Value: f.value(key, text)}
	if err := httpheader.Check([]harrow.Header{h}); err != nil {
		f.fail(key, err)
	}
	return h
}

func (f *filler) auth(a harrow.Auth) (headers []harrow.Header) {
	if a.Basic != "" {
		const key = "fetch.auth.basic"
		pair := f.value(key, a.Basic)
		if !strings.Contains(pair, ":") && len(f.errs) == 0 {
			f.fail(key, errors.New("expected user:password"))
		}
		value := base64.StdEncoding.EncodeToString([]byte(pair))
		_, password, _ := strings.Cut(pair, ":")
		f.redact.add(value, password)
		headers = append(headers, harrow.Header{Name: "Authorization", Value: "Basic " + value})
	}
	for _, name := range slices.Sorted(maps.Keys(a.Headers)) {
		headers = append(headers, f.header("fetch.auth.headers."+name, name, a.Headers[name]))
	}
	return headers
}

// hostHeaders are those for a scheme. Patterns that name it go before those that
// name none: of equal hosts they win.
func (f *filler) hostHeaders(scheme string, all harrow.HostHeaders) *hostHeaders {
	h := &hostHeaders{}
	var patterns []string
	for _, named := range []bool{true, false} {
		for _, pattern := range slices.Sorted(maps.Keys(all)) {
			of, host, ok := strings.Cut(pattern, "://")
			if ok != named || named && of != scheme {
				continue
			}
			if !named {
				host = pattern
			}
			patterns = append(patterns, host)
			h.add(f, pattern, all[pattern], named)
		}
	}
	if len(patterns) == 0 {
		return nil
	}
	var err error
	if h.globs, err = canon.CompileHostGlobs(patterns); err != nil {
		f.fail("fetch.host_headers", err)
	}
	return h
}

func (h *hostHeaders) add(f *filler, pattern string, of map[string]string, named bool) {
	var headers []harrow.Header
	var secret []bool
	for _, name := range slices.Sorted(maps.Keys(of)) {
		headers = append(headers, f.header("fetch.host_headers."+pattern+"."+name, name, of[name]))
		secret = append(secret, !named && jobfile.HoldsSecret(of[name]))
	}
	h.headers, h.secret = append(h.headers, headers), append(h.secret, secret)
}
