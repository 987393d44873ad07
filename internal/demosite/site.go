// Package demosite is the shop that `harrow demo` serves on loopback and
// harvests, and that the end-to-end tests run against: three hosts of two
// registered domains, more than a hundred and forty pages, and one of every
// trouble that a harvest meets.
//
// Everything is generated from a seed. What the site serves and what a correct
// harvest must make of it ([Site.Books], [Site.Pages], [Site.Rejects]) come from
// the same plan, never from Harrow's output. testdata/demo/shop.yaml is the job
// file for it.
//
// [Bench] is a larger, cheaper site for measurements.
package demosite

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/harrowdata/harrow/internal/serverlog"
)

// Options say which site is generated. The zero value is the demo.
type Options struct {
	Products int           // in the catalogue at revision 0; default 120, at least 40
	Revision int           // how far the shop's life has gone: with each, every tenth price changes, one product vanishes (410), one appears
	Latency  time.Duration // before each answer; default none
	Seed     uint64        // of everything that is generated; default 1
	Addr     string        // where Listen listens; default 127.0.0.1:0, any free port of loopback
}

// Site is the shop. It is safe for concurrent use.
type Site struct {
	options  Options
	recorder *serverlog.Recorder
	plan     atomic.Pointer[plan]

	mu    sync.Mutex
	begun map[string]bool // pages that have given their first answer
}

// New generates a site.
func New(o Options) *Site {
	if o.Products == 0 {
		o.Products = 120
	}
	o.Products = max(o.Products, minProducts)
	if o.Seed == 0 {
		o.Seed = 1
	}
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	s := &Site{options: o}
	s.recorder = serverlog.Record(http.HandlerFunc(s.serve))
	s.SetRevision(o.Revision)
	return s
}

// SetRevision moves the shop to a revision, from 0. Pages whose first answer
// is a failure fail once more.
func (s *Site) SetRevision(revision int) {
	p := newPlan(s.options, max(revision, 0))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plan.Store(p)
	s.begun = map[string]bool{}
}

// Log returns the record of what the site was asked.
func (s *Site) Log() *serverlog.Log { return &s.recorder.Log }

// Handler returns the site as a handler that goes by the Host header.
func (s *Site) Handler() http.Handler { return s.recorder }

// Listen serves the site until stop is called or ctx ends, and returns the
// address to resolve its hosts to. stop waits for the server's end; more than
// one call is fine.
func (s *Site) Listen(ctx context.Context) (addr string, stop func() error, err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.options.Addr)
	if err != nil {
		return "", nil, fmt.Errorf("demo site: listen on %s: %w", s.options.Addr, err)
	}
	server := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	end := sync.OnceValue(func() error { return shutDown(server, served) })
	forget := context.AfterFunc(ctx, func() { _ = end() })
	return listener.Addr().String(), func() error { forget(); return end() }, nil
}

// shutDown gives requests that are being answered a second, then cuts them
// off; connections that were opened and never used would hold it up else.
func shutDown(server *http.Server, served <-chan error) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = server.Close()
	}
	if e := <-served; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	if err != nil {
		return fmt.Errorf("demo site: stop: %w", err)
	}
	return nil
}

// robots are the robots.txt files; the media host has none.
var robots = map[string]string{
	Books:   "# Be welcome.\nUser-agent: *\nDisallow: /private/\nAllow: /private/press.html\n\nUser-agent: greedybot\nDisallow: /\n\nSitemap: http://books.example/sitemap.xml\n",
	Partner: "User-agent: *\nCrawl-delay: 0.05\nDisallow: /staff/\n",
}

func (s *Site) serve(w http.ResponseWriter, r *http.Request) {
	if !wait(r.Context(), s.options.Latency) {
		return
	}
	host := strings.ToLower(r.Host)
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if text, ok := robots[host]; ok && r.URL.Path == "/robots.txt" {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte(text)) // an error: the client has gone
		return
	}
	pages := s.plan.Load().pages
	g := pages["http://"+host+r.URL.Path]
	if g == nil {
		g = pages["http://"+host+r.URL.RequestURI()]
	}
	switch {
	case g != nil && g.method == http.MethodPost:
		g.answerPost(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
	case g == nil && strings.HasPrefix(r.URL.Path, "/media/"):
		w.Header().Set("Content-Type", "image/png")
		_, _ = w.Write(pixel)
	case g == nil:
		http.Error(w, "no such page", http.StatusNotFound)
	case g.once != 0 && s.first(g.url):
		failFirst(w, g.once)
	default:
		g.serve(w, r)
	}
}

// answerPost answers the one question that the page knows.
func (g *page) answerPost(w http.ResponseWriter, r *http.Request) {
	asked, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<10))
	switch {
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		http.Error(w, "only POST", http.StatusMethodNotAllowed)
	case err != nil || string(asked) != g.wants || r.Header.Get("Content-Type") != g.contentType:
		http.Error(w, "want "+g.contentType+": "+g.wants, http.StatusUnprocessableEntity)
	default:
		g.serve(w, r)
	}
}

// first says whether this is the first answer of a page at this revision.
func (s *Site) first(url string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	begun := s.begun[url]
	s.begun[url] = true
	return !begun
}

// failFirst gives the answer that a page gives once.
func failFirst(w http.ResponseWriter, status int) {
	if status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "1")
	}
	http.Error(w, http.StatusText(status), status)
}

// serve answers with the page.
func (g *page) serve(w http.ResponseWriter, r *http.Request) {
	if g.location != "" {
		w.Header().Set("Location", g.location)
		w.WriteHeader(g.status)
		return
	}
	body := g.body()
	w.Header()["Content-Type"] = []string{g.contentType}
	switch {
	case g.etag:
		sum := sha256.Sum256(body)
		w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:8])+`"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
	case !g.modified.IsZero():
		http.ServeContent(w, r, "", g.modified, bytes.NewReader(body))
	default:
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(g.status)
		if r.Method == g.method {
			_, _ = w.Write(body) // an error: the client has gone
		}
	}
}

// wait lets d pass; false: the client has gone meanwhile.
func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
