package round

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/internal/carry"
	"github.com/harrowdata/harrow/internal/httpfetch"
	"github.com/harrowdata/harrow/internal/jobfile"
	"github.com/harrowdata/harrow/internal/memory"
	"github.com/harrowdata/harrow/internal/rules"
)

func cpus() int { return runtime.GOMAXPROCS(0) }

// RequestOf is what a link becomes; keyKind is the job's politeness.key.
func RequestOf(c *canon.Canonicalizer, keyKind string, l harrow.Link) (harrow.Request, error) {
	u, err := c.Parse(l.URL)
	if err != nil {
		return harrow.Request{}, fmt.Errorf("link %s: %w", l.ID, err)
	}
	r := harrow.Request{ID: l.ID, URL: l.URL, Method: l.Method, Headers: l.Headers, Body: l.Body, Key: canon.Key(keyKind, u),
		Domain: canon.Domain(u.Host()), Depth: l.Depth, Kind: harrow.KindPage, Parent: l.FromID, Carry: l.Carry}
	if l.Kind == harrow.KindSitemap {
		r.Kind, r.Priority = l.Kind, harrow.SitemapPriority
	}
	return r, nil
}

func (s *site) request(l harrow.Link) (harrow.Request, error) {
	return RequestOf(s.canon, s.cfg.Fetch.Politeness.Key, l)
}

// inScope says whether a URL may be asked for, and what keeps it out. Of a
// sitemap only the host counts: globs say which pages are wanted.
func (s *site) inScope(u canon.URL, kind string) (ok bool, reason string) {
	if kind == harrow.KindSitemap {
		return s.scope.HasHost(u), canon.ReasonHost
	}
	ok, reason, _ = s.scope.Check(u)
	return ok, reason
}

// link is a page that an item's page points to.
func (s *site) link(it *item, target canon.URL, text, own string) (harrow.Link, error) {
	url := target.String()
	carried, err := carry.Overlay(it.Req.Carry, own)
	return harrow.Link{ID: canon.ID("GET", url, nil, nil), FromID: it.Req.ID, URL: url, Method: "GET", Text: text, Rel: "link", Kind: harrow.KindPage,
		Depth: it.Req.Depth + 1, Carry: carried, SameDomain: canon.Domain(target.Host()) == it.Req.Domain}, err
}

// follow finds a page's links, notes those in scope and within the caps, and
// admits those within its registered domain. It costs CPU, so it waits for a
// core, long after the politeness slot was given back.
func (p *Process) follow(it *item, resp *httpfetch.Response, r *result) error {
	if !p.site.follower.LooksInto(it.at) {
		return nil
	}
	p.cpu <- struct{}{}
	links, skipped, problem, err := p.site.links(it, resp, *r.capture)
	<-p.cpu
	if err != nil {
		return err
	}
	if problem != nil {
		r.reject = it.reject(harrow.DataFault, "links", problem.Error())
	}
	r.skipped = skipped
	r.links, err = p.admitLinks(it.shard, links, skipped)
	return err
}

// admitLinks admits the links within the registered domain and returns those
// that no cap kept out.
func (p *Process) admitLinks(s *shard, links []harrow.Link, skipped map[string]int64) (taken []harrow.Link, err error) {
	for _, l := range links {
		if l.SameDomain {
			capped := false
			req, err := p.site.request(l)
			if err == nil {
				err = p.admitLinked(s, req, func(reason string) { capped = true; skipped[reason]++ })
			}
			if err != nil {
				return taken, err
			}
			if capped {
				continue
			}
		}
		taken = append(taken, l)
	}
	return taken, nil
}

// links reads the links out of a body; problem is why it can't be read as a
// document.
func (s *site) links(it *item, resp *httpfetch.Response, capture harrow.Capture) (links []harrow.Link, skipped map[string]int64, problem, err error) {
	body, err := readAll(resp.Body, s.cfg.Document)
	if err != nil {
		return nil, nil, nil, err
	}
	skipped = map[string]int64{}
	doc := s.pages.Document(rules.Page{Capture: capture, Body: body}, s.canon, rules.Limits{Document: s.cfg.Document})
	defer doc.Close()
	base, fault := doc.Base()
	if fault != nil {
		return nil, skipped, fault, nil
	}
	have := map[harrow.ID]bool{}
	problem = s.follower.Links(doc, func(found rules.Link) error {
		target, err := s.canon.Resolve(base, found.Ref)
		if err != nil {
			skipped["invalid"]++
			return nil
		}
		if ok, reason := s.inScope(target, harrow.KindPage); !ok {
			skipped[reason]++
			return nil
		}
		if int(it.Req.Depth)+1 > s.scope.MaxDepth() {
			skipped["max_depth"]++
			return nil
		}
		l, err := s.link(it, target, found.Text, found.Carry)
		if err == nil && !have[l.ID] {
			have[l.ID] = true
			l.Text = strings.Clone(l.Text) // which is the page's
			links = append(links, l)
		}
		return err
	})
	return links, skipped, problem, nil
}

// newClient makes the client that all exchanges of the process go through.
// The headers go along with every request; secrets are filled in here, on the
// worker.
func newClient(cfg Config, headers []harrow.Header, budget *memory.Budget, permitted func() bool) (*httpfetch.Client, error) {
	proxies, err := jobfile.Proxies(cfg.Fetch.Proxies, os.LookupEnv)
	if err != nil {
		return nil, err
	}
	return httpfetch.New(httpfetch.Config{UserAgent: cfg.Fetch.UserAgent, Timeout: time.Duration(cfg.Fetch.Timeout),
		MaxBody: int64(cfg.Fetch.MaxBody), Headers: headers, Resolve: cfg.Fetch.Resolve, AllowPrivate: cfg.Fetch.AllowPrivateNetworks,
		InFlight: cfg.Fetch.InFlight, SpillDir: cfg.Env.Spill, Proxies: proxies, DNS: cfg.DNS, Roots: cfg.Roots, Permitted: permitted}, budget.Bodies)
}
