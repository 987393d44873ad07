package parquetio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"strings"
	"testing"

	"github.com/harrowdata/harrow"
)

func TestRowsAreSeenOnceTheRunIsPublished(t *testing.T) {
	dir := t.TempDir()
	s := newSink(t, dir)
	first := shardOf(t, book, run1, []any{"a", int64(1)}, []any{"b", nil}, []any{"c", int64(3)}, []any{"d", int64(4)})
	load(t, s, first, added(4))
	second := shardOf(t, book, run1, []any{"e", int64(5)})
	second.Shard = 3
	load(t, s, second, added(1))
	if seen := visible(t, dir); len(seen) > 0 {
		t.Fatalf("seen before the run has committed: %v", seen)
	}
	for range 2 { // the second time finds all of it done
		check(t, publish(t.Context(), s, run1, books(5)))
		same(t, "files", everything(t, dir), []string{".harrow/" + run1 + "/published.json",
			"book/run=" + run1 + "/" + run1 + "-00000-0000.parquet", "book/run=" + run1 + "/" + run1 + "-00003-0000.parquet"})
		same(t, "rows", rows(t, dir, "upc", "stock", "_ordinal", "_run"), []string{
			`{"upc":"a","stock":1,"_ordinal":0,"_run":"` + run1 + `"}`, `{"upc":"b","stock":null,"_ordinal":1,"_run":"` + run1 + `"}`,
			`{"upc":"c","stock":3,"_ordinal":2,"_run":"` + run1 + `"}`, `{"upc":"d","stock":4,"_ordinal":3,"_run":"` + run1 + `"}`,
			`{"upc":"e","stock":5,"_ordinal":0,"_run":"` + run1 + `"}`})
	}
	m := metaOf(t, filepath.Join(dir, "book", "run="+run1, run1+"-00003-0000.parquet"))
	for k, want := range map[string]string{"harrow.job": "shop", "harrow.run": run1, "harrow.record": "book", "harrow.input": "digest-" + run1,
		"harrow.shard": "3", "harrow.shards": "4", "harrow.key": `["upc"]`, "harrow.partition": `{"_run":"` + run1 + `"}`, "harrow.rows": "1", "harrow.version": harrow.Version} {
		if m[k] != want {
			t.Errorf("metadata %s: %q, want %q", k, m[k], want)
		}
	}
}

func TestAMarkedShardIsNotLoadedAgain(t *testing.T) {
	dir := t.TempDir()
	s := newSink(t, dir)
	data := [][]any{{"a", int64(1)}, {nil, int64(2)}, {"c", int64(3)}}
	want := harrow.Counts{Added: 2, Rejected: 1}
	before := 0
	for i := range 3 {
		shard := shardOf(t, book, run1, data...)
		var rejects []string
		shard.Reject = func(r harrow.Reject) error {
			rejects = append(rejects, fmt.Sprintf("%s %s %s %s %s", r.Class, r.Code, r.Record, r.Field, r.Payload))
			return nil
		}
		load(t, s, shard, want)
		if len(rejects) != 1 || !strings.HasPrefix(rejects[0], `data key book upc {"upc":null,"stock":2,`) {
			t.Errorf("rejects %q", rejects)
		}
		if n := len(everything(t, dir)); i == 0 {
			before = n
		} else if n != before {
			t.Errorf("load %d left other files: %v", i, everything(t, dir))
		}
	}
	// Another input, or another number of shards, is another load.
	for i, change := range []func(*harrow.Shard){func(s *harrow.Shard) { s.Input = "other" }, func(s *harrow.Shard) { s.Shards = 5 }} {
		shard := shardOf(t, book, run1, data[0])
		change(&shard)
		load(t, s, shard, added(1))
		if n := len(everything(t, dir)); n != before+2*(i+1) {
			t.Errorf("%d files: %v", n, everything(t, dir))
		}
	}
	check(t, publish(t.Context(), s, run1, map[string]harrow.Counts{"book": want}))
	if got := rows(t, dir, "upc"); len(got) != 2 {
		t.Errorf("rows %v", got)
	}
	load(t, s, shardOf(t, book, run1, data...), want) // published: still marked
	other := shardOf(t, book, run1, data...)
	other.Input = "other"
	if _, err := s.Load(t.Context(), other); err == nil || !strings.Contains(err.Error(), "is published already") {
		t.Errorf("another input after the run was published: %v", err)
	}
}

