package upsert

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/soak/fault"
	"github.com/harrowdata/harrow/transforms/parts/engine"
)

var errDied = errors.New("the worker died")

// emitter collects what a bundle emits; the emit number die, from 1, kills it.
type emitter struct {
	die   int
	keyed map[string][]harrow.Part
	parts []harrow.Part
}

func (e *emitter) count() {
	if e.die--; e.die == 0 {
		panic(errDied)
	}
}

func (e *emitter) emitKeyed(key string, p harrow.Part) {
	e.count()
	if e.keyed == nil {
		e.keyed = map[string][]harrow.Part{}
	}
	e.keyed[key] = append(e.keyed[key], p)
}

func (e *emitter) emit(p harrow.Part) { e.count(); e.parts = append(e.parts, p) }

// attempt turns a panic into an error, as runners do.
func attempt(bundle func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	return bundle()
}

// keyBundle runs the bundle of a keyFn.
func keyBundle(ctx context.Context, env engine.Env, c Config, in []harrow.Part, die int) (map[string][]harrow.Part, error) {
	out := &emitter{die: die}
	err := attempt(func() error {
		fn := &keyFn{Env: env, Config: c}
		if err := fn.Setup(); err != nil {
			return err
		}
		for _, p := range in {
			if err := fn.ProcessElement(ctx, p, out.emitKeyed); err != nil {
				return err
			}
		}
		return nil
	})
	return out.keyed, err
}

// loadBundle runs the bundle of a loadFn.
func loadBundle(ctx context.Context, env engine.Env, c Config, in map[string][]harrow.Part, die int) ([]harrow.Part, error) {
	out := &emitter{die: die}
	err := attempt(func() error {
		fn := &loadFn{Env: env, Config: c}
		if err := fn.Setup(); err != nil {
			return err
		}
		if err := fn.StartBundle(ctx, out.emit); err != nil {
			return err
		}
		for _, key := range slices.Sorted(maps.Keys(in)) {
			values := in[key]
			next := func(p *harrow.Part) bool {
				if len(values) == 0 {
					return false
				}
				*p, values = values[0], values[1:]
				return true
			}
			if err := fn.ProcessElement(ctx, key, next, out.emit); err != nil {
				return err
			}
		}
		return fn.FinishBundle(ctx, out.emit)
	})
	return out.parts, err
}

// death is where the first attempt of a DoFn dies: at an emit or at a write of
// the workspace, from 1.
type death struct {
	fn          string
	emit, write int
}

// loadStage drives stage load bundle by bundle; the first attempt of one dies
// as d says, and then it runs again. It returns what load committed and what
// the database holds, and whether something died.
func loadStage(t *testing.T, d death) (state string, died bool) {
	t.Helper()
	env, in := workspace(t)
	dir := env.Workspace
	disk, err := fault.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	env.Workspace = disk.URI()
	c := config(map[string]json.RawMessage{"sqlite": nil, "fake": newFake(t, &fake{})})
	var keyed map[string][]harrow.Part
	var out []harrow.Part
	for _, step := range []struct {
		name string
		run  func(ctx context.Context, die int) error
	}{
		{"key", func(ctx context.Context, die int) (err error) { keyed, err = keyBundle(ctx, env, c, in, die); return }},
		{"load", func(ctx context.Context, die int) (err error) { out, err = loadBundle(ctx, env, c, keyed, die); return }},
	} {
		if d.fn == step.name {
			ctx, kill := context.WithCancel(t.Context())
			disk.FailFrom(d.write, false)
			dead := disk.Died()
			go func() { // no more tries after the first
				select {
				case <-dead:
					kill()
				case <-ctx.Done():
				}
			}()
			err := step.run(ctx, d.emit)
			kill()
			disk.FailFrom(0, false)
			if died = err != nil; died && !errors.Is(err, fault.ErrDisk) && !errors.Is(err, context.Canceled) && err.Error() != errDied.Error() {
				t.Errorf("%+v ended with %v", d, err)
			}
			if !died {
				continue
			}
		}
		if err := step.run(t.Context(), 0); err != nil {
			t.Fatalf("%s after %+v: %v", step.name, d, err)
		}
	}
	w, err := engine.NewWorker(env)
	if err != nil {
		t.Fatal(err)
	}
	parts, err := w.Commit(t.Context(), out)
	if err != nil {
		t.Fatal(err)
	}
	lake, err := env.Open()
	if err != nil {
		t.Fatal(err)
	}
	m, err := lake.Manifest(t.Context(), "load")
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(m.Counters, rejectRows(t, lake, parts), dump(t, filepath.Join(dir, "shop", "shop.db"))), died
}

func rejectRows(t *testing.T, lake lakeio.Lake, parts []harrow.Part) (list []string) {
	t.Helper()
	for _, p := range parts {
		for r, err := range lakeio.ReadRows(t.Context(), lake.Store, lakeio.Rejects, p) {
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, strings.Join([]string{r.ID.String(), r.Record, r.Code, r.Payload}, " "))
		}
	}
	slices.Sort(list)
	return list
}

// dump is the content of the tables book and note.
func dump(t *testing.T, file string) (list []string) {
	t.Helper()
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), "SELECT 'book', upc, stock, _id, _ordinal FROM book UNION ALL SELECT 'note', upc, stock, _id, _ordinal FROM note ORDER BY 1, 4, 5")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var table, upc, id string
		var stock, ordinal int64
		if err := rows.Scan(&table, &upc, &stock, &id, &ordinal); err != nil {
			t.Fatal(err)
		}
		list = append(list, fmt.Sprint(table, " ", upc, " ", stock, " ", id, " ", ordinal))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return list
}

// A worker may die at any emit, before or after the store has taken the rows,
// and at any write: what is stored, counted and rejected is the same.
func TestABundleThatDiesAnywhereAndRunsAgainLoadsTheSame(t *testing.T) {
	want, _ := loadStage(t, death{})
	for _, part := range []string{"load.sqlite.book.added:4", "load.sqlite.book.rejected:1", "load.sqlite.note.added:2", "book 4 ", "note 1 "} {
		if !strings.Contains(want, part) {
			t.Fatalf("undisturbed: %s, want %q in it", want, part)
		}
	}
	for kind, n := range map[death]int{{fn: "key", emit: 1}: 4, {fn: "load", emit: 1}: 9, {fn: "load", write: 1}: 6} {
		for i := 1; i <= n; i++ {
			d := kind
			if d.emit > 0 {
				d.emit = i
			} else {
				d.write = i
			}
			t.Run(fmt.Sprintf("%+v", d), func(t *testing.T) {
				got, died := loadStage(t, d)
				if !died {
					t.Error("nothing died: there are fewer emits or writes")
				}
				if got != want {
					t.Errorf("got  %s\nwant %s", got, want)
				}
			})
		}
	}
}
