package parquetio

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/soak/fault"
)

// dying is a store of which the process loses sight: every operation from one
// on fails. When late, that one is done before.
type dying struct {
	lakeio.Store
	mu   sync.Mutex
	ops  int
	from int // 0: never
	late bool
	meet func(op, uri string) // called before each operation
}

var errDied = errors.New("the process died")

func (d *dying) step(op, uri string, do func() error) error {
	if d.meet != nil {
		d.meet(op, uri)
	}
	d.mu.Lock()
	d.ops++
	dead, last := d.from > 0 && d.ops >= d.from, d.ops == d.from
	d.mu.Unlock()
	if !dead {
		return do()
	}
	if last && d.late {
		if err := do(); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s %s: %w", op, uri, errDied)
}

func (d *dying) Create(ctx context.Context, uri string, data []byte) error {
	return d.step("create", uri, func() error {
		if _, _, err := d.Store.Read(ctx, uri); err == nil {
			return lakeio.ErrExists
		}
		return d.Store.Put(ctx, uri, data) // no test here cuts the power, and fsync is slow
	})
}

func (d *dying) Read(ctx context.Context, uri string) (data []byte, g lakeio.Generation, err error) {
	err = d.step("read", uri, func() (err error) { data, g, err = d.Store.Read(ctx, uri); return err })
	return data, g, err
}

func (d *dying) Writer(ctx context.Context, uri string) (w lakeio.Writer, err error) {
	err = d.step("writer", uri, func() (err error) { w, err = d.Store.Writer(ctx, uri); return err })
	return w, err
}

func (d *dying) Open(ctx context.Context, uri string) (r lakeio.Reader, err error) {
	err = d.step("open", uri, func() (err error) { r, err = d.Store.Open(ctx, uri); return err })
	return r, err
}

func (d *dying) Sync(ctx context.Context, uri string) error {
	return d.step("sync", uri, func() error {
		_, err := os.Stat(filepath.Join(d.Local(), uri))
		if errors.Is(err, fs.ErrNotExist) {
			return lakeio.ErrNotFound
		}
		return err
	})
}

func (d *dying) List(ctx context.Context, folder string) (names []string, err error) {
	err = d.step("list", folder, func() (err error) { names, err = d.Store.List(ctx, folder); return err })
	return names, err
}

func (d *dying) Delete(ctx context.Context, uri string) error {
	return d.step("delete", uri, func() error { return d.Store.Delete(ctx, uri) })
}

func (d *dying) Copy(ctx context.Context, from, to string) error {
	return d.step("copy", to, func() error { return lakeio.Copy(ctx, d.Store, from, to) })
}

// on gives a sink a store that may die.
func (s *Sink) on(t testing.TB) *dying {
	t.Helper()
	store, err := lakeio.Open(s.uri)
	check(t, err)
	d := &dying{Store: store}
	s.store = d
	return d
}

func threeShards(t testing.TB, s *Sink) error {
	for i := range 3 {
		shard := shardOf(t, shelf, run1, []any{fmt.Sprint("a", i), "x", int64(i)}, []any{fmt.Sprint("b", i), "y", int64(i)}, []any{nil, "y", int64(i)})
		shard.Shard = i
		if _, err := s.Load(t.Context(), shard); err != nil {
			return err
		}
	}
	return nil
}

var threeCounts = map[string]harrow.Counts{"shelf": {Added: 6, Rejected: 3}}

// Wherever a process dies, loading or publishing, before or after the store
// has done what it was asked: no reader sees a row of a run before it has
// committed, or twice, and in the end all are there and nothing else.
func TestAProcessMayDieAtAnyStep(t *testing.T) {
	var want []string
	{
		dir := t.TempDir()
		s := newSink(t, dir, "genre", "_run")
		check(t, threeShards(t, s))
		check(t, publish(t.Context(), s, run1, threeCounts))
		want = rows(t, dir)
	}
	if len(want) != 6 {
		t.Fatalf("undisturbed: %v", want)
	}
	steps, stride := 0, 1
	if testing.Short() {
		stride = 7
	}
	for n, running := 1, true; running; n += stride {
		for _, late := range []bool{false, true} {
			dir := t.TempDir()
			s := newSink(t, dir, "genre", "_run")
			d := s.on(t)
			d.from, d.late = n, late
			err := threeShards(t, s)
			if err != nil {
				if seen := visible(t, dir); len(seen) > 0 {
					t.Fatalf("step %d: seen before the run has committed: %v", n, seen)
				}
				s.on(t)
				check(t, threeShards(t, s))
				s.store = d
			}
			if err = publish(t.Context(), s, run1, threeCounts); err != nil && !errors.Is(err, errDied) {
				t.Fatal(err)
			}
			seen := map[string]bool{}
			for _, r := range rows(t, dir) { // whole files, if any
				if seen[r] {
					t.Errorf("step %d: twice: %s", n, r)
				}
				seen[r] = true
			}
			running = err != nil
			s.on(t)
			check(t, publish(t.Context(), s, run1, threeCounts))
			same(t, fmt.Sprintf("step %d, late %v", n, late), rows(t, dir), want)
			if left := everything(t, filepath.Join(dir, hidden)); len(left) != 1 {
				t.Errorf("step %d: left: %v", n, left)
			}
		}
		steps = n
	}
	if steps < 40 {
		t.Errorf("only %d steps: the store was not asked for much", steps)
	}
	t.Logf("%d steps", steps)
}

// The same on a store without links, whose files are copied byte by byte.
func TestADiskMayDieAtAnyWriteOfPublishing(t *testing.T) {
	for n := 1; ; n++ {
		dir := t.TempDir()
		disk, err := fault.New(dir)
		check(t, err)
		s := newSink(t, disk.URI())
		check(t, threeShards(t, s))
		disk.FailFrom(n, n%2 == 0)
		err = publish(t.Context(), s, run1, threeCounts)
		disk.FailFrom(0, false)
		if err == nil {
			if n < 6 {
				t.Errorf("only %d writes", n)
			}
			return
		}
		if !errors.Is(err, fault.ErrDisk) || !strings.Contains(err.Error(), dir) {
			t.Fatal(err)
		}
		check(t, publish(t.Context(), s, run1, threeCounts))
		if got := rows(t, dir); len(got) != 6 {
			t.Errorf("write %d: %v", n, got)
		}
	}
}

// A worker that was given up goes on, and ends after its run was published.
func TestAnAttemptThatComesLateChangesNothing(t *testing.T) {
	data := [][]any{{"a", int64(1)}, {"b", int64(2)}}
	for _, at := range []string{"writer ", "sync ", "create "} {
		dir := t.TempDir()
		s, zombie := newSink(t, dir), newSink(t, dir)
		met := make(chan struct{})
		goOn := make(chan struct{})
		var once sync.Once
		zombie.on(t).meet = func(op, uri string) {
			if strings.HasPrefix(op+" ", at) {
				once.Do(func() { close(met); <-goOn })
			}
		}
		type result struct {
			n   harrow.Counts
			err error
		}
		done := make(chan result)
		go func() {
			n, err := zombie.Load(t.Context(), shardOf(t, book, run1, data...))
			done <- result{n, err}
		}()
		<-met
		load(t, s, shardOf(t, book, run1, data...), added(2))
		check(t, publish(t.Context(), s, run1, books(2)))
		before := times(t, dir)
		close(goOn)
		if r := <-done; r.err == nil && r.n != added(2) || r.err != nil && !errors.Is(r.err, lakeio.ErrNotFound) { // its file is gone, or it is told what counts
			t.Errorf("at %s: %+v", at, r)
		}
		check(t, publish(t.Context(), s, run1, books(2)))
		if after := times(t, dir); fmt.Sprint(after) != fmt.Sprint(before) {
			t.Errorf("at %s: files before %v, after %v", at, before, after)
		}
	}
}

// times are the files below a folder and when they were written.
func times(t testing.TB, dir string) map[string]time.Time {
	t.Helper()
	m := map[string]time.Time{}
	check(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		m[path] = info.ModTime()
		return err
	}))
	return m
}

// Several attempts at once, of all shards: one of each counts.
func TestAttemptsAtOnceLoadEachRowOnce(t *testing.T) {
	dir := t.TempDir()
	var wg sync.WaitGroup
	for range 4 {
		s := newSink(t, dir)
		for i := range 3 {
			wg.Go(func() {
				shard := shardOf(t, book, run1, []any{fmt.Sprint("a", i), int64(i)}, []any{nil, nil})
				shard.Shard = i
				if n, err := s.Load(t.Context(), shard); err != nil || n != (harrow.Counts{Added: 1, Rejected: 1}) {
					t.Errorf("%+v %v", n, err)
				}
			})
		}
	}
	wg.Wait()
	counts := map[string]harrow.Counts{"book": {Added: 3, Rejected: 3}}
	for range 3 {
		s := newSink(t, dir)
		wg.Go(func() {
			if err := publish(t.Context(), s, run1, counts); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := rows(t, dir); len(got) != 3 {
		t.Errorf("rows %v", got)
	}
	if left := everything(t, filepath.Join(dir, hidden)); len(left) != 1 {
		t.Errorf("left: %v", left)
	}
}
