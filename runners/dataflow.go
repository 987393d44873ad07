package runners

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/graphx"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/util/hooks"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/util/protox"
	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/dataflow/dataflowlib"
	api "google.golang.org/api/dataflow/v1b3"
	"google.golang.org/protobuf/proto"

	"github.com/harrowdata/harrow/runners/dataflow"
)

// Dataflow is the runner whose workers share nothing with this machine.
const Dataflow = "dataflow"

// Staged is the state of a job that was written down as a template and not
// submitted: nothing has run.
const Staged = "STAGED"

// dataflowRunner submits to Google Cloud Dataflow. Beam's own way there is not
// taken: it ships whatever was set on Go's global flag set, looks at a job
// every 30 seconds, deaf to its context, and can't cancel it.
type dataflowRunner struct {
	dataflow.Options
	name string
	log  io.Writer
}

func openDataflow(o Options) (machine, error) {
	if err := notFor(o, "--flink-master", "--endpoint"); err != nil {
		return nil, err
	}
	d := &dataflowRunner{name: o.Name, log: o.Log}
	if err := beamFlags(o, d.Define); err != nil {
		return nil, err
	}
	return d, d.Check()
}

func (d *dataflowRunner) remote() bool { return true }

func (d *dataflowRunner) parallelism() int { return int(d.MaxWorkers) }

func (d *dataflowRunner) program() string { return d.Worker }

func (d *dataflowRunner) execute(ctx context.Context, p *beam.Pipeline) (Result, error) {
	job, run, err := dataflow.SplitName(d.name)
	if err != nil {
		return Result{}, err
	}
	client, err := dataflow.Open(ctx, d.Options, d.log)
	if err != nil {
		return Result{}, err
	}
	submission, err := d.stage(ctx, p, d.Label(job, run))
	if err != nil {
		return Result{}, err
	}
	if d.Template != "" {
		return d.writeTemplate(ctx, submission)
	}
	if err := client.CancelRun(ctx, run); err != nil {
		return Result{}, err
	}
	id, err := client.Submit(ctx, submission)
	if err != nil {
		return Result{}, err
	}
	res := Result{Link: client.Link(id)}
	fmt.Fprintf(d.log, "dataflow: job %s: %s\n", id, res.Link)
	if res.State, err = client.Wait(ctx, id); err != nil {
		return res, err
	}
	res.Counters, err = client.Counters(ctx, id)
	if err != nil { // the run is done all the same
		fmt.Fprintf(d.log, "dataflow: %v\n", err)
	}
	return res, nil
}

// stage puts the worker's program and the pipeline where Dataflow finds them.
func (d *dataflowRunner) stage(ctx context.Context, p *beam.Pipeline, labels map[string]string) (job *api.Job, err error) {
	model, err := modelOf(p, d.image())
	if err != nil {
		return nil, err
	}
	stage, err := dataflow.OpenStage(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stage.Close()) }()
	fmt.Fprintln(d.log, "dataflow: staging the worker's program and the pipeline in", d.Staging)
	worker, err := stage.Worker(ctx, d.Staging, d.Worker)
	if err != nil {
		return nil, err
	}
	if err := graphx.UpdateDefaultEnvWorkerType(graphx.URNArtifactURLType, protox.MustEncode(&pipepb.ArtifactUrlPayload{Url: worker.URL, Sha256: worker.SHA256}), model); err != nil {
		return nil, err
	}
	encoded, err := proto.MarshalOptions{Deterministic: true}.Marshal(model)
	if err != nil {
		return nil, err
	}
	request := rand.Text() // of this submission
	staged, err := stage.Put(ctx, dataflow.Join(d.Staging, "harrow", d.name, request, "model"), encoded)
	if err != nil {
		return nil, err
	}
	options, err := workerOptions(d.Secrets)
	if err != nil {
		return nil, err
	}
	job, err = dataflowlib.Translate(ctx, model, d.jobOptions(labels, worker, options), worker.URL, staged.URL, staged.SHA256)
	if err != nil {
		return nil, err
	}
	job.ClientRequestId = request
	return job, nil
}

