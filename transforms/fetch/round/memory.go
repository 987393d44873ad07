package round

import (
	"net/netip"
	"sync"
	"time"

	"github.com/harrowdata/harrow/internal/cookies"
	"github.com/harrowdata/harrow/internal/memory"
	"github.com/harrowdata/harrow/internal/robots/policies"
)

// recollection is what a process remembers of a run from round to round: when
// each key was last asked and what its robots.txt says. It is process-wide on
// purpose: a new round must not ask a host sooner than its delay allows.
type recollection struct {
	mu     sync.Mutex
	last   map[string]lastStart // of the keys started of late
	before map[string]lastStart // of those before them
	forgot bool                 // some keys' starts are not remembered
	robots *policies.Store
	addrs  map[string]netip.Addr // by host and port, with politeness key ip
	outage time.Time             // since when no proxy has carried anything; zero: one has
	began  time.Time             // of stage fetch, as far as this process knows
	alone  time.Time             // when the first round that it runs began
	jar    *cookies.Jar          // what servers set in this run
	gate   *gate                 // where the session of the job's login stands
}

// lastStarts bounds how many keys' last starts a process remembers, about 150
// bytes each: twice as many at most. Who is forgotten is taken for somebody who
// was asked when the round began.
const lastStarts = 1 << 15

type lastStart struct {
	at    time.Time
	delay time.Duration
	rest  time.Time // until when the host asked for rest
}

var (
	recallMu sync.Mutex
	recalled = map[string]*recollection{} // by job: the last run's only
	recallOf = map[string]string{}        // job to run
)

// recall returns what this process remembers of a run. It remembers a job's
// last one only; share and spill are where its robots.txt files go.
func recall(workspace, job, run string, share *memory.Share, spill string) (*recollection, error) {
	recallMu.Lock()
	defer recallMu.Unlock()
	at := workspace + "\x00" + job
	if recallOf[at] != run {
		if old := recalled[at]; old != nil {
			if err := old.robots.Close(); err != nil {
				return nil, err
			}
		}
		recallOf[at] = run
		recalled[at] = &recollection{last: map[string]lastStart{}, robots: policies.New(share, spill), addrs: map[string]netip.Addr{}}
	}
	return recalled[at], nil
}

// restRobots gives back the memory of a run's parsed robots.txt files, after its end:
// who goes on with it in this process reads them again from the disk.
func restRobots(run string) {
	recallMu.Lock()
	defer recallMu.Unlock()
	for at, of := range recallOf {
		if of == run {
			recalled[at].robots.Shrink()
		}
	}
}

func (r *recollection) lastStart(key string) (lastStart, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.find(key)
}

func (r *recollection) find(key string) (lastStart, bool) {
	l, ok := r.last[key]
	if !ok {
		l, ok = r.before[key]
	}
	return l, ok
}

// forgetful reports whether a key that is not known may have been started.
func (r *recollection) forgetful() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.forgot
}

// fetchBegan is when the stage began in this process; round is when the round
// that asks did.
func (r *recollection) fetchBegan(round time.Time) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.began.IsZero() {
		r.began, r.alone = round, round
	}
	return r.began
}

// fetchedFor notes how long the rounds before one took, where this process has
// no part in them.
func (r *recollection) fetchedFor(round time.Time, before time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if began := round.Add(-before); r.began.IsZero() || r.alone == round && began.Before(r.began) {
		r.began, r.alone = began, round
	}
}

func (r *recollection) started(key string, at time.Time, delay time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l, _ := r.find(key)
	l.at, l.delay = at, delay
	r.put(key, l)
}

// rests notes that a key's host asked for rest.
func (r *recollection) rests(key string, until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l, _ := r.find(key)
	l.rest = until
	r.put(key, l)
}

func (r *recollection) put(key string, l lastStart) {
	r.last[key] = l
	if len(r.last) >= lastStarts {
		r.forgot = r.forgot || len(r.before) > 0
		r.before, r.last = r.last, map[string]lastStart{}
	}
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
