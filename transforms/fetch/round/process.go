package round

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/internal/frontier"
	"github.com/harrowdata/harrow/internal/httpfetch"
	"github.com/harrowdata/harrow/internal/jobfile"
	"github.com/harrowdata/harrow/internal/memory"
	"github.com/harrowdata/harrow/internal/polite"
	"github.com/harrowdata/harrow/internal/robots"
	"github.com/harrowdata/harrow/internal/seen"
	"github.com/harrowdata/harrow/internal/session"
	"github.com/harrowdata/harrow/io/lakeio"
)

// Process is what this process does for one round of one run. Bundles share
// it: see [Join].
type Process struct {
	cfg     Config
	site    *site
	lake    lakeio.Lake
	permit  Permit
	client  *httpfetch.Client
	budget  *memory.Budget
	product string // robots.txt's product token
	recall  *recollection
	sent    *session.Sent // along with requests
	sampler *sampler
	known   *known
	met     met
	begun   time.Time
	worker  string // name of the status file

	ctx       context.Context // ends everything
	cancel    context.CancelFunc
	flights   context.Context // ends the exchanges in flight
	cut       context.CancelFunc
	starts    context.Context // ends the starts of exchanges
	endStarts context.CancelFunc
	refs      int // under processesMu
	left      sync.Once
	leftErr   error
	released  error // how the permit was given back; once ended is closed

	// mu guards everything below, and the fields of keys and shards.
	mu       sync.Mutex
	sched    *polite.Scheduler
	front    *frontier.Frontier
	seen     *seen.Set
	keys     map[string]*key
	addrs    *addresses         // politeness key ip; else nil
	asked    map[string]asked   // by politeness key: what shard records remember
	robots   map[string]*asking // by origin: robots.txt files being fetched
	gate     *gate              // where the session of the job's login stands
	gated    []*key             // with requests parked until there is one
	shards   map[int]*shard
	draining []*key // to be deferred as a whole
	stopping bool   // starts ended: nothing new
	dead     string // code: everything that is left, or comes, is deferred
	fault    error  // system failure that stopped the process
	givenUp  error  // what ended the shards that were given up, and ends those that come
	counts   counts
	ending   int // exchanges that are over and not dealt with yet
	minute   minute

	waitsFor atomic.Pointer[string] // what the dispatcher waits for, no key's turn

	wake    chan struct{} // 1: the dispatcher has something to look at
	slots   chan struct{} // one per exchange in flight
	cpu     chan struct{} // one per page being looked into for links
	results chan *result
	flying  sync.WaitGroup // exchanges in flight
	taking  sync.WaitGroup // shards that are waited for
	ended   chan struct{}  // closed when writer and reporter are through
}

// key is a politeness key of this round.
type key struct {
	name     string
	shard    *shard
	pol      *polite.Key // nil if it is nameless
	rest     time.Time   // until when the host asked for rest
	admitted int64       // requests, for max_pages
	urgent   []*item     // robots.txt to be asked for, and logins
	parked   []*item     // requests that wait for one
	dead     string      // code: everything left is deferred
	fails    string      // reason: it fails for good instead, with dead as its code
	draining bool        // is in Process.draining
	gated    bool        // is in Process.gated
	noted    bool        // a former owner of one of its shards was taken account of
	unsent   *item       // its exchange has no connection yet: the delay to the next start has not begun
	nameless bool        // it waits for an address and is never asked: see addresses
}

// shard is a fetch shard that this process runs.
type shard struct {
	at       lakeio.FetchShard
	owner    string
	epoch    int64
	pending  int64           // requests without a captures row
	loaded   bool            // all its requests are in the frontier
	held     bool            // another worker may start exchanges of it: it is waited for
	seeds    map[string]bool // origins whose robots.txt may name sitemaps; complete before the first request is admitted
	err      error
	finished chan struct{} // closed when it is done or given up
	closed   bool
	ends     time.Time // of its bundle; zero: never
	dead     string    // code: everything that is left of it, or comes, is deferred

	noting sync.Mutex           // held while the record is swapped
	notes  *noting              // what the next swap takes along; under Process.mu
	rests  map[string]time.Time // keys that the run before left to rest
}

