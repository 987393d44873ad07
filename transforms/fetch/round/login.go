package round

import (
	"fmt"
	"strings"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/internal/httpfetch"
	"github.com/harrowdata/harrow/internal/session"
)

// A job's login (package session) opens one session for its registered domain,
// before the first page of it is asked for and again when it is over. One process
// sees all of a domain, so there is one login at a time; requests wait for it in
// their keys as they wait for robots.txt, and each of its exchanges is a start of
// its own host's key.
//
// After a login one request goes first, the probe: as a rule the one that was
// refused. It tells a session that is over from a page that is refused for
// reasons of its own, which it still is right after a login. Where nothing was
// ever let through, or probe after probe is sent to the login, it is the login
// that doesn't help: what is left of the domain is deferred with codeLogin, and
// one reject says why.

const (
	// codeLogin is the code of what is deferred since the login failed, and of
	// the reject that says how.
	codeLogin = "login"
	// whyLogin is why a key waits whose requests want a session.
	whyLogin = "login"
	// mostProbes is how many probes in a row may be sent to the login, where others
	// were let through before.
	mostProbes = 3
	// mostVain is after how many logins that changed nothing for the page that
	// asked for them one refused page is no longer a reason for another: then
	// it takes vainRow of them in a row, and twice as many after each that
	// changes nothing.
	mostVain, vainRow = 3, 5
)

// gate is where the session of a run's login stands; under Process.mu. It
// outlives a round as the cookies do.
type gate struct {
	state  gateState
	n      int64 // sessions so far
	ever   bool  // something was let through once
	probes int   // refused in a row
	vain   int   // logins that changed nothing
	row    int   // pages refused in a row, no login in between
}

type gateState int

const (
	gateOut     gateState = iota // there is no session
	gateOpening                  // a login is under way
	gateFresh                    // there is one that nothing was asked in
	gateProbing                  // one request is under way in it
	gateOpen
	gateLost // the login failed: there won't be a session in this run
)

// entering is what of a login lives with an item.
type entering struct {
	step  session.Step
	tries int // logins that failed for the moment, before this
}

// resumeGate takes the run's session over from the round before. What that one
// left half done is begun again.
func (r *recollection) resumeGate() *gate {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gate == nil {
		r.gate = &gate{}
	}
	g := *r.gate // a process that is being left may still hold the one before
	switch g.state {
	case gateOpening:
		g.state = gateOut
	case gateProbing:
		g.state = gateFresh
	}
	r.gate = &g
	return r.gate
}

// aside reports whether an item is not a request of the job but is asked for the
// sake of one: robots.txt or a login.
func (it *item) aside() bool { return it.Robots != "" || it.login != nil }

// private reports whether an item wants the session.
func (p *Process) private(it *item) bool {
	l := p.sent.Login()
	return l != nil && !it.aside() && it.Req.Domain == l.Domain()
}

// enter lets an item in that wants a session: ready, or ended, or (neither)
// parked until there is one. Under mu.
func (p *Process) enter(it *item, now time.Time) (ready bool, end *result) {
	g := p.gate
	switch g.state {
	case gateLost:
		return false, it.deferred(codeLogin, now)
	case gateFresh:
		g.state, it.probe = gateProbing, true
		fallthrough
	case gateOpen:
		it.session = g.n
		return true, nil
	case gateOut:
		g.state = gateOpening
		p.pushLogin(it, entering{step: p.sent.Login().Begin()}, nil)
	}
	k := it.key
	k.parked = append(k.parked, it)
	p.counts.queued++
	if !k.gated {
		k.gated, p.gated = true, append(p.gated, k)
	}
	return false, nil
}

