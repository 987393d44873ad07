package workerpool

import (
	"os/exec"
	"runtime"
)

// starter starts processes on one thread that lives as long as the pool. The
// signal that tells a process of its parent's death is sent when the thread
// ends that started it.
type starter struct {
	calls chan func()
	ended chan struct{}
}

func newStarter() *starter {
	s := &starter{calls: make(chan func()), ended: make(chan struct{})}
	go s.run()
	return s
}

func (s *starter) run() {
	defer close(s.ended)
	runtime.LockOSThread() // and never unlock: it ends with the goroutine
	for call := range s.calls {
		call()
	}
}

// start is cmd.Start.
func (s *starter) start(cmd *exec.Cmd) error {
	err := make(chan error, 1)
	s.calls <- func() { err <- cmd.Start() }
	return <-err
}

// stop ends the thread, when all processes have ended.
func (s *starter) stop() {
	close(s.calls)
	<-s.ended
}
