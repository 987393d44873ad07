package parts

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/soak/fault"
	"github.com/harrowdata/harrow/transforms/parts/engine"
)

var errDied = errors.New("the worker died")

// attempt runs one bundle as a runner does: what it emits counts only if it
// comes through; the emit number die, from 1, kills it.
func attempt[T any](teardown func() error, die int, bundle func(emit func(T)) error) (out []T, err error) {
	defer func() {
		if p := recover(); p != nil {
			out, err = nil, fmt.Errorf("%v", p)
		}
		err = errors.Join(err, teardown())
	}()
	err = bundle(func(v T) {
		if die--; die == 0 {
			panic(errDied)
		}
		out = append(out, v)
	})
	if err != nil {
		out = nil
	}
	return out, err
}

func nothing() error { return nil }

func ignored[T any](T)        {}
func ignored2[K, V any](K, V) {}

// iterator yields values as a runner does for a key.
func iterator[T any](values []T) func(*T) bool {
	return func(v *T) bool {
		if len(values) == 0 {
			return false
		}
		*v, values = values[0], values[1:]
		return true
	}
}

func mapBundle(ctx context.Context, env engine.Env, in []harrow.Part, die int) ([]harrow.Part, error) {
	fn := &mapFn{Env: env, Step: passOn, Tables: []string{"records/*"}}
	return attempt(fn.Teardown, die, func(emit func(harrow.Part)) error {
		for _, p := range in {
			if err := fn.ProcessElement(ctx, p, emit); err != nil {
				return err
			}
		}
		return fn.FinishBundle(ctx, emit)
	})
}

func slicesBundle(ctx context.Context, env engine.Env, in []harrow.Part, die int) ([]engine.Sliced, error) {
	fn := &slicesFn{Env: env, Key: byKey, Tables: []string{"records/*"}}
	return attempt(fn.Teardown, die, func(emit func(engine.Sliced)) error {
		for _, p := range in {
			if err := fn.ProcessElement(ctx, p, ignored2[int, engine.Slice]); err != nil {
				return err
			}
		}
		return fn.FinishBundle(ctx, func(shard int, s engine.Slice) { emit(engine.Sliced{Shard: shard, Slice: s}) })
	})
}

func mergeBundle(ctx context.Context, env engine.Env, in []engine.Sliced, die int) ([]harrow.Part, error) {
	fn := &mergeFn{Env: env, Step: sorted}
	byShard := map[int][]engine.Slice{}
	for _, s := range in {
		byShard[s.Shard] = append(byShard[s.Shard], s.Slice)
	}
	return attempt(fn.Teardown, die, func(emit func(harrow.Part)) error {
		for shard, slices := range byShard {
			if err := fn.ProcessElement(ctx, shard, iterator(slices), ignored[harrow.Part]); err != nil {
				return err
			}
		}
		return fn.FinishBundle(ctx, emit)
	})
}

func commitBundle(ctx context.Context, env engine.Env, in []harrow.Part, die int) ([]harrow.Part, error) {
	fn := &commitFn{Env: env}
	return attempt(nothing, die, func(emit func(harrow.Part)) error {
		return fn.ProcessElement(ctx, 0, iterator(in), emit)
	})
}

// line is a stage of one shuffle as a runner drives it, bundle by bundle.
// kill says which attempt of which DoFn dies where; each is tried again until
// it comes through.
type line struct {
	t    *testing.T
	env  engine.Env
	disk *fault.Disk
	in   []harrow.Part
}

func newLine(t *testing.T) *line {
	env := newEnv(t)
	disk, err := fault.New(env.Workspace)
	if err != nil {
		t.Fatal(err)
	}
	env.Workspace = disk.URI()
	return &line{t, env, disk, input(t, env, 3, 60)}
}

// death is where the first attempt of a DoFn dies: at an emit or at a write of
// its own, the emitN-th or writeN-th, from 1.
type death struct {
	fn           string
	emitN, write int
}

