package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/harrowdata/harrow/command/view"
	"github.com/harrowdata/harrow/internal/demosite"
	"github.com/harrowdata/harrow/internal/jobfile"
	"github.com/harrowdata/harrow/pipelines"
)

func TestMain(m *testing.M) {
	if isWorker(os.Args[1:]) { // a pool of a test started it
		os.Exit(serveAsWorker())
	}
	flag.Parse()
	beam.Init()
	os.Exit(m.Run())
}

func harrowRun(t testing.TB, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = Run(context.Background(), args, &out, &errs)
	return code, out.String(), errs.String()
}

func write(t testing.TB, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestMisuseIsOneLineAndExit2(t *testing.T) {
	dir := t.TempDir()
	nowhere := filepath.Join(dir, "nowhere")
	t.Setenv("HARROW_WORKSPACE", nowhere)
	bad := write(t, filepath.Join(dir, "bad.yaml"), "version: 1\njob: shop\ndiscover: {seeds: {urls: [\"http://a.example/\"]}}\nparse: []\nfrobnicate: 1\n")
	for _, c := range []struct {
		args string
		want string
	}{
		{"", "harrow: want a command: run, check, doctor, try, ls, cat, rejects, audit, diff, pause, gc, worker, flink, demo; harrow --help says more\n"},
		{"frob", "harrow: unknown command \"frob\"; want one of run, check, doctor, try, ls, cat, rejects, audit, diff, pause, gc, worker, flink, demo\n"},
		{"diff", "harrow: expected \"<run> <other-run>\"\n"},
		{"diff last last", "harrow: there is no workspace at " + nowhere + "; name one with --workspace, harrow run makes it\n"},
		{"diff last last --csv --summary", "harrow: --csv writes rows; want --summary as text or with --json\n"},
		{"--frob", "harrow: unknown flag --frob\n"},
		{"cat", "harrow: expected \"<table>\"\n"},
		{"cat captures more", "harrow: unexpected argument more\n"},
		{"cat captures --json --csv", "harrow: want --json or --csv, not both\n"},
		{"cat captures --limit x", "harrow: --limit: expected a valid 64 bit int but got \"x\"\n"},
		{"ls", "harrow: there is no workspace at " + nowhere + "; name one with --workspace, harrow run makes it\n"},
		{"rejects", "harrow: there is no workspace at " + nowhere + "; name one with --workspace, harrow run makes it\n"},
		{"audit", "harrow: there is no workspace at " + nowhere + "; name one with --workspace, harrow run makes it\n"},
		{"audit last more", "harrow: unexpected argument more\n"},
		{"rejects replay", "harrow: there is no workspace at " + nowhere + "; name one with --workspace, harrow run makes it\n"},
		{"rejects replay " + bad + " --job x", "harrow: rejects replay: want " + bad + " or --job x, not both\n"},
		{"pause x", "harrow: there is no workspace at " + nowhere + "; name one with --workspace, harrow run makes it\n"},
		{"ls --workspace s3://bucket", "harrow: workspace scheme s3 is not supported\n"},
		{"ls --workspace " + bad, "harrow: workspace " + bad + " is no folder\n"},
		{"run", "harrow: expected \"<job.yaml>\"\n"},
		{"run " + bad + " --param x", "harrow: --param x: want NAME=VALUE\n"},
		{"run " + bad + " --runner flink", "harrow: --runner flink: want --flink-master HOST:PORT of the JobManager's REST API, or --flink-master local\n"},
		{"run " + bad + " --until cook", "harrow: --until cook: want one of [discover fetch parse refine load]\n"},
		{"check", "harrow: check: want a job file, or --schema\n"},
		{"check " + bad + " --schema", "harrow: check --schema prints the schema of every job file; leave " + bad + " out\n"},
		{"check " + bad + " --json", "harrow: check --json goes with --plan\n"},
		{"try " + bad, "harrow: expected \"<url>\"\n"},
	} {
		t.Run(c.args, func(t *testing.T) {
			code, stdout, stderr := harrowRun(t, strings.Fields(c.args)...)
			if code != exitUsage || stderr != c.want || stdout != "" {
				t.Errorf("exit %d\n%s%s\nwant\n%s", code, stdout, stderr, c.want)
			}
		})
	}
	if _, err := os.Stat(nowhere); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a command that only reads made %s", nowhere)
	}
	for _, args := range [][]string{{"check", bad}, {"run", bad}, {"try", bad, "http://a.example/"}} {
		code, _, stderr := harrowRun(t, args...)
		if code != exitUsage || !strings.HasPrefix(stderr, bad+":") || !strings.Contains(stderr, "frobnicate") {
			t.Errorf("%v: exit %d\n%s", args, code, stderr)
		}
	}
}

