package workers

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/harrowdata/harrow/internal/demosite"
	"github.com/harrowdata/harrow/internal/serverlog"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/soak/rig"
	"github.com/harrowdata/harrow/soak/stable"
	"github.com/harrowdata/harrow/testdata/demo"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "4"); err != nil { // they mostly wait
		panic(err)
	}
	rig.Main(m)
}

// The job's secret, as the command and as the workers know it.
const (
	secretName = "HARROW_TEST_KEY"
	clients    = "the-clients-k3y"
	workers    = "the-workers-k3y"

	outName = "HARROW_TEST_OUT" // of a job that says so: where its Parquet files go
)

// latency of the server: so that there is a middle of fetching to hurt.
const latency = 20 * time.Millisecond

// bench is the demo's site, its job file, and a workspace to harvest it into.
type bench struct {
	t         *testing.T
	log       *serverlog.Recorder
	addr      string
	dir       string // of the job file and what stands beside it
	workspace string
	out       string      // of Parquet files
	keys      chan string // values of the secret that came along with requests, some of them
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir(), workspace: filepath.Join(t.TempDir(), "workspace"), out: t.TempDir(), keys: make(chan string, 1024)}
	shop := demosite.New(demosite.Options{}).Handler()
	b.log = serverlog.Record(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case b.keys <- r.Header.Get("X-Key"):
		default:
		}
		select {
		case <-time.After(latency):
		case <-r.Context().Done():
			return
		}
		shop.ServeHTTP(w, r)
	}))
	server := httptest.NewServer(b.log)
	t.Cleanup(server.Close)
	b.addr = server.Listener.Addr().String()
	if err := demo.LayOut(b.dir); err != nil {
		t.Fatal(err)
	}
	b.change(`path: "out"`, `path: "`+b.out+`"`)
	b.change("  sqlite: {} ", "  # sqlite: {} ") // needs to be in one process
	// The latest of two copies of a product depends on when they were asked for.
	b.change("    keep: latest\n", "    keep: first\n")
	b.change("  timeout: 5s\n", "  timeout: 2s\n  roll: {every: 1s, bytes: 1MiB}\n  headers: {X-Key: \"${"+secretName+"}\"}\n")
	return b
}

func (b *bench) job() string { return filepath.Join(b.dir, "shop.yaml") }

// change replaces a text of the job file wherever it stands.
func (b *bench) change(old, with string) {
	b.t.Helper()
	data, err := os.ReadFile(b.job())
	if err != nil {
		b.t.Fatal(err)
	}
	if !strings.Contains(string(data), old) {
		b.t.Fatalf("shop.yaml has no %q", old)
	}
	if err := os.WriteFile(b.job(), []byte(strings.ReplaceAll(string(data), old, with)), 0o666); err != nil {
		b.t.Fatal(err)
	}
}

// made makes a folder beside the job file.
func (b *bench) made(name string) string {
	b.t.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.Mkdir(path, 0o777); err != nil {
		b.t.Fatal(err)
	}
	return path
}

// run runs the job in this machine's own environment; on a pool if there is
// one.
func (b *bench) run(p *pool) *rig.Process {
	b.t.Helper()
	args := []string{"run", b.job(), "--workspace", b.workspace, "--param", "site=" + b.addr}
	if p != nil {
		args = append(args, "--runner", "prism", "--", "--environment_type=EXTERNAL", "--environment_config="+p.addr)
	}
	cmd := exec.Command(rig.Harrow.Path(b.t), args...)
	cmd.Env = append(os.Environ(), secretName+"="+clients, outName+"="+b.out)
	return rig.Launch(b.t, cmd)
}

// tables are what the newest run has come to.
func (b *bench) tables() map[string][]string {
	b.t.Helper()
	store, err := lakeio.Open(b.workspace)
	if err != nil {
		b.t.Fatal(err)
	}
	tables, _, err := stable.Run(b.t.Context(), store, "shop")
	if err != nil {
		b.t.Fatal(err)
	}
	loaded, err := stable.Parquet(b.t.Context(), b.out)
	if err != nil {
		b.t.Fatal(err)
	}
	maps.Copy(tables, loaded)
	return tables
}