// asking is a robots.txt on its way and who waits for it.
type asking struct {
	waiting   []*key
	unreached bool // it is no longer asked for: what needs it is deferred
}

func start(ctx context.Context, cfg Config) (_ *Process, err error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	p := &Process{cfg: cfg, begun: time.Now(), worker: lakeio.WorkerName(cfg.Env.Stage), keys: map[string]*key{}, asked: map[string]asked{}, robots: map[string]*asking{}, shards: map[int]*shard{},
		wake: make(chan struct{}, 1), slots: make(chan struct{}, cfg.Fetch.InFlight), cpu: make(chan struct{}, cpus()),
		results: make(chan *result, 64), ended: make(chan struct{}), counts: newCounts(),
		product: robots.ProductToken(cfg.Fetch.UserAgent),
		known:   newKnown()}
	p.minute.past = []snapshot{{at: p.begun}}
	if p.lake, err = cfg.Env.Open(); err != nil {
		return nil, err
	}
	if p.site, err = newSite(cfg); err != nil {
		return nil, err
	}
	p.addrs = newAddresses(cfg)
	if p.sampler, err = newSampler(cfg, p.site.canon, p.begun); err != nil {
		return nil, err
	}
	if p.sent, err = newSent(cfg, p.site); err != nil {
		return nil, err
	}
	// Better now than when all is fetched and load needs them.
	if err = jobfile.Lacking(cfg.Secrets, os.LookupEnv); err != nil {
		return nil, err
	}
	p.budget = memory.For(cfg.Env.Memory)
	if p.recall, err = recall(cfg.Env.Workspace, cfg.Env.Job, cfg.Env.Run, p.budget.Robots, cfg.Env.Spill); err != nil {
		return nil, err
	}
	p.recall.keepCookies(p.budget.Limit / cookiesPart)
	p.gate = p.recall.resumeGate()
	p.sched = polite.New(polite.Config{Base: time.Duration(cfg.Fetch.Retry.Base), Cap: time.Duration(cfg.Fetch.Retry.Cap),
		Failures: cfg.Fetch.Breaker.Failures, CoolDown: time.Duration(cfg.Fetch.Breaker.CoolDown), Random: rand.Float64,
		Adaptive: cfg.Fetch.Politeness.Adaptive == nil || *cfg.Fetch.Politeness.Adaptive}, p.begun)
	if p.front, err = frontier.Open(cfg.Env.Spill); err != nil {
		return nil, err
	}
	p.seen = seen.New(p.budget.Seen, cfg.Env.Spill)
	if p.client, err = newClient(cfg, p.sent.Everywhere(), p.budget, func() bool { return p.permit.Lasts() }); err != nil {
		return nil, errors.Join(err, p.free())
	}
	if p.permit, err = newPermit(ctx, p.lake, cfg); err != nil {
		return nil, errors.Join(err, p.free())
	}
	// The process outlives the bundle that joined first, so its context is its
	// own; Close ends it.
	p.ctx, p.cancel = context.WithCancel(context.WithoutCancel(ctx))
	p.flights, p.cut = context.WithCancel(p.ctx)
	p.starts, p.endStarts = context.WithCancel(p.ctx)
	go p.run()
	return p, nil
}

// run owns the goroutines: when starts end, exchanges in flight end, then the
// writer, then the reporter, then the permit.
func (p *Process) run() {
	reporter, stopReporter := make(chan struct{}), make(chan struct{})
	go func() { defer close(reporter); p.report(stopReporter) }()
	writer := make(chan struct{})
	go func() { defer close(writer); newWriter(p).run() }()
	p.dispatch()
	p.taking.Wait()
	p.flying.Wait()
	close(p.results)
	<-writer
	p.giveUp()
	close(stopReporter)
	<-reporter
	p.released = p.permit.Release() // nothing is appended any more, whoever still holds on to the process
	close(p.ended)
}

// hasEnded reports whether the process has, for whatever reason: it does
// nothing any more.
func (p *Process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// giveUp ends the shards that are not done.
func (p *Process) giveUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopping = true
	why := p.fault // a failure of ours is not a stop that somebody asked for
	if why == nil {
		why = ErrStopped
	}
	p.givenUp = why
	for _, s := range p.shards {
		p.end(s, why)
	}
}

