package pipelines

import (
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/demosite"
	"github.com/harrowdata/harrow/io/lakeio"
)

// loaded is what load counted of a record.
func (b *bench) loaded(run lakeio.Run, record string) harrow.Counts {
	b.t.Helper()
	c, at := b.manifest(run, "load").Counters, "load.sqlite."+record+"."
	return harrow.Counts{Added: c[at+"added"], Changed: c[at+"changed"], Unchanged: c[at+"unchanged"], Stale: c[at+"stale"], Rejected: c[at+"rejected"]}
}

// writtenBy counts a table's rows by the run that wrote them last.
func (b *bench) writtenBy(record string) map[string]int64 {
	b.t.Helper()
	job := b.lake("").Job
	db, err := sql.Open("sqlite", filepath.Join(b.dir, job, job+".db"))
	if err != nil {
		b.t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(b.t.Context(), "SELECT _run, count(*) FROM "+record+" GROUP BY _run")
	if err != nil {
		b.t.Fatal(err)
	}
	defer rows.Close()
	counts := map[string]int64{}
	for rows.Next() {
		var run string
		var n int64
		if err := rows.Scan(&run, &n); err != nil {
			b.t.Fatal(err)
		}
		counts[run] = n
	}
	if err := rows.Err(); err != nil {
		b.t.Fatal(err)
	}
	return counts
}

// changes counts the books that differ between two revisions, by kind.
func changes(list []demosite.Change) map[string]int64 {
	n := map[string]int64{}
	for _, c := range list {
		n[c.Kind]++
	}
	return n
}

// A shop's life: harvested, harvested again unchanged, then changed, then an
// old harvest loaded once more.
func TestASecondRunChangesWhatTheSiteChanged(t *testing.T) {
	t.Parallel()
	meaning(t)
	b := newShop(t, demosite.Options{}, exact...)
	first := b.must()
	books, offers := int64(len(b.site.Books())), int64(len(b.site.Offers()))
	if got := b.loaded(first, "book"); got != (harrow.Counts{Added: books}) {
		t.Errorf("first run: books %+v, want %d added", got, books)
	}
	if got := b.loaded(first, "offer"); got != (harrow.Counts{Added: offers}) {
		t.Errorf("first run: offers %+v, want %d added", got, offers)
	}

	again := b.must()
	if again.ID == first.ID {
		t.Fatal("the second run is the first")
	}
	if got := b.loaded(again, "book"); got != (harrow.Counts{Unchanged: books}) {
		t.Errorf("unchanged site: books %+v, want %d unchanged", got, books)
	}
	if got := b.loaded(again, "offer"); got != (harrow.Counts{Unchanged: offers}) {
		t.Errorf("unchanged site: offers %+v, want %d unchanged", got, offers)
	}
	if got := b.writtenBy("book"); len(got) != 1 || got[first.ID] != books {
		t.Errorf("unchanged site: books were written by %v, want all by %s", got, first.ID)
	}
	before := b.database()

	b.site.SetRevision(1)
	third := b.must()
	change := changes(b.site.Changes(0, 1))
	if change["changed"] == 0 || change["added"] == 0 || change["vanished"] == 0 {
		t.Fatalf("the site changed by %v", change)
	}
	want := harrow.Counts{Added: change["added"], Changed: change["changed"], Unchanged: books - change["changed"] - change["vanished"]}
	if got := b.loaded(third, "book"); got != want {
		t.Errorf("changed site: books %+v, want %+v", got, want)
	}
	if got := b.writtenBy("book"); got[first.ID] != books-change["changed"] || got[third.ID] != change["changed"]+change["added"] {
		t.Errorf("changed site: books were written by %v", got)
	}
	checkChanges(b, before, b.database(), b.site.Changes(0, 1))
	checkStale(b, first, change)
}

// checkChanges holds the differences of two states of the database against the
// model: vanished books stay.
func checkChanges(b *bench, before, after map[string][]string, want []demosite.Change) {
	b.t.Helper()
	old := map[string]string{}
	for _, row := range before["stored book"] {
		old[upcOf(row)] = row
	}
	got := map[string]string{}
	for _, row := range after["stored book"] {
		switch was, known := old[upcOf(row)]; {
		case !known:
			got[upcOf(row)] = "added"
		case was != row:
			got[upcOf(row)] = "changed"
		}
		delete(old, upcOf(row))
	}
	for upc := range old {
		b.t.Errorf("book %s was deleted", upc)
	}
	for _, c := range want {
		if c.Kind != "vanished" && got[c.UPC] != c.Kind {
			b.t.Errorf("book %s is %q, want %s", c.UPC, got[c.UPC], c.Kind)
		}
		if c.Kind == "vanished" && got[c.UPC] != "" {
			b.t.Errorf("book %s, which vanished, is %s", c.UPC, got[c.UPC])
		}
		delete(got, c.UPC)
	}
	for upc, kind := range got {
		b.t.Errorf("book %s is %s, want untouched", upc, kind)
	}
}

func upcOf(row string) string {
	_, rest, _ := strings.Cut(row, `"upc":"`)
	upc, _, _ := strings.Cut(rest, `"`)
	return upc
}

// checkStale loads an old run's rows once more: those that changed since are
// older than what is stored.
func checkStale(b *bench, old lakeio.Run, change map[string]int64) {
	b.t.Helper()
	stored := b.database()
	b.log.Reset()
	run := b.must(from("load"), which(old.ID))
	books := int64(len(b.records(old, "refine", "book")))
	want := harrow.Counts{Stale: change["changed"], Unchanged: books - change["changed"]}
	if got := b.loaded(run, "book"); got != want {
		b.t.Errorf("old rows: books %+v, want %+v", got, want)
	}
	same(b.t, "after old rows", stored, b.database())
	if n := len(b.log.Requests()); n > 0 {
		b.t.Errorf("--from load sent %d requests", n)
	}
}
