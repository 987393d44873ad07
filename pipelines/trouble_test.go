package pipelines

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/harrowdata/harrow/io/lakeio"
)

// deadAddress is one that refuses connections.
func deadAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return addr
}

func TestAnUnreachableHostIsDeferredAndAskedWhenItIsBack(t *testing.T) {
	t.Parallel()
	eachRunner(t, func(t *testing.T, runnerName string) {
		b := newBench(t, smallSite(), "")
		job := func(down string) string {
			// One at a time: requests on two connections arrive in any order.
			text := strings.Replace(pagesJob("a", "b"), "concurrency: 2", "concurrency: 1", 1)
			text = strings.Replace(text, `'http://one.example/b'`, `'http://one.example/b', 'http://down.example/x'`, 1)
			return strings.Replace(text, `{"*.example": "${param.site}"}`, `{"*.example": "${param.site}", "down.example": "`+down+`"}`, 1)
		}
		b.write(job(deadAddress(t)))
		res, err := b.run(runner(runnerName))
		if err != nil || res.Exit != 3 || !strings.Contains(res.Why, "1 requests were deferred") {
			t.Fatalf("exit %d %q, %v; want 3", res.Exit, res.Why, err)
		}
		outcomes := map[string]string{}
		for _, c := range rows(b, lakeio.Captures, res.Run) {
			outcomes[c.URL] = string(c.Outcome) + " " + string(c.Class)
		}
		if outcomes["http://down.example/x"] != "deferred transient" || outcomes["http://one.example/a"] != "fetched " {
			t.Errorf("outcomes %v", outcomes)
		}
		if n := len(rows(b, lakeio.Rejects, res.Run)); n > 0 {
			t.Errorf("%d rejects: deferred is none", n)
		}
		b.write(strings.Replace(job(b.addr), "'http://down.example/x'", "'http://down.example/a', 'http://down.example/x', 'http://down.example/b'", 1))
		res, err = b.run(runner(runnerName))
		if err != nil || res.Exit != 0 {
			t.Fatalf("when it is back: exit %d %q, %v", res.Exit, res.Why, err)
		}
		if b.log.Count("http://down.example/x") != 1 {
			t.Error("it was not asked when it was back")
		}
		for _, e := range b.log.Requests() { // what was deferred goes before what is new
			if e.Host == "down.example" && !strings.HasSuffix(e.URL, "/robots.txt") {
				if e.URL != "http://down.example/x" {
					t.Errorf("%s was asked before what was deferred", e.URL)
				}
				break
			}
		}
	})
}

// What can't be had or read is a dead letter, and the rest goes on.
func TestTroublesOfSingleItemsAreRejects(t *testing.T) {
	t.Parallel()
	meaning(t)
	site := http.NewServeMux()
	site.HandleFunc("/deep", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, strings.Repeat("<div>", 600), "<h1>deep</h1>", strings.Repeat("</div>", 600))
	})
	site.HandleFunc("/broken", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/xml")
		fmt.Fprint(w, "<h1>broken</h1><p")
	})
	site.HandleFunc("/words", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<h1>words</h1><p id=n>many</p>") })
	site.HandleFunc("/empty", func(http.ResponseWriter, *http.Request) {})
	site.Handle("/", smallSite())
	eachRunner(t, func(t *testing.T, runnerName string) {
		job := strings.Replace(fmt.Sprintf(smallJob, `{files: [seeds.txt]}`, "/**"), `hosts: ["*.example"]`, `hosts: ["*.example", "*.invalid"]`, 1)
		b := newBench(t, site, job)
		b.seedFile("seeds.txt", "http://one.example/deep\nhttp://one.example/broken\nhttp://one.example/words\nhttp://one.example/empty\nhttp://one.example/fine\nno url\nhttp://nothing.invalid/x\n")
		run := b.must(runner(runnerName))
		var got []string
		for _, r := range rows(b, lakeio.Rejects, run) {
			got = append(got, strings.Join([]string{r.Stage, string(r.Class), r.Code, r.URL, r.Field, r.Value}, " "))
			if r.Reason == "" || r.Stage != "parse" && r.Payload == "" {
				t.Errorf("no reason, or nothing to replay it by: %+v", r)
			}
		}
		want := []string{
			"discover data url  url no url",
			"fetch permanent nxdomain http://nothing.invalid/x  ",
			"fetch data links http://one.example/broken  ",
			"parse data xml http://one.example/broken  ",
			"parse data type http://one.example/words n many",
			"parse data required http://one.example/empty title ",
		}
		sameSet(t, "rejects", got, want)
		sameSet(t, "rows", b.records(run, "refine", "page", "title", "n"), []string{`{"title":"one.example /fine","n":5}`, `{"title":"deep","n":null}`})
	})
}

