package round

import (
	"context"
	"errors"
	"fmt"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/internal/sitemap"
)

const (
	// maxNesting is how many indexes lie above a sitemap at most. By the
	// protocol it is one; where each index lists another, it has to end.
	maxNesting = 3
	// listedAtOnce is how many links of a sitemap go to the writer together.
	listedAtOnce = 64
)

// listing hands on what a sitemap lists, a few links at a time. They come
// before the sitemap's capture, so where that counts, they do.
type listing struct {
	p       *Process
	it      *item
	skipped map[string]int64
	links   []harrow.Link
}

// readSitemap hands on what a sitemap lists: pages, as seeds at depth 0 but
// only those in scope, and other sitemaps. What it lists beyond the bounds of
// package sitemap is counted, or, where that can't be told, a reject.
func (p *Process) readSitemap(it *item, r *result) error {
	p.cpu <- struct{}{}
	defer func() { <-p.cpu }()
	l := &listing{p: p, it: it, skipped: map[string]int64{}}
	in := r.body.Open()
	stats, err := sitemap.Read(in, l.add)
	if cerr := in.Close(); cerr != nil {
		return cerr
	}
	var fault *sitemap.Fault
	if err != nil && !errors.As(err, &fault) {
		return fmt.Errorf("sitemap %s: %w", it.url(), err)
	}
	if err := l.flush(); err != nil {
		return err
	}
	switch {
	case stats.Cut || r.capture.Truncated:
		r.reject = it.reject(harrow.DataFault, "sitemap", fmt.Sprintf("the sitemap goes on beyond %d bytes: what it lists there is not read", sitemap.MaxBytes))
	case fault != nil:
		r.reject = it.reject(harrow.DataFault, "sitemap", fmt.Sprintf("after %d entries: %v", stats.Entries, fault))
	}
	for reason, n := range map[string]int64{"invalid": stats.Invalid, "sitemap_entries": stats.Over} {
		if n > 0 {
			l.skipped[reason] += n
		}
	}
	r.skipped = l.skipped
	return nil
}

// add takes one entry over; relative ones are resolved, though there ought to
// be none.
func (l *listing) add(e sitemap.Entry) error {
	target, err := l.p.site.canon.Resolve(l.it.at, e.URL)
	if err != nil {
		l.skipped["invalid"]++
		return nil
	}
	kind, depth := harrow.KindPage, int32(0)
	if e.Sitemap {
		kind, depth = harrow.KindSitemap, l.it.Req.Depth+1
	}
	if depth > maxNesting {
		l.skipped["nesting"]++
		return nil
	}
	if ok, reason := l.p.site.inScope(target, kind); !ok {
		l.skipped[reason]++
		return nil
	}
	l.links = append(l.links, listed(target, kind, l.it.Req, depth))
	if len(l.links) < listedAtOnce {
		return nil
	}
	return l.flush()
}

func (l *listing) flush() error {
	taken, err := l.p.admitLinks(l.it.shard, l.links, l.skipped)
	if err != nil {
		return err
	}
	if len(taken) > 0 {
		l.p.results <- &result{shard: l.it.shard, links: taken}
	}
	l.links = nil
	return nil
}

// listed is the link to what a sitemap, or a robots.txt, lists.
func listed(target canon.URL, kind string, from harrow.Request, depth int32) harrow.Link {
	url := target.String()
	return harrow.Link{ID: canon.ID("GET", url, nil, nil), FromID: from.ID, URL: url, Method: "GET", Rel: "sitemap", Kind: kind,
		Depth: depth, Carry: from.Carry, SameDomain: canon.Domain(target.Host()) == from.Domain}
}

// named are the links to the sitemaps that an origin's robots.txt names, on any
// host in scope: naming them there is what makes those of other hosts count
// (sitemaps.org, cross submits). They come from no request.
func (s *site) named(at canon.URL, lines []string, skipped map[string]int64) (links []harrow.Link) {
	for _, line := range lines {
		target, err := s.canon.Resolve(at, line)
		if err != nil {
			skipped["invalid"]++
			continue
		}
		if ok, reason := s.inScope(target, harrow.KindSitemap); !ok {
			skipped[reason]++
			continue
		}
		links = append(links, listed(target, harrow.KindSitemap, harrow.Request{Domain: canon.Domain(at.Host())}, 0))
	}
	return links
}

// loadSeeds notes the origins of the shard's seeds: the sitemaps that their
// robots.txt names are asked for. Who is linked to from a page is no seed. A
// robots.txt that this process read for an earlier try at the round is read
// again.
func (p *Process) loadSeeds(ctx context.Context, s *shard, read Requests) error {
	if !p.cfg.Sitemaps || p.cfg.Round > 0 { // a later round has those only that were left: see loadLeft
		return nil
	}
	return read(ctx, p.lake, func(r harrow.Request) error { return p.noteSeed(s, r) })
}

// noteSeed is loadSeeds for one request.
func (p *Process) noteSeed(s *shard, r harrow.Request) error {
	if !p.cfg.Sitemaps || r.Kind != harrow.KindPage || !r.Parent.IsZero() {
		return nil
	}
	u, err := p.site.canon.Parse(r.URL)
	if err != nil {
		return fmt.Errorf("request %s: %w", r.ID, err)
	}
	at := origin(u)
	p.mu.Lock()
	defer p.mu.Unlock()
	if !s.seeds[at] {
		s.seeds[at] = true
		p.recall.robots.Forget(at)
	}
	return nil
}

// announce admits the sitemaps that the robots.txt of a seed's origin names and
// says so to the writer, before anything of that origin is started: what is
// fetched later never counts without these links.
func (p *Process) announce(s *shard, at string, lines []string) error {
	p.mu.Lock()
	seed := s.seeds[at]
	p.mu.Unlock()
	if !seed || len(lines) == 0 {
		return nil
	}
	u, err := p.site.canon.Parse(at + "/robots.txt")
	if err != nil {
		return fmt.Errorf("robots.txt of %s: %w", at, err)
	}
	r := &result{shard: s, skipped: map[string]int64{}}
	if r.links, err = p.admitLinks(s, p.site.named(u, lines, r.skipped), r.skipped); err == nil {
		p.results <- r
	}
	return err
}
