package dataflow

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/harrowdata/harrow/internal/demosite"
	"github.com/harrowdata/harrow/internal/serverlog"
	_ "github.com/harrowdata/harrow/io/gcsio" // workspaces at gs://
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/soak/fakegcs"
	"github.com/harrowdata/harrow/soak/postgres"
	"github.com/harrowdata/harrow/soak/rig"
	"github.com/harrowdata/harrow/soak/stable"
)

const (
	jobName = "shop"
	// token is what the shop wants to see, and what must be nowhere.
	token = "hush-4711-token"
)

// program is the command as workers can have it: linked statically from the
// packages that the other long tests are built of. At full counts it is what
// make worker makes.
func program(t *testing.T) string {
	t.Helper()
	if !rig.Long() {
		return static.Path(t)
	}
	file := filepath.Join(t.TempDir(), "harrow-worker")
	build := exec.Command("make", "-s", "worker", "WORKER="+file)
	build.Dir = rig.Root(t)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("make worker: %v\n%s", err, out)
	}
	return file
}

var static = &rig.Program{Name: "static", Flags: []string{"-ldflags",
	"-s -w -linkmode=external -extldflags=-static -X github.com/harrowdata/harrow/io/lakeio.minTTL=" + rig.LeaseTTL.String()}}

// shop serves the demo's shop to those who have the token.
type shop struct {
	*serverlog.Recorder
	addr string
}

func openShop(t *testing.T) *shop {
	t.Helper()
	site := demosite.New(demosite.Options{Products: 60}).Handler()
	s := &shop{Recorder: serverlog.Record(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Token") != token && r.URL.Path != "/robots.txt" {
			http.Error(w, "no token", http.StatusForbidden)
			return
		}
		site.ServeHTTP(w, r)
	}))}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.addr = strings.TrimPrefix(server.URL, "http://")
	return s
}

// harvest is the job in a workspace, loaded into a database and a folder.
type harvest struct {
	t                        *testing.T
	shop                     *shop
	program                  string
	workspace, database, out string
}

// run starts the command.
func (h *harvest) run(more ...string) *rig.Process {
	h.t.Helper()
	args := append([]string{"run", "testdata/shop.yaml", "--workspace", h.workspace, "--param", "site=" + h.shop.addr, "--param", "out=" + h.out}, more...)
	cmd := exec.Command(h.program, args...)
	cmd.Env = append(os.Environ(), "SHOP_TOKEN="+token, "SHOP_DATABASE="+h.database)
	return rig.Launch(h.t, cmd)
}

// tables is all that came of it.
func (h *harvest) tables() map[string][]string {
	h.t.Helper()
	store, err := lakeio.Open(h.workspace)
	if err != nil {
		h.t.Fatal(err)
	}
	tables, err := stable.Result{Store: store, Job: jobName, Postgres: h.database, Parquet: h.files()}.Tables(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	return tables
}

// files is a local folder with the Parquet files.
func (h *harvest) files() string {
	h.t.Helper()
	if !strings.HasPrefix(h.out, "gs://") {
		return h.out
	}
	store, err := lakeio.Open(h.out)
	if err != nil {
		h.t.Fatal(err)
	}
	dir := h.t.TempDir()
	each(h.t, store, "", func(name string, data []byte) {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			h.t.Fatal(err)
		}
		if err := os.WriteFile(file, data, 0o600); err != nil {
			h.t.Fatal(err)
		}
	})
	return dir
}

// each reads all objects of a store below a folder.
func each(t *testing.T, store lakeio.Store, folder string, do func(name string, data []byte)) {
	t.Helper()
	names, err := store.List(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "/") {
			each(t, store, folder+name, do)
			continue
		}
		data, _, err := store.Read(t.Context(), folder+name)
		if err != nil {
			t.Fatal(err)
		}
		do(folder+name, data)
	}
}

// world is what a test needs: the service, the shop, and what an undisturbed
// run on the direct runner comes to.
type world struct {
	*service
	*shop
	program string
	want    map[string][]string
	asked   int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{service: newService(t), shop: openShop(t), program: program(t)}
	if undisturbed.want == nil {
		direct := &harvest{t: t, shop: w.shop, program: w.program, workspace: t.TempDir(), database: postgres.Shared(t).Database(t), out: t.TempDir()}
		direct.run("--runner", "direct").Want(rig.ExitDone)
		undisturbed.want, undisturbed.asked = direct.tables(), len(w.Requests())
		t.Logf("%d requests; tables: %v", undisturbed.asked, slices.Sorted(maps.Keys(undisturbed.want)))
		w.Reset()
	}
	w.want, w.asked = undisturbed.want, undisturbed.asked
	return w
}

// undisturbed is what the direct runner makes of the shop.
var undisturbed struct {
	want  map[string][]string
	asked int
}

