// Package serverlog is a server's own record of what it was asked, and the
// judge of whether that was polite: by the side that is to be spared, with
// nothing in common with the client's code.
//
// An exchange begins when the request's header has come. It is over when the
// last byte of its response was handed over, or when its client has gone: when
// its connection (HTTP/1.1) or its stream (HTTP/2) has, even if the handler
// still runs.
//
// # What is judged exactly
//
// Overlap is: the last byte of a response is held back until its exchange is
// closed, so a client that asks again as soon as it has read an answer is never
// seen as asking two at once. The one exception is an exchange that the client
// cut off, of which the server learns late: it counts as over [Late] before
// that.
//
// Gaps are not, as a server alone sees them: a request that busy cores held up
// on its way comes late, and the one after it too close upon it. It comes no
// closer than the hold-up, over however many requests, so [Log.Judge] allows
// Late for each of its windows, which catches a delay that is too short as a
// rule whatever it is. [Log.JudgeBeside] knows the hold-up of each request from
// the client's own log and allows for that and no more.
//
// So it is with requests that were on their way when an answer with Retry-After
// was handed over: those that come within Late of it, or beside the client's
// log began within Late of it, are not held against the client.
package serverlog

import (
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/harrowdata/harrow/internal/audit"
)

// Late is how much later than it happened a server may learn of something.
const Late = audit.Late

// Entry is one request as a server saw it.
type Entry struct {
	Key       string // what limits apply to: the host, unless Options.Group says otherwise
	Host      string // lower case, without the scheme's own port
	Method    string
	URL       string // scheme, host, path and query
	Start     time.Time
	End       time.Time // zero while the request is being answered
	Cut       bool      // its client had gone before it was answered
	Status    int       // 0 where the handler panicked, or the client had gone, before it answered
	UserAgent string
	Conn      string // the client's address: one for each connection

	asks time.Time // until when the answer asks for rest; zero: it doesn't
}

// Options of a Recorder; the zero value keeps every entry, by host.
type Options struct {
	Group func(host string) string // the key that a host belongs to; nil: the host itself
	Lean  bool                     // keep figures and no entries: less than 1 KiB a key, however many requests
}

// Log is what a server was asked. Its figures are exact under concurrency: the
// order of entries is the order in which requests came. The zero Log is empty
// and ready; it grows by one entry a request unless it is lean.
type Log struct {
	options Options
	mu      sync.Mutex
	reset   int // counts resets: what began before one is not ended after it
	entries []Entry
	keys    map[string]*tally
}

// begin opens an entry and returns what closes it; all calls of that but the
// first do nothing.
func (l *Log) begin(r *http.Request) func(status int, cut bool, asks time.Time) {
	e := entryOf(r)
	e.Key = e.Host
	if l.options.Group != nil {
		e.Key = l.options.Group(e.Host)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.keys == nil {
		l.keys = map[string]*tally{}
	}
	k := l.keys[e.Key]
	if k == nil {
		k = &tally{}
		l.keys[e.Key] = k
	}
	e.Start = time.Now() // under the lock, so that entries are in order
	i, reset := len(l.entries), l.reset
	if !l.options.Lean {
		l.entries = append(l.entries, e)
	}
	k.begin(e.Start)
	ended := false
	return func(status int, cut bool, asks time.Time) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if ended || l.reset != reset {
			return
		}
		ended = true
		now := time.Now()
		if !l.options.Lean {
			e := &l.entries[i]
			e.End, e.Status, e.Cut, e.asks = now, status, cut, asks
		}
		k.end(e.Start, now, cut, asks)
	}
}

func entryOf(r *http.Request) Entry {
	scheme, port := "http://", ":80"
	if r.TLS != nil {
		scheme, port = "https://", ":443"
	}
	host := strings.TrimSuffix(strings.ToLower(r.Host), port)
	return Entry{Host: host, Method: r.Method, URL: scheme + host + r.URL.RequestURI(), UserAgent: r.UserAgent(), Conn: r.RemoteAddr}
}

// Requests returns what was asked so far, in the order it came.
func (l *Log) Requests() []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.entries)
}

// Figures returns what a key was subjected to.
func (l *Log) Figures(key string) Figures {
	l.mu.Lock()
	defer l.mu.Unlock()
	if k := l.keys[key]; k != nil {
		return k.figures()
	}
	return Figures{SmallestGap: math.MaxInt64}
}

// All returns what every key was subjected to.
func (l *Log) All() map[string]Figures {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make(map[string]Figures, len(l.keys))
	for name, k := range l.keys {
		all[name] = k.figures()
	}
	return all
}

// MostAtOnce returns the largest number of requests that the key was answering
// at the same time.
func (l *Log) MostAtOnce(key string) int { return l.Figures(key).MostAtOnce }

// SmallestGap returns the shortest time between two starts on the key; the
// longest possible Duration where there are no two.
func (l *Log) SmallestGap(key string) time.Duration { return l.Figures(key).SmallestGap }

// Count returns how often the URL was asked for.
func (l *Log) Count(url string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, e := range l.entries {
		if e.URL == url {
			n++
		}
	}
	return n
}

// AskedTwice returns the URLs that were asked for more than once and how
// often; with exceptRobots it leaves out robots.txt.
func (l *Log) AskedTwice(exceptRobots bool) map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	counts := map[string]int{}
	for _, e := range l.entries {
		if !exceptRobots || !strings.HasSuffix(e.URL, "/robots.txt") {
			counts[e.URL]++
		}
	}
	for url, n := range counts {
		if n < 2 {
			delete(counts, url)
		}
	}
	return counts
}

// Reset empties the log. Requests that are being answered are not in it any
// more.
func (l *Log) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reset++
	l.entries, l.keys = nil, nil
}
