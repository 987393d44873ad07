package lakeio

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
)

var someTime = time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)

func testLake(t testing.TB) Lake {
	t.Helper()
	return Lake{Store: openTemp(t), Job: "shop", Run: "0190a0b0-0000-7000-8000-000000000001"}
}

// stageParts writes n parts of two tables below a stage.
func stageParts(t *testing.T, l Lake, stage, attempt string, n int) (parts []harrow.Part) {
	t.Helper()
	for i := range n {
		p := writeRows(t, l.Store, fmt.Sprintf("%s/bodies/%s-%d.arrow", l.Stage(stage), attempt, i), Bodies, bodies(i+1), nil, LZ4)
		p.Shard, p.Tag = n-i, "tag "+attempt
		parts = append(parts, p, writeRows(t, l.Store, fmt.Sprintf("%s/rejects/%s-%d.arrow", l.Stage(stage), attempt, i), Rejects, []harrow.Reject{{Stage: "parse"}}, nil, LZ4))
	}
	return parts
}

func TestManifestsSayWhatWasCommitted(t *testing.T) {
	l := testLake(t)
	parts := stageParts(t, l, "parse", "a", 3)
	asGiven := slices.Clone(parts)
	if done, err := l.Committed(t.Context(), "parse"); done || err != nil {
		t.Errorf("committed before: %t, %v", done, err)
	}
	_, err := l.Manifest(t.Context(), "parse")
	wants(t, err, ErrNotFound, "parse/manifest.json")
	m, err := l.Commit(t.Context(), "parse", parts, map[string]int64{"pages": 6}, someTime)
	check(t, err)
	if !slices.Equal(parts, asGiven) {
		t.Error("Commit reordered the caller's parts")
	}
	if done, err := l.Committed(t.Context(), "parse"); !done || err != nil {
		t.Errorf("committed after: %t, %v", done, err)
	}
	again, err := l.Manifest(t.Context(), "parse")
	check(t, err)
	if !reflect.DeepEqual(again, m) {
		t.Errorf("read back %+v, want %+v", again, m)
	}
	if m.Version != 1 || m.Run != l.Run || m.Stage != "parse" || !m.At.Equal(someTime) || m.Counters["pages"] != 6 {
		t.Errorf("%+v", m)
	}
	if c := m.Tables["bodies"]; c.Version != 1 || c.Parts != 3 || c.Rows != 6 || c.Bytes == 0 || c.Raw == 0 {
		t.Errorf("bodies: %+v", c)
	}
	if got := m.TablesOf("bodies"); len(got) != 3 || got[0].Shard != 1 || got[2].Shard != 3 || got[0].Tag != "tag a" {
		t.Errorf("bodies in order of shards: %+v", got)
	}
	if len(m.Parts) != len(parts) || len(m.TablesOf("links")) != 0 {
		t.Errorf("%d parts, want %d", len(m.Parts), len(parts))
	}
}

func TestEmptyStagesCommit(t *testing.T) {
	l := testLake(t)
	m, err := l.Commit(t.Context(), "refine", nil, nil, someTime)
	check(t, err)
	if len(m.Parts) != 0 || len(m.Tables) != 0 || len(m.Counters) != 0 || m.Digest == "" {
		t.Errorf("%+v", m)
	}
	again, err := l.Commit(t.Context(), "refine", []harrow.Part{{Table: "bodies", URI: "late"}}, nil, someTime)
	if err == nil || !errors.Is(err, ErrNotFound) {
		t.Errorf("a part that isn't there was synced: %+v, %v", again, err)
	}
}

