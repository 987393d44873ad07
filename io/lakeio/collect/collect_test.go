package collect

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

const day = 24 * time.Hour

func config(keep int) Config {
	return Config{Job: job, Keep: keep, OlderThan: day, Now: time.Now}
}

// tree lists the files of a workspace with their times, but the lock.
func tree(t fataler, s lakeio.Store) map[string]time.Time {
	t.Helper()
	files := map[string]time.Time{}
	check(t, filepath.WalkDir(s.Local(), func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "lock" {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(s.Local(), p)
		files[filepath.ToSlash(rel)] = info.ModTime()
		return err
	}))
	return files
}

// readable reads all that the runs of a workspace have committed, byte by
// byte, and returns the files it met. Stages that were committed must be.
func (h *history) readable(committed map[lakeio.StageOf]bool) map[string]bool {
	h.t.Helper()
	met := map[string]bool{}
	versions := []string{must[string](h.t)(lakeio.CurrentPages(h.ctx, h.store, job))}
	runs := must[[]string](h.t)(lakeio.Runs(h.ctx, h.store, job))
	alive := h.alive()
	for _, id := range runs {
		r := must[lakeio.Run](h.t)(lakeio.ReadRun(h.ctx, h.store, job, id))
		met[path.Join(h.lake(id).RunDir(), "run.json")] = true
		for _, in := range r.Inputs {
			met[h.lake(id).InputURI(in.Digest)] = true
		}
		for _, at := range r.StagesOf() {
			h.stageReadable(at, committed[at], met)
		}
		if r.Replay != nil {
			needs := slices.Concat(r.Replay.Asked, r.Replay.Refined)
			if alive[id] { // it may still read them
				needs = slices.Concat(needs, r.Replay.Stages, r.Replay.Deferred)
				must[lakeio.Run](h.t)(lakeio.ReadRun(h.ctx, h.store, job, r.Replay.Run))
			}
			for _, at := range needs {
				h.stageReadable(at, committed[at], met)
			}
		}
		versions = append(versions, r.PagesRun)
	}
	for _, id := range versions {
		at := lakeio.StageOf{Run: id, Stage: lakeio.PagesStage}
		h.stageReadable(at, id != "" && committed[at], met)
	}
	return met
}

func (h *history) stageReadable(at lakeio.StageOf, committed bool, met map[string]bool) {
	h.t.Helper()
	dir := h.lake(at.Run).Stage(at.Stage)
	record := path.Join(dir, "shard-00000.json")
	for _, roll := range must[lakeio.ShardRecord](h.t)(lakeio.ReadShardRecord(h.ctx, h.store, record)).Rolls {
		met[record] = true
		for _, p := range roll.Parts {
			met[p.URI] = true
		}
	}
	m, err := h.lake(at.Run).Manifest(h.ctx, at.Stage)
	if errors.Is(err, lakeio.ErrNotFound) {
		if committed {
			h.t.Fatalf("%v was committed, and is gone", at)
		}
		return
	}
	check(h.t, err)
	met[path.Join(dir, "manifest.json")], met[path.Join(dir, "manifest.arrow")] = true, true
	for _, p := range m.Parts {
		met[p.URI] = true
		rows := int64(0)
		for b, err := range lakeio.ReadBatches(h.ctx, h.store, p) {
			check(h.t, err)
			rows += int64(b.Rows())
		}
		if rows != p.Rows {
			h.t.Fatalf("%s: %d rows, want %d", p.URI, rows, p.Rows)
		}
		h.bodiesReadable(p, met)
	}
}

func (h *history) bodiesReadable(p harrow.Part, met map[string]bool) {
	h.t.Helper()
	body := func(uri, digest string, row, rows int64) {
		met[uri] = true
		sum, n := sha256.New(), int64(0)
		for b, err := range lakeio.ReadRows(h.ctx, h.store, lakeio.Bodies, harrow.Part{Table: lakeio.Bodies.Name(), URI: uri, Rows: 1}) {
			check(h.t, err)
			if n >= row && n < row+rows {
				sum.Write(b.Body)
			}
			n++
		}
		if got := hex.EncodeToString(sum.Sum(nil)); got != digest {
			h.t.Fatalf("%s: body %s, want %s", uri, got, digest)
		}
	}
	switch p.Table {
	case lakeio.Captures.Name():
		for c, err := range lakeio.ReadRows(h.ctx, h.store, lakeio.Captures, p) {
			check(h.t, err)
			body(strings.Clone(c.BodyPart), c.Digest, c.BodyRow, c.BodyRows)
		}
	case lakeio.Pages.Name():
		for s, err := range lakeio.ReadRows(h.ctx, h.store, lakeio.Pages, p) {
			check(h.t, err)
			body(strings.Clone(s.BodyPart), s.Digest, s.BodyRow, s.BodyRows)
		}
	}
}

