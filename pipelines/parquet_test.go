package pipelines

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/harrowdata/harrow/internal/demosite"
	_ "github.com/harrowdata/harrow/io/parquetio"
	"github.com/harrowdata/harrow/soak/stable"
)

// intoBoth makes the shop's job load into SQLite and Parquet.
func intoBoth(t *testing.T) []string {
	return append(many(t), "\nload:\n", "\nload:\n  parquet: {path: out/}\n")
}

// out is where the bench's job publishes.
func (b *bench) out() string { return filepath.Join(filepath.Dir(b.request.JobFile), "out") }

// published are the rows that a reader finds, by table.
func (b *bench) published() map[string][]string {
	b.t.Helper()
	tables, err := stable.Parquet(b.t.Context(), b.out())
	if err != nil {
		b.t.Fatal(err)
	}
	return tables
}

func TestOneJobLoadsIntoSQLiteAndParquet(t *testing.T) {
	t.Parallel()
	b := newShop(t, demosite.Options{Products: 40}, intoBoth(t)...)
	run := b.must()
	m := b.manifest(run, "load")
	files, err := filepath.Glob(filepath.Join(b.out(), "*", "run="+run.ID, run.ID+"-*.parquet"))
	if err != nil || len(files) < 2 {
		t.Errorf("files %v %v", files, err)
	}
	published, stored := b.published(), b.database()
	for _, record := range []string{"book", "offer"} {
		rows := int64(len(published["parquet "+record]))
		if rows == 0 || int64(len(stored["stored "+record])) != rows {
			t.Errorf("%s: %d rows in Parquet, %d in SQLite", record, rows, len(stored["stored "+record]))
		}
		for _, sink := range []string{"sqlite", "parquet"} {
			if n := m.Counters["load."+sink+"."+record+".added"]; n != rows {
				t.Errorf("load.%s.%s.added is %d, want %d", sink, record, n, rows)
			}
		}
	}
	// The second run changes nothing in SQLite, and adds its rows in Parquet.
	second := b.must()
	same(t, "SQLite", stored, b.database())
	again := b.published()
	for name, rows := range published {
		if !slices.Equal(slices.Sorted(slices.Values(slices.Concat(rows, rows))), again[name]) {
			t.Errorf("%s: %d rows after the second run, want each of %d twice", name, len(again[name]), len(rows))
		}
	}
	if entries, err := filepath.Glob(filepath.Join(b.out(), ".harrow", "*", "*")); err != nil || len(entries) != 2 {
		t.Errorf("left below .harrow: %v %v; want two indexes", entries, err)
	}
	if c := b.manifest(second, "load").Counters; c["load.sqlite.book.unchanged"] == 0 || c["load.parquet.book.added"] != int64(len(published["parquet book"])) {
		t.Errorf("counters of the second run: %v", c)
	}
}

// A run that died after load's commit, and before or in the middle of being
// published, is published when it goes on, wherever the command stands.
func TestAResumedRunIsPublished(t *testing.T) {
	t.Parallel()
	b := newShop(t, demosite.Options{Products: 40}, intoBoth(t)...)
	want := newShop(t, demosite.Options{Products: 40}, intoBoth(t)...)
	want.must()
	if _, err := b.run(until("refine")); err != nil {
		t.Fatal(err)
	}
	if seen := b.published(); len(seen) > 0 {
		t.Errorf("published before load: %v", slices.Sorted(maps.Keys(seen)))
	}
	if err := os.MkdirAll(b.out(), 0o777); err != nil {
		t.Fatal(err)
	}
	// A file where the record's folder is to be: load commits, publishing fails.
	if err := os.WriteFile(filepath.Join(b.out(), "offer"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	_, err := b.run()
	if err == nil || !strings.Contains(err.Error(), "load.parquet: ") || !strings.Contains(err.Error(), filepath.Join(b.out(), "offer")) {
		t.Fatalf("ended with %v", err)
	}
	if err := os.Remove(filepath.Join(b.out(), "offer")); err != nil {
		t.Fatal(err)
	}
	res, err := b.run()
	if err != nil || !res.Resumed {
		t.Fatalf("resumed %v, %v", res.Resumed, err)
	}
	same(t, "published", want.published(), b.published())
	if fmt.Sprint(res.Run.Dir) != filepath.Dir(b.request.JobFile) {
		t.Errorf("the run's folder is %s", res.Run.Dir)
	}
}
