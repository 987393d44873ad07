package view_test

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/harrowdata/harrow/command/view"
	"github.com/harrowdata/harrow/io/lakeio"
)

const provenance = `"_id":"%02d000000000000000000000000000000","_url":%q,"_ordinal":0,"_rule":"book#1","_digest":"","_fetched_at":"2026-03-01T12:00:00.000000Z","_run":"` + runID + `"}`

func TestCatWritesRows(t *testing.T) {
	_, r := full(t)
	for _, c := range []struct {
		name string
		q    view.Query
		out  view.Output
		want string
	}{
		{"text is aligned, numbers to the right, without provenance and control characters", view.Query{Table: "records/book"}, view.Output{}, "" +
			"title            price_amount  stock  tags\n" +
			"Harrow & Plough          12.5      3  [\"farm\",\"art\"]\n" +
			"Äpfel\\x1b[31m               7     20\n" +
			"                                   1\n"},
		{"JSON keeps nulls and the order of the schema", view.Query{Table: "records/book", Limit: 1}, view.Output{Format: view.JSON},
			`{"title":"Harrow & Plough","price_amount":"12.5","stock":3,"tags":["farm","art"],` + fmt.Sprintf(provenance, 1, "http://books.example/Harrow & Plough") + "\n"},
		{"JSON in the order asked for", view.Query{Table: "records/book", Columns: []string{"stock", "tags"}}, view.Output{Format: view.JSON},
			`{"stock":3,"tags":["farm","art"]}` + "\n" + `{"stock":20,"tags":null}` + "\n" + `{"stock":1,"tags":null}` + "\n"},
		{"CSV is raw", view.Query{Table: "records/book", Columns: []string{"title", "tags"}, Limit: 2}, view.Output{Format: view.CSV},
			"title,tags\nHarrow & Plough,\"[\"\"farm\"\",\"\"art\"\"]\"\nÄpfel\x1b[31m,\n"},
		{"CSV on a terminal is not", view.Query{Table: "records/book", Columns: []string{"title"}, Where: []string{"stock=20"}}, view.Output{Format: view.CSV, Terminal: true},
			"title\nÄpfel\\x1b[31m\n"},
		{"a terminal's width is kept to", view.Query{Table: "records/book", Limit: 1}, view.Output{Terminal: true, Width: 40},
			"title      price_amo…  stock  tags\nHarrow &…        12.5      3  [\"farm\",\"…\n"},
		{"captures of all rounds", view.Query{Table: "captures"}, view.Output{}, "" +
			"url                     outcome   status  code      content_type  body_bytes  attempts  elapsed_ms\n" +
			"http://books.example/   fetched      200            text/html             12         1           0\n" +
			"http://books.example/2  gone         404  http_404                         0         1           0\n" +
			"http://books.example/2  deferred       0  rounds                           0         0           0\n"},
		{"captures of one round", view.Query{Table: "captures", Stage: "fetch-1", Columns: []string{"code"}}, view.Output{}, "code\nrounds\n"},
		{"pages, the job's memory", view.Query{Table: "pages"}, view.Output{Format: view.Text}, "" +
			"url                     outcome  last_seen                    absences  etag  last_modified  body_bytes\n" +
			"http://books.example/   fetched  2026-03-01T12:00:00.000000Z         0  \"a\"                          12\n" +
			"http://books.example/2  gone                                         2                                0\n"},
		{"bodies without bodies", view.Query{Table: "bodies"}, view.Output{Format: view.JSON}, `{"digest":"aa","chunk":0}` + "\n"},
		{"bodies with bodies", view.Query{Table: "bodies", Body: true}, view.Output{Format: view.JSON}, `{"digest":"aa","chunk":0,"body":"PGgxPmhpPC9oMT4K"}` + "\n"},
		{"where by text", view.Query{Table: "captures", Where: []string{"outcome=gone", "status=404"}, Columns: []string{"id"}}, view.Output{Format: view.CSV},
			"id\n02000000000000000000000000000000\n"},
		{"where by JSON", view.Query{Table: "captures", Where: []string{`outcome="gone"`}, Columns: []string{"status"}}, view.Output{Format: view.CSV}, "status\n404\n"},
		{"where null", view.Query{Table: "records/book", Where: []string{"price_amount=null"}, Columns: []string{"stock"}}, view.Output{Format: view.CSV}, "stock\n1\n"},
		{"where by decimal", view.Query{Table: "records/book", Where: []string{"price_amount=12.5"}, Columns: []string{"stock"}}, view.Output{Format: view.CSV}, "stock\n3\n"},
		{"sorted by number, null last", view.Query{Table: "records/book", Sort: []string{"price_amount"}, Columns: []string{"price_amount"}}, view.Output{Format: view.CSV}, "price_amount\n7\n12.5\n\"\"\n"},
		{"sorted downwards, null last", view.Query{Table: "records/book", Sort: []string{"-price_amount"}, Columns: []string{"price_amount"}}, view.Output{Format: view.CSV}, "price_amount\n12.5\n7\n\"\"\n"},
		{"sorted with a limit", view.Query{Table: "records/book", Sort: []string{"-stock"}, Limit: 1, Columns: []string{"stock"}}, view.Output{Format: view.CSV}, "stock\n20\n"},
		{"every column", view.Query{Table: "requests", Columns: []string{"*"}}, view.Output{Format: view.CSV}, "" +
			"id,url,method,headers,body,key,domain,depth,priority,kind,parent,carry,not_before\n01000000000000000000000000000000,http://books.example/,GET,,,books.example,books.example,0,0,page,,,\n"},
		{"a table without rows", view.Query{Table: "links", Columns: []string{"url"}}, view.Output{Format: view.CSV}, "url\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := cat(t, r, c.q, c.out)
			check(t, err)
			if got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestCatSaysWhatIsWrong(t *testing.T) {
	_, r := full(t)
	for _, c := range []struct {
		q    view.Query
		want string
	}{
		{view.Query{Table: "books"}, `no table "books"; known: requests, captures, deferred, bodies, exchanges, links, pages, rejects, records/book`},
		{view.Query{Table: "records/x"}, `no table "records/x"; known: requests, captures, deferred, bodies, exchanges, links, pages, rejects, records/book`},
		{view.Query{Table: "links", Columns: []string{"x"}}, `--columns: table links has no column "x"; known: id, from_id, url, method, headers, body, text, rel, kind, depth, carry, same_domain`},
		{view.Query{Table: "bodies", Columns: []string{"body"}}, `--columns body: the bodies of pages are shown with --body only`},
		{view.Query{Table: "bodies", Where: []string{"digest"}}, `--where digest: want COLUMN=VALUE`},
		{view.Query{Table: "bodies", Sort: []string{"-x"}}, `--sort: table bodies has no column "x"; known: digest, chunk, body`},
		{view.Query{Table: "bodies", Stage: "parse"}, `stage parse has no table bodies; want fetch-0, fetch-1`},
		{view.Query{Table: "bodies", Stage: "cook"}, `no stage "cook"; the run has discover, fetch-0, fetch-1, pages, parse, refine, load`},
		{view.Query{Table: "bodies", Limit: -1}, `--limit -1: want 0 or more`},
	} {
		got, err := cat(t, r, c.q, view.Output{})
		if err == nil || err.Error() != c.want || !errors.Is(err, view.ErrUsage) || got != "" {
			t.Errorf("%+v: %q, %v; want %s", c.q, got, err, c.want)
		}
	}
}

func TestCatShowsOnlyWhatIsCommitted(t *testing.T) {
	store, l := newLake(t, "shop")
	r, err := view.FindRun(t.Context(), store, "shop", runID)
	check(t, err)
	part(t, l, "fetch-0", lakeio.Captures) // written, not committed
	_, err = cat(t, r, view.Query{Table: "captures"}, view.Output{})
	if err == nil || !strings.Contains(err.Error(), "has committed none of fetch-0, fetch-1 yet") || errors.Is(err, view.ErrUsage) {
		t.Errorf("%v", err)
	}
}

func TestRecordsAreThoseOfRefineOnceItCommits(t *testing.T) {
	l, r := full(t)
	q := view.Query{Table: "records/book", Columns: []string{"title"}, Limit: 1}
	commit(t, l, "refine", nil, books(t, l, "refine", book{title: "refined"}))
	for stage, want := range map[string]string{"": "refined", "parse": "Harrow & Plough", "refine": "refined"} {
		q.Stage = stage
		if got, err := cat(t, r, q, view.Output{}); err != nil || !strings.HasSuffix(got, "\n"+want+"\n") {
			t.Errorf("stage %q: %q, %v", stage, got, err)
		}
	}
}

func TestCatReadsStagesThatWereTakenOver(t *testing.T) {
	l, r := full(t)
	child := r.Run
	child.ID, child.Parent, child.From = "0198c0de-0000-7000-8000-000000000002", r.ID, "parse"
	child.Sources = map[string]string{"discover": r.ID, "fetch": r.ID}
	check(t, lakeio.CreateRun(t.Context(), l.Store, child))
	c, err := view.FindRun(t.Context(), l.Store, "shop", "last")
	check(t, err)
	if got, err := cat(t, c, view.Query{Table: "captures", Columns: []string{"status"}, Limit: 1}, view.Output{}); err != nil || got != "status\n   200\n" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := cat(t, c, view.Query{Table: "records/book"}, view.Output{}); err == nil {
		t.Error("records of the parent are shown as the child's")
	}
}

func TestManyRowsKeepTheirColumns(t *testing.T) {
	store, l := newLake(t, "shop")
	rows := make([]book, 2500)
	for i := range rows {
		rows[i] = book{title: fmt.Sprint("t", i), stock: int64(i % 7)}
	}
	rows[2000].title = strings.Repeat("x", 100)
	commit(t, l, "parse", nil, books(t, l, "parse", rows...))
	r, err := view.FindRun(t.Context(), store, "shop", "")
	check(t, err)
	got, err := cat(t, r, view.Query{Table: "records/book", Columns: []string{"title", "stock"}}, view.Output{})
	check(t, err)
	lines := strings.Split(strings.TrimSpace(got), "\n")
	if len(lines) != 2501 || lines[1] != "t0         0" || lines[2001] != strings.Repeat("x", 59)+"…      5" {
		t.Errorf("%d lines, %q, %q", len(lines), lines[1], lines[2001])
	}
	// With a limit, sorting keeps the first of equals, like sorting all does.
	q := view.Query{Table: "records/book", Columns: []string{"title"}, Sort: []string{"-stock"}, Limit: 2}
	if got, err := cat(t, r, q, view.Output{Format: view.CSV}); err != nil || got != "title\nt6\nt13\n" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestWhatReachesATerminalIsPrintable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		if rapid.Bool().Draw(t, "runes") {
			text = rapid.String().Draw(t, "text")
		}
		p := view.Printable(text)
		for _, r := range p {
			if r < 0x20 || r >= 0x7f && r < 0xa0 {
				t.Fatalf("%q has %q", p, r)
			}
		}
		n := rapid.IntRange(0, 30).Draw(t, "n")
		if cut := view.Truncate(p, n); view.Width(cut) > n {
			t.Fatalf("%q is wider than %d", cut, n)
		}
		data, err := view.EncodeJSON(map[string]string{"a": text}, true)
		if err != nil {
			t.Fatal(err)
		}
		var back, want map[string]string
		plain, _ := json.Marshal(map[string]string{"a": text})
		if err := errors.Join(json.Unmarshal(data, &back), json.Unmarshal(plain, &want)); err != nil || back["a"] != want["a"] {
			t.Fatalf("%s: %v", data, err)
		}
		if i := strings.IndexFunc(string(data), func(r rune) bool { return r < 0x20 && r != '\n' || r >= 0x7f && r < 0xa0 }); i >= 0 {
			t.Fatalf("%q", data)
		}
	})
}

func TestCSVReadsBack(t *testing.T) {
	store, l := newLake(t, "shop")
	titles := []string{"", "a,b", "line\nbreak", `"quoted"`, "", " x ", "é\x00"}
	var rows []book
	for _, s := range titles {
		rows = append(rows, book{title: s})
	}
	commit(t, l, "parse", nil, books(t, l, "parse", rows...))
	r, err := view.FindRun(t.Context(), store, "shop", "")
	check(t, err)
	got, err := cat(t, r, view.Query{Table: "records/book", Columns: []string{"title"}}, view.Output{Format: view.CSV})
	check(t, err)
	table, err := csv.NewReader(strings.NewReader(got)).ReadAll()
	check(t, err)
	var back []string
	for _, row := range table[1:] {
		back = append(back, row[0])
	}
	if !slices.Equal(back, titles) {
		t.Errorf("%q, want %q", back, titles)
	}
}