func TestHelpAndVersionAreNoErrors(t *testing.T) {
	for args, want := range map[string]string{"--help": "Usage: harrow <command>", "--version": "harrow 0.", "cat --help": "--where=COLUMN=VALUE", "run --help": "--param=NAME=VALUE", "rejects show --help": "--class=CLASS"} {
		if code, stdout, stderr := harrowRun(t, strings.Fields(args)...); code != 0 || !strings.Contains(stdout, want) || stderr != "" {
			t.Errorf("%s: exit %d\n%s%s", args, code, stdout, stderr)
		}
	}
}

func TestExitCodes(t *testing.T) {
	for _, c := range []struct {
		err  error
		code int
		want string
	}{
		{nil, 0, ""},
		{errors.New("disk\nis full"), 1, "harrow: disk; is full\n"},
		{&runFailed{"7", errors.New("plan\n caused by:\nDoFn[UID:1] failed:\ndisk is full\n")}, 1, "harrow: run 7 failed and can be resumed: disk is full\n"},
		{view.Usagef("no \x1b[31m job"), 2, "harrow: no \\x1b[31m job\n"},
		{errors.Join(errors.New("x"), pipelines.ErrStopped), 130, "harrow: x; " + pipelines.ErrStopped.Error() + "\n"},
		{jobfile.Errors{{File: "a.yaml", Line: 1, Col: 2, Msg: "wrong"}, {File: "a.yaml", Line: 3, Col: 4, Msg: "bad"}}, 1, "a.yaml:1:2: wrong\na.yaml:3:4: bad\n"},
		{errQuiet(3), 3, ""},
	} {
		var errs bytes.Buffer
		e := &env{ctx: t.Context(), stderr: &errs}
		if code := e.fail(c.err); code != c.code || errs.String() != c.want {
			t.Errorf("%v: exit %d, %q; want %d, %q", c.err, code, errs.String(), c.code, c.want)
		}
	}
}

func TestWorkersAreTold(t *testing.T) {
	for args, want := range map[string]bool{"": false, "--worker=true --id=1": true, "-worker": true, "--worker": true, "--worker=false": false,
		"--id=1 --worker=true": true, "run a.yaml --worker": false, "-- --worker": false, "--workers=true": false} {
		if got := isWorker(strings.Fields(args)); got != want {
			t.Errorf("%q: %v", args, got)
		}
	}
}

const tinyJob = `
version: 1
job: tiny
discover: {seeds: {urls: ["http://a.example/"]}}
fetch:
  resolve: {"a.example": "${param.site}"}
  politeness: {default: {delay: 0s}}
parse: [{record: page, fields: {title: {css: h1, required: true}}}]
`

func TestTryExitsByWhetherThePageWasFetched(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<h1>Harrow</h1>"))
	}))
	defer srv.Close()
	job := write(t, filepath.Join(t.TempDir(), "tiny.yaml"), tinyJob)
	try := func(args ...string) (int, string, string) {
		return harrowRun(t, append([]string{"try", job, "--param", "site=" + strings.TrimPrefix(srv.URL, "http://")}, args...)...)
	}
	code, stdout, stderr := try("http://a.example/", "--json")
	var report struct {
		Outcome string
		Hops    []struct{ Scope struct{ Why string } }
		Records []struct{ Values struct{ Title string } }
	}
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || code != 0 || stderr != "" || report.Records[0].Values.Title != "Harrow" {
		t.Errorf("exit %d, %v\n%s%s", code, err, stdout, stderr)
	}
	if code, stdout, _ := try("http://a.example/none"); code != 1 || !strings.Contains(stdout, "outcome   gone, status 404, http_404\n") || !strings.Contains(stdout, `scope     in: hosts "a.example" takes it in`) {
		t.Errorf("exit %d\n%s", code, stdout)
	}
	if code, _, stderr := try("nonsense"); code != exitUsage || !strings.HasPrefix(stderr, "harrow: not a URL to try: ") {
		t.Errorf("exit %d\n%s", code, stderr)
	}
}

