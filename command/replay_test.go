package command

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/harrowdata/harrow/command/view"
)

const mendedJob = `
version: 1
job: mended
discover: {seeds: {urls: ["http://a.example/ok", "http://a.example/no", "http://a.example/dear"]}}
fetch:
  resolve: {"a.example": "${param.site}"}
  politeness: {default: {delay: 0s}}
parse: [{record: page, fields: {title: {css: h1, required: true}, price: {css: i, type: int}}}]
refine: {page: {key: [title], check: [{field: price, max: 10}], thresholds: {min_rows: 3}}}
`

func TestRejectsAreReplayed(t *testing.T) {
	var mended atomic.Bool
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		switch {
		case r.URL.Path == "/robots.txt":
			http.NotFound(w, r)
		case r.URL.Path == "/no" && !mended.Load():
			http.Error(w, "no", http.StatusForbidden)
		case r.URL.Path == "/dear":
			_, _ = w.Write([]byte("<h1>/dear</h1><i>20</i>"))
		default:
			_, _ = w.Write([]byte("<h1>" + r.URL.Path + "</h1><i>5</i>"))
		}
	}))
	defer srv.Close()
	dir := t.TempDir()
	job := write(t, filepath.Join(dir, "mended.yaml"), mendedJob)
	ws := filepath.Join(dir, "ws")
	site := []string{"--workspace", ws, "--param", "site=" + strings.TrimPrefix(srv.URL, "http://")}
	if code, stdout, stderr := harrowRun(t, append([]string{"run", job}, site...)...); code != exitCrossed {
		t.Fatalf("exit %d\n%s%s", code, stdout, stderr)
	}
	first := lastRun(t, ws)

	// Filters that fit nothing make no run.
	replay := func(args ...string) (int, string, string) {
		return harrowRun(t, append([]string{"rejects", "replay", "--workspace", ws}, args...)...)
	}
	code, stdout, stderr := replay("--code", "none")
	if code != 0 || stdout != "nothing to replay: run "+first+" has no rejects of code none\n" || stderr != "" {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	code, stdout, _ = replay("--code", "none", "--json", "--job", "mended")
	if want := `{"job": "mended", "replay": {"run": "` + first + `", "code": "none", "replayed": 0, "came_through": 0, "rejected_again": 0, "deferred": 0}, "run": null}`; code != 0 || squeeze(stdout) != squeeze(want) {
		t.Errorf("exit %d\n%s\nwant\n%s", code, stdout, want)
	}
	if lastRun(t, ws) != first {
		t.Error("a run was made for nothing")
	}

	// Without a job file the old rules are gone by, and said to be. The min_rows
	// of a run are not asked of a replay.
	mended.Store(true)
	code, stdout, stderr = replay()
	if code != 0 || !strings.Contains(stdout, "replayed    2 rejects of run "+first+": 1 came through, 1 rejected again\n") ||
		!strings.Contains(stderr, "it goes by the rules that run "+first+" had; name the job file to go by today's\n") {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	second := lastRun(t, ws)

	// A job file is today's rules.
	write(t, job, strings.Replace(mendedJob, "max: 10", "max: 100", 1))
	code, stdout, stderr = harrowRun(t, append([]string{"rejects", "replay", job, "--stage", "refine", "--run", first, "--json"}, site...)...)
	var summary view.Summary
	if err := json.Unmarshal([]byte(stdout), &summary); err != nil || code != 0 || strings.Contains(stderr, "it goes by") {
		t.Fatalf("exit %d, %v\n%s%s", code, err, stdout, stderr)
	}
	if r := summary.Replay; r == nil || r.Run != first || r.Stage != "refine" || r.Replayed != 1 || *r.CameThrough != 1 || *r.RejectedAgain != 0 || len(summary.Rejects) != 0 {
		t.Errorf("replay %+v, rejects %v", r, summary.Rejects)
	}
	third := lastRun(t, ws)
	for _, c := range []struct{ args, want string }{
		{"ls", ", replays rejects of run " + first},
		{"cat records/page --stage discover --json --columns title --run " + third, `{"title":"/dear"}`},
		{"cat requests --json --columns url --run " + second, `{"url":"http://a.example/no"}`},
		{"cat captures --stage discover --json --run " + third, ""},
		{"cat records/page.load --json --run " + third, ""},
		{"rejects --run " + second, "refine"},
	} {
		code, stdout, stderr := harrowRun(t, append(strings.Fields(c.args), "--workspace", ws)...)
		if code != 0 || !strings.Contains(stdout, c.want) || c.want == "" && stdout != "" {
			t.Errorf("%s: exit %d\n%s%s\nwant %s", c.args, code, stdout, stderr, c.want)
		}
	}
	for args, want := range map[string]string{
		"cat records/page.load --stage parse": "harrow: stage parse has no table records/page.load; want discover\n",
		"cat links --stage discover":          "harrow: no table \"links\"; known: ",
		"rejects replay --param a=b":          "harrow: --param: want a job file that it fills in\n",
		"rejects replay --run x":              "harrow: --run: no run x of job mended",
		"rejects replay --stage cook":         "harrow: --stage cook: want one of",
	} {
		code, _, stderr := harrowRun(t, append(strings.Fields(args), "--workspace", ws)...)
		if code != exitUsage || !strings.HasPrefix(stderr, want) {
			t.Errorf("%s: exit %d\n%s\nwant %s", args, code, stderr, want)
		}
	}
}

// lastRun is the newest run's id.
func lastRun(t *testing.T, ws string) string {
	t.Helper()
	_, stdout, stderr := harrowRun(t, "ls", "--json", "--workspace", ws)
	var list struct {
		Jobs []struct{ Runs []struct{ Run string } }
	}
	if err := json.Unmarshal([]byte(stdout), &list); err != nil || len(list.Jobs) != 1 {
		t.Fatalf("%v\n%s%s", err, stdout, stderr)
	}
	runs := list.Jobs[0].Runs
	return runs[len(runs)-1].Run
}

// squeeze takes the white space out of JSON.
func squeeze(text string) string { return strings.Join(strings.Fields(text), "") }
