package dataflow

import (
	"encoding/json"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
	"google.golang.org/protobuf/proto"

	"github.com/harrowdata/harrow/io/lakeio"
)

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