// pushLogin queues a request of a login, for the sake of an item; under mu.
// behind is the key in whose queue it rests before; nil: none.
func (p *Process) pushLogin(it *item, l entering, behind *key) {
	s := l.step
	next := &item{Req: harrow.Request{ID: it.Req.ID, Method: s.Method, URL: s.URL.String(), Headers: s.Headers, Body: s.Body, Kind: harrow.KindLogin, Domain: it.Req.Domain},
		Hop: s.Hop, Attempt: int32(l.tries), Shard: it.Shard, shard: it.shard, at: s.URL, login: &l}
	k := p.keyOf(s.URL, it.shard)
	if behind != nil && behind != k {
		k, next.Waited = behind, true
	}
	k.urgent = append(k.urgent, next)
	p.pending(k)
	p.poke()
}

// openGate lets the keys go on that wait for a login; under mu.
func (p *Process) openGate() error {
	gated := p.gated
	p.gated = nil
	for _, k := range gated {
		k.gated = false
		if err := p.unpark(k); err != nil {
			return err
		}
	}
	p.poke()
	return nil
}

// loginDone handles what came of one request of a login.
func (p *Process) loginDone(it *item, resp *httpfetch.Response, failure *httpfetch.Error, now time.Time) error {
	if failure != nil {
		return p.loginFailed(it, failure.Class, p.hidden(it, failure.Error()), now)
	}
	defer resp.Body.Close()
	if _, class, _ := httpfetch.Classify(resp.Status); class == harrow.Transient {
		return p.loginFailed(it, class, fmt.Sprintf("%s answered %d", hiddenURL(it.at), resp.Status), now)
	}
	body, err := readAll(resp.Body, session.MaxLoginBody)
	if err != nil {
		return fmt.Errorf("login: %w", err)
	}
	answer := session.Answer{Status: resp.Status, Location: resp.Location, ContentType: resp.ContentType, Body: body}
	next, done, err := p.sent.Login().Next(it.login.step, answer, p.maxRedirects())
	if err != nil {
		return p.loginFailed(it, harrow.Permanent, fmt.Sprintf("%s: %v", hiddenURL(it.at), err), now)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !done {
		var behind *key
		if wait, _ := httpfetch.RetryAfter(resp.RetryAfter, now); wait > 0 {
			behind = it.key // see hopOn
		}
		p.pushLogin(it, entering{step: next, tries: it.login.tries}, behind)
		return nil
	}
	p.gate.state, p.gate.row = gateFresh, 0
	p.gate.n++
	p.recall.jar.Keep(p.sent.Login().Domain(), true)
	return p.openGate()
}

// loginFailed begins a login again that failed for the moment, up to
// fetch.retry.attempts; else what wants the session is deferred.
func (p *Process) loginFailed(it *item, class harrow.Class, reason string, now time.Time) error {
	p.mu.Lock()
	if tries := it.login.tries + 1; class == harrow.Transient && tries < p.cfg.Fetch.Retry.Attempts && (it.key.dead == "" || it.key.ending()) && !p.stopping {
		p.pushLogin(it, entering{step: p.sent.Login().Begin(), tries: tries}, nil)
		p.mu.Unlock()
		return nil
	}
	p.mu.Unlock()
	// Before those go on that wait: with the last of them the shard is done.
	p.results <- p.lost(it, class, reason, now)
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closeGate()
}

// lost is what says, once, that there will be no session in this run.
func (p *Process) lost(it *item, class harrow.Class, reason string, now time.Time) *result {
	return &result{shard: it.shard, reject: &harrow.Reject{Stage: "fetch", Class: class, Code: codeLogin, Reason: "fetch.login: " + p.sent.Text(reason),
		URL: p.sent.Text(hiddenURL(p.sent.Login().URL())), Attempts: it.Attempt, At: now}}
}

// closeGate gives the session up for this run: who waits for it goes on, to be
// deferred. Under mu.
func (p *Process) closeGate() error {
	p.gate.state = gateLost
	p.recall.jar.Keep(p.sent.Login().Domain(), false)
	return p.openGate()
}

// unasked ends a login that will not be asked for, since its key is given up.
// Under mu.
func (p *Process) unasked(it *item, k *key, now time.Time) ([]*result, error) {
	if p.dead != "" || k.ending() { // all keys are, or all of the domain's
		p.gate.state = gateOut
		return nil, p.openGate()
	}
	class, reason := harrow.Transient, fmt.Sprintf("%s was not asked for: %s", hiddenURL(it.at), k.dead)
	if k.fails != "" {
		class, reason = harrow.Permanent, p.hidden(it, k.fails)
	}
	return []*result{p.lost(it, class, reason, now)}, p.closeGate()
}

// outside sees whether what came of an item says that it was asked without a
// session that holds. If so it is asked again, after another login, or ended:
// taken. What a page that is refused for its own reasons says is not taken.
func (p *Process) outside(it *item, resp *httpfetch.Response, failure *httpfetch.Error, now time.Time) (taken bool, err error) {
	if !p.private(it) {
		return false, nil
	}
	if failure != nil || resp.Status >= 500 {
		return false, p.undecided(it)
	}
	over := p.sent.Login().Over(it.at, resp.Status, resp.Location)
	p.mu.Lock()
	v := p.gate.judge(it, over, resp.Status < 400)
	var end *result
	if v == verdictGone {
		reason := fmt.Sprintf("the session does not hold: right after a login %s was answered with %d", it.url(), resp.Status)
		end, err = p.lost(it, harrow.Permanent, reason, now), p.closeGate()
	} else if it.probe {
		err = p.openGate()
	}
	p.mu.Unlock()
	if end != nil {
		p.results <- end
	}
	if err != nil || v == verdictFine {
		return false, err
	}
	if v == verdictOwn {
		if resp.Location == "" {
			return false, nil
		}
		r := it.answered(resp, now)
		p.results <- r.fail(it, harrow.Permanent, codeLogin, "redirects to the login, with a session that holds for other pages")
		return true, nil
	}
	resp.Body.Close()
	next := *it
	next.Attempt, next.Again = 0, true
	return true, p.again(&next)
}

// undecided lets another item be the probe, where this one was and says nothing
// of the session.
func (p *Process) undecided(it *item) error {
	if !it.probe {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gate.state == gateProbing {
		p.gate.state = gateFresh
	}
	return p.openGate()
}

// verdict is what an answer says of the session.
type verdict int

const (
	verdictFine  verdict = iota // nothing against it
	verdictOwn                  // the page is refused for its own reasons
	verdictAgain                // the session is over: the page is asked again in another
	verdictGone                 // there is no use in another
)

// judge says what an answer means; over: it looks as if there were no session;
// moved: since it redirects to the login.
func (g *gate) judge(it *item, over, moved bool) verdict {
	switch {
	case !over:
		if it.session == g.n {
			g.ever, g.probes, g.row = true, 0, 0
			if it.probe {
				g.state = gateOpen
			}
		}
		return verdictFine
	case it.session != g.n || g.state != gateOpen && !it.probe: // somebody has noticed before
		return verdictAgain
	case it.probe:
		g.probes++
		if !g.ever || moved && g.probes >= mostProbes {
			return verdictGone
		}
		if g.state = gateFresh; g.vain >= mostVain {
			g.state = gateOpen
		}
		g.vain++
		return verdictOwn
	}
	if g.row++; g.vain >= mostVain && g.row < vainRow<<min(g.vain-mostVain, 20) {
		return verdictOwn
	}
	g.state, g.row = gateOut, 0
	return verdictAgain
}

// hiddenURL is a login's URL as it may be told: a query is where servers put
// what only the user may know.
func hiddenURL(u canon.URL) string {
	url, _, _ := strings.Cut(u.String(), "?")
	return url
}

// hidden is a message about an exchange of a login as it may be told.
func (p *Process) hidden(it *item, text string) string {
	return p.sent.Text(strings.ReplaceAll(text, it.url(), hiddenURL(it.at)))
}

// hide leaves out of a login's row what only the user may know.
func (p *Process) hide(it *item, e *harrow.Exchange) *harrow.Exchange {
	if it.login != nil {
		e.URL, e.Error = p.sent.Text(hiddenURL(it.at)), p.hidden(it, e.Error)
	}
	return e
}
