package parts

import (
	"bytes"
	"context"
	"encoding/gob"
	"encoding/json"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/direct"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/vet"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/passert"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	"github.com/google/uuid"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/io/lakeio/laketest"
	"github.com/harrowdata/harrow/transforms/parts/engine"
)

func TestMain(m *testing.M) { ptest.Main(m) }

var rowType = harrow.RecordType{Name: "row", Columns: []harrow.Column{
	{Name: "key", Type: harrow.Type{Kind: harrow.Text}}, {Name: "n", Type: harrow.Type{Kind: harrow.Int}},
}}

const rowTable = "records/row"

// pass passes batches on; it fails on keys that don't ascend where its config
// is "sorted".
type pass struct {
	Sorted bool
	last   string
}

func (o *pass) Process(_ context.Context, in harrow.Batch, out harrow.Output) error {
	for i := range in.Rows() {
		key := in.Column("key").(*array.String).Value(i)
		if o.Sorted && key < o.last {
			return fmt.Errorf("key %q after %q", key, o.last)
		}
		o.last = strings.Clone(key)
	}
	return out.Emit(rowTable, in)
}

func (o *pass) Finish(_ context.Context, out harrow.Output) error {
	return out.Reject(harrow.Reject{Code: "end"})
}

func init() {
	harrow.RegisterOperator("pass", func(config json.RawMessage) (harrow.Operator, error) {
		o := &pass{}
		return o, json.Unmarshal(config, o)
	})
}

var (
	passOn = engine.Step{Operator: "pass"}
	sorted = engine.Step{Operator: "pass", Config: json.RawMessage(`{"Sorted":true}`)}
	byKey  = Key{Columns: []string{"key"}, Order: []string{"n"}}
)

func newEnv(t *testing.T) engine.Env {
	return engine.Env{Workspace: t.TempDir(), Job: "job", Run: "run", Stage: "refine", Memory: 64 << 20, Spill: t.TempDir(), Shards: 4}
}

// input writes parts of rows each and returns them as a collection's elements.
func input(t *testing.T, env engine.Env, parts, rows int) []harrow.Part {
	t.Helper()
	lake, err := env.Open()
	if err != nil {
		t.Fatal(err)
	}
	var out []harrow.Part
	for p := range parts {
		b := lakeio.NewRecordBuilder(rowType)
		for i := range rows {
			if err := b.Append([]any{fmt.Sprint("key-", i%50), int64(p*rows + i)}, lakeio.Origin{}); err != nil {
				t.Fatal(err)
			}
		}
		batch := b.Batch()
		part := laketest.Write(t, lake.Store, "in/"+uuid.NewString()+".arrow", batch)
		batch.Release()
		b.Release()
		out = append(out, part)
	}
	return append(out, harrow.Part{}, harrow.Part{Table: "captures", URI: "never/opened.arrow"})
}

func create(s beam.Scope, parts []harrow.Part) Collection {
	return Collection{Col: beam.CreateList(s, parts)}.Of("records/*")
}

func run(t *testing.T, runner string, build func(s beam.Scope)) {
	t.Helper()
	p, s := beam.NewPipelineWithRoot()
	build(s)
	if _, err := beam.Run(t.Context(), runner, p); err != nil {
		t.Fatal(err)
	}
}

// each runs a test on the two runners that need no cluster.
func each(t *testing.T, test func(t *testing.T, runner string)) {
	for _, runner := range []string{"direct", "prism"} {
		t.Run(runner, func(t *testing.T) { test(t, runner) })
	}
}

