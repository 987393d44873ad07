package round

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/httpfetch"
	"github.com/harrowdata/harrow/internal/polite"
	"github.com/harrowdata/harrow/internal/robots"
	"github.com/harrowdata/harrow/internal/session"
	"github.com/harrowdata/harrow/internal/sitemap"
)

// exchange sends one HTTP request and sees to what comes of it. An error is a
// system failure: it stops the process.
func (p *Process) exchange(it *item, reservation *httpfetch.Reservation, begun time.Time) error {
	it.Attempt++
	if it.Started.IsZero() {
		it.Started = begun
	}
	req := httpfetch.Request{Method: it.method(), URL: it.url(), Addr: it.addr, Written: p.telling(it), Held: p.held(it), Headers: p.along(it, begun), Body: it.body()}
	if it.Robots != "" {
		req.MaxBody = robots.MaxBytes
	} else if it.login != nil {
		req.MaxBody = session.MaxLoginBody
	} else if it.Req.Kind == harrow.KindSitemap {
		req.MaxBody = sitemap.MaxBytes
	}
	resp, err := p.client.Do(p.flights, req, reservation)
	if errors.Is(err, httpfetch.ErrHeld) {
		return p.kept(it)
	}
	now := time.Now()
	var failure *httpfetch.Error
	if err != nil && !errors.As(err, &failure) {
		failure = &httpfetch.Error{Class: harrow.Transient, Code: "canceled", Err: err}
	}
	p.keep(it, resp, now)
	if !resp.SentAt.IsZero() {
		begun = resp.SentAt
	}
	if err := p.landed(it, begun, now, resp, failure); err != nil {
		return err
	}
	if failure != nil && failure.Class == harrow.System {
		return failure
	}
	if p.flights.Err() != nil || failure != nil && !p.permit.Lasts() {
		return nil // cut off: nothing is known of it, so it is asked again
	}
	p.results <- &result{shard: it.shard, exchange: p.hide(it, it.row(begun, now, resp, failure))}
	if failure != nil && failure.Code == codeProxy && it.aside() {
		return p.anotherProxy(it, now)
	}
	if it.Robots != "" {
		return p.robotsDone(it, resp, failure, now)
	}
	if it.login != nil {
		return p.loginDone(it, resp, failure, now)
	}
	if taken, err := p.outside(it, resp, failure, now); taken || err != nil {
		return err
	}
	if failure != nil {
		return p.pageFailed(it, failure, now)
	}
	return p.pageDone(it, resp, now)
}

// landed gives the politeness slot and the place in flight back. What the host
// asked for is written down before.
func (p *Process) landed(it *item, begun, now time.Time, resp *httpfetch.Response, failure *httpfetch.Error) error {
	sent := latest(begun, resp.WrittenAt) // what this process did before is not the host's latency
	o := p.cfg.fault.heard(observation(it, sent, now, resp, failure))
	p.mu.Lock()
	p.settle(it, sent)
	o.Unasked = p.byProxy(failure, now)
	p.sched.Finish(it.key.pol, now, o)
	if o.RetryAfter > 0 {
		p.rest(it.key, now.Add(o.RetryAfter), now)
	}
	if it.key.pol.Dead() {
		p.kill(it.key, "breaker")
	}
	p.counts.exchanges++
	p.ending++
	p.mu.Unlock()
	err := p.noteRest(it, o.RetryAfter, now)
	<-p.slots
	p.poke()
	return err
}

// observation is what an exchange tells the scheduler.
func observation(it *item, begun, now time.Time, resp *httpfetch.Response, failure *httpfetch.Error) polite.Observation {
	o := polite.Observation{Latency: now.Sub(begun), Attempt: int(it.Attempt)}
	if failure != nil {
		// A kept connection that died says nothing of the host.
		o.Failed = failure.Class == harrow.Transient && !errors.Is(failure, httpfetch.ErrStale)
		return o
	}
	_, class, _ := httpfetch.Classify(resp.Status)
	o.Failed = class == harrow.Transient
	o.Refused = resp.Status == 429 || resp.Status == 503
	if resp.Status >= 300 { // RFC 9110 10.2.3 gives it a meaning with 503 and 3xx, RFC 6585 with 429; it is meant with any
		o.RetryAfter, _ = httpfetch.RetryAfter(resp.RetryAfter, now)
	}
	if it.Robots == "" { // robots.txt is a file, whatever the pages cost
		o.FirstByte = resp.FirstByte
	}
	return o
}

// row is the exchanges row.
func (it *item) row(begun, now time.Time, resp *httpfetch.Response, failure *httpfetch.Error) *harrow.Exchange {
	e := &harrow.Exchange{ID: it.Req.ID, Kind: it.Req.Kind, Key: it.key.name, URL: it.url(), Hop: it.Hop, Attempt: it.Attempt,
		StartedAt: begun, EndedAt: now}
	if resp != nil {
		e.Status, e.RetryAfter, e.Proxy = int32(resp.Status), resp.RetryAfter, resp.Proxy
	}
	if failure != nil {
		e.Error = failure.Error()
	}
	return e
}