func TestOfTwoCommittersOneWins(t *testing.T) {
	for range 5 {
		l := testLake(t)
		const n = 4
		attempts := make([][]harrow.Part, n)
		for i := range n {
			attempts[i] = stageParts(t, l, "parse", fmt.Sprint("attempt", i), 2)
		}
		got := make([]Manifest, n)
		var all sync.WaitGroup
		for i := range n {
			all.Go(func() {
				var err error
				if got[i], err = l.Commit(t.Context(), "parse", attempts[i], map[string]int64{"attempt": int64(i)}, someTime.Add(time.Duration(i)*time.Hour)); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		for i := range n {
			if !reflect.DeepEqual(got[i], got[0]) {
				t.Fatalf("committer %d sees %+v, another %+v", i, got[i], got[0])
			}
		}
		sortParts(attempts[got[0].Counters["attempt"]])
		if want := attempts[got[0].Counters["attempt"]]; !slices.Equal(got[0].Parts, want) {
			t.Fatalf("parts and counters are of two attempts: %+v, want %+v", got[0].Parts, want)
		}
	}
}

// dyingStore fails to create what ends in a suffix.
type dyingStore struct {
	Store
	suffix string
}

var errDied = errors.New("died")

func (s dyingStore) Create(ctx context.Context, uri string, data []byte) error {
	if strings.HasSuffix(uri, s.suffix) {
		return errDied
	}
	return s.Store.Create(ctx, uri, data)
}

func TestCrashBetweenListAndManifest(t *testing.T) {
	l := testLake(t)
	first := stageParts(t, l, "parse", "first", 2)
	dying := l
	dying.Store = dyingStore{l.Store, "manifest.json"}
	_, err := dying.Commit(t.Context(), "parse", first, map[string]int64{"of": 1}, someTime)
	wants(t, err, errDied)
	if done, err := l.Committed(t.Context(), "parse"); done || err != nil {
		t.Errorf("committed: %t, %v", done, err)
	}
	_, err = l.Manifest(t.Context(), "parse")
	wants(t, err, ErrNotFound)
	// The next attempt wrote parts of its own; the list decided already.
	m, err := l.Commit(t.Context(), "parse", stageParts(t, l, "parse", "second", 3), map[string]int64{"of": 2}, someTime)
	check(t, err)
	sortParts(first)
	if !slices.Equal(m.Parts, first) || m.Counters["of"] != 1 {
		t.Errorf("%+v of attempt %d, want those of the first", m.Parts, m.Counters["of"])
	}
}

func TestCrashBeforeTheListCommitsNothing(t *testing.T) {
	l := testLake(t)
	dying := l
	dying.Store = dyingStore{l.Store, "manifest.arrow"}
	_, err := dying.Commit(t.Context(), "parse", stageParts(t, l, "parse", "first", 2), nil, someTime)
	wants(t, err, errDied)
	second := stageParts(t, l, "parse", "second", 1)
	m, err := l.Commit(t.Context(), "parse", second, nil, someTime)
	check(t, err)
	if len(m.Parts) != len(second) {
		t.Errorf("%+v", m.Parts)
	}
}

func TestDamagedManifestsAreNamed(t *testing.T) {
	l := testLake(t)
	_, err := l.Commit(t.Context(), "parse", stageParts(t, l, "parse", "a", 2), map[string]int64{"n": 1}, someTime)
	check(t, err)
	other := testLake(t)
	_, err = other.Commit(t.Context(), "parse", nil, nil, someTime)
	check(t, err)
	dir := filepath.Join(l.Store.Local(), filepath.FromSlash(l.Stage("parse")))
	read := func(l Lake, name string) []byte {
		data, _, err := l.Store.Read(t.Context(), l.Stage("parse")+"/"+name)
		check(t, err)
		return data
	}
	list, json := read(l, "manifest.arrow"), read(l, "manifest.json")
	for name, c := range map[string]struct {
		file string
		data []byte
		want string
	}{
		"list of another attempt": {"manifest.arrow", read(other, "manifest.arrow"), "does not fit the list"},
		"list cut short":          {"manifest.arrow", list[:len(list)/2], "manifest.arrow"},
		"list empty":              {"manifest.arrow", nil, "manifest.arrow"},
		"list of other rows":      {"manifest.arrow", partBytes(t, Bodies, bodies(3), nil, Zstd), "holds table bodies, want parts"},
		"no JSON":                 {"manifest.json", []byte("{"), "want JSON"},
		"empty JSON":              {"manifest.json", nil, "want JSON"},
		"no version":              {"manifest.json", []byte("{}"), "version 0"},
		"newer":                   {"manifest.json", bytes.Replace(json, []byte(`"version": 1`), []byte(`"version": 2`), 1), "version 2, this release reads up to 1"},
		"wrong type":              {"manifest.json", bytes.Replace(json, []byte(`"tables": {`), []byte(`"tables": 1, "x": {`), 1), "manifest.json"},
	} {
		check(t, os.WriteFile(filepath.Join(dir, c.file), c.data, 0o666))
		_, err := l.Manifest(t.Context(), "parse")
		wants(t, err, ErrCorrupt, c.want, l.Stage("parse"))
		if errors.Is(err, ErrNotFound) {
			t.Errorf("%s: taken for no manifest", name)
		}
		check(t, os.WriteFile(filepath.Join(dir, "manifest.arrow"), list, 0o666))
		check(t, os.WriteFile(filepath.Join(dir, "manifest.json"), json, 0o666))
	}
	_, err = l.Manifest(t.Context(), "parse")
	check(t, err)
	check(t, os.Remove(filepath.Join(dir, "manifest.arrow")))
	_, err = l.Manifest(t.Context(), "parse")
	wants(t, err, ErrCorrupt, "its list of parts is gone")
	if errors.Is(err, ErrNotFound) {
		t.Error("a manifest without its list is taken for no manifest")
	}
}

// syncedStore notes what was synced.
type syncedStore struct {
	Store
	synced []string
}

func (s *syncedStore) Sync(ctx context.Context, uri string) error {
	s.synced = append(s.synced, uri)
	return s.Store.Sync(ctx, uri)
}

func TestCommitSyncsEachFolderOnce(t *testing.T) {
	l := testLake(t)
	s := &syncedStore{Store: l.Store}
	l.Store = s
	parts := stageParts(t, l, "parse", "a", 20)
	_, err := l.Commit(t.Context(), "parse", parts, nil, someTime)
	check(t, err)
	slices.Sort(s.synced)
	if len(slices.Compact(slices.Clone(s.synced))) != len(s.synced) {
		t.Errorf("synced twice: %v", s.synced)
	}
	for _, p := range parts {
		if !slices.Contains(s.synced, p.URI) {
			t.Errorf("%s was not synced", p.URI)
		}
	}
	stage := l.Stage("parse")
	for _, folder := range []string{stage + "/bodies/", stage + "/rejects/", stage + "/", l.RunDir() + "/", "shop/runs/", "shop/", "./"} {
		if !slices.Contains(s.synced, folder) {
			t.Errorf("%s was not synced", folder)
		}
	}
	if len(s.synced) != len(parts)+7 {
		t.Errorf("%d syncs of %d parts in 7 folders", len(s.synced), len(parts))
	}
}

func TestListsOfManyPartsTakeSeveralBatches(t *testing.T) {
	var parts []harrow.Part
	for i := range 2*BatchRows + 1 {
		parts = append(parts, harrow.Part{Table: "bodies", URI: fmt.Sprintf("%06d", i), Rows: int64(i), Shard: i})
	}
	for _, n := range []int{0, 1, BatchRows - 1, BatchRows, len(parts)} {
		data, err := encodeList(parts[:n], map[string]int64{"n": int64(n)})
		check(t, err)
		got, counters, err := Lake{Store: memFile{data: data}}.readList(t.Context(), "x")
		check(t, err)
		if !slices.Equal(got, parts[:n]) || counters["n"] != int64(n) {
			t.Errorf("%d parts and %v, want %d", len(got), counters, n)
		}
	}
}