// committed lists the stages that have a manifest.
func (h *history) committed() map[lakeio.StageOf]bool {
	all := map[lakeio.StageOf]bool{}
	for uri := range tree(h.t, h.store) {
		dir, name := path.Split(uri)
		if name != manifestName {
			continue
		}
		words := strings.Split(strings.Trim(dir, "/"), "/")
		if words[1] == lakeio.PagesStage {
			all[lakeio.StageOf{Run: words[2], Stage: lakeio.PagesStage}] = true
		} else {
			all[lakeio.StageOf{Run: words[2], Stage: words[3]}] = true
		}
	}
	return all
}

// wanted are the runs that have to stay, whatever else does.
func (h *history) wanted(keep int, before map[string]time.Time) (ids []string) {
	runs := must[[]string](h.t)(lakeio.Runs(h.ctx, h.store, job))
	alive := h.alive()
	for i, id := range slices.Backward(runs) {
		r := must[lakeio.Run](h.t)(lakeio.ReadRun(h.ctx, h.store, job, id))
		young := time.Since(before[path.Join(h.lake(id).RunDir(), "run.json")]) < day
		for _, first := range []string{r.Previous, r.Parent} { // it begins with
			if alive[id] && r.Source("discover") == id && slices.Contains(runs, first) && !must[bool](h.t)(h.lake(id).Committed(h.ctx, "discover")) {
				ids = append(ids, first)
			}
		}
		whole := 0 // of those that count
		if r.Replay == nil {
			whole = 1
		}
		if keep == 0 || young || alive[id] || r.State == lakeio.Done && kept(h, runs[i+1:])+whole <= keep && (whole == 1 || kept(h, runs[i+1:]) < keep) {
			ids = append(ids, id)
		}
	}
	return ids
}

// alive are the runs that can be gone on with.
func (h *history) alive() map[string]bool {
	ids := map[string]bool{}
	for _, id := range slices.Backward(must[[]string](h.t)(lakeio.Runs(h.ctx, h.store, job))) {
		r := must[lakeio.Run](h.t)(lakeio.ReadRun(h.ctx, h.store, job, id))
		ids[id] = r.State != lakeio.Done
		if r.Source("fetch") == id {
			break
		}
	}
	return ids
}

// kept counts the finished of runs, but for those that replay others' rejects.
func kept(h *history, runs []string) (n int) {
	for _, id := range runs {
		if r := must[lakeio.Run](h.t)(lakeio.ReadRun(h.ctx, h.store, job, id)); r.State == lakeio.Done && r.Replay == nil {
			n++
		}
	}
	return n
}

// later reads what the next run asks first.
func (h *history) later() (n int) {
	check(h.t, lakeio.EachRow(h.ctx, h.store, job, h.leaves(h.previous()), lakeio.DeferredRequests, func(harrow.Request) error { n++; return nil }))
	return n
}

// memory is a folder in memory where there is one: histories are many small
// files.
func memory(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "harrow-collect-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { check(t, os.RemoveAll(dir)) })
	return dir
}

func TestCollectionsBesideEachOtherDoNotMeet(t *testing.T) {
	h := newHistory(t, t.Context(), t.TempDir())
	left := path.Join(job, probePrefix+"of-one-that-was-killed")
	h.run(plan{})
	check(t, h.store.Put(t.Context(), left, nil))
	old := time.Now().Add(-2 * time.Hour)
	check(t, os.Chtimes(filepath.Join(h.store.Local(), filepath.FromSlash(left)), old, old))
	var all errgroup.Group
	for range 8 {
		all.Go(func() error { _, err := Job(t.Context(), h.store, config(0)); return err })
	}
	check(t, all.Wait())
	for file := range tree(t, h.store) {
		if strings.HasPrefix(path.Base(file), probePrefix) {
			t.Errorf("%s is left", file)
		}
	}
}

func TestMain(m *testing.M) {
	flag.Parse()
	if !slices.ContainsFunc(os.Args, func(arg string) bool { return strings.Contains(arg, "rapid.checks") }) {
		checks := "12"
		if testing.Short() {
			checks = "3"
		}
		_ = flag.Set("rapid.checks", checks)
	}
	os.Exit(m.Run())
}

func TestWhatIsNeededStaysAndAllElseGoes(t *testing.T) {
	ctx, root := t.Context(), memory(t)
	rapid.Check(t, func(t *rapid.T) {
		dir := must[string](t)(os.MkdirTemp(root, "w"))
		defer os.RemoveAll(dir)
		h := newHistory(t, ctx, dir)
		for range rapid.IntRange(1, 3).Draw(t, "rounds") {
			for range rapid.IntRange(1, 5).Draw(t, "runs") {
				h.draw(t)
			}
			store := h.store
			if rapid.Bool().Draw(t, "far") {
				store = far{store}
			}
			h.collect(t, store, rapid.IntRange(0, 3).Draw(t, "keep"))
		}
	})
}

// far is a store that is no local folder: locks are leases, deletes are many
// at once.
type far struct{ lakeio.Store }

func (far) Local() string { return "" }

