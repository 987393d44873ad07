package replay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/internal/seedfile"
)

// reader reads requests out of rejects, by today's rules.
type reader struct {
	cfg   Config
	canon *canon.Canonicalizer
	scope *canon.Scope
}

func newReader(config json.RawMessage) (*reader, error) {
	r := &reader{}
	if err := harrow.ReadConfig(config, &r.cfg); err != nil {
		return nil, fmt.Errorf("replay: config: %w", err)
	}
	var err error
	if r.canon, err = canon.New(canon.Policy{Strip: r.cfg.Canonical.Strip, SortQuery: r.cfg.Canonical.SortQuery}); err != nil {
		return nil, err
	}
	c := canon.ScopeConfig{Hosts: r.cfg.Scope.Hosts, Include: r.cfg.Scope.Include, Exclude: r.cfg.Scope.Exclude}
	if r.cfg.Scope.MaxDepth != nil {
		c.MaxDepth = *r.cfg.Scope.MaxDepth
	}
	r.scope, err = canon.NewScope(c)
	return r, err
}

// request is what a reject of discover or fetch asks for; the error says why it
// asks for nothing.
func (o *reader) request(ctx context.Context, r harrow.Reject) (harrow.Request, error) {
	switch {
	case r.Payload == "":
		return harrow.Request{}, errors.New("it has no payload: it is about no request")
	case r.Stage == "discover":
		s, kind, err := seedfile.FromLetter(ctx, r.Payload)
		if err != nil {
			return harrow.Request{}, err
		}
		return s.Request(o.canon, o.cfg.Key, kind)
	case r.Stage == "fetch":
		return o.again(r.Payload)
	}
	return harrow.Request{}, fmt.Errorf("no stage %q is known", r.Stage)
}

// again reads a request. Where today's rules write its URL in another way it is
// another request.
func (o *reader) again(payload string) (harrow.Request, error) {
	var r harrow.Request
	if err := json.Unmarshal([]byte(payload), &r); err != nil {
		return r, fmt.Errorf("the payload is no request: %w", err)
	}
	u, err := o.canon.Parse(r.URL)
	if err != nil {
		return r, fmt.Errorf("the payload is no request: %w", err)
	}
	if r.ID.IsZero() || r.Method == "" || r.Kind != harrow.KindPage && r.Kind != harrow.KindSitemap {
		return r, errors.New("the payload is no request: its id, method or kind is missing")
	}
	if !r.Parent.IsZero() {
		if err := o.inScope(u, r); err != nil {
			return r, err
		}
	}
	if url := u.String(); url != r.URL {
		r.URL, r.ID = url, canon.ID(r.Method, url, r.Body, r.Headers)
	}
	r.Key, r.Domain, r.Reason = canon.Key(o.cfg.Key, u), canon.Domain(u.Host()), ""
	return r, nil
}

// inScope says why what was linked to is not asked for any more. Of a sitemap
// only the host counts.
func (o *reader) inScope(u canon.URL, r harrow.Request) error {
	ok, reason, rule := o.scope.Check(u)
	if r.Kind == harrow.KindSitemap {
		ok, reason, rule = o.scope.HasHost(u), canon.ReasonHost, u.Host()
	}
	switch {
	case !ok:
		return fmt.Errorf("%s is out of scope now: %s %s", u, reason, rule)
	case int(r.Depth) > o.scope.MaxDepth() && r.Kind == harrow.KindPage:
		return fmt.Errorf("%s is out of scope now: %d links from a seed, max_depth is %d", u, r.Depth, o.scope.MaxDepth())
	}
	return nil
}
