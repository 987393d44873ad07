package worker

import (
	"sync"
	"time"

	"google.golang.org/grpc"
)

// idle notices when a worker has had no instruction for too long.
type idle struct {
	over  chan struct{} // closed then
	after time.Duration // 0: never

	mu    sync.Mutex
	timer *time.Timer // nil before there is a control stream, and once stopped
	hand  int         // instructions that are not answered yet
	ended bool
}

func newIdle(after time.Duration) *idle { return &idle{over: make(chan struct{}), after: after} }

// begin begins to count, when there is a control stream.
func (i *idle) begin() { i.note(0) }

// note counts an instruction that has come, 1, or was answered, -1.
func (i *idle) note(change int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.hand += change
	switch {
	case i.after <= 0 || i.ended:
	case i.timer == nil:
		i.timer = time.AfterFunc(i.after, i.expire)
	default:
		i.timer.Reset(i.after)
	}
}

func (i *idle) expire() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.hand > 0 || i.ended {
		return // its answer begins to count again
	}
	i.ended = true
	close(i.over)
}

func (i *idle) stop() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.ended = true
	if i.timer != nil {
		i.timer.Stop()
	}
}

// controlStream tells of what goes over a control stream.
type controlStream struct {
	grpc.ClientStream
	idle *idle
}

// RecvMsg implements grpc.ClientStream.
func (s controlStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if err == nil {
		s.idle.note(1)
	}
	return err
}

// SendMsg implements grpc.ClientStream.
func (s controlStream) SendMsg(m any) error {
	err := s.ClientStream.SendMsg(m)
	if err == nil {
		s.idle.note(-1)
	}
	return err
}
