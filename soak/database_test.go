package soak

import (
	"bufio"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/soak/postgres"
	"github.com/harrowdata/harrow/soak/rig"
)

const (
	upsertsJob   = "upserts" // as in testdata/upserts.yaml
	upsertShards = 8
	upsertRows   = 40_000
	// of the rows, one in so many has a key too long for an index, and from
	// the first revision on another price
	refusedEvery = 1_000
	pricedEvery  = 10
)

// upserts is a workspace whose run has come as far as refine, to be loaded any
// number of times, each into a database of its own.
type upserts struct {
	server   *postgres.Server
	rows     int
	site     string
	base     string // the workspace
	calm     calmLoad
	revision atomic.Int64 // of the prices
}

var sharedUpserts struct {
	*upserts
	once sync.Once
	err  error
}

// theUpserts harvests, up to load, a file of rows: once for all tests, which
// disturb the same server one after the other.
func theUpserts(t *testing.T) *upserts {
	t.Helper()
	shared := &sharedUpserts
	shared.once.Do(func() {
		u := &upserts{rows: upsertRows}
		if u.server, shared.err = postgres.New(os.TempDir(), "wal_level=replica"); shared.err != nil {
			return
		}
		if u.base, shared.err = os.MkdirTemp(rig.Dir, "upserts-"); shared.err != nil {
			return
		}
		u.site = strings.TrimPrefix(httptest.NewServer(u).URL, "http://") // ends with the process
		shared.upserts = u
		l := &loads{upserts: u, t: t, server: u.server, dir: u.base, url: u.server.URL("postgres")} // which is only looked at
		l.run("--until", "refine").Want(rig.ExitDone)
		l = u.fresh(t, u.server.Database(t))
		p := l.run()
		if !l.loading(p) {
			t.Fatal("nothing was loaded")
		}
		began := time.Now()
		p.Want(rig.ExitDone)
		u.calm = calmLoad{took: p.Ended.Sub(began), state: l.state()}
		u.calm.check(t, u.rows)
	})
	switch {
	case errors.Is(shared.err, postgres.ErrMissing):
		rig.Missing(t, "%v", shared.err)
	case shared.err != nil:
		t.Fatal(shared.err)
	case shared.upserts == nil || shared.calm.state == nil:
		t.Fatal("the undisturbed load failed: see the first test")
	}
	shared.revision.Store(0)
	return shared.upserts
}

// ServeHTTP implements http.Handler.
func (u *upserts) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/items.csv" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/csv")
	out := bufio.NewWriter(w)
	fmt.Fprint(out, "sku,title,price,stock\r\n")
	for i := range u.rows {
		title := fmt.Sprintf("%sno. %d", filler(nil, int64(i), 12), i)
		sku := fmt.Sprintf("sku-%d", i)
		if i%refusedEvery == refusedEvery-1 {
			sku += noise(12_000)
		}
		cents := i
		if i%pricedEvery == 3 {
			cents += int(u.revision.Load())
		}
		fmt.Fprintf(out, "%s,\"%s\",%d.%02d,%d\r\n", sku, title, cents/100, cents%100, i%17)
	}
	_ = out.Flush() // who asked may be gone
}

// noise is text that compresses badly.
func noise(n int) string {
	r := rig.Random(1, n)
	text := make([]byte, n)
	for i := range text {
		text[i] = byte('a' + r.IntN(26))
	}
	return string(text)
}

// priced is how many rows have another price in every revision.
func (u *upserts) priced() int { return (u.rows + pricedEvery - 4) / pricedEvery }

// loads is a workspace and the database it is loaded into.
type loads struct {
	*upserts
	t      *testing.T
	server *postgres.Server
	dir    string
	url    string
	past   []*rig.Process
}

// fresh copies the workspace, for a database that is empty.
func (u *upserts) fresh(t *testing.T, url string) *loads {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(u.base)); err != nil {
		t.Fatal(err)
	}
	return &loads{upserts: u, t: t, server: u.server, dir: dir, url: url}
}

func (l *loads) database() string { return l.url[strings.LastIndexByte(l.url, '/')+1:] }

// run goes on with the run, or starts another one.
func (l *loads) run(args ...string) *rig.Process {
	l.t.Helper()
	l.t.Setenv("DATABASE_URL", l.url)
	args = append([]string{"run", filepath.Join("testdata", "upserts.yaml"), "--workspace", l.dir, "--param", "site=" + l.site}, args...)
	p := start(l.t, args...)
	l.past = append(l.past, p)
	return p
}

