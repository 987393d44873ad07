package workerpool

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// connectedVar names, in a worker's environment, the file descriptor of a pipe
// to its pool. What the pool hears first is that the worker has a control
// stream, or the pipe's end: it has none and won't have one. A runner that was
// told "started" of such a worker would wait for it for ever.
const connectedVar = "HARROW_WORKER_CONNECTED"

// connectedFD is the pipe's descriptor in a worker: the second of its extra
// files.
const connectedFD = 4

// connectIn bounds how long a worker may take to get its control stream: more
// than it gives itself.
const connectIn = 2 * time.Minute

// Connected returns what a worker calls when it has its control stream, once or
// more often. In a process that no pool has started it is nil.
func Connected() func() {
	fd, err := strconv.Atoi(os.Getenv(connectedVar))
	if err != nil || fd != connectedFD {
		return nil
	}
	syscall.CloseOnExec(fd) // or a child of the worker holds it open
	return sync.OnceFunc(func() {
		pipe := os.NewFile(uintptr(fd), "pool")
		// A pool that is gone needs not be told.
		_, _ = pipe.Write([]byte{1})
		_ = pipe.Close()
	})
}

// awaitConnected waits until the worker says that it is connected. One that was
// never is told to end.
func (w *worker) awaitConnected(ctx context.Context) error {
	defer func() { _ = w.connected.Close() }() // only read from
	said := make(chan bool, 1)
	go func() {
		n, _ := w.connected.Read(make([]byte, 1)) // it ends with the worker, or when it is closed
		said <- n == 1
	}()
	bound := time.NewTimer(connectIn)
	defer bound.Stop()
	var ended <-chan struct{}
	for {
		select {
		case there := <-said:
			if there {
				return nil
			}
			ended = w.done
		case <-ended:
			return fmt.Errorf("the worker ended before it had a control stream: %s; why, is in the pool's log", w.cmd.ProcessState)
		case <-ctx.Done():
			w.end("its runner waits for it no more")
			return ctx.Err()
		case <-bound.C:
			w.end("it has not reached its runner")
			return fmt.Errorf("the worker had no control stream within %v", connectIn)
		}
	}
}