func TestAWorkspaceThatCannotBeMadeIsNamed(t *testing.T) {
	b := newBench(t, smallSite(), pagesJob("a"))
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{filepath.Join(file, "workspace"), file} {
		_, err := b.run(func(r *Request) { r.Workspace = dir })
		if err == nil || errors.Is(err, ErrUsage) || errors.Is(err, ErrStopped) || !strings.Contains(err.Error(), dir) {
			t.Errorf("workspace %s: %v, want a failure that names it", dir, err)
		}
	}
	// A job's folder that is a file.
	if err := os.MkdirAll(b.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(b.dir, "small"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := b.run(); err == nil || errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), filepath.Join(b.dir, "small")) {
		t.Errorf("a file where the job's folder should be: %v", err)
	}
	if n := len(b.log.Requests()); n > 0 {
		t.Errorf("%d requests were sent", n)
	}
}

// A job file that is wrong starts nothing, and says where.
func TestAWrongJobFileStartsNothing(t *testing.T) {
	t.Parallel()
	good := pagesJob("a")
	for _, c := range []struct{ name, old, new, want string }{
		{"no YAML", "version: 1", "version: [1", "job.yaml:"},
		{"an unknown key", "job: small", "job: small\ncolour: blue", "job.yaml:3:1: "},
		{"a wrong version", "version: 1", "version: 2", "job.yaml:1:10: "},
		{"a bad name", "job: small", "job: ../etc", "job.yaml:2:6: "},
		{"a bad duration", "timeout: 5s", "timeout: soon", "job.yaml:7:12: "},
		{"a bad selector", `{css: "#n", type: int}`, `{css: "#[", type: int}`, "job.yaml:16:20: "},
		{"a bad type", `type: int`, `type: integer`, "job.yaml:16:32: "},
		{"a bad glob", `match: ["/**"]`, `match: ["re:("]`, "job.yaml:13:13: "},
		{"a dangling record", "  page: {key", "  pages: {key", "job.yaml:18:3: "},
		{"a dangling key column", "key: [title]", "key: [titel]", "job.yaml:18:16: "},
		{"an unknown extractor", "  - record: page", "  - use: nobody\n  - record: page", "job.yaml:12:10: "},
		{"an unknown sink", "refine:", "load: {oracle: {}}\nrefine:", "job.yaml:17:8: "},
		{"a missing secret", "timeout: 5s", "headers: {X: \"${HARROW_NO_SUCH_NAME}\"}", "HARROW_NO_SUCH_NAME"},
		{"no seed file", "{urls: ['http://one.example/a']}", "{files: [none-*.txt]}", "job.yaml:4:"},
		{"a sink's unknown column", "refine:", "load:\n  parquet:\n    path: out\n    partition_by: [_run, colour]\nrefine:", "job.yaml:20:26: load.parquet"},
		{"a sink's missing path", "refine:", "load: {parquet: {}}\nrefine:", "job.yaml:17:8: load.parquet.path: is missing"},
		{"a sink's wrong type", "refine:", "load: {parquet: {path: x, partition_by: title}}\nrefine:", "job.yaml:17:27: load.parquet.partition_by: got string; expected a list of columns"},
		{"a sink's bad config", "refine:", "load: {sqlite: {path: ../../x.db}}\nrefine:", "job.yaml:17:17: load.sqlite.path: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !strings.Contains(good, c.old) {
				t.Fatalf("the job has no %q", c.old)
			}
			b := newBench(t, smallSite(), strings.Replace(good, c.old, c.new, 1)).beside()
			_, err := b.run()
			wantUsage(t, c.name, err, c.want, b.request.JobFile)
			if _, err := os.Stat(filepath.Join(b.dir, "small")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the job has a folder in the workspace: %v", err)
			}
			if n := len(b.log.Requests()); n > 0 {
				t.Errorf("%d requests were sent", n)
			}
		})
	}
}