// committed is the stage's manifest; its parts are what was emitted too.
func committed(t *testing.T, env engine.Env) lakeio.Manifest {
	t.Helper()
	lake, err := env.Open()
	if err != nil {
		t.Fatal(err)
	}
	m, err := lake.Manifest(t.Context(), env.Stage)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMapThenCommit(t *testing.T) {
	each(t, func(t *testing.T, runner string) {
		env := newEnv(t)
		in := input(t, env, 3, 100)
		build := func(s beam.Scope) {
			out := Commit(s, env, Map(s, "map", env, passOn, create(s, in)))
			passert.Count(s, out.Col, "parts", 6) // three of rows, three of rejects
		}
		run(t, runner, build)
		first := committed(t, env)
		if first.Tables[rowTable].Rows != 300 || first.Tables["rejects"].Rows != 3 {
			t.Errorf("tables %+v", first.Tables)
		}
		// Again: nothing is done, the same comes out.
		before, err := filepath.Glob(filepath.Join(env.Workspace, "job/runs/run/refine/*/*/*.arrow"))
		if err != nil || len(before) != 3 {
			t.Fatalf("files %v, %v", before, err)
		}
		run(t, runner, build)
		after, _ := filepath.Glob(filepath.Join(env.Workspace, "job/runs/run/refine/*/*/*.arrow"))
		if !slices.Equal(before, after) {
			t.Errorf("a second run wrote %v, the first one %v", after, before)
		}
		if again := committed(t, env); !reflect.DeepEqual(first, again) {
			t.Errorf("a second run changed the manifest: %+v, %+v", first, again)
		}
	})
}

func TestShuffleThenCommit(t *testing.T) {
	each(t, func(t *testing.T, runner string) {
		env := newEnv(t)
		in := input(t, env, 3, 100)
		run(t, runner, func(s beam.Scope) {
			mapped := Map(s, "map", env, passOn, create(s, in))
			shuffled := Shuffle(s, "shuffle", env, byKey, sorted, mapped.Of(rowTable))
			out := Commit(s, env, shuffled, mapped.Of("rejects"))
			// The next stage begins right after a commit.
			next := env
			next.Stage = "load"
			Commit(s, next, Map(s, "after", next, passOn, out.Of(rowTable)))
		})
		m := committed(t, env)
		if m.Tables[rowTable].Rows != 300 || m.Tables["rejects"].Rows != 3+4 {
			t.Errorf("tables %+v, want 300 rows, a reject of each part and of each shard", m.Tables)
		}
		shards := map[int]bool{}
		for _, p := range m.TablesOf(rowTable) {
			shards[p.Shard] = true
		}
		if len(shards) != 4 {
			t.Errorf("parts of shards %v, want 4", shards)
		}
		env.Stage = "load"
		if m := committed(t, env); m.Tables[rowTable].Rows != 300 || m.Tables["rejects"].Rows != 4 {
			t.Errorf("tables %+v after the next stage", m.Tables)
		}
	})
}

func TestNothingIsCommittedToo(t *testing.T) {
	each(t, func(t *testing.T, runner string) {
		env := newEnv(t)
		run(t, runner, func(s beam.Scope) {
			shuffled := Shuffle(s, "shuffle", env, byKey, sorted, Map(s, "map", env, passOn, None(s)))
			out := Commit(s, env, shuffled)
			passert.Empty(s, out.Col)
			next := env
			next.Stage = "load"
			Commit(s, next, Map(s, "after", next, passOn, out))
		})
		if m := committed(t, env); len(m.Parts) != 0 {
			t.Errorf("parts %v", m.Parts)
		}
		env.Stage = "load"
		committed(t, env)
	})
}

func TestTwoGraphsAtOnceHaveOneWinner(t *testing.T) {
	each(t, func(t *testing.T, runner string) {
		env := newEnv(t)
		var wg sync.WaitGroup
		var emitted [2]engine.Env
		for i := range emitted {
			in := input(t, env, 2, 10+i)
			// What a graph's commit emitted is what its next stage commits.
			emitted[i] = env
			emitted[i].Stage = fmt.Sprint("after-", i)
			wg.Go(func() {
				p, s := beam.NewPipelineWithRoot()
				out := Commit(s, env, Map(s, "map", env, passOn, create(s, in)))
				Commit(s, emitted[i], out)
				if _, err := beam.Run(t.Context(), runner, p); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		want := committed(t, env)
		for _, e := range emitted {
			if got := committed(t, e); !slices.Equal(got.Parts, want.Parts) {
				t.Errorf("a graph emitted %v, the manifest has %v", got.Parts, want.Parts)
			}
		}
	})
}

func TestFailuresFailTheRun(t *testing.T) {
	env := newEnv(t)
	in := append(input(t, env, 1, 10), harrow.Part{Table: rowTable, URI: "in/missing.arrow"})
	p, s := beam.NewPipelineWithRoot()
	Commit(s, env, Map(s, "map", env, passOn, create(s, in)))
	if _, err := beam.Run(t.Context(), "direct", p); err == nil || !strings.Contains(err.Error(), "in/missing.arrow") {
		t.Errorf("error %v, want one that names the part", err)
	}
}

// Every exported field travels to the workers; a lost one shows nowhere else.
func TestDoFnsTravelWhole(t *testing.T) {
	env := engine.Env{Workspace: "w", Job: "j", Run: "r", Stage: "s", Memory: 1, Spill: "/s", Shards: 2}
	step := engine.Step{Operator: "o", Config: json.RawMessage(`{"a":1}`), Beside: []string{"b"}}
	key := Key{Columns: []string{"k"}, Order: []string{"o"}, Shards: 3}
	for _, fn := range []any{
		&mapFn{Env: env, Step: step, Tables: []string{"t"}},
		&slicesFn{Env: env, Key: key, Step: step, Tables: []string{"t"}},
		&mergeFn{Env: env, Step: step},
		&commitFn{Env: env, Stored: true, Taken: true},
	} {
		v := reflect.ValueOf(fn).Elem()
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && v.Field(i).IsZero() {
				t.Errorf("%T.%s is not set by this test", fn, f.Name)
			}
		}
		byJSON, byGob := reflect.New(v.Type()), reflect.New(v.Type())
		data, err := json.Marshal(fn)
		if err == nil {
			err = json.Unmarshal(data, byJSON.Interface())
		}
		if err != nil || !reflect.DeepEqual(byJSON.Interface(), fn) {
			t.Errorf("%T came back from JSON as %+v, %v", fn, byJSON.Interface(), err)
		}
		var buf bytes.Buffer
		if err = gob.NewEncoder(&buf).Encode(fn); err == nil {
			err = gob.NewDecoder(&buf).Decode(byGob.Interface())
		}
		if err != nil || !reflect.DeepEqual(byGob.Interface(), fn) {
			t.Errorf("%T came back from gob as %+v, %v", fn, byGob.Interface(), err)
		}
	}
}

func TestPipelineNeedsNoReflection(t *testing.T) {
	env := newEnv(t)
	p, s := beam.NewPipelineWithRoot()
	mapped := Map(s, "map", env, passOn, None(s))
	Commit(s, env, Shuffle(s, "shuffle", env, byKey, sorted, mapped.Of(rowTable)), mapped.Of("rejects"))
	if _, err := vet.Execute(t.Context(), p); err != nil {
		t.Error(err)
	}
}

func TestOfNarrows(t *testing.T) {
	for _, c := range []struct {
		first, second, want []string
	}{
		{nil, []string{"a"}, []string{"a"}},
		{[]string{"a", "records/*"}, []string{"records/b", "c"}, []string{"records/b"}},
		{[]string{"a", "records/b"}, []string{"records/*"}, []string{"records/b"}},
		{[]string{"a"}, []string{"b"}, []string{}},
	} {
		in := Collection{Tables: c.first}
		if got := in.Of(c.second...).Tables; !slices.Equal(got, c.want) || got == nil {
			t.Errorf("%q of %q is %q, want %q", c.second, c.first, got, c.want)
		}
	}
}

func TestMisusePanics(t *testing.T) {
	env := newEnv(t)
	for name, f := range map[string]func(s beam.Scope){
		"operator": func(s beam.Scope) { Map(s, "m", env, engine.Step{Operator: "nobody"}, None(s)) },
		"Columns":  func(s beam.Scope) { Slices(s, "m", env, Key{}, None(s)) },
		"Env.Run":  func(s beam.Scope) { Commit(s, engine.Env{Workspace: "w", Job: "j", Stage: "s"}) },
	} {
		func() {
			defer func() {
				if p := recover(); p == nil || !strings.Contains(fmt.Sprint(p), name) {
					t.Errorf("panic %v, want one that says %s", p, name)
				}
			}()
			_, s := beam.NewPipelineWithRoot()
			f(s)
		}()
	}
}