func TestCheckMakesNothing(t *testing.T) {
	dir := t.TempDir()
	job := write(t, filepath.Join(dir, "tiny.yaml"), tinyJob)
	code, stdout, stderr := harrowRun(t, "check", job, "--param", "site=127.0.0.1:1", "--workspace", filepath.Join(dir, "ws"))
	if code != 0 || stderr != "" || stdout != job+" is right: job tiny\nrecord page: title text\nload into sqlite: ready\n" {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
}

func TestCheckPlansWithoutAskingAnybody(t *testing.T) {
	dir := t.TempDir()
	job := write(t, filepath.Join(dir, "tiny.yaml"), tinyJob)
	code, stdout, stderr := harrowRun(t, "check", job, "--plan", "--param", "site=127.0.0.1:1", "--workspace", filepath.Join(dir, "ws"))
	for _, want := range []string{"plan      by the seeds\n", "asked     1 request, 1 politeness key of 1 registered domain\n", "  a.example      1         1          2  0 ms   1        -        0 ms\n",
		"warning   fetch.user_agent is Harrow's own"} {
		if code != 0 || stderr != "" || !strings.Contains(stdout, want) {
			t.Errorf("exit %d, no %q in\n%s%s", code, want, stdout, stderr)
		}
	}
	if code, stdout, _ := harrowRun(t, "check", job, "--plan", "--json", "--param", "site=127.0.0.1:1", "--workspace", filepath.Join(dir, "ws")); code != 0 || !strings.Contains(stdout, `"key": "a.example"`) {
		t.Errorf("exit %d\n%s", code, stdout)
	}
	if code, stdout, _ := harrowRun(t, "check", "--schema"); code != 0 || !json.Valid([]byte(stdout)) || !strings.Contains(stdout, "2020-12") {
		t.Errorf("exit %d, %.100s", code, stdout)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("%v, %v", entries, err)
	}
}

func TestTryTakesAFileForTheAnswer(t *testing.T) {
	dir := t.TempDir()
	job := write(t, filepath.Join(dir, "tiny.yaml"), tinyJob)
	page := write(t, filepath.Join(dir, "page.html"), "<h1>Harrow</h1>")
	try := func(args ...string) (int, string, string) {
		return harrowRun(t, append([]string{"try", job, "http://a.example/", "--param", "site=127.0.0.1:1"}, args...)...)
	}
	if code, stdout, stderr := try("--file", page); code != 0 || !strings.Contains(stdout, `{"title":"Harrow"}`) || strings.Contains(stdout, "\x1b") {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	for args, want := range map[string]string{
		"--file " + dir:            "harrow: --file " + dir + " is a folder; want a file\n",
		"--file " + dir + "/none":  "harrow: --file: stat " + dir + "/none: no such file or directory\n",
		"--content-type text/html": "harrow: --content-type text/html: it goes with --file\n",
	} {
		if code, _, stderr := try(strings.Fields(args)...); code != exitUsage || stderr != want {
			t.Errorf("%s: exit %d\n%s", args, code, stderr)
		}
	}
}

// TestDemo runs the demo as a user would: interrupted, resumed, and once more
// after the shop has changed.
func TestDemo(t *testing.T) {
	ws := filepath.Join(t.TempDir(), "ws")
	t.Setenv("HARROW_WORKSPACE", ws)
	interrupted := make(chan struct{})
	go func() {
		defer close(interrupted)
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(2 * time.Millisecond) { // as soon as the run has asked for something
			if running(ws) {
				_ = syscall.Kill(os.Getpid(), syscall.SIGINT)
				return
			}
		}
	}()
	code, stdout, stderr := harrowRun(t, "demo")
	<-interrupted
	if code != exitStopped || !strings.Contains(stderr, "stopping: what is in flight ends") || !strings.Contains(stdout, "exit 130: stopped") {
		t.Fatalf("exit %d\n%s%s", code, stdout, stderr)
	}
	code, stdout, stderr = harrowRun(t, "demo")
	if code != 0 || !strings.Contains(stdout, ", resumed\n") {
		t.Fatalf("exit %d\n%s%s", code, stdout, stderr)
	}
	site := demosite.New(demosite.Options{})
	checkTables(t, site, filepath.Join(ws, "demo/shop.yaml"))
	code, stdout, stderr = harrowRun(t, "demo", "--json")
	var s view.Summary
	if err := json.Unmarshal([]byte(stdout), &s); err != nil || code != 0 {
		t.Fatalf("exit %d, %v\n%s%s", code, err, stdout, stderr)
	}
	kinds := map[string]int64{}
	for _, c := range site.Changes(0, 1) {
		kinds[c.Kind]++
	}
	if got := s.Load["sqlite"]["book"]; got == nil || got.Added != kinds["added"] || got.Changed != kinds["changed"] || got.Stale != 0 {
		t.Errorf("loaded %+v, want %v", got, kinds)
	}
	if code, stdout, _ = harrowRun(t, "ls"); code != 0 || strings.Count(stdout, "  done, exit 0") != 2 {
		t.Errorf("exit %d\n%s", code, stdout)
	}
}

// checkTables holds what the commands show against what the site says a
// correct harvest has.
func checkTables(t *testing.T, site *demosite.Site, jobFile string) {
	t.Helper()
	var want strings.Builder
	for _, b := range site.Books() {
		title, err := view.EncodeJSON(b.Title, false)
		if err != nil {
			t.Fatal(err)
		}
		want.WriteString(`{"upc":"` + b.UPC + `","title":` + strings.TrimSpace(string(title)) + "}\n")
	}
	code, stdout, stderr := harrowRun(t, "cat", "records/book", "--json", "--columns", "upc,title", "--sort", "upc")
	if code != 0 || stdout != want.String() {
		t.Errorf("exit %d\n%s%s\nwant\n%s", code, stdout, stderr, want.String())
	}
	code, downwards, _ := harrowRun(t, "cat", "records/book", "--json", "--columns", "upc,title", "--sort", "-upc", "--limit", "1")
	if code != 0 || !strings.HasSuffix(stdout, downwards) || downwards == "" {
		t.Errorf("exit %d, %s", code, downwards)
	}
	code, stdout, _ = harrowRun(t, "cat", "captures", "--csv", "--columns", "url")
	if n := strings.Count(stdout, "\n") - 1; code != 0 || n != len(site.Pages()) {
		t.Errorf("exit %d, %d captures, want %d", code, n, len(site.Pages()))
	}
	var rejects struct{ Rejects []view.RejectCount }
	_, stdout, _ = harrowRun(t, "rejects", "--json")
	if err := json.Unmarshal([]byte(stdout), &rejects); err != nil {
		t.Errorf("%v\n%s", err, stdout)
	}
	n := int64(0)
	for _, r := range rejects.Rejects {
		n += r.Count
	}
	if n != int64(len(site.Rejects())) {
		t.Errorf("%d rejects, want %d", n, len(site.Rejects()))
	}
	code, stdout, _ = harrowRun(t, "rejects", "show", "--json", "--job", jobFile)
	if code != 0 || strings.Count(stdout, "\n") != len(site.Rejects()) {
		t.Errorf("exit %d\n%s", code, stdout)
	}
}

// running reports whether the demo's run is fetching.
func running(ws string) bool {
	shards, err := filepath.Glob(filepath.Join(ws, "shop/runs/*/fetch-0/shard-*.json"))
	return err == nil && len(shards) > 0
}
