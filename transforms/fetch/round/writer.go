package round

import (
	"errors"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/httpfetch"
	"github.com/harrowdata/harrow/io/lakeio"
)

// result is what came of an item so far: rows for a roll. With a capture it
// is the end of its request.
type result struct {
	shard    *shard
	exchange *harrow.Exchange
	capture  *harrow.Capture
	body     *httpfetch.Body
	links    []harrow.Link
	reject   *harrow.Reject
	deferred *harrow.Request
	left     *harrow.Request  // for the next round
	skipped  map[string]int64 // links not taken, by reason
}

// writer owns the rolls of all shards of the process: one goroutine, so the
// order of results is the order of the files.
type writer struct {
	p     *Process
	rolls map[*shard]*roll
	seq   map[*shard]int
	held  int64 // acquired from the share of open batches
}

func newWriter(p *Process) *writer {
	return &writer{p: p, rolls: map[*shard]*roll{}, seq: map[*shard]int{}}
}

// run writes until the results end, then closes what is open. After a system
// failure it only frees what comes.
func (w *writer) run() {
	every := time.Duration(w.p.cfg.Fetch.Roll.Every)
	tick := time.NewTicker(max(every/4, 10*time.Millisecond))
	defer tick.Stop()
	failed := false
	check := func(err error) {
		if err != nil {
			failed = true
			w.p.stop(err)
		}
	}
	for {
		select {
		case now := <-tick.C:
			if !failed {
				check(w.closeOld(now, every))
			}
		case r, ok := <-w.p.results:
			if !ok {
				if !failed {
					check(w.closeOld(time.Now().Add(every), every))
				}
				w.abort()
				return
			}
			if failed {
				check(r.drop())
			} else {
				check(w.add(r))
			}
		}
	}
}

func (r *result) drop() error {
	if r.body != nil {
		return r.body.Close()
	}
	return nil
}

func (w *writer) abort() {
	for _, r := range w.rolls {
		r.abort()
	}
	w.p.budget.Batches.Release(w.held)
	clear(w.rolls)
	w.held = 0
}

func (w *writer) add(res *result) error {
	s := res.shard
	if w.p.given(s) {
		return res.drop()
	}
	r, ok := w.rolls[s]
	if !ok && !res.empty() {
		w.seq[s]++
		r = newRoll(s, w.seq[s], time.Now())
		w.rolls[s] = r
	}
	if !res.empty() {
		if err := r.add(w.p.ctx, res); err != nil {
			return err
		}
	}
	last := w.p.through(res)
	if r != nil && (last || r.size >= min(int64(w.p.cfg.Fetch.Roll.Bytes), lakeio.PartBytes)) {
		if err := w.close(r); err != nil {
			return err
		}
	}
	if last && !w.p.given(s) {
		return w.p.finish(s)
	}
	return w.settle()
}

// empty reports whether the result only asks whether its shard is through.
func (r *result) empty() bool {
	return r.capture == nil && r.exchange == nil && r.reject == nil && len(r.links) == 0 && len(r.skipped) == 0
}

// settle squares what the rolls hold with the share of open batches. When the
// share is spent the largest is encoded early; when that frees nothing, it is
// closed.
func (w *writer) settle() error {
	for {
		held := int64(0)
		var largest *roll
		for _, r := range w.rolls {
			held += r.held
			if largest == nil || r.held > largest.held {
				largest = r
			}
		}
		share := w.p.budget.Batches
		if held <= w.held {
			share.Release(w.held - held)
			w.held = held
			return nil
		}
		if share.TryAcquire(held - w.held) {
			w.held = held
			return nil
		}
		if largest.openSize > 0 {
			if err := largest.encodeBodies(w.p.ctx); err != nil {
				return err
			}
			if largest.held < held {
				continue
			}
		}
		if err := w.close(largest); err != nil {
			return err
		}
	}
}

// closeOld closes the rolls that are old enough to count.
func (w *writer) closeOld(now time.Time, every time.Duration) error {
	for _, r := range w.rolls {
		if now.Sub(r.opened) >= every {
			if err := w.close(r); err != nil {
				return err
			}
		}
	}
	return w.settle()
}

// close closes a roll and makes it count.
func (w *writer) close(r *roll) error {
	delete(w.rolls, r.shard)
	out, err := r.close(w.p.ctx)
	if err != nil {
		r.abort()
		return err
	}
	err = r.shard.at.Append(w.p.ctx, r.shard.owner, out)
	if errors.Is(err, lakeio.ErrLost) {
		w.p.lose(r.shard, err)
		return nil
	}
	return err
}

// given reports whether the shard is done or given up: nothing more counts.
func (p *Process) given(s *shard) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return s.closed
}

// through counts the end of a request, if it is one, and reports whether the
// shard is through.
func (p *Process) through(res *result) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if res.capture != nil {
		if res.left != nil {
			p.counts.left++
		} else {
			p.counts.outcomes[res.capture.Outcome]++
		}
		if res.capture.Outcome != harrow.NotModified { // its body came in another run
			p.counts.bytes += res.capture.BodyBytes
		}
		res.shard.pending--
	}
	return res.shard.pending == 0 && res.shard.loaded && !res.shard.closed
}