// loading waits until the process loads; false: it has ended.
func (l *loads) loading(p *rig.Process) bool {
	l.t.Helper()
	return p.Eventually(func() bool {
		return slices.ContainsFunc(l.server.Backends(), func(title string) bool {
			return strings.Contains(title, " "+l.database()+" ") && (strings.Contains(title, "COPY") || strings.Contains(title, "INSERT") || strings.Contains(title, "SELECT"))
		})
	})
}

// sql is what a query of the job's schema prints, a line a row.
func (l *loads) sql(query string) []string {
	l.t.Helper()
	text, err := l.server.SQL(l.t.Context(), l.database(), "SET search_path = "+upsertsJob+"; "+query)
	if err != nil {
		l.t.Fatal(err)
	}
	return strings.Split(text, "\n")
}

// state is all that a load comes to: the tables, provenance too, the marks,
// what load committed. Two loads of one run have the same.
func (l *loads) state() map[string][]string {
	l.t.Helper()
	state := map[string][]string{
		"item":  l.sql("SELECT i::text FROM item i ORDER BY sku"),
		"line":  l.sql("SELECT l::text FROM line l ORDER BY sku"),
		"marks": l.sql("SELECT record, shard, shards, added, changed, unchanged, stale, rejected FROM _harrow_marks ORDER BY run, record, shard"),
	}
	for _, table := range []string{"item", "line"} {
		slices.Sort(state[table])
	}
	m, counts := l.manifest()
	for record, n := range counts {
		state["manifest"] = append(state["manifest"], fmt.Sprintf("%s %+v", record, n))
	}
	slices.Sort(state["manifest"])
	state["rejects"] = l.rejects(m)
	return state
}

// manifest is what load has committed of the newest run, and its counts by
// record.
func (l *loads) manifest() (lakeio.Manifest, map[string]harrow.Counts) {
	l.t.Helper()
	store, err := lakeio.Open(l.dir)
	if err != nil {
		l.t.Fatal(err)
	}
	run, err := lakeio.LastRun(l.t.Context(), store, upsertsJob)
	if err != nil {
		l.t.Fatal(err)
	}
	m, err := (lakeio.Lake{Store: store, Job: upsertsJob, Run: run.ID}).Manifest(l.t.Context(), "load")
	if err != nil {
		l.t.Fatal(err)
	}
	return m, m.Loads()["postgres"]
}

func (l *loads) rejects(m lakeio.Manifest) (list []string) {
	l.t.Helper()
	store, err := lakeio.Open(l.dir)
	if err != nil {
		l.t.Fatal(err)
	}
	for _, part := range m.TablesOf(lakeio.Rejects.Name()) {
		for r, err := range lakeio.ReadRows(l.t.Context(), store, lakeio.Rejects, part) {
			if err != nil {
				l.t.Fatal(err)
			}
			list = append(list, strings.Join([]string{r.Record, r.Code, r.Field, r.Reason, r.Payload}, " "))
		}
	}
	slices.Sort(list)
	return list
}

// calmLoad is a load that nothing disturbs.
type calmLoad struct {
	state map[string][]string
	took  time.Duration // from the first COPY to the process's end
}

// check reckons what there must be from the rows that were served.
func (c calmLoad) check(t *testing.T, rows int) {
	t.Helper()
	refused := rows / refusedEvery // by item; a line's key is another
	for record, want := range map[string]int{"item": rows - refused, "line": rows} {
		if n := len(c.state[record]); n != want {
			t.Fatalf("%d rows in table %s, want %d", n, record, want)
		}
	}
	if n := len(c.state["rejects"]); n != refused {
		t.Fatalf("%d rejects of load, want %d", n, refused)
	}
	if n := strings.Count(strings.Join(c.state["marks"], "\n"), "item|"); n != upsertShards {
		t.Fatalf("%d marks of item, want one a shard: %d", n, upsertShards)
	}
	want := fmt.Sprintf("item %+v", harrow.Counts{Added: int64(rows - refused), Rejected: int64(refused)})
	if !slices.Contains(c.state["manifest"], want) {
		t.Fatalf("load counted %q, want %s", c.state["manifest"], want)
	}
}