// again puts an item back into the frontier of its URL's key.
func (p *Process) again(it *item) error {
	data, err := it.encode()
	if err != nil {
		return err
	}
	at, err := p.site.canon.Parse(it.url())
	if err != nil {
		return fmt.Errorf("hop: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.queue(p.keyOf(at, it.shard), it.priority(), data)
}

// queue puts an encoded item into a key's part of the frontier; under mu.
func (p *Process) queue(k *key, priority int32, data []byte) error {
	if err := p.front.Push(k.name, priority, data); err != nil {
		return err
	}
	p.counts.queued++
	p.pending(k)
	p.poke()
	return nil
}

func (p *Process) mayRetry(it *item) bool {
	return int(it.Attempt) < p.cfg.Fetch.Retry.Attempts
}

// pageFailed handles an exchange without an answer.
func (p *Process) pageFailed(it *item, failure *httpfetch.Error, now time.Time) error {
	switch {
	case failure.Code == codeProxy:
		return p.anotherProxy(it, now)
	case failure.Class == harrow.Transient && p.mayRetry(it):
		return p.again(it)
	}
	p.results <- it.failed(failure.Class, failure.Code, failure.Error(), now)
	return nil
}

// pageDone handles an answer.
func (p *Process) pageDone(it *item, resp *httpfetch.Response, now time.Time) error {
	if resp.Status >= 300 && resp.Status < 400 && resp.Status != 304 && resp.Location != "" {
		return p.redirected(it, resp, now)
	}
	if resp.Status == 304 && it.known != nil {
		return p.notModified(it, resp, now)
	}
	outcome, class, code := httpfetch.Classify(resp.Status)
	if class == harrow.Transient && p.mayRetry(it) {
		resp.Body.Close()
		return p.again(it)
	}
	r := it.answered(resp, now)
	r.capture.Outcome, r.capture.Class, r.capture.Code = outcome, class, code
	switch outcome {
	case harrow.NotModified: // this request had no validators
		r.capture.Outcome, r.capture.Class, r.capture.Code = harrow.Failed, harrow.DataFault, "unasked_304"
	case harrow.Redirected:
		r.capture.Outcome, r.capture.Class, r.capture.Code = harrow.Failed, harrow.DataFault, "location"
	}
	if outcome = r.capture.Outcome; outcome == harrow.Failed {
		class, code = r.capture.Class, r.capture.Code
		r.reject = it.reject(class, code, fmt.Sprintf("answered %d%s", resp.Status, p.sent.Refused(it.at, resp.Status)))
		r.reject.Attempts = it.Attempt
	}
	if outcome == harrow.Fetched {
		if err := p.lookInto(it, resp, r); err != nil {
			resp.Body.Close()
			return err
		}
	}
	p.results <- r
	return nil
}

// lookInto sees what a page or sitemap leads to.
func (p *Process) lookInto(it *item, resp *httpfetch.Response, r *result) error {
	if it.Req.Kind == harrow.KindSitemap {
		return p.readSitemap(it, r)
	}
	if err := p.follow(it, resp, r); err != nil {
		return err
	}
	return p.sampler.page(p.ctx, *r.capture, resp.Body, p.cpu)
}

// answered begins the result of an answer whose body is kept, error pages'
// too.
func (it *item) answered(resp *httpfetch.Response, now time.Time) *result {
	c := it.capture(now)
	c.Status, c.ContentType, c.Headers = int32(resp.Status), resp.ContentType, resp.Headers
	c.RemoteAddr, c.Truncated = resp.RemoteAddr, resp.Truncated
	c.Digest, c.BodyBytes = resp.Body.Digest(), resp.Body.Len()
	if c.BodyBytes == 0 {
		c.Digest = ""
	}
	return &result{shard: it.shard, capture: &c, body: resp.Body}
}

func (r *result) fail(it *item, class harrow.Class, code, reason string) *result {
	r.capture.Outcome, r.capture.Class, r.capture.Code = harrow.Failed, class, code
	r.reject = it.reject(class, code, reason)
	return r
}

// reject is the dead letter of a request, with the request as its payload.
func (it *item) reject(class harrow.Class, code, reason string) *harrow.Reject {
	payload, err := json.Marshal(it.Req)
	if err != nil {
		payload = nil // a request always marshals; its URL is in the row anyway
	}
	return &harrow.Reject{ID: it.Req.ID, Stage: "fetch", Class: class, Code: code, Reason: reason, URL: it.url(),
		Attempts: it.Attempt, At: time.Now(), Payload: string(payload)}
}
