package serverlog

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"sync"
)

// Hijack implements http.Hijacker. What the handler writes then is not looked
// into: its exchange is over when either side closes the connection.
func (h *holdLast) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	j, ok := h.ResponseWriter.(http.Hijacker)
	if !ok {
		return nil, nil, errors.New("serverlog: this connection can't be hijacked")
	}
	c, rw, err := j.Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.hijacked = true
	w := &watched{Conn: c, done: h.done, come: make(chan struct{})}
	if rw.Reader.Buffered() > 0 { // the client has sent more: leave it where it is
		close(w.come)
		return w, rw, nil
	}
	go w.look()
	rw.Reader.Reset(w)
	rw.Writer.Reset(w)
	return w, rw, nil
}

// watched is a connection whose other end is watched: a byte is read ahead, so
// that its end is noticed though the handler doesn't read.
type watched struct {
	net.Conn
	done  func(cut bool)
	come  chan struct{} // closed when the byte, or the connection's end, has come
	ahead []byte
	err   error
	once  sync.Mutex // one reader at a time
}

func (w *watched) look() {
	defer close(w.come)
	var b [1]byte
	n, err := w.Conn.Read(b[:])
	w.ahead, w.err = b[:n:n], err
	if err != nil {
		w.done(true)
	}
}

func (w *watched) Read(p []byte) (int, error) {
	w.once.Lock()
	defer w.once.Unlock()
	<-w.come
	if len(w.ahead) > 0 && len(p) > 0 {
		n := copy(p, w.ahead)
		w.ahead = w.ahead[n:]
		return n, nil
	}
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.Conn.Read(p)
	if err != nil {
		w.done(true)
	}
	return n, err
}

// Write tells by an error that the client has gone.
func (w *watched) Write(p []byte) (int, error) {
	n, err := w.Conn.Write(p)
	if err != nil {
		w.done(true)
	}
	return n, err
}

// NetConn returns the connection itself, to set what only it has. It is not to
// be closed or read from.
func (w *watched) NetConn() net.Conn { return w.Conn }

// Close ends the exchange first: the client may ask again as soon as it sees
// the end.
func (w *watched) Close() error {
	w.done(false)
	return w.Conn.Close()
}
