package engine

import (
	"context"
	"runtime"
	"sync"
)

// cpu is the process's one pool for work that computes: all bundles of all
// stages share it, since a runner gives a bundle one goroutine and a process
// any number of bundles. It has no owner and needs no end: a goroutine starts
// when there is work and fewer than GOMAXPROCS run, and ends when the queue is
// empty.
var cpu pool

// pool runs functions first come first served, at most GOMAXPROCS at once. A
// function that waits for another one in the pool would wait for ever.
type pool struct {
	mu      sync.Mutex
	queue   []func()
	running int
}

func (p *pool) run(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.queue = append(p.queue, f)
	if p.running < runtime.GOMAXPROCS(0) {
		p.running++
		go p.work()
	}
}

func (p *pool) work() {
	for {
		p.mu.Lock()
		if len(p.queue) == 0 || p.running > runtime.GOMAXPROCS(0) {
			p.running--
			p.mu.Unlock()
			return
		}
		f := p.queue[0]
		p.queue[0] = nil
		p.queue = p.queue[1:]
		p.mu.Unlock()
		f()
	}
}

// inPool marks the context of a task that runs in the pool.
type inPool struct{}

// aside calls wait, which computes nothing; a task of the pool leaves its place
// to another meanwhile. When it comes back, one more than GOMAXPROCS may run
// for a while: better than to wait for a place with something in its hands.
func aside(ctx context.Context, wait func()) {
	p, _ := ctx.Value(inPool{}).(*pool)
	if p == nil {
		wait()
		return
	}
	p.mu.Lock()
	p.running--
	if len(p.queue) > 0 {
		p.running++
		go p.work()
	}
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		p.running++
		p.mu.Unlock()
	}()
	wait()
}

// Task is a piece of work with its results; it ends soon after ctx does.
type Task[T any] func(ctx context.Context) ([]T, error)

// Group is the tasks of one bundle. They run in the process's pool; their
// results are handed out on the goroutine that asks for them, as runners want
// it. A Group belongs to one goroutine.
type Group[T any] struct {
	ctx    context.Context
	cancel context.CancelFunc

	mu          sync.Mutex
	ended       *sync.Cond // broadcast when a task ends
	outstanding int
	results     []T
	err         error // the first one; it cancels the rest
}

// NewGroup returns an empty group. Its tasks end when ctx does; end it with
// [Group.Drain] or [Group.Stop].
func NewGroup[T any](ctx context.Context) *Group[T] {
	g := &Group[T]{}
	g.ctx, g.cancel = context.WithCancel(context.WithValue(ctx, inPool{}, &cpu))
	g.ended = sync.NewCond(&g.mu)
	return g
}

// Go adds a task.
func (g *Group[T]) Go(task Task[T]) {
	g.mu.Lock()
	g.outstanding++
	g.mu.Unlock()
	cpu.run(func() {
		results, err := []T(nil), g.ctx.Err()
		if err == nil {
			results, err = task(g.ctx)
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		g.outstanding--
		g.results = append(g.results, results...)
		if err != nil && g.err == nil {
			g.err = err
			g.cancel()
		}
		g.ended.Broadcast()
	})
}

// Emit hands out the results that are there, after waiting until at most most
// tasks are outstanding. After an error it waits until all tasks have ended
// and returns the first one's error; results are not handed out then.
func (g *Group[T]) Emit(most int, emit func(T)) error {
	g.mu.Lock()
	for g.outstanding > most || g.err != nil && g.outstanding > 0 {
		g.ended.Wait()
	}
	results, err := g.results, g.err
	g.results = nil
	g.mu.Unlock()
	if err != nil {
		return err
	}
	for _, r := range results {
		emit(r)
	}
	return nil
}

// Drain waits for all tasks, hands out their results and frees the group.
func (g *Group[T]) Drain(emit func(T)) error {
	defer g.cancel()
	return g.Emit(0, emit)
}

// Stop cancels the tasks and waits until they have ended.
func (g *Group[T]) Stop() {
	g.cancel()
	_ = g.Emit(0, func(T) {}) // who stops the tasks has no use for how they ended
}