func TestOtherRunsFilesStay(t *testing.T) {
	dir := t.TempDir()
	s := newSink(t, dir)
	for i, run := range []string{run1, run2} {
		load(t, s, shardOf(t, book, run, []any{"a", int64(i)}), added(1))
		check(t, publish(t.Context(), s, run, books(1)))
	}
	same(t, "rows", rows(t, dir, "upc", "stock"), []string{`{"upc":"a","stock":0}`, `{"upc":"a","stock":1}`})
}

func TestMarksThatAreNotWhatWasCommittedArePublishedByNobody(t *testing.T) {
	dir := t.TempDir()
	s := newSink(t, dir)
	load(t, s, shardOf(t, book, run1, []any{"a", int64(1)}), added(1))
	for _, counts := range []map[string]harrow.Counts{books(2), nil, {"book": added(1), "note": added(1)}} {
		if err := publish(t.Context(), s, run1, counts); err == nil || !strings.Contains(err.Error(), "record ") {
			t.Errorf("%v: %v", counts, err)
		}
	}
	if err := publish(t.Context(), s, run2, books(1)); err == nil {
		t.Error("a run whose files are gone is published")
	}
	check(t, publish(t.Context(), s, run2, nil)) // nothing was loaded
	same(t, "files", visible(t, dir), nil)
}

func TestAShardThatFailsLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	s := newSink(t, dir)
	away := errors.New("the input is away")
	ctx, cancel := context.WithCancel(t.Context())
	for _, c := range []struct {
		name  string
		ctx   context.Context
		shard func(harrow.Shard) harrow.Shard
		want  error
	}{
		{"input", t.Context(), func(s harrow.Shard) harrow.Shard {
			all := s.Batches
			s.Batches = func() iter.Seq2[harrow.Batch, error] {
				return func(yield func(harrow.Batch, error) bool) {
					for b, err := range all() {
						if !yield(b, err) {
							return
						}
					}
					yield(harrow.Batch{}, away)
				}
			}
			return s
		}, away},
		{"reject", t.Context(), func(s harrow.Shard) harrow.Shard {
			s.Reject = func(harrow.Reject) error { return away }
			return s
		}, away},
		{"stopped", ctx, func(s harrow.Shard) harrow.Shard {
			all := s.Batches
			s.Batches = func() iter.Seq2[harrow.Batch, error] { cancel(); return all() }
			return s
		}, context.Canceled},
	} {
		s.limits.rowBytes = 1 // each row is written at once
		_, err := s.Load(c.ctx, c.shard(shardOf(t, book, run1, []any{"a", int64(1)}, []any{"b", int64(1)}, []any{"c", int64(1)}, []any{nil, int64(1)})))
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		same(t, c.name, everything(t, dir), nil)
	}
}

func TestConfigsThatCannotBeUsedNameTheKey(t *testing.T) {
	for config, want := range map[string]string{
		``:                                   "path: is missing",
		`null`:                               "path: is missing",
		`{}`:                                 "path: is missing",
		`{"path":5}`:                         "path: got number; expected a folder",
		`{"path":"x","colour":1}`:            `unknown field "colour"; expected {path: FOLDER}`,
		`{"path":"a\u0000"}`:                 "path: \"a\\x00\" holds NUL",
		`{"path":"x","partition_by":"_run"}`: "partition_by: got string; expected a list",
		`{"path":"x","partition_by":["a","b","a"]}`:                         `partition_by[2]: column "a" is there twice`,
		`{"path":"x","partition_by":["_url"]}`:                              `partition_by[0]: got "_url"; expected a data column, or _run`,
		`{"path":"x","partition_by":[""]}`:                                  `partition_by[0]: got ""`,
		`{"path":"x","partition_by":["a","b","c","d","e","f","g","h","i"]}`: "partition_by: got 9 columns; expected at most 8",
	} {
		if _, err := New(json.RawMessage(config), harrow.SinkEnv{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", config, err, want)
		}
	}
}

func TestPathsAreRelativeToTheJobFile(t *testing.T) {
	for path, want := range map[string]string{"out/shop/": "/jobs/out/shop", "../x": "/x", "/data": "/data", "file:///data/": "/data", "gs://b/p": "gs://b/p"} {
		config, _ := json.Marshal(Config{Path: path})
		s, err := New(config, harrow.SinkEnv{Dir: "/jobs"})
		check(t, err)
		if got := s.(*Sink).URI(); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}