// writeTemplate keeps the job for whoever launches it.
func (d *dataflowRunner) writeTemplate(ctx context.Context, job *api.Job) (_ Result, err error) {
	job.ClientRequestId = "" // each launch has its own
	data, err := json.MarshalIndent(job, "", "  ")
	if err != nil {
		return Result{}, err
	}
	stage, err := dataflow.OpenStage(ctx)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, stage.Close()) }()
	_, err = stage.Put(ctx, d.Template, data)
	return Result{State: Staged, Link: d.Template}, err
}

// image is the container of workers: Google's, of the SDK that is in this
// program, unless told otherwise.
func (d *dataflowRunner) image() string {
	if d.Image != "" {
		return d.Image
	}
	return "gcr.io/cloud-dataflow/v1beta3/beam_go_sdk:" + core.SdkVersion
}

// modelOf writes a pipeline down as Beam's model, its workers in containers.
func modelOf(p *beam.Pipeline, image string) (*pipepb.Pipeline, error) {
	edges, _, err := p.Build()
	if err != nil {
		return nil, err
	}
	env, err := graphx.CreateEnvironment(context.Background(), graphx.URNEnvDocker, func(context.Context) string { return image })
	if err != nil {
		return nil, err
	}
	return graphx.Marshal(edges, &graphx.Options{Environment: env})
}

// runnerV2 are the experiments that each pipeline in Go needs.
var runnerV2 = []string{"beam_fn_api", "use_runner_v2", "use_unified_worker", "use_portable_job_submission"}

func (d *dataflowRunner) jobOptions(labels map[string]string, worker dataflow.Staged, options runtime.RawOptions) *dataflowlib.JobOptions {
	experiments := slices.Clone(d.Experiments)
	for _, e := range runnerV2 {
		if !slices.Contains(experiments, e) {
			experiments = append(experiments, e)
		}
	}
	return &dataflowlib.JobOptions{
		Name: d.name, Labels: labels, Project: d.Project, Region: d.Region, WorkerZone: d.WorkerZone,
		Experiments: experiments, DataflowServiceOptions: d.ServiceOptions, Options: options,
		TempLocation: d.Temp, WorkerHash: worker.SHA256, ContainerImage: d.image(),
		ServiceAccountEmail: d.ServiceAccount, MachineType: d.MachineType, DiskSizeGb: d.DiskGB, DiskType: d.DiskType,
		NumWorkers: d.NumWorkers, MaxNumWorkers: d.MaxWorkers, Algorithm: d.Autoscaling, FlexRSGoal: d.FlexRS,
		Network: d.Network, Subnetwork: d.Subnetwork, NoUsePublicIPs: d.NoPublicIPs, KmsKey: d.KMSKey,
	}
}

// secretsHook is run by Beam in a worker, before it takes any work.
const secretsHook = "harrow_secrets"

func init() {
	hooks.RegisterHook(secretsHook, func(args []string) hooks.Hook {
		return hooks.Hook{Init: func(ctx context.Context) (context.Context, error) {
			for _, arg := range args {
				secrets, err := dataflow.ParseSecrets(arg)
				if err == nil {
					err = dataflow.SetSecrets(ctx, secrets)
				}
				if err != nil {
					return ctx, err
				}
			}
			return ctx, nil
		}}
	})
}

// workerOptions are all the options that reach a worker: where its secrets
// lie. They are as Beam writes its hooks down; Beam's own way to do that is to
// set options of this whole process, and with them go those that any flag was
// given.
func workerOptions(secrets []dataflow.Secret) (runtime.RawOptions, error) {
	enabled, order := map[string][]string{}, []string{}
	if len(secrets) > 0 {
		enabled[secretsHook], order = []string{dataflow.FormatSecrets(secrets)}, []string{secretsHook}
	}
	hook, err := json.Marshal(enabled)
	if err != nil {
		return runtime.RawOptions{}, err
	}
	inOrder, err := json.Marshal(order)
	return runtime.RawOptions{Options: map[string]string{"hooks": string(hook), "hookOrder": string(inOrder)}}, err
}
