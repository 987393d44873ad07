package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/harrowdata/harrow/internal/polite"
)

// plan is one simulation.
type plan struct {
	crowd    crowd
	workers  int
	inFlight int           // of each worker
	limits   polite.Limits // of every host
	least    time.Duration // that an exchange takes
	most     time.Duration
	arrival  bool // in the order of arrival instead of most time left first
	cheat    bool // the scheduler is told twice the limits: the judge must see it
}

// midnight is when every simulation begins.
var midnight = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// host is what a server sees of its client: it knows the limits by itself.
type host struct {
	key      *polite.Key
	left     int32 // to be asked, robots.txt included
	size     int32
	inFlight int32
	asked    bool
	last     int64 // start, ns since midnight
}

// flight is an exchange under way.
type flight struct {
	ends, began int64
	host        *host
}

// outcome is what came of one worker.
type outcome struct {
	requests int64
	wall     time.Duration
	bound    time.Duration // least time that the hosts' limits and in_flight allow
	busy     time.Duration // latencies of all exchanges
	keys     int
	memory   int64 // bytes of its scheduler
	broken   int64 // limits, as the hosts saw it
	first    string
}

// worker crawls its hosts on a clock of its own.
type worker struct {
	plan
	s       *polite.Scheduler
	hosts   []host
	flights flights
	now     int64
	random  *rand.Rand
	out     outcome
}

func newWorker(p plan, ranks []int32, seed uint64) *worker {
	w := &worker{plan: p, random: rand.New(rand.NewPCG(seed, 2)), hosts: make([]host, len(ranks)), flights: make(flights, 0, p.inFlight)}
	before := heapBytes()
	cfg := polite.Config{Base: time.Second, Cap: 5 * time.Minute, Failures: 8, CoolDown: 2 * time.Minute, Adaptive: true, Random: w.random.Float64}
	if p.arrival {
		cfg.Order = arrivalOrder
	}
	limits := p.limits
	if p.cheat {
		limits = polite.Limits{Concurrency: 2 * limits.Concurrency, Delay: limits.Delay / 2}
	}
	w.s = polite.New(cfg, midnight)
	for i, r := range ranks {
		h := &w.hosts[i]
		h.size = p.crowd.sizes[r] + 1 // robots.txt
		h.left = h.size
		h.key = w.s.Add(name(int(r)), limits, h)
		w.s.Pending(h.key, 1, int(h.left)-1) // until robots.txt is known
	}
	w.out.keys = len(ranks)
	w.out.memory = heapBytes() - before
	return w
}

// heapBytes is what is allocated and in use; exact only while nothing else
// runs.
func heapBytes() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// arrivalOrder has the requests of all hosts come mixed, each host's spread
// evenly over the whole: the host goes first whose next request came first.
func arrivalOrder(k *polite.Key) int64 {
	h := k.Value.(*host)
	return math.MaxInt64/2 - int64(h.left)*(1<<40)/int64(h.size)
}

func (w *worker) time() time.Time { return midnight.Add(time.Duration(w.now)) }

// run crawls until everything is asked for.
func (w *worker) run() outcome {
	for {
		wait := time.Duration(0)
		if len(w.flights) < w.inFlight {
			k, until := w.s.Next(w.time())
			if k != nil {
				w.start(k)
				continue
			}
			wait = until
		}
		switch {
		case len(w.flights) > 0 && (wait == 0 || w.flights[0].ends <= w.now+int64(wait)):
			w.finish()
		case wait > 0:
			w.now += int64(wait)
		default:
			return w.end()
		}
	}
}

func (w *worker) start(k *polite.Key) {
	h := k.Value.(*host)
	w.judge(h)
	w.s.Start(k, w.time())
	h.left--
	h.inFlight++
	h.asked, h.last = true, w.now
	takes := int64(w.least) + int64(w.random.Uint64N(uint64(w.most-w.least)))
	w.flights.push(flight{w.now + takes, w.now, h})
	w.out.busy += time.Duration(takes)
}

// judge is the host's own view of a start.
func (w *worker) judge(h *host) {
	what := ""
	switch {
	case h.left == 0:
		what = "is asked for more than it has"
	case int(h.inFlight) >= w.limits.Concurrency:
		what = fmt.Sprintf("has %d at once, promised %d", h.inFlight+1, w.limits.Concurrency)
	case h.asked && w.now-h.last < int64(w.limits.Delay):
		what = fmt.Sprintf("is asked again after %v, promised %v", time.Duration(w.now-h.last), w.limits.Delay)
	}
	if what != "" {
		if w.out.broken++; w.out.broken == 1 {
			w.out.first = h.key.Name() + " " + what
		}
	}
}

func (w *worker) finish() {
	f := w.flights.pop()
	w.now = max(w.now, f.ends)
	took := time.Duration(f.ends - f.began)
	f.host.inFlight--
	w.out.requests++
	w.s.Finish(f.host.key, w.time(), polite.Observation{Latency: took, FirstByte: took, Attempt: 1})
	w.s.Pending(f.host.key, int(f.host.left), 0)
}

func (w *worker) end() outcome {
	o := &w.out
	o.wall = time.Duration(w.now)
	o.bound = o.busy / time.Duration(w.inFlight)
	for i := range w.hosts {
		h := &w.hosts[i]
		o.bound = max(o.bound, h.key.Stats().Bound())
		if h.left != 0 {
			o.broken++
			o.first = h.key.Name() + " was not asked for everything"
		}
	}
	return *o
}

// flights is a heap by end. The standard library's would allocate.
type flights []flight

func (f *flights) push(e flight) {
	q := append(*f, e)
	i := len(q) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if q[parent].ends <= e.ends {
			break
		}
		q[i], i = q[parent], parent
	}
	q[i] = e
	*f = q
}

func (f *flights) pop() flight {
	q := *f
	least, e := q[0], q[len(q)-1]
	q = q[:len(q)-1]
	for i, child := 0, 1; len(q) > 0; child = 2*i + 1 {
		if child+1 < len(q) && q[child+1].ends < q[child].ends {
			child++
		}
		if child >= len(q) || q[child].ends >= e.ends {
			q[i] = e
			break
		}
		q[i], i = q[child], child
	}
	*f = q
	return least
}
