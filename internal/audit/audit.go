// Package audit reckons from the exchanges that a run sent what each politeness
// key was subjected to, and whether that kept to its limits. It takes rows of
// table exchanges, whose times are those of the client, to the microsecond.
//
// # What is judged
//
// Concurrency, exactly: an exchange lasts from when there is a connection that
// its request can be written to, to the end of its answer's body. So the figure
// is never less than what the server saw.
//
// Delay, to the table's microsecond: the time between one start and the next.
// A crawl-delay that robots.txt asked for beyond the configuration is held
// against the starts since the key's last robots.txt was read: what it said
// before is not known.
//
// Retry-After: no exchange begins while one holds, save what was on its way and
// is not called back: what is sent within [Late] of the answer, and as many as
// may have been waiting for a connection then, which is none where a key has one
// exchange at a time.
//
// A run goes on where the one before it ended: rows of that one come first,
// marked by [Auditor.Earlier]. They are not counted, but what comes later has to
// keep its distance from them.
//
// All of this is by the clock of the process that asked. One that was set back
// meanwhile, or two machines whose clocks differ, shows as a gap that wasn't.
//
// # Memory
//
// Rows come nearly in the order of their ends, and no exchange lasts longer than
// the job's timeout: within a window of that, rows are put into the order of
// their starts. An Auditor holds the rows of one window, about 200 bytes each
// and their URLs, and per key about 300 bytes and its name, however many rows
// there are.
package audit

import (
	"cmp"
	"container/heap"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/harrowdata/harrow"
)

// Late is how much later than an answer ended a start may be decided without
// it.
const Late = 20 * time.Millisecond

// ErrOrder: a row began before one of the same key that has left the window.
// The rows have to be gone through again with a longer one, or in a better
// order.
var ErrOrder = errors.New("exchanges are further out of order than the window allows for")

// Limits are what a key was promised.
type Limits struct {
	Concurrency int           // exchanges at once, at least 1
	Delay       time.Duration // between two starts
	Override    string        // pattern of the override that says so; empty: the default
	CrawlDelay  time.Duration // what robots.txt asked for beyond Delay; 0: nothing
}

// Auditor goes through exchanges.
type Auditor struct {
	limits  func(key string) Limits
	window  time.Duration
	keys    map[string]*key
	rows    rowHeap
	newest  time.Time // the latest end so far
	earlier bool
	most    int       // rows held at once
	from    time.Time // first start, of rows that count
	until   time.Time // last end
}

// New returns an Auditor of nothing yet. limits is asked once for each key;
// window is how much later than in the order of ends a row may come, the
// longest exchange included.
func New(limits func(key string) Limits, window time.Duration) *Auditor {
	return &Auditor{limits: limits, window: window, keys: map[string]*key{}}
}

// Earlier says whether the rows to come are of the run before.
func (a *Auditor) Earlier(yes bool) { a.earlier = yes }

// Add takes one row. It keeps nothing that the row points to.
func (a *Auditor) Add(x harrow.Exchange) error {
	k := a.keys[x.Key]
	if k == nil {
		name := strings.Clone(x.Key)
		k = &key{name: name, limits: a.limits(name)}
		a.keys[name] = k
	}
	r := row{key: k, url: strings.Clone(x.URL), start: x.StartedAt, end: x.EndedAt, kind: kindOf(x.Kind), earlier: a.earlier,
		robots: x.Kind == harrow.KindRobots && x.Status >= 200 && x.Status < 300}
	if AsksForRest(int(x.Status)) && x.Error == "" {
		r.rest = RestUntil(x.RetryAfter, x.EndedAt)
	}
	heap.Push(&a.rows, r)
	a.most = max(a.most, len(a.rows))
	if x.EndedAt.After(a.newest) {
		a.newest = x.EndedAt
	}
	if !a.earlier && (a.from.IsZero() || x.StartedAt.Before(a.from)) {
		a.from = x.StartedAt
	}
	if !a.earlier && x.EndedAt.After(a.until) {
		a.until = x.EndedAt
	}
	return a.settle(a.newest.Add(-a.window))
}

// Flush says that the rows to come are of other keys, or begin after all that
// have come.
func (a *Auditor) Flush() error {
	err := a.settle(a.newest.Add(1))
	a.newest = time.Time{}
	return err
}

// settle takes the rows that begin before t out of the window.
func (a *Auditor) settle(t time.Time) error {
	for len(a.rows) > 0 && a.rows[0].start.Before(t) {
		r := heap.Pop(&a.rows).(row)
		if !r.key.take(r) {
			return fmt.Errorf("%w: %s of %s", ErrOrder, r.url, r.start.Format(time.RFC3339Nano))
		}
	}
	return nil
}

// row is what is held of an exchange.
type row struct {
	key        *key
	url        string
	start, end time.Time
	rest       time.Time // until when its answer asks for rest; zero: it doesn't
	kind       int8
	robots     bool // it read a robots.txt
	earlier    bool
}

// rowHeap has the row on top that began first, of several the longest.
type rowHeap []row

func (h rowHeap) Len() int { return len(h) }
func (h rowHeap) Less(i, j int) bool {
	a, b := h[i], h[j]
	return cmp.Or(a.start.Compare(b.start), b.end.Compare(a.end), strings.Compare(a.url, b.url)) < 0
}
func (h rowHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *rowHeap) Push(x any)   { *h = append(*h, x.(row)) }
func (h *rowHeap) Pop() any {
	last := len(*h) - 1
	r := (*h)[last]
	(*h)[last] = row{}
	*h = (*h)[:last]
	return r
}

var kinds = [...]string{harrow.KindPage, harrow.KindSitemap, harrow.KindRobots, harrow.KindLogin, "other"}

func kindOf(name string) int8 {
	for i, k := range kinds {
		if k == name {
			return int8(i)
		}
	}
	return int8(len(kinds) - 1)
}
