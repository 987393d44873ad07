package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/harrowdata/harrow/internal/serverlog"
	_ "github.com/harrowdata/harrow/io/gcsio"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/soak/judges"
	"github.com/harrowdata/harrow/soak/rig"
	"github.com/harrowdata/harrow/soak/stable"
)

// way is how a run reaches a machine.
type way struct {
	name  string
	flags []string            // of harrow run
	beam  []string            // behind --
	wrap  func(cmd *exec.Cmd) // where the command runs; nil: here
	pool  *machine            // whose workers it has; nil: those of a cluster, or its own
}

// direct is the way that all others are held against.
var direct = way{name: "direct", flags: []string{"--runner", "direct"}}

// harvest is a workspace with a site harvested into it, and the database that
// it is loaded into.
type harvest struct {
	t        *testing.T
	site     *site
	way      way
	file     string // the job's
	dir      string // the workspace's
	store    lakeio.Store
	database string // its URL, as this process sees it
	seen     string // as the command and its workers do
	env      []string
	past     []*rig.Process
}

// place is where a harvest goes: a workspace, and a database by two URLs, see
// [harvest].
type place struct {
	workspace, database, seen string
	env                       []string // what commands and workers need to get there
}

// harvest begins one: an empty log, the job file in a folder of its own.
func (s *site) harvest(t *testing.T, w way, p place) *harvest {
	t.Helper()
	s.log.Reset()
	store, err := lakeio.Open(p.workspace)
	if err != nil {
		t.Fatal(err)
	}
	return &harvest{t: t, site: s, way: w, file: s.lay(t, t.TempDir()), dir: p.workspace, store: store, database: p.database, seen: p.seen, env: p.env}
}

// run starts the command, always the same one.
func (h *harvest) run() *rig.Process {
	h.t.Helper()
	args := append([]string{"run", h.file, "--workspace", h.dir}, h.way.flags...)
	for _, param := range h.site.params {
		args = append(args, "--param", param)
	}
	if len(h.way.beam) > 0 {
		args = append(append(args, "--"), h.way.beam...)
	}
	p := h.command(args...)
	h.past = append(h.past, p)
	return p
}

// command starts the command with arguments where the harvest's commands run.
func (h *harvest) command(args ...string) *rig.Process {
	h.t.Helper()
	cmd := exec.Command(rig.Harrow.Path(h.t), args...)
	cmd.Env = append(append(os.Environ(), "DATABASE_URL="+h.seen), h.env...)
	if h.way.wrap != nil {
		h.way.wrap(cmd)
	}
	p := rig.Launch(h.t, cmd)
	p.Patience = patience
	return p
}

// lake is the newest run's place; ok is false while there is none.
func (h *harvest) lake() (lakeio.Lake, lakeio.Run, bool) {
	run, err := lakeio.LastRun(h.t.Context(), h.store, h.site.name)
	return lakeio.Lake{Store: h.store, Job: h.site.name, Run: run.ID}, run, err == nil
}

// tables is all that the run came to.
func (h *harvest) tables() map[string][]string {
	h.t.Helper()
	tables, err := stable.Result{Store: h.store, Job: h.site.name, Postgres: h.database}.Tables(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	return tables
}

// equals holds what the harvest came to against another's tables, and what the
// site was asked against what it was promised. whole says that no process was
// disturbed.
func (h *harvest) equals(want map[string][]string, whole bool) {
	h.t.Helper()
	if diff := stable.Diff(want, h.tables()); diff != "" {
		h.t.Errorf("%s differs:\n%s", h.way.name, diff)
	}
	h.judge(whole)
	if h.t.Failed() {
		for n, p := range h.past {
			h.t.Logf("%s, process %d:\n%s", h.way.name, n, rig.Tail(p.Out.String()))
		}
	}
}

// judge holds the site's log and the runs' exchanges against what was promised.
func (h *harvest) judge(whole bool) {
	h.t.Helper()
	c := judges.Case{Store: h.store, Log: &h.site.log.Log, Whole: whole, Busy: true,
		Promised: func(host string) (serverlog.Limits, bool) { return h.site.promised(host), true }}
	v, err := c.Judge(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	for _, problem := range v.Problems() {
		h.t.Errorf("%s: %s", h.way.name, problem)
	}
}

// count is how many rows there are in all.
func count(tables map[string][]string) (n int) {
	for _, rows := range tables {
		n += len(rows)
	}
	return n
}

// legs says when each stage committed, in the order of the stages, for a
// person to read.
func (h *harvest) legs() string {
	h.t.Helper()
	lake, run, ok := h.lake()
	if !ok {
		return "no run"
	}
	var text strings.Builder
	at := h.past[0].Began
	for _, stage := range run.StageNames() {
		m, err := lake.Manifest(h.t.Context(), stage)
		if err != nil {
			break
		}
		fmt.Fprintf(&text, " %s %.1fs", stage, m.At.Sub(at).Seconds())
	}
	return strings.TrimSpace(text.String())
}
