package round

import (
	"fmt"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/httpfetch"
	"github.com/harrowdata/harrow/internal/robots/policies"
)

// codeProxy is the code of an exchange that a proxy failed to carry, and of what
// is deferred for want of one.
const codeProxy = "proxy"

// Of an exchange that failed at its proxy nothing is learned about the host: no
// backoff, no breaker, no attempt spent. It is repeated, the client choosing
// another proxy, as often as a host's failures are, and once more for each
// proxy: one that all of them refuse to carry must end some time.

// anotherProxy asks again for an item that a proxy failed to carry, or defers it.
func (p *Process) anotherProxy(it *item, now time.Time) error {
	it.Attempt--
	it.Via++
	enough := it.Via >= p.cfg.Fetch.Retry.Attempts+len(p.cfg.Fetch.Proxies)
	switch {
	case it.Robots != "" && enough:
		return p.learned(it.shard, it.Robots, &policies.Policy{Defers: true, Because: codeProxy}, 0)
	case it.login != nil && enough:
		return p.loginFailed(it, harrow.Transient, "no proxy carries it", now)
	case it.aside():
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.askRobots(it.key, it)
	case enough:
		p.results <- it.deferred(codeProxy, now)
		return nil
	}
	return p.again(it)
}

// byProxy reports whether the proxy is at fault, and notes since when nothing
// has come through any; under mu.
func (p *Process) byProxy(failure *httpfetch.Error, now time.Time) bool {
	bad := failure != nil && failure.Code == codeProxy
	if len(p.cfg.Fetch.Proxies) > 0 {
		p.recall.carried(!bad, now)
	}
	return bad
}

// noProxy says how long nothing can be started for want of a proxy; 0: there is
// one, or what was left is given up. An outage is waited for as long as a host's
// own would be, see [Process.patience]; counted over all rounds, or each of them
// would begin anew. Under mu.
func (p *Process) noProxy(now time.Time) time.Duration {
	ready, at := p.client.ProxyReady(now)
	if ready {
		return 0
	}
	since := p.recall.outageSince(now)
	left := p.patience() - now.Sub(since)
	if left <= 0 {
		p.drainAll(codeProxy)
		return 0
	}
	return max(time.Millisecond, min(left, at.Sub(now)))
}

// proxyStatus says why nothing starts if no proxy can be reached.
func (p *Process) proxyStatus(now time.Time) string {
	ready, at := p.client.ProxyReady(now)
	if ready {
		return ""
	}
	return fmt.Sprintf("proxies: none of %d can be reached; next try at %s", len(p.cfg.Fetch.Proxies), at.UTC().Format("15:04:05Z"))
}

// carried notes whether an exchange came through its proxy.
func (r *recollection) carried(through bool, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if through {
		r.outage = time.Time{}
	} else if r.outage.IsZero() {
		r.outage = now
	}
}

// outageSince is since when nothing has come through any proxy.
func (r *recollection) outageSince(now time.Time) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.outage.IsZero() {
		r.outage = now
	}
	return r.outage
}

// timeoutTries is how often robots.txt is tried, and a name looked up, that
// brings nothing until the deadline: while it is tried its host's requests
// wait, and the run for them. Other failures are quick: they are tried as often
// as pages.
const timeoutTries = 2

// mayTryAgain reports whether what failed so may be tried once more; tried
// counts this time.
func (p *Process) mayTryAgain(tried int, failure *httpfetch.Error) bool {
	most := p.cfg.Fetch.Retry.Attempts
	if failure != nil && failure.Class == harrow.Transient && failure.Code == "timeout" {
		most = min(most, timeoutTries)
	}
	return tried < most
}
