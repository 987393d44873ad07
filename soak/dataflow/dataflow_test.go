package dataflow

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
	"golang.org/x/sys/unix"
	"google.golang.org/protobuf/proto"

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

// checkProgram: the one that was run here is the one that was staged.
func (w *world) checkProgram(t *testing.T, got staged) {
	t.Helper()
	local, err := os.ReadFile(w.program)
	if err != nil {
		t.Fatal(err)
	}
	if want := sum(local); got.WorkerSHA256 != want {
		t.Errorf("the staged program has digest %s, the running one %s", got.WorkerSHA256, want)
	}
	if !strings.HasSuffix(got.WorkerURL, "/worker") {
		t.Errorf("%s: the boot program looks for worker", got.WorkerURL)
	}
}

// stages that a pipeline has, in the names of its transforms.
var stages = []string{"discover", "fetch", "parse", "refine", "load"}

// checkModel: Dataflow knows all that is in it.
func checkModel(t *testing.T, model *pipepb.Pipeline) {
	t.Helper()
	components := model.GetComponents()
	var names []string
	for _, transform := range components.GetTransforms() {
		names = append(names, strings.ToLower(transform.GetUniqueName()))
	}
	for _, stage := range stages {
		if !slices.ContainsFunc(names, func(n string) bool { return strings.Contains(n, stage) }) {
			t.Errorf("no transform is of stage %s: %v", stage, names)
		}
	}
	prefixed := map[string]bool{}
	for id, coder := range components.GetCoders() {
		urn := coder.GetSpec().GetUrn()
		for _, of := range coder.GetComponentCoderIds() {
			prefixed[of] = urn == lengthPrefix
			if inner := components.GetCoders()[of].GetSpec().GetUrn(); urn != lengthPrefix && !slices.Contains(coders, inner) {
				t.Errorf("coder %s is of %q, which Dataflow knows no end of", id, inner)
			}
		}
	}
	for id, coder := range components.GetCoders() {
		if urn := coder.GetSpec().GetUrn(); !slices.Contains(coders, urn) && !prefixed[id] {
			t.Errorf("coder %s is %q, which is not of Beam's model", id, urn)
		}
	}
	for id, collection := range components.GetPcollections() {
		if urn := components.GetCoders()[collection.GetCoderId()].GetSpec().GetUrn(); !slices.Contains(coders, urn) {
			t.Errorf("collection %s is in coder %q", id, urn)
		}
	}
	if len(components.GetEnvironments()) != 1 {
		t.Errorf("%d environments", len(components.GetEnvironments()))
	}
	for _, env := range components.GetEnvironments() {
		var docker pipepb.DockerPayload
		if err := proto.Unmarshal(env.GetPayload(), &docker); err != nil || env.GetUrn() != "beam:env:docker:v1" || !regexp.MustCompile(`^gcr\.io/cloud-dataflow/v1beta3/beam_go_sdk:2\.\d+\.\d+$`).MatchString(docker.GetContainerImage()) {
			t.Errorf("the environment is %s with %q, %v", env.GetUrn(), docker.GetContainerImage(), err)
		}
	}
}

// coders of Beam's model, which a runner can read. Beam's Go SDK has one of its
// own for int, and gives each value's length before it: a runner need not look
// into that.
var coders = []string{"beam:coder:bytes:v1", "beam:coder:string_utf8:v1", "beam:coder:kv:v1", "beam:coder:varint:v1", "beam:coder:iterable:v1",
	lengthPrefix, "beam:coder:global_window:v1", "beam:coder:windowed_value:v1", "beam:coder:bool:v1", "beam:coder:double:v1", "beam:coder:row:v1"}

const lengthPrefix = "beam:coder:length_prefix:v1"

// checkJob: what was asked for is in the job.
func (w *world) checkJob(t *testing.T, data []byte) {
	t.Helper()
	var job map[string]any
	if err := json.Unmarshal(data, &job); err != nil {
		t.Fatal(err)
	}
	store, err := lakeio.Open(w.bucket.Workspace("lake"))
	if err != nil {
		t.Fatal(err)
	}
	run, err := lakeio.LastRun(t.Context(), store, jobName)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]any{
		"name": "harrow-shop-" + run.ID, "type": "JOB_TYPE_BATCH", "projectId": "acme-data",
		"labels.team": "data", "labels.harrow-job": "shop", "labels.harrow-run": run.ID,
		"environment.serviceAccountEmail":                             "harrow@acme-data.iam.gserviceaccount.com",
		"environment.flexResourceSchedulingGoal":                      "FLEXRS_COST_OPTIMIZED",
		"environment.tempStoragePrefix":                               w.bucket.Workspace("staging/tmp"),
		"environment.workerPools.0.numWorkers":                        1.0,
		"environment.workerPools.0.machineType":                       "e2-standard-2",
		"environment.workerPools.0.ipConfiguration":                   "WORKER_IP_PRIVATE",
		"environment.workerPools.0.subnetwork":                        "regions/europe-west1/subnetworks/workers",
		"environment.workerPools.0.autoscalingSettings.maxNumWorkers": 3.0,
	} {
		if got := at(job, path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	experiments, _ := at(job, "environment.experiments").([]any)
	for _, want := range []string{"use_runner_v2", "beam_fn_api", "use_unified_worker", "use_portable_job_submission"} {
		if !slices.Contains(experiments, any(want)) {
			t.Errorf("experiment %s is missing in %v", want, experiments)
		}
	}
	// Of options, workers get where their secrets lie, and nothing else.
	options, _ := at(job, "environment.sdkPipelineOptions.beam:option:go_options:v1.options").(map[string]any)
	if got := slices.Sorted(maps.Keys(options)); !slices.Equal(got, []string{"experiments", "hookOrder", "hooks"}) {
		t.Errorf("options of workers: %v", options)
	}
}

// at is the value at a path of names and numbers, with points between them.
func at(value any, path string) any {
	if path == "" {
		return value
	}
	name, rest, _ := strings.Cut(path, ".")
	switch v := value.(type) {
	case map[string]any:
		return at(v[name], rest)
	case []any:
		if name == "0" && len(v) > 0 {
			return at(v[0], rest)
		}
	}
	return nil
}

// noSecrets: they were sent to nobody but the shop and the database.
func (w *world) noSecrets(t *testing.T, h *harvest, out string) {
	t.Helper()
	secrets := []string{token, h.database}
	look := func(where string, text string) {
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("a secret is in %s", where)
			}
		}
	}
	look("what the command writes", out)
	for _, request := range w.Sent() {
		first, _, _ := strings.Cut(request, "\n")
		look(first, request)
	}
	store, err := lakeio.Open(strings.TrimSuffix(w.bucket.Workspace(""), "/"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	each(t, store, "", func(name string, data []byte) { n++; look(name, string(data)) })
	if n < 20 {
		t.Errorf("only %d objects were looked into", n)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, worker := range w.workers {
		look("what a worker writes", worker.Out.String())
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
