package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/scratch"
	"github.com/harrowdata/harrow/io/lakeio"
)

const (
	// mergedBytes is the most of a batch that an operator gets.
	mergedBytes = 4 << 20
	// maxFanIn bounds the files one merge has open.
	maxFanIn = 256
)

// Merge returns the task that sends a shard's rows, merged in (key, order),
// through the step's operator and returns the parts that came out. of is how
// many shards there are to merge in this bundle: they share the memory. Rows
// of several tables come in one order, each batch of one table: where they
// alternate, batches are small.
//
// A merge holds a batch of each slice. When they would exceed half of the
// task's memory, slices are merged into files below Env.Spill first, smallest
// ones first; these are deleted when the task ends.
func (w *Worker) Merge(step Step, shard int, shardSlices []Slice, of int) Task[harrow.Part] {
	rows := int64(0)
	for _, s := range shardSlices {
		rows += s.Rows
	}
	w.done.Expect(1, rows)
	return func(ctx context.Context) (out []harrow.Part, err error) {
		err = w.retry(ctx, func() error {
			held, release, err := w.takeShuffle(ctx, w.shuffleTasks(of))
			if err != nil {
				return err
			}
			defer release()
			out, err = w.merge(ctx, step, shard, shardSlices, held/2)
			return err
		})
		if err != nil {
			if err = w.late(ctx, err); err == nil {
				return nil, nil
			}
			return nil, fmt.Errorf("shard %d: %w", shard, err)
		}
		return out, nil
	}
}

func (w *Worker) merge(ctx context.Context, step Step, shard int, shardSlices []Slice, memory int64) (parts []harrow.Part, err error) {
	defer recovered(fmt.Sprintf("operator %s on shard %d", step.Operator, shard), &err)
	op, err := step.operator()
	if err != nil {
		return nil, err
	}
	m := &merger{ctx: ctx, spill: w.env.Spill}
	defer func() { err = errors.Join(err, m.clean()) }()
	for _, s := range shardSlices {
		m.runs = append(m.runs, run{w.lake.Store, s})
	}
	batch := min(mergedBytes, memory/8)
	if err := m.reduce(memory - 2*batch); err != nil {
		return nil, err
	}
	closeOp, err := open(ctx, w.lake, op)
	defer closeOp()
	if err != nil {
		return nil, fmt.Errorf("operator %s: %w", step.Operator, err)
	}
	piece := w.done.Begin()
	defer func() { piece.End(ctx, err) }()
	out := w.newOutput(ctx, shard)
	defer out.abort()
	process, done, err := w.process(ctx, step, op)
	if err != nil {
		return nil, err
	}
	defer done()
	f := &feeder{ctx: ctx, piece: piece, step: step, process: process, out: out, limit: batch, gathers: map[string]*gathered{}}
	defer f.release()
	if err := mergeRuns(ctx, m.runs, f.row); err != nil {
		return nil, err
	}
	if err := f.flush(); err != nil {
		return nil, err
	}
	if err := op.Finish(ctx, out); err != nil {
		return nil, out.failure(step, err)
	}
	return out.close()
}

// run is a sorted slice, in the lake or in the local folder.
type run struct {
	store lakeio.Store
	Slice
}

// merger makes few runs out of many.
type merger struct {
	ctx   context.Context
	spill string // limits.spill
	runs  []run
	dir   *scratch.Folder // of intermediate files; nil while there are none
	local lakeio.Store
}

// fanIn is how many runs fit into memory: of each a batch as it is in the
// file and one decoded.
func fanIn(runs []run, memory int64) int {
	largest := int64(1)
	for _, r := range runs {
		largest = max(largest, r.Largest)
	}
	return int(max(2, min(maxFanIn, memory/(2*largest))))
}

// reduce merges the smallest runs of a table until all that are left can be
// open at once.
func (m *merger) reduce(memory int64) error {
	for {
		most := fanIn(m.runs, memory)
		excess := len(m.runs) - most
		if excess <= 0 {
			return nil
		}
		slices.SortFunc(m.runs, func(a, b run) int {
			return cmp.Or(cmp.Compare(a.Table, b.Table), cmp.Compare(a.Bytes, b.Bytes), cmp.Compare(a.URI, b.URI), cmp.Compare(a.First, b.First))
		})
		from, to := m.largestTable()
		if to-from < 2 {
			return nil // one run of each of many tables: there is no fewer
		}
		to = min(to, from+min(most, excess+1))
		merged, err := m.mergeToFile(m.runs[from:to])
		if err != nil {
			return err
		}
		for _, r := range m.runs[from:to] {
			if r.store == m.local {
				if err := m.local.Delete(m.ctx, r.URI); err != nil {
					return err
				}
			}
		}
		m.runs = slices.Replace(m.runs, from, to, merged)
	}
}

// largestTable is where the runs of the table with the most of them are.
func (m *merger) largestTable() (from, to int) {
	for i := 0; i < len(m.runs); {
		j := i
		for j < len(m.runs) && m.runs[j].Table == m.runs[i].Table {
			j++
		}
		if j-i > to-from {
			from, to = i, j
		}
		i = j
	}
	return from, to
}

// mergeToFile merges runs of one table into a local file.
func (m *merger) mergeToFile(runs []run) (merged run, err error) {
	if err := m.makeDir(); err != nil {
		return run{}, err
	}
	var f *runWriter
	defer func() {
		if f != nil {
			f.abort()
		}
	}()
	err = mergeRuns(m.ctx, runs, func(c *cursor) error {
		if f == nil {
			if f, err = newRunWriter(m.ctx, m.local, uuid.NewString()+".arrow", withoutSort(c.schema)); err != nil {
				return err
			}
		}
		return f.append(c.batch, c.row, c.weight(), c.key)
	})
	if err != nil {
		return run{}, err
	}
	s, err := f.slice()
	if err != nil {
		return run{}, err
	}
	return run{m.local, s}, f.close()
}

func (m *merger) makeDir() (err error) {
	if m.local != nil {
		return nil
	}
	if m.dir, err = newMergeDir(m.spill); err != nil {
		return err
	}
	m.local, err = lakeio.Open(m.dir.Path)
	return err
}

// clean deletes what the merger wrote.
func (m *merger) clean() error {
	if m.dir == nil {
		return nil
	}
	if err := m.dir.Remove(); err != nil {
		return fmt.Errorf("limits.spill: %w", err)
	}
	return nil
}
