package trial

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/internal/httpfetch"
	"github.com/harrowdata/harrow/internal/robots"
	"github.com/harrowdata/harrow/internal/rules"
	"github.com/harrowdata/harrow/internal/session"
)

// maxRobotsHops is what RFC 9309 2.3.1.2 wants followed at least.
const maxRobotsHops = 5

// policy is what is known of an origin's robots.txt.
type policy struct {
	group  *robots.Group // nil: everything is allowed
	open   string        // why that is
	fails  *Report       // what a page of the origin ends with
	defers string        // why nothing may be asked for now
}

// fetch asks for u and follows its redirects. The page is nil unless there is
// an answer to be parsed.
func (t *trier) fetch(ctx context.Context, u canon.URL, r *Report) (*rules.Page, error) {
	for hop := 0; ; hop++ {
		r.FinalURL = u.String()
		scope, err := t.inScope(ctx, u)
		if err != nil {
			return nil, err
		}
		h := Hop{URL: u.String(), Scope: scope}
		if hop > 0 && !h.Scope.OK {
			r.Hops = append(r.Hops, h)
			r.Outcome, r.Code = harrow.Redirected, "scope"
			return nil, nil
		}
		ok, err := t.obey(ctx, u, &h, r)
		if err != nil || !ok {
			r.Hops = append(r.Hops, h)
			return nil, err
		}
		if in, err := t.logIn(ctx, u, r); err != nil || !in {
			r.Hops = append(r.Hops, h)
			return nil, err
		}
		resp, err := t.ask(ctx, u, httpfetch.Request{})
		h.Status, h.Location, h.ElapsedMS = resp.Status, resp.Location, resp.EndedAt.Sub(resp.StartedAt).Milliseconds()
		var failure *httpfetch.Error
		if errors.As(err, &failure) {
			h.Error = failure.Error()
			r.Hops = append(r.Hops, h)
			r.Outcome, r.Class, r.Code = harrow.Failed, failure.Class, failure.Code
			r.reject(failure.Class, failure.Code, failure.Error())
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		r.Hops = append(r.Hops, h)
		if t.isOut(u, resp, r) {
			return nil, resp.Body.Close()
		}
		if resp.Status < 300 || resp.Status > 399 || resp.Status == 304 || resp.Location == "" {
			return t.answer(u, resp, r)
		}
		if err := resp.Body.Close(); err != nil {
			return nil, err
		}
		next, err := t.canon.Resolve(u, resp.Location)
		switch {
		case err != nil:
			return nil, r.fail(harrow.DataFault, "location", fmt.Sprintf("redirects to %q: %v", resp.Location, err))
		case next == u && !(t.cookies() && session.Has(resp.Headers, "Set-Cookie")):
			return nil, r.fail(harrow.Permanent, "redirect_loop", "redirects to itself")
		case hop >= t.maxRedirects():
			return nil, r.fail(harrow.Permanent, "redirects", fmt.Sprintf("more than %d redirects", t.maxRedirects()))
		}
		u = next
	}
}

func (t *trier) maxRedirects() int {
	if m := t.cfg.Job.Fetch.MaxRedirects; m != nil {
		return *m
	}
	return 10
}

// fail ends the report with a failed request.
func (r *Report) fail(class harrow.Class, code, reason string) error {
	r.Outcome, r.Class, r.Code = harrow.Failed, class, code
	r.reject(class, code, reason)
	return nil
}

func (r *Report) reject(class harrow.Class, code, reason string) {
	r.Rejects = append(r.Rejects, Reject{Class: class, Code: code, Reason: reason})
}

// answer notes the last answer and reads its body.
func (t *trier) answer(u canon.URL, resp *httpfetch.Response, r *Report) (*rules.Page, error) {
	r.Status, r.ContentType, r.RemoteAddr, r.Truncated = int32(resp.Status), resp.ContentType, resp.RemoteAddr, resp.Truncated
	r.BodyBytes, r.Digest, r.ElapsedMS = resp.Body.Len(), resp.Body.Digest(), resp.EndedAt.Sub(resp.StartedAt).Milliseconds()
	r.Outcome, r.Class, r.Code = httpfetch.Classify(resp.Status)
	if r.Outcome == harrow.Failed {
		r.reject(r.Class, r.Code, fmt.Sprintf("answered %d%s", resp.Status, t.sent.Refused(u, resp.Status)))
	}
	body, err := readAll(resp.Body, int64(t.cfg.Job.Limits.Document))
	if err != nil || r.Outcome != harrow.Fetched {
		return nil, errors.Join(err, resp.Body.Close())
	}
	t.body = resp.Body
	c := harrow.Capture{ID: r.ID, URL: r.URL, FinalURL: u.String(), Method: "GET", Kind: harrow.KindPage, Key: t.key(u), Status: r.Status,
		Outcome: r.Outcome, ContentType: r.ContentType, Headers: resp.Headers, Digest: r.Digest, BodyBytes: r.BodyBytes, Truncated: r.Truncated,
		StartedAt: resp.StartedAt, ElapsedMS: r.ElapsedMS, RemoteAddr: r.RemoteAddr}
	return &rules.Page{Capture: c, Body: body, Open: resp.Body.Open}, nil
}

// readAll reads a body that rules may need as a whole; nil where it is larger.
func readAll(b *httpfetch.Body, most int64) ([]byte, error) {
	if b.Len() > most {
		return nil, nil
	}
	in := b.Open()
	data, err := io.ReadAll(in)
	return data, errors.Join(err, in.Close())
}

// do makes one exchange when its key's turn has come. The response is never
// nil.
func (t *trier) do(ctx context.Context, u canon.URL, req httpfetch.Request) (*httpfetch.Response, error) {
	req.URL = u.String()
	for attempt := 0; ; attempt++ {
		if err := t.turn(ctx, u); err != nil {
			return &httpfetch.Response{}, err
		}
		res, err := t.client.Reserve(ctx)
		if err != nil {
			return &httpfetch.Response{}, err
		}
		resp, err := t.client.Do(ctx, req, res)
		if errors.Is(err, httpfetch.ErrStale) && attempt == 0 {
			continue // it was the connection that was over, not the server's patience
		}
		var failure *httpfetch.Error
		if errors.As(err, &failure) && failure.Code == "proxy" && attempt+1 < len(t.cfg.Job.Fetch.Proxies) {
			continue // another one may carry it
		}
		return resp, err
	}
}

// turn waits out the delay of the URL's key.
func (t *trier) turn(ctx context.Context, u canon.URL) error {
	key := t.key(u)
	limits, _ := t.pace.For(key)
	if last, asked := t.starts[key]; asked {
		if wait := time.Until(last.Add(max(limits.Delay, t.delays[key]))); wait > 0 {
			if t.cfg.Wait != nil && wait > time.Second {
				t.cfg.Wait(key, wait)
			}
			if err := t.cfg.Sleep(ctx, wait); err != nil {
				return err
			}
		}
	}
	t.starts[key] = time.Now()
	return ctx.Err()
}

// obey asks robots.txt and ends the report where it says no.
func (t *trier) obey(ctx context.Context, u canon.URL, h *Hop, r *Report) (bool, error) {
	if t.cfg.Job.Fetch.Politeness.Robots == harrow.RobotsIgnore {
		h.Robots = &Verdict{true, "not asked: fetch.politeness.robots is ignore"}
		return true, nil
	}
	p, err := t.policy(ctx, u)
	if err != nil {
		return false, err
	}
	switch {
	case p.fails != nil:
		h.Robots = &Verdict{false, "robots.txt: " + p.fails.Rejects[0].Reason}
		r.Outcome, r.Class, r.Code = harrow.Failed, p.fails.Class, p.fails.Code
		r.Rejects = append(r.Rejects, p.fails.Rejects...)
		return false, nil
	case p.defers != "":
		h.Robots = &Verdict{false, p.defers + ": a run would defer the host"}
		r.Outcome, r.Class, r.Code = harrow.Deferred, harrow.Transient, "robots"
		return false, nil
	case p.group == nil:
		h.Robots = &Verdict{true, p.open}
		return true, nil
	}
	d := p.group.Decide(u.PathQuery())
	h.Robots = &Verdict{d.Allowed, robotsRule(p.group, d)}
	if !d.Allowed {
		r.Outcome, r.Code = harrow.Denied, "robots"
	}
	return d.Allowed, nil
}

// robotsRule says what of robots.txt decided.
func robotsRule(g *robots.Group, d robots.Decision) string {
	switch {
	case g.Agent() == "":
		return "robots.txt has no group for this crawler"
	case d.Rule == "":
		return fmt.Sprintf("no rule of the group for %q is against it", g.Agent())
	}
	return fmt.Sprintf("%s (line %d of robots.txt, in the group for %q)", d.Rule, d.Line, g.Agent())
}

func origin(u canon.URL) string { return u.Scheme() + "://" + u.Authority() }

// policy reads an origin's robots.txt once.
func (t *trier) policy(ctx context.Context, u canon.URL) (*policy, error) {
	at := origin(u)
	if p := t.policies[at]; p != nil {
		return p, nil
	}
	p, err := t.askRobots(ctx, at, u)
	if err != nil {
		return nil, err
	}
	t.policies[at] = p
	if p.group != nil {
		if d, ok := p.group.CrawlDelay(); ok {
			t.delays[t.key(u)] = max(t.delays[t.key(u)], d)
		}
	}
	return p, nil
}

func (t *trier) askRobots(ctx context.Context, at string, page canon.URL) (*policy, error) {
	u, err := t.canon.Parse(at + "/robots.txt")
	if err != nil {
		return nil, err
	}
	for hop := 0; ; hop++ {
		resp, err := t.do(ctx, u, httpfetch.Request{Headers: t.sent.Headers(u, nil)})
		var failure *httpfetch.Error
		if errors.As(err, &failure) {
			if failure.Class == harrow.Permanent {
				r := &Report{}
				return &policy{fails: r}, r.fail(failure.Class, failure.Code, failure.Error())
			}
			return &policy{defers: "robots.txt is unreachable (" + failure.Code + ")"}, nil
		}
		if err != nil {
			return nil, err
		}
		next, moved := t.robotsHop(u, resp, page)
		if moved && hop < maxRobotsHops {
			if err := resp.Body.Close(); err != nil {
				return nil, err
			}
			u = next
			continue
		}
		return t.judge(resp)
	}
}

// robotsHop is where robots.txt went, within its registered domain.
func (t *trier) robotsHop(u canon.URL, resp *httpfetch.Response, page canon.URL) (canon.URL, bool) {
	if resp.Status < 300 || resp.Status > 399 || resp.Location == "" {
		return canon.URL{}, false
	}
	next, err := t.canon.Resolve(u, resp.Location)
	return next, err == nil && canon.Domain(next.Host()) == canon.Domain(page.Host())
}

func (t *trier) judge(resp *httpfetch.Response) (*policy, error) {
	defer resp.Body.Close() // read only: nothing can be lost
	switch robots.Status(resp.Status) {
	case robots.AllowAll:
		return &policy{open: fmt.Sprintf("there is no robots.txt (%d), so nothing is against it", resp.Status)}, nil
	case robots.ParseBody:
		in := resp.Body.Open()
		text, err := io.ReadAll(io.LimitReader(in, robots.MaxBytes))
		if err = errors.Join(err, in.Close()); err != nil {
			return nil, err
		}
		return &policy{group: robots.Parse(text).Group(t.product)}, nil
	}
	return &policy{defers: fmt.Sprintf("robots.txt answered %d", resp.Status)}, nil
}
