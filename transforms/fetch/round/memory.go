package round

import (
	"net/netip"
	"sync"
	"time"

	"github.com/harrowdata/harrow/internal/robots"
)

// recollection is what a process remembers of a run from round to round: when
// each key was last asked and what its robots.txt says. It is process-wide on
// purpose: a new round must not ask a host sooner than its delay allows.
type recollection struct {
	mu     sync.Mutex
	last   map[string]lastStart
	robots map[string]*policy    // by origin
	addrs  map[string]netip.Addr // by host and port, with politeness key ip
	began  time.Time             // of the first round that this process knows
}

type lastStart struct {
	at    time.Time
	delay time.Duration
}

// policy is what is known of an origin's robots.txt; it does not change.
type policy struct {
	group  *robots.Group // nil: all is allowed
	defers bool          // unreachable: its requests are deferred
	fails  string        // code of a permanent failure: its requests fail
}

var (
	recallMu sync.Mutex
	recalled = map[string]*recollection{} // by job: the last run's only
	recallOf = map[string]string{}        // job to run
)

func recall(workspace, job, run string) *recollection {
	recallMu.Lock()
	defer recallMu.Unlock()
	at := workspace + "\x00" + job
	if recallOf[at] != run {
		recallOf[at] = run
		recalled[at] = &recollection{last: map[string]lastStart{}, robots: map[string]*policy{}, addrs: map[string]netip.Addr{}}
	}
	return recalled[at]
}

func (r *recollection) lastStart(key string) (lastStart, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l, ok := r.last[key]
	return l, ok
}

// fetchBegan is when the stage began in this process; round is when the round
// that asks did.
func (r *recollection) fetchBegan(round time.Time) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.began.IsZero() {
		r.began = round
	}
	return r.began
}

func (r *recollection) policy(origin string) *policy {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.robots[origin]
}

func (r *recollection) learn(origin string, p *policy) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.robots[origin] = p
}

func (r *recollection) forget(origin string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.robots, origin)
}

func (r *recollection) started(key string, at time.Time, delay time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last[key] = lastStart{at, delay}
}

func (r *recollection) addr(host string) netip.Addr {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.addrs[host]
}

func (r *recollection) resolved(host string, addr netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.addrs[host] = addr
}
