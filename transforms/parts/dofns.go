package parts

import (
	"context"
	"maps"
	"reflect"
	"slices"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/transforms/parts/engine"
)

func init() {
	beam.RegisterType(reflect.TypeFor[harrow.Part]())
	beam.RegisterType(reflect.TypeFor[engine.Slice]())
	register.DoFn3x1[context.Context, harrow.Part, func(harrow.Part), error](&mapFn{})
	register.DoFn3x1[context.Context, harrow.Part, func(int, engine.Slice), error](&slicesFn{})
	register.DoFn4x1[context.Context, int, func(*engine.Slice) bool, func(harrow.Part), error](&mergeFn{})
	register.DoFn4x1[context.Context, int, func(*harrow.Part) bool, func(harrow.Part), error](&commitFn{})
	register.Function1x2(oneKey)
	register.Function3x0(ungroup)
	register.Emitter1[harrow.Part]()
	register.Emitter2[int, engine.Slice]()
	register.Iter1[engine.Slice]()
	register.Iter1[harrow.Part]()
}

// outstanding bounds the tasks of a bundle: beyond it ProcessElement waits and
// emits, so that a large bundle's results don't pile up until its end.
const outstanding = 256

// bundle is a DoFn's state between the first element of a bundle and its end.
type bundle[T any] struct {
	worker *engine.Worker
	group  *engine.Group[T]
	done   bool // the stage has its manifest: nothing is left to do
}

// begin starts a bundle at its first element: the manifest is looked for at
// run time, since it may have come after the graph was built.
func (b *bundle[T]) begin(ctx context.Context, env engine.Env) (err error) {
	if b.group != nil {
		return nil
	}
	if b.worker == nil {
		if b.worker, err = engine.NewWorker(env); err != nil {
			return err
		}
	}
	if b.done, err = b.worker.Committed(ctx); err != nil {
		return err
	}
	b.group = engine.NewGroup[T](ctx)
	return nil
}

// drain ends the bundle; without an element there was none.
func (b *bundle[T]) drain(emit func(T)) error {
	g := b.group
	if b.group = nil; g == nil {
		return nil
	}
	return g.Drain(emit)
}

// stop ends what a bundle that failed elsewhere has left running.
func (b *bundle[T]) stop() {
	if b.group != nil {
		b.group.Stop()
		b.group = nil
	}
}

// mapFn sends parts through an operator; without one it hands on references to
// its tables.
type mapFn struct {
	Env    engine.Env
	Step   engine.Step
	Tables []string

	bundle bundle[harrow.Part]
}

// ProcessElement hands a part to the process's pool.
func (fn *mapFn) ProcessElement(ctx context.Context, p harrow.Part, emit func(harrow.Part)) error {
	if !wanted(fn.Tables, p) {
		return nil
	}
	if fn.Step.Operator == "" {
		emit(p)
		return nil
	}
	if err := fn.bundle.begin(ctx, fn.Env); err != nil || fn.bundle.done {
		return fn.Env.Failed(err)
	}
	fn.bundle.group.Go(fn.bundle.worker.Map(fn.Step, p))
	return fn.Env.Failed(fn.bundle.group.Emit(outstanding, emit))
}

// FinishBundle waits for the bundle's parts.
func (fn *mapFn) FinishBundle(_ context.Context, emit func(harrow.Part)) error {
	return fn.Env.Failed(fn.bundle.drain(emit))
}

// Teardown ends what is left running.
func (fn *mapFn) Teardown() error {
	fn.bundle.stop()
	return nil
}

// slicesFn writes the slices of a shuffle.
type slicesFn struct {
	Env    engine.Env
	Key    engine.Key
	Step   engine.Step // before the shuffle; none: rows as they are
	Tables []string

	bundle bundle[engine.Sliced]
	parts  []harrow.Part
}

// ProcessElement keeps the reference: the parts of a bundle are written
// together, or many small parts would make many small slices.
func (fn *slicesFn) ProcessElement(ctx context.Context, p harrow.Part, _ func(int, engine.Slice)) error {
	if !wanted(fn.Tables, p) {
		return nil
	}
	if err := fn.bundle.begin(ctx, fn.Env); err != nil || fn.bundle.done {
		return fn.Env.Failed(err)
	}
	fn.parts = append(fn.parts, p)
	return nil
}

// FinishBundle writes the slices.
func (fn *slicesFn) FinishBundle(_ context.Context, emit func(int, engine.Slice)) error {
	parts := fn.parts
	fn.parts = nil
	if len(parts) > 0 {
		for _, task := range fn.bundle.worker.Spill(fn.Key, fn.Step, parts) {
			fn.bundle.group.Go(task)
		}
	}
	return fn.Env.Failed(fn.bundle.drain(func(s engine.Sliced) { emit(s.Shard, s.Slice) }))
}

// Teardown ends what is left running.
func (fn *slicesFn) Teardown() error {
	fn.bundle.stop()
	fn.parts = nil
	return nil
}

// mergeFn merges shards and sends them through an operator.
type mergeFn struct {
	Env  engine.Env
	Step engine.Step

	bundle bundle[harrow.Part]
	shards map[int][]engine.Slice
}

// ProcessElement keeps the shard's references: the shards of a bundle are
// merged beside each other.
func (fn *mergeFn) ProcessElement(ctx context.Context, shard int, next func(*engine.Slice) bool, _ func(harrow.Part)) error {
	if err := fn.bundle.begin(ctx, fn.Env); err != nil || fn.bundle.done {
		return fn.Env.Failed(err)
	}
	if fn.shards == nil {
		fn.shards = map[int][]engine.Slice{}
	}
	var s engine.Slice
	for next(&s) {
		fn.shards[shard] = append(fn.shards[shard], s)
	}
	return nil
}

// FinishBundle merges the shards.
func (fn *mergeFn) FinishBundle(_ context.Context, emit func(harrow.Part)) error {
	shards := fn.shards
	fn.shards = nil
	for _, shard := range slices.Sorted(maps.Keys(shards)) {
		fn.bundle.group.Go(fn.bundle.worker.Merge(fn.Step, shard, shards[shard], len(shards)))
	}
	return fn.Env.Failed(fn.bundle.drain(emit))
}

// Teardown ends what is left running.
func (fn *mergeFn) Teardown() error {
	fn.bundle.stop()
	fn.shards = nil
	return nil
}

// commitFn commits a stage.
type commitFn struct {
	Env    engine.Env
	Stored bool // only what is committed already
	Taken  bool // and that must be
}

// ProcessElement gets all references of the stage at once and emits the parts
// of the manifest.
func (fn *commitFn) ProcessElement(ctx context.Context, _ int, next func(*harrow.Part) bool, emit func(harrow.Part)) error {
	worker, err := engine.NewWorker(fn.Env)
	if err != nil {
		return fn.Env.Failed(err)
	}
	var refs []harrow.Part
	var ref harrow.Part
	for next(&ref) {
		refs = append(refs, ref)
	}
	commit := worker.Commit
	switch {
	case fn.Stored:
		commit = worker.Stored
	case fn.Taken:
		commit = worker.Taken
	}
	parts, err := commit(ctx, refs)
	for _, p := range parts {
		emit(p)
	}
	return fn.Env.Failed(err)
}