// same holds tables against those of an undisturbed run.
func same(t *testing.T, got, want map[string][]string) {
	t.Helper()
	if len(want) < 10 {
		t.Fatalf("the undisturbed run has only %d tables", len(want))
	}
	all := maps.Clone(want)
	maps.Copy(all, got)
	for name := range all {
		if a, b := strings.Join(got[name], "\n"), strings.Join(want[name], "\n"); a != b {
			t.Errorf("%s differs: %d rows, and %d undisturbed", name, len(got[name]), len(want[name]))
		}
	}
}

// another is the command with another build ID: as if it were made of something
// else.
func another(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(rig.Harrow.Path(t))
	if err != nil {
		t.Fatal(err)
	}
	note := bytes.Index(data, []byte("\x04\x00\x00\x00Go\x00\x00")) // ELF: the type of the note, and whose it is
	if note < 0 {
		t.Fatal("the command has no build ID")
	}
	data[note+8] ^= 1
	path := filepath.Join(t.TempDir(), "harrow")
	if err := os.WriteFile(path, data, 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// pool is a worker pool as a process of its own.
type pool struct {
	*rig.Process
	t     *testing.T
	addr  string
	home  string // its working directory, HOME and TMPDIR
	apart bool   // it does not see the job file's folder
}

// newPool starts a pool as on another machine: another folder, home and
// temporary folder, nothing of this environment but the job's secret, and where
// this process may do that, another name and no folder with the job file.
func newPool(t *testing.T, hide string, env ...string) *pool {
	t.Helper()
	home := t.TempDir()
	cmd := exec.Command(rig.Harrow.Path(t), "worker", "--pool", "--listen", "127.0.0.1:0")
	cmd.Dir, cmd.Env = home, append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + home}, env...)
	unshare, err := exec.LookPath("unshare")
	apart := err == nil && os.Getuid() == 0
	if apart {
		const script = `hostname elsewhere.example && mount -t tmpfs none "$0" && exec "$@"`
		cmd.Path, cmd.Args = unshare, append([]string{"unshare", "--uts", "--mount", "sh", "-c", script, hide, cmd.Path}, cmd.Args[1:]...)
	}
	p := poolOf(t, cmd)
	p.apart = apart
	return p
}

// poolOf starts a pool by its command.
func poolOf(t *testing.T, cmd *exec.Cmd) *pool {
	t.Helper()
	p := &pool{Process: rig.Launch(t, cmd), t: t, home: cmd.Dir}
	p.Eventually(func() bool {
		_, rest, found := strings.Cut(p.Out.String(), "listens on ")
		addr, _, whole := strings.Cut(rest, ";")
		p.addr = addr
		return found && whole
	})
	if p.addr == "" {
		t.Fatalf("the pool does not listen:\n%s", p.Out.String())
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the pool wrote:\n%s", rig.Tail(p.Out.String()))
		}
	})
	return p
}

// workers are the pids of the processes that the pool has started.
func (p *pool) workers() (pids []int) {
	p.t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		p.t.Fatal(err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if state, parent := stat(p.t, pid); parent == p.Cmd.Process.Pid && state != "Z" {
			pids = append(pids, pid)
		}
	}
	return pids
}

// stat is a process's state and parent; X of one that is gone.
func stat(t *testing.T, pid int) (state string, parent int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return "X", 0
	}
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if parent, err = strconv.Atoi(fields[1]); err != nil {
		t.Fatal(err)
	}
	return fields[0], parent
}

// gone waits until a process has ended.
func gone(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		if state, _ := stat(t, pid); state == "X" || state == "Z" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %d is still there", pid)
		}
	}
}

// clean checks that the pool's workers have left nothing behind.
func (p *pool) clean() {
	p.t.Helper()
	left, err := filepath.Glob(filepath.Join(p.home, "harrow-*", "*"))
	if err != nil {
		p.t.Fatal(err)
	}
	if len(left) > 0 {
		p.t.Errorf("temporary files are left: %q", left)
	}
}
