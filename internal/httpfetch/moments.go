package httpfetch

import (
	"sync/atomic"
	"time"

	"github.com/harrowdata/harrow"
)

// moments are when what happened in an exchange, in nanoseconds from its start;
// 0: it has not.
type moments struct {
	clock harrow.Clock
	start time.Time
	tell  func(time.Time) // Request.Written

	sent    atomic.Int64 // a connection was ready
	written atomic.Int64 // the request was written
	first   atomic.Int64 // the answer's first byte came
}

func (m *moments) note(moment *atomic.Int64) { moment.Store(int64(max(m.clock().Sub(m.start), 1))) }

// at is when something happened; the zero time: it has not.
func (m *moments) at(moment *atomic.Int64) time.Time {
	if n := moment.Load(); n > 0 {
		return m.start.Add(time.Duration(n))
	}
	return time.Time{}
}

// wroteRequest is told when net/http has written the request.
func (m *moments) wroteRequest(err error) {
	if err != nil {
		return
	}
	m.note(&m.written)
	if m.tell != nil {
		m.tell(m.at(&m.written))
	}
}

// fill takes the moments over into the response.
func (m *moments) fill(r *Response) {
	r.SentAt, r.WrittenAt, r.FirstByte = m.at(&m.sent), m.at(&m.written), time.Duration(m.first.Load())
}