// through runs a DoFn's bundle, first as d has it die, if it is about this
// DoFn, then to its end. died says whether it died.
func through[T any](l *line, d death, name string, bundle func(ctx context.Context, die int) ([]T, error)) (out []T, died bool) {
	l.t.Helper()
	if d.fn == name {
		ctx, kill := context.WithCancel(l.t.Context())
		defer kill()
		l.disk.FailFrom(d.write, false)
		dead := l.disk.Died()
		go func() { // no more tries after the first
			select {
			case <-dead:
				kill()
			case <-ctx.Done():
			}
		}()
		out, err := bundle(ctx, d.emitN)
		l.disk.FailFrom(0, false)
		if err == nil {
			return out, false
		}
		if d.emitN > 0 && err.Error() != errDied.Error() || d.write > 0 && !errors.Is(err, fault.ErrDisk) && !errors.Is(err, context.Canceled) {
			l.t.Errorf("%s ended with %v", name, err)
		}
	}
	out, err := bundle(l.t.Context(), 0)
	if err != nil {
		l.t.Fatalf("%s after %+v: %v", name, d, err)
	}
	return out, d.fn == name
}

// run drives the whole stage and returns its tables.
func (l *line) run(d death) (tables map[string][]string, died bool) {
	l.t.Helper()
	mapped, died1 := through(l, d, "map", func(ctx context.Context, die int) ([]harrow.Part, error) { return mapBundle(ctx, l.env, l.in, die) })
	sliced, died2 := through(l, d, "slices", func(ctx context.Context, die int) ([]engine.Sliced, error) {
		return slicesBundle(ctx, l.env, mapped, die)
	})
	merged, died3 := through(l, d, "merge", func(ctx context.Context, die int) ([]harrow.Part, error) { return mergeBundle(ctx, l.env, sliced, die) })
	refs := append(merged, harrow.Part{}, harrow.Part{Tag: `{"n":1}`})
	for _, p := range mapped {
		if p.Table == lakeio.Rejects.Name() {
			refs = append(refs, p)
		}
	}
	parts, died4 := through(l, d, "commit", func(ctx context.Context, die int) ([]harrow.Part, error) { return commitBundle(ctx, l.env, refs, die) })
	m := committed(l.t, l.env)
	if !slices.Equal(parts, m.Parts) || m.Counters["n"] != 1 {
		l.t.Errorf("%+v: commit emitted %v, the manifest has %v, %v", d, parts, m.Parts, m.Counters)
	}
	return contents(l.t, l.env, m.Parts), died1 || died2 || died3 || died4
}

// contents are the rows of parts by table, sorted, without times.
func contents(t *testing.T, env engine.Env, parts []harrow.Part) map[string][]string {
	t.Helper()
	lake, err := env.Open()
	if err != nil {
		t.Fatal(err)
	}
	tables := map[string][]string{}
	for _, p := range parts {
		for b, err := range lakeio.ReadBatches(t.Context(), lake.Store, p) {
			if err != nil {
				t.Fatal(err)
			}
			var columns []string
			for _, f := range b.Arrow().Schema().Fields() {
				if f.Name != "at" {
					columns = append(columns, f.Name)
				}
			}
			for i := range b.Rows() {
				tables[p.Table] = append(tables[p.Table], string(lakeio.AppendJSON(nil, b, i, columns)))
			}
		}
	}
	for _, rows := range tables {
		slices.Sort(rows)
	}
	return tables
}

// A bundle may die at any emit or write and be run again by another worker:
// what counts in the end is one attempt, whole.
func TestABundleThatDiesAnywhereAndRunsAgainMakesTheSameTables(t *testing.T) {
	want, _ := newLine(t).run(death{})
	if len(want[rowTable]) != 180 || len(want["rejects"]) == 0 {
		t.Fatalf("%d rows, %d rejects", len(want[rowTable]), len(want["rejects"]))
	}
	for _, fn := range []string{"map", "slices", "merge", "commit"} {
		// One case dies after the last emit or write: it does not die.
		for _, of := range []string{"emit", "write"} {
			least := map[string]int{"map emit": 6, "map write": 12, "slices emit": 4, "slices write": 2, "merge emit": 8, "merge write": 16, "commit emit": 11, "commit write": 2}[fn+" "+of]
			for n := 1; n <= least; n++ {
				d := death{fn: fn}
				if of == "emit" {
					d.emitN = n
				} else {
					d.write = n
				}
				t.Run(fmt.Sprint(fn, " ", of, " ", n), func(t *testing.T) {
					got, died := newLine(t).run(d)
					if !died {
						t.Errorf("it has fewer than %d %ss: nothing died", n, of)
					}
					if !maps.EqualFunc(got, want, slices.Equal[[]string]) {
						t.Errorf("tables %v, want %v", got, want)
					}
				})
			}
		}
	}
}
