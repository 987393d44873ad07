package extension

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// What job.yaml makes of the feeds in testdata/site, with the columns in the
// order of the job. One feed is cut off, one item has no link.
var entries = []string{
	`{"title":"Café M@DAME opens","link":"http://news.example/cafe","published":"2024-03-01T11:00:00.000000Z","summary":"Write to *** or ***.","reading_minutes":2,"_url":"http://feeds.example/rss.xml","_ordinal":0,"_rule":"feed"}`,
	`{"title":"Dated","link":"http://news.example/dated","published":"2024-03-02T08:30:00.000000Z","summary":null,"reading_minutes":null,"_url":"http://feeds.example/rss.xml","_ordinal":2,"_rule":"feed"}`,
	`{"title":"Long read","link":"http://news.example/long","published":"2024-03-03T08:00:00.500000Z","summary":"one two three four five six seven eight nine ten eleven","reading_minutes":3,"_url":"http://feeds.example/atom.xml","_ordinal":0,"_rule":"feed"}`,
	`{"title":"Undated","link":"http://news.example/undated","published":null,"summary":"Nobody knows when.","reading_minutes":1,"_url":"http://feeds.example/atom.xml","_ordinal":1,"_rule":"feed"}`,
}

var rejects = []string{
	`{"stage":"parse","class":"data","code":"extract","reason":"extractor feed: the item that ends at byte 113: XML syntax error on line 3: unexpected EOF","url":"http://feeds.example/broken.xml","record":null,"field":null}`,
	`{"stage":"refine","class":"data","code":"key","reason":"column link of the key is null","url":"http://feeds.example/rss.xml","record":"entry","field":"link"}`,
}

const stored = "title,link,published,summary,reading_minutes,_url,_ordinal,_rule"

// harvest is a built binary, a folder for job files and a site to ask.
type harvest struct {
	*testing.T
	binary, dir, job, site string
}

func TestAModuleAddsOnePlugInOfEachKind(t *testing.T) {
	mod := module(t)
	h := harvest{T: t, dir: mod, binary: filepath.Join(mod, "myharrow")}
	if out, errs, exit := command(t, mod, "go", "build", "-o", h.binary, "./cmd/myharrow"); exit != 0 {
		t.Fatalf("go build: exit %d\n%s%s", exit, out, errs)
	}
	server := httptest.NewServer(http.FileServer(http.Dir("testdata/site")))
	defer server.Close()
	h.site = strings.TrimPrefix(server.URL, "http://")
	text, err := os.ReadFile(filepath.Join(mod, "job.yaml"))
	check(t, err)
	h.job = replace(t, string(text), `"http://feeds.example/atom.xml"`, `"http://feeds.example/atom.xml", "http://feeds.example/broken.xml"`)
	h.job = replace(t, h.job, "words_per_minute: 120", "words_per_minute: 4")

	for _, runner := range []string{"direct", "prism"} {
		t.Run(runner, func(t *testing.T) { h.in(t).runs(runner) })
	}
	t.Run("what is wrong is named at its place", func(t *testing.T) { h.in(t).refuses() })
	t.Run("runs go on, and lie beside each other", func(t *testing.T) { h.in(t).runsAgain() })
}

func replace(t *testing.T, text, old, with string) string {
	t.Helper()
	if !strings.Contains(text, old) {
		t.Fatalf("job.yaml has no %s", old)
	}
	return strings.Replace(text, old, with, 1)
}

// in is the harvest in a folder of its own.
func (h harvest) in(t *testing.T) harvest {
	h.T, h.dir = t, t.TempDir()
	h.write(h.job)
	return h
}

func (h harvest) write(job string) {
	h.Helper()
	check(h.T, os.WriteFile(filepath.Join(h.dir, "job.yaml"), []byte(job), 0o666))
}

func (h harvest) harrow(args ...string) (stdout, stderr string, exit int) {
	h.Helper()
	return command(h.T, h.dir, h.binary, args...)
}

func (h harvest) run(args ...string) {
	h.Helper()
	if out, errs, exit := h.harrow(append([]string{"run", "job.yaml", "--param", "site=" + h.site}, args...)...); exit != 0 {
		h.Fatalf("run %v: exit %d\n%s%s", args, exit, out, errs)
	}
}

