package demosite

import (
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Entry is one request as a server saw it.
type Entry struct {
	Host      string // lower case, without a port 80
	Method    string
	URL       string // scheme, host, path and query
	Start     time.Time
	End       time.Time // zero while the request is being answered
	Status    int       // 0 where the handler panicked before it answered
	UserAgent string
	Conn      string // the client's address: one for each connection
}

// Log is a server's own record of what it was asked, so that politeness is
// judged by the side that is to be spared. Its figures are exact under
// concurrency: the order of entries is the order in which requests came, and a
// request counts as being answered from its handler's entry until its handler
// has returned. The zero Log is empty and ready; it grows by one entry a
// request.
type Log struct {
	mu      sync.Mutex
	reset   int // counts resets: what began before one is not ended after it
	entries []Entry
	open    map[string]int
	most    map[string]int
}

// Recorder is a handler that writes a Log.
type Recorder struct {
	Log
	next http.Handler
}

// Record wraps a handler so that every request it serves is in the log.
//
// The response's last byte is held back until the handler has returned and
// the entry is closed. So a client that sends its next request as soon as it
// has read the answer is never seen as asking two at once.
func Record(next http.Handler) *Recorder { return &Recorder{next: next} }

// ServeHTTP implements http.Handler.
func (c *Recorder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	held := &holdLast{ResponseWriter: w}
	done := c.begin(r)
	finished := false
	defer func() {
		if !finished { // the handler panicked: let it, but close the entry
			done(held.status)
		}
	}()
	c.next.ServeHTTP(held, r)
	finished = true
	if held.status == 0 {
		held.status = http.StatusOK
	}
	done(held.status)
	held.release()
}

// begin opens an entry and returns what closes it.
func (l *Log) begin(r *http.Request) func(status int) {
	host := strings.TrimSuffix(strings.ToLower(r.Host), ":80")
	e := Entry{Host: host, Method: r.Method, URL: "http://" + host + r.URL.RequestURI(), UserAgent: r.UserAgent(), Conn: r.RemoteAddr}
	if r.TLS != nil {
		e.URL = "https://" + host + r.URL.RequestURI()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == nil {
		l.open, l.most = map[string]int{}, map[string]int{}
	}
	e.Start = time.Now() // under the lock, so that entries are in order
	i, reset := len(l.entries), l.reset
	l.entries = append(l.entries, e)
	l.open[host]++
	l.most[host] = max(l.most[host], l.open[host])
	return func(status int) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.reset != reset {
			return
		}
		l.entries[i].End, l.entries[i].Status = time.Now(), status
		l.open[host]--
	}
}

// Requests returns what was asked so far, in the order it came.
func (l *Log) Requests() []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.entries)
}

// MostAtOnce returns the largest number of requests that the host was
// answering at the same time.
func (l *Log) MostAtOnce(host string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.most[host]
}

// SmallestGap returns the shortest time between two starts on the host; the
// longest possible Duration where there are no two.
func (l *Log) SmallestGap(host string) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	smallest, last := time.Duration(math.MaxInt64), time.Time{}
	for _, e := range l.entries {
		if e.Host != host {
			continue
		}
		if !last.IsZero() {
			smallest = min(smallest, e.Start.Sub(last))
		}
		last = e.Start
	}
	return smallest
}

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
	l.entries, l.open, l.most = nil, nil, nil
}

// holdLast passes a response through, save its last byte.
type holdLast struct {
	http.ResponseWriter
	status int
	last   [1]byte
	holds  bool
}

func (h *holdLast) WriteHeader(status int) {
	if h.status == 0 && status >= 200 {
		h.status = status
	}
	h.ResponseWriter.WriteHeader(status)
}

func (h *holdLast) Write(p []byte) (int, error) {
	if h.status == 0 {
		h.status = http.StatusOK
	}
	if len(p) == 0 {
		return h.ResponseWriter.Write(p)
	}
	if h.holds {
		if _, err := h.ResponseWriter.Write(h.last[:]); err != nil {
			return 0, err
		}
	}
	h.last[0], h.holds = p[len(p)-1], true
	n, err := h.ResponseWriter.Write(p[:len(p)-1])
	if err != nil {
		return n, err
	}
	return len(p), nil
}

// release writes the byte that was held back. An error means that the client
// has gone: nobody is left to tell.
func (h *holdLast) release() {
	if h.holds {
		_, _ = h.ResponseWriter.Write(h.last[:])
	}
}

// Flush sends what was written so far, save the last byte.
func (h *holdLast) Flush() {
	if f, ok := h.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}

// Unwrap lets http.ResponseController reach the connection.
func (h *holdLast) Unwrap() http.ResponseWriter { return h.ResponseWriter }