// end closes a shard's wait; under mu.
func (p *Process) end(s *shard, err error) {
	if !s.closed {
		s.closed, s.err = true, err
		close(s.finished)
	}
}

// lose gives up a shard that has another owner: what is left of it is the
// other's.
func (p *Process) lose(s *shard, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end(s, errors.Join(ErrStopped, err))
	for _, k := range p.keys {
		if k.shard == s && p.addrs == nil { // else others may share it: what is the shard's is passed over when its turn comes
			p.kill(k, "lost")
		}
	}
	p.poke()
}

// free closes what the process holds on disk and network.
func (p *Process) free() error {
	var errs []error
	if p.client != nil {
		p.client.Close()
	}
	if p.front != nil {
		errs = append(errs, p.front.Close())
	}
	if p.seen != nil {
		errs = append(errs, p.seen.Close())
	}
	errs = append(errs, p.known.close(), p.met.close())
	return errors.Join(errs...)
}

// stop ends all starts; fault is what made it necessary, nil for a pause.
func (p *Process) stop(fault error) {
	p.mu.Lock()
	p.stopping = true
	if p.fault == nil {
		p.fault = fault
	}
	p.mu.Unlock()
	p.endStarts()
}

// poke makes the dispatcher look again.
func (p *Process) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// keyOf returns the key of a URL, which belongs to the shard; under mu.
func (p *Process) keyOf(u canon.URL, s *shard) *key {
	if p.addrs != nil {
		return p.hostOf(u, s).key
	}
	return p.keyNamed(p.site.key(u), s)
}

// keyNamed returns the key of that name, of which the shard has requests.
func (p *Process) keyNamed(name string, s *shard) *key {
	k, ok := p.keys[name]
	if !ok {
		limits, _ := p.site.limits.For(name)
		k = &key{name: name, shard: s}
		k.pol = p.sched.Add(name, p.cfg.fault.limits(limits), k)
		p.keys[name] = k
		k.dead = cmp.Or(p.dead, s.dead)
	}
	if !ok || s.epoch > 1 && !k.noted {
		p.firstStart(k, s.epoch)
	}
	return k
}

// firstStart keeps a key from being asked sooner than somebody else's last
// start allows: a former owner of the shard, an earlier round, the run before.
func (p *Process) firstStart(k *key, epoch int64) {
	now := time.Now()
	p.heedKey(k, now)
	last, known := p.recall.lastStart(k.name)
	if known {
		p.sched.AtLeast(k.pol, last.delay)
		p.sched.Began(k.pol, last.at)
		p.rest(k, last.rest, now)
	}
	delay := k.pol.Limits().Delay
	if p.cfg.Remote { // another worker may have asked since this one did
		known = false
	}
	switch {
	case epoch > 1, p.cfg.Died && p.cfg.Round == 0 && !known: // its last exchanges may not be over
		k.noted = true
		p.sched.NotBefore(k.pol, now.Add(max(delay, time.Second)), polite.Cautious)
		p.sched.Slow(k.pol, now.Add(time.Duration(p.cfg.Fetch.Timeout)))
	case known:
	case p.cfg.Round > 0 && (p.cfg.Remote || p.recall.forgetful()):
		p.sched.NotBefore(k.pol, now.Add(max(delay, noteFrom)), polite.Delay)
	case p.cfg.Round > 0, now.Sub(p.cfg.LastEnd) < max(time.Minute, delay):
		p.sched.NotBefore(k.pol, now.Add(delay), polite.Delay)
	}
}

// pending tells the scheduler how many of the key's requests may start; under
// mu. While a robots.txt is awaited that most of them may be waiting for, only
// that may.
func (p *Process) pending(k *key) {
	p.drain(k)
	if k.nameless {
		return
	}
	n, later := len(k.urgent), int(p.front.Count(k.name))
	if len(k.parked) < p.site.mostParked() {
		n, later = n+later, 0
	}
	later += len(k.parked)
	if k.unsent != nil {
		n, later = 0, n+later
	}
	p.sched.Pending(k.pol, n, later)
}

func newOwner() string { return uuid.NewString() }
