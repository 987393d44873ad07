package cluster

import (
	"io"
	"net"
	"sync"
)

// forwarder hands connections on to a server.
type forwarder struct {
	listener net.Listener
	to       string

	mu   sync.Mutex
	open map[net.Conn]bool
	over bool
	done sync.WaitGroup
}

func (f *forwarder) serve() {
	for {
		from, err := f.listener.Accept()
		if err != nil {
			return // closed
		}
		f.done.Go(func() { f.connect(from) })
	}
}

func (f *forwarder) connect(from net.Conn) {
	defer f.forget(from)
	to, err := net.Dial("tcp", f.to)
	if err != nil {
		return // whoever asks sees the end of its connection
	}
	defer f.forget(to)
	if !f.keep(from) || !f.keep(to) {
		return
	}
	var back sync.WaitGroup
	back.Go(func() { pass(from, to) })
	pass(to, from)
	back.Wait()
}

// pass copies until one side has nothing more to say, and says so to the other.
func pass(to, from net.Conn) {
	_, err := io.Copy(to, from)
	if c, ok := to.(*net.TCPConn); ok && err == nil && c.CloseWrite() == nil {
		return
	}
	_ = to.Close() // both ends are over
	_ = from.Close()
}

func (f *forwarder) keep(c net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.open[c] = true
	return !f.over
}

func (f *forwarder) forget(c net.Conn) {
	_ = c.Close() // it is over
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.open, c)
}

func (f *forwarder) close() error {
	err := f.listener.Close()
	f.mu.Lock()
	f.over = true
	for c := range f.open {
		_ = c.Close() // it is to end
	}
	f.mu.Unlock()
	f.done.Wait()
	return err
}