func (h *history) collect(t *rapid.T, s lakeio.Store, keep int) {
	before, committed, later := tree(t, h.store), h.committed(), h.later()
	wanted := h.wanted(keep, before)
	pages := must[string](t)(lakeio.CurrentPages(h.ctx, h.store, job))
	cfg := config(keep)
	cfg.DryRun = true
	would := must[Report](t)(Job(h.ctx, s, cfg))
	if now := tree(t, h.store); !reflect.DeepEqual(now, before) {
		t.Fatalf("a dry run changed files")
	}
	cfg.DryRun = false
	did := must[Report](t)(Job(h.ctx, s, cfg))
	if !reflect.DeepEqual(did, would) {
		t.Errorf("dry run: %+v, then %+v", would, did)
	}
	runs := must[[]string](t)(lakeio.Runs(h.ctx, h.store, job))
	for _, id := range wanted {
		if !slices.Contains(runs, id) {
			t.Fatalf("run %s had to stay", id)
		}
	}
	if now := must[string](t)(lakeio.CurrentPages(h.ctx, h.store, job)); now != pages {
		t.Fatalf("current pages are those of %q, were those of %q", now, pages)
	}
	if now := h.later(); now != later {
		t.Fatalf("the next run asks %d requests first, had to ask %d", now, later)
	}
	for _, id := range runs {
		for _, owner := range must[lakeio.Run](t)(lakeio.ReadRun(h.ctx, h.store, job, id)).Sources {
			must[lakeio.Run](t)(lakeio.ReadRun(h.ctx, h.store, job, owner))
		}
	}
	met := h.readable(committed)
	after := tree(t, h.store)
	for uri, at := range before {
		if _, there := after[uri]; !there && time.Since(at) < day {
			t.Errorf("%s was young", uri)
		}
	}
	alive := h.alive()
	for uri := range before {
		words := strings.Split(uri, "/")
		at := lakeio.StageOf{Run: words[2], Stage: words[3]}
		if words[1] == lakeio.PagesStage {
			at.Stage = lakeio.PagesStage
		}
		if _, stays := after[uri]; alive[at.Run] && !committed[at] && !stays {
			t.Errorf("%s is of a run that may go on", uri)
		}
	}
	for uri, at := range after {
		if time.Since(at) > day && !met[uri] && !alive[strings.Split(uri, "/")[2]] {
			t.Errorf("nobody refers to %s", uri)
		}
	}
	if again := must[Report](t)(Job(h.ctx, s, cfg)); again.Total() != (Count{}) || len(again.Runs) > 0 {
		t.Errorf("a second time it removed %+v", again)
	}
}

// deadStore fails from the nth delete on.
type deadStore struct {
	lakeio.Store
	left int
}

var errDead = errors.New("killed")

func (d *deadStore) Delete(ctx context.Context, uri string) error {
	if d.left--; d.left < 0 && !strings.HasPrefix(path.Base(uri), probePrefix) {
		return errDead
	}
	return d.Store.Delete(ctx, uri)
}

func TestACollectionThatIsKilledLeavesRunsWhole(t *testing.T) {
	ctx, root := t.Context(), memory(t)
	rapid.Check(t, func(t *rapid.T) {
		dir := must[string](t)(os.MkdirTemp(root, "w"))
		defer os.RemoveAll(dir)
		h := newHistory(t, ctx, dir)
		for range rapid.IntRange(2, 5).Draw(t, "runs") {
			h.draw(t)
		}
		keep := rapid.IntRange(0, 2).Draw(t, "keep")
		other := must[string](t)(os.MkdirTemp(root, "w"))
		defer os.RemoveAll(other)
		copyTree(t, dir, other)
		undisturbed := must[lakeio.Store](t)(lakeio.Open(other))
		must[Report](t)(Job(ctx, undisturbed, config(keep)))

		committed, later := h.committed(), h.later()
		for kills := 0; ; kills++ {
			dead := &deadStore{h.store, 1 + rapid.IntRange(0, 4).Draw(t, "kill")}
			_, err := Job(ctx, dead, config(keep))
			h.readable(committed)
			if now := h.later(); now != later {
				t.Fatalf("the next run asks %d requests first, had to ask %d", now, later)
			}
			if err == nil {
				break
			}
			if !errors.Is(err, errDead) || kills > 500 {
				t.Fatalf("%v", err)
			}
		}
		want, got := tree(t, undisturbed), tree(t, h.store)
		if !slices.Equal(slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want))) {
			t.Errorf("left are %d files, of an undisturbed collection %d", len(got), len(want))
		}
	})
}

// copyTree copies files with their times.
func copyTree(t fataler, from, to string) {
	t.Helper()
	check(t, filepath.WalkDir(from, func(p string, d fs.DirEntry, err error) error {
		rel, rerr := filepath.Rel(from, p)
		if err = errors.Join(err, rerr); err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		if d.IsDir() {
			return os.MkdirAll(target, 0o777)
		}
		data, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return errors.Join(os.WriteFile(target, data, 0o666), os.Chtimes(target, info.ModTime(), info.ModTime()))
	}))
}

func link(t fataler, to, at string) { t.Helper(); check(t, os.Symlink(to, at)) }

func write(t fataler, file string) { t.Helper(); check(t, os.WriteFile(file, []byte("x"), 0o666)) }

func there(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
