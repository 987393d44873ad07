package serverlog

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/harrowdata/harrow/internal/audit"
)

// Recorder is a handler that writes a Log.
type Recorder struct {
	Log
	next http.Handler
}

// Record wraps a handler so that every request it serves is in the log.
func Record(next http.Handler) *Recorder { return RecordWith(next, Options{}) }

// RecordWith is Record with options.
func RecordWith(next http.Handler, o Options) *Recorder {
	return &Recorder{Log: Log{options: o}, next: next}
}

// ServeHTTP implements http.Handler.
//
// That a client has gone is learned from the request's context: net/http ends
// it when a connection is closed or a stream reset. (Over HTTP/1.1 it looks
// only once the request's body was read.) A handler that hijacks its connection
// is asking until it closes it, or its client does.
func (c *Recorder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	held := &holdLast{ResponseWriter: w, bodiless: r.Method == http.MethodHead}
	done := c.begin(r)
	held.done = func(cut bool) { done(int(held.status.Load()), cut, held.asks) }
	stop := context.AfterFunc(r.Context(), func() { done(int(held.status.Load()), true, time.Time{}) })
	defer stop()
	finished := false
	defer func() {
		if !finished && !held.hijacked { // the handler panicked: let it, but close the entry
			held.done(false)
		}
	}()
	c.next.ServeHTTP(held, r)
	finished = true
	if held.hijacked {
		return
	}
	held.begun(http.StatusOK)
	held.done(r.Context().Err() != nil) // a handler may notice sooner than what waits for the context
	held.release()
}

// holdLast passes a response through, save its last byte.
type holdLast struct {
	http.ResponseWriter
	done     func(cut bool)
	status   atomic.Int32
	bodiless bool      // no byte of a body follows the header
	asks     time.Time // until when the answer asks for rest
	last     [1]byte
	holds    bool
	hijacked bool
}

// begun notes the header of the answer, the first time.
func (h *holdLast) begun(status int) {
	if h.status.Load() != 0 {
		return
	}
	h.bodiless = h.bodiless || status == http.StatusNoContent || status == http.StatusNotModified || h.Header().Get("Content-Length") == "0"
	if audit.AsksForRest(status) {
		h.asks = audit.RestUntil(h.Header().Get("Retry-After"), time.Now())
	}
	h.status.Store(int32(status))
}

func (h *holdLast) WriteHeader(status int) {
	if status >= 200 {
		h.begun(status)
	}
	h.ResponseWriter.WriteHeader(status)
}

func (h *holdLast) Write(p []byte) (int, error) {
	h.begun(http.StatusOK)
	if len(p) == 0 {
		return h.write(p)
	}
	if h.holds {
		if _, err := h.write(h.last[:]); err != nil {
			return 0, err
		}
	}
	h.last[0], h.holds = p[len(p)-1], true
	n, err := h.write(p[:len(p)-1])
	if err != nil {
		return n, err
	}
	return len(p), nil
}

// write tells by an error that the client has gone, sooner than the request's
// context.
func (h *holdLast) write(p []byte) (int, error) {
	n, err := h.ResponseWriter.Write(p)
	if err != nil {
		h.done(true)
	}
	return n, err
}

// release writes the byte that was held back. An error means that the client
// has gone: nobody is left to tell.
func (h *holdLast) release() {
	if h.holds {
		_, _ = h.ResponseWriter.Write(h.last[:])
	}
}

// Flush sends what was written so far, save the last byte. Where only a header
// is to come, that was all of the answer.
func (h *holdLast) Flush() {
	h.begun(http.StatusOK)
	if h.bodiless {
		h.done(false)
	}
	if f, ok := h.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}

// Unwrap lets http.ResponseController reach the connection.
func (h *holdLast) Unwrap() http.ResponseWriter { return h.ResponseWriter }