// onDataflow is the job's harvest on Dataflow, and its flags.
func (w *world) onDataflow(t *testing.T) (*harvest, []string) {
	t.Helper()
	h := &harvest{t: t, shop: w.shop, program: w.program, workspace: w.bucket.Workspace("lake"), database: postgres.Shared(t).Database(t), out: w.bucket.Workspace("out")}
	w.Secrets = map[string]string{
		"projects/acme-data/secrets/shop-token/versions/latest": token + "\n",
		"projects/acme-data/secrets/shop-db/versions/2":         h.database,
	}
	return h, []string{"--runner", "dataflow", "--", "--project=acme-data", "--region=europe-west1", "--staging_location=" + w.bucket.Workspace("staging"),
		"--dataflow_endpoint=" + w.URL, "--max_num_workers=3", "--num_workers=1", "--service_account_email=harrow@acme-data.iam.gserviceaccount.com",
		"--worker_machine_type=e2-standard-2", "--no_use_public_ips", "--subnetwork=regions/europe-west1/subnetworks/workers",
		"--flexrs_goal=FLEXRS_COST_OPTIMIZED", `--labels={"team":"data"}`,
		"--worker_secrets=SHOP_TOKEN=projects/acme-data/secrets/shop-token,SHOP_DATABASE=projects/acme-data/secrets/shop-db/versions/2"}
}

func (w *world) equal(t *testing.T, h *harvest) {
	t.Helper()
	if diff := stable.Diff(w.want, h.tables()); diff != "" {
		t.Errorf("the direct runner and Dataflow differ:\n%s", diff)
	}
}

func TestTheStagedProgramRunsTheStagedPipeline(t *testing.T) {
	w := newWorld(t)
	h, flags := w.onDataflow(t)
	p := h.run(flags...)
	p.Want(rig.ExitDone)
	w.equal(t, h)
	jobs := w.Jobs()
	if len(jobs) != 1 || w.started == 0 {
		t.Fatalf("%d jobs, %d workers; want one and some", len(jobs), w.started)
	}
	got, err := w.staged(&jobs[0].Job)
	if err != nil {
		t.Fatal(err)
	}
	w.checkProgram(t, got)
	checkModel(t, got.Model)
	w.checkJob(t, jobs[0].JSON)
	w.noSecrets(t, h, p.Out.String())
	if want := "https://console.cloud.google.com/dataflow/jobs/europe-west1/" + jobs[0].Id + "?project=acme-data"; !strings.Contains(p.Out.String(), want) {
		t.Errorf("the job's page %s is not said:\n%s", want, p.Out.String())
	}
}

func TestWhatWorkersOnDataflowCantShareIsRefused(t *testing.T) {
	dir, file := t.TempDir(), program(t)
	text, err := os.ReadFile("testdata/shop.yaml")
	if err != nil {
		t.Fatal(err)
	}
	fakegcs.Start(t)
	rules, _, _ := strings.Cut(string(text), "\nrefine:")
	bucket, parquet := "gs://"+fakegcs.Bucket, `parquet: {path: "gs://b0b/out"}`
	project, rest := "--project=acme-data --region=europe-west1 ", "--staging_location=gs://acme/staging --max_num_workers=3 "
	for _, c := range []struct{ workspace, load, flags, want string }{
		{dir, parquet, project + rest, "want gs://BUCKET"},
		{bucket, "sqlite: {}", project + rest, "want postgres or parquet"},
		{bucket, fmt.Sprintf("parquet: {path: %q}", dir), project + rest, "want a gs:// address"},
		{bucket, parquet, rest, "--project is missing: the project that pays; --region is missing"},
		{bucket, parquet, project + rest + "--environment_type=LOOPBACK", "--environment_type is not known; want one of"},
	} {
		job := filepath.Join(dir, "job.yaml")
		if err := os.WriteFile(job, []byte(rules+"\nload:\n  "+c.load+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(file, append([]string{"run", job, "--workspace", c.workspace, "--param", "site=127.0.0.1:1", "--runner", "dataflow", "--"}, strings.Fields(c.flags)...)...)
		cmd.Env = append(os.Environ(), "SHOP_TOKEN="+token)
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != 2 || !strings.Contains(string(out), c.want) || strings.Count(string(out), "\n") != 1 {
			t.Errorf("%s, %s: %v, %s; want exit 2 and %q in one line", c.load, c.flags, err, out, c.want)
		}
	}
}

func TestAnInterruptedRunOnDataflowGoesOn(t *testing.T) {
	w := newWorld(t)
	h, flags := w.onDataflow(t)
	p := h.run(flags...)
	p.Eventually(func() bool { return len(w.Requests()) >= w.asked/3 })
	p.Signal(unix.SIGINT)
	p.Want(rig.ExitStopped)
	if state := w.Jobs()[0].State(); state != "CANCELLED" && state != "FAILED" {
		t.Fatalf("the job is left as %s", state)
	}
	asked := len(w.Requests())
	h.run(flags...).Want(rig.ExitDone)
	if again := len(w.Requests()) - asked; again >= w.asked {
		t.Errorf("%d requests before the interrupt, %d after it; an undisturbed run asks %d in all", asked, again, w.asked)
	}
	w.equal(t, h)
}