func (h harvest) runs(runner string) {
	h.run("--runner", runner)
	h.same("records/entry", h.cat("records/entry", stored), entries)
	h.same("rejects", h.cat("rejects", "stage,class,code,reason,url,record,field"), rejects)
	h.same("the sink's files", h.files(), entries)
}

// runsAgain goes on with a run that stopped before the sink had its turn, then
// makes a new one.
func (h harvest) runsAgain() {
	h.run("--until", "refine")
	h.same("the sink's files before load", h.files(), nil)
	h.run()
	h.same("the sink's files", h.files(), entries)
	h.run()
	h.same("the sink's files after a second run", h.files(), append(slices.Clone(entries), entries...))
}

// cat reads a table as a user does.
func (h harvest) cat(table, columns string) []string {
	h.Helper()
	out, errs, exit := h.harrow("cat", table, "--job", "feeds", "--json", "--columns", columns)
	if exit != 0 {
		h.Fatalf("cat %s: exit %d\n%s", table, exit, errs)
	}
	return strings.Split(strings.TrimSpace(out), "\n")
}

// files reads what the sink wrote, cut to the columns of the golden rows.
func (h harvest) files() (rows []string) {
	h.Helper()
	paths, err := filepath.Glob(filepath.Join(h.dir, "out", "entry", "[^.]*"))
	check(h.T, err)
	for _, path := range paths {
		data, err := os.ReadFile(path)
		check(h.T, err)
		for line := range strings.Lines(string(data)) {
			var row map[string]json.RawMessage
			check(h.T, json.Unmarshal([]byte(line), &row))
			var members []string
			for name := range strings.SplitSeq(stored, ",") {
				members = append(members, `"`+name+`":`+string(row[name]))
			}
			rows = append(rows, "{"+strings.Join(members, ",")+"}")
		}
	}
	return rows
}

func (h harvest) same(what string, got, want []string) {
	h.Helper()
	got, want = slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		h.Errorf("%s:\n got %s\nwant %s", what, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
}

func (h harvest) refuses() {
	for _, c := range []struct{ old, with, want string }{
		{"max_text: 2000", "max_text: 0", "parse[0].with.max_text: got 0; expected at least 1"},
		{"max_text: 2000", "max_txet: 2000", "parse[0].with.max_txet: unknown key; expected max_text"},
		{"use: feed", "use: fed", `parse[0].use: no extractor is called "fed"; known: feed`},
		{"column: summary", "column: blurb", `refine.entry.operators[0].with.column: got "blurb"; expected a text column of entry`},
		{"column: summary", "column: 7", "refine.entry.operators[0].with.column: got number; expected text"},
		{"use: mask", "use: msk", `refine.entry.operators[0].use: no operator is called "msk"; known: mask, reading_time`},
		{"words_per_minute: 4", "words_per_minute: many", "refine.entry.operators[1].with.words_per_minute: got string; expected a whole number"},
		{"use: reading_time", "use: reading_tim", `refine.entry.operators[1].use: no operator is called "reading_tim"; known: mask, reading_time`},
		{"path: out", "pth: out", "load.jsonl.pth: unknown key; expected path"},
		{"{path: out}", "{}", "load.jsonl.path: is missing; expected a folder"},
		{"jsonl:", "jsonll:", `load.jsonll: no sink is called "jsonll"; known: jsonl, parquet, postgres, sqlite`},
	} {
		h.write(replace(h.T, h.job, c.old, c.with))
		for _, verb := range []string{"check", "run"} {
			_, errs, exit := h.harrow(verb, "job.yaml", "--param", "site="+h.site)
			before, _, _ := strings.Cut(h.job, c.old)
			at := place(before)
			if exit != 2 || !strings.HasPrefix(errs, at) || !strings.HasSuffix(errs, ": "+c.want+"\n") {
				h.Errorf("%s with %s: exit %d, want 2\n got %s\nwant %sCOLUMN: %s", verb, c.with, exit, errs, at, c.want)
			}
		}
	}
}

// place is where a text ends, as messages begin.
func place(text string) string {
	line := 1 + strings.Count(text, "\n")
	return "job.yaml:" + strconv.Itoa(line) + ":"
}
