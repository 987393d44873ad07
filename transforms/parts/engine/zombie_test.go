package engine

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/harrowdata/harrow"
)

// attempt is one execution of a stage that shuffles and commits, one step at a
// time: what a runner does with it on one worker.
type attempt struct {
	w      *Worker
	in     []harrow.Part
	sliced map[int][]Slice
	shards []int
	out    []harrow.Part
	parts  []harrow.Part // committed
	done   bool
}

// step does the attempt's next step.
func (a *attempt) step(t *testing.T) error {
	switch {
	case a.sliced == nil:
		sliced, err := runTasks(t, a.w.Spill(Key{Columns: []string{"key"}, Shards: 3}, Step{}, a.in)...)
		if err != nil {
			return err
		}
		a.sliced = byShard(sliced)
		for shard := range 3 {
			a.shards = append(a.shards, shard)
		}
	case len(a.shards) > 0:
		shard := a.shards[0]
		a.shards = a.shards[1:]
		if len(a.sliced[shard]) == 0 {
			return nil
		}
		parts, err := runTasks(t, a.w.Merge(step(`{}`), shard, a.sliced[shard], 3))
		a.out = append(a.out, parts...)
		return err
	default:
		var err error
		a.parts, err = a.w.Commit(t.Context(), append(a.out, harrow.Part{}))
		a.done = err == nil
		return err
	}
	return nil
}

// A worker whose runner has given it up may execute a stage beside the one that
// took its place. Whichever step each of them is at, both commit the same parts,
// with every row once.
func TestAStageThatIsExecutedTwiceAtOnceIsCommittedOnce(t *testing.T) {
	items := someItems(7, 60)
	first := newTestWorker(t)
	cases := 0
	rapid.Check(t, func(r *rapid.T) {
		cases++
		env := first.env
		env.Run = fmt.Sprint("run-", cases)
		var attempts [2]*attempt
		for i := range attempts {
			w, err := NewWorker(env)
			if err != nil {
				t.Fatal(err)
			}
			w.batches, w.shuffle, w.backoff = first.batches, first.shuffle, first.backoff
			attempts[i] = &attempt{w: w}
		}
		in := []harrow.Part{writeItems(t, attempts[0].w, items, 20)}
		attempts[0].in, attempts[1].in = in, in
		for !attempts[0].done || !attempts[1].done {
			a := attempts[rapid.IntRange(0, 1).Draw(r, "who")]
			if a.done {
				continue
			}
			if err := a.step(t); err != nil {
				r.Fatal(err)
			}
		}
		if !slices.Equal(attempts[0].parts, attempts[1].parts) {
			r.Errorf("committed %v and %v", attempts[0].parts, attempts[1].parts)
		}
		texts := func(items []item) (all []string) {
			for _, i := range items {
				all = append(all, i.text)
			}
			slices.Sort(all)
			return all
		}
		if got, want := texts(readItems(t, attempts[0].w, only(attempts[0].parts, itemTable))), texts(items); !slices.Equal(got, want) {
			r.Errorf("%d rows, want %d", len(got), len(want))
		}
	})
}
