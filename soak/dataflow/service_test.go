package dataflow

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	fnpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/fnexecution_v1"
	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"
	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism"
	"golang.org/x/sys/unix"
	api "google.golang.org/api/dataflow/v1b3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/soak/fakedataflow"
	"github.com/harrowdata/harrow/soak/fakegcs"
	"github.com/harrowdata/harrow/soak/rig"
)

// service runs jobs as Dataflow does. Prism stands for Dataflow's own part;
// for the container with Beam's boot program a pool stands that starts the
// staged program as that does, in an environment of its own.
type service struct {
	*fakedataflow.Server
	t      *testing.T
	bucket *fakegcs.Server
	prism  jobpb.JobServiceClient
	pool   string // address

	mu      sync.Mutex
	options []byte // of the job that was begun last
	worker  string // file of its program
	workers map[string]*rig.Process
	started int
	ran     sync.WaitGroup
}

func newService(t *testing.T) *service {
	t.Helper()
	s := &service{t: t, Server: fakedataflow.Start(t), bucket: fakegcs.Start(t), workers: map[string]*rig.Process{}}
	t.Setenv("SECRET_MANAGER_EMULATOR_HOST", strings.TrimSuffix(s.URL, "/"))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.pool = listener.Addr().String()
	server := grpc.NewServer()
	fnpb.RegisterBeamFnExternalWorkerPoolServer(server, &pool{service: s})
	go func() { _ = server.Serve(listener) }() // ends with the test
	t.Cleanup(func() { s.ran.Wait(); server.Stop() })
	s.prism, err = prism.CreateJobServer(context.WithoutCancel(t.Context()), prism.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s.Begin = s.begin
	return s
}

// staged is what a job says of what it needs.
type staged struct {
	ModelURL, ModelSHA256   string
	Model                   *pipepb.Pipeline
	WorkerURL, WorkerSHA256 string
	Options                 []byte // sdkPipelineOptions, which reach workers
}

// staged reads what was submitted back, as Dataflow has to.
func (s *service) staged(job *api.Job) (got staged, err error) {
	got.Options = job.Environment.SdkPipelineOptions
	var options struct {
		Options struct {
			PipelineURL       string `json:"pipelineUrl"`
			PipelineProtoHash string `json:"pipelineProtoHash"`
		} `json:"options"`
	}
	if err := json.Unmarshal(got.Options, &options); err != nil {
		return got, err
	}
	got.ModelURL, got.ModelSHA256 = options.Options.PipelineURL, options.Options.PipelineProtoHash
	data, err := s.object(got.ModelURL)
	if err != nil {
		return got, err
	}
	if sum := sum(data); sum != got.ModelSHA256 {
		return got, fmt.Errorf("%s has digest %s, the job says %s", got.ModelURL, sum, got.ModelSHA256)
	}
	got.Model = &pipepb.Pipeline{}
	if err := proto.Unmarshal(data, got.Model); err != nil {
		return got, err
	}
	for _, env := range got.Model.GetComponents().GetEnvironments() {
		for _, dep := range env.GetDependencies() {
			var url pipepb.ArtifactUrlPayload
			if err := proto.Unmarshal(dep.GetTypePayload(), &url); err != nil {
				return got, err
			}
			got.WorkerURL, got.WorkerSHA256 = url.GetUrl(), url.GetSha256()
		}
	}
	return got, nil
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

// object is what lies in the bucket.
func (s *service) object(url string) ([]byte, error) {
	name, ok := strings.CutPrefix(url, s.bucket.Workspace(""))
	if !ok {
		return nil, fmt.Errorf("%s is not in the bucket", url)
	}
	store, err := lakeio.Open(strings.TrimSuffix(s.bucket.Workspace(""), "/"))
	if err != nil {
		return nil, err
	}
	data, _, err := store.Read(context.WithoutCancel(s.t.Context()), name)
	return data, err
}

// begin runs a job in the background; what goes wrong is what the job fails of.
func (s *service) begin(job *fakedataflow.Job) {
	ctx := context.WithoutCancel(s.t.Context())
	id, err := s.submit(ctx, job)
	if err != nil {
		s.fail(job, err)
		return
	}
	job.Cancel = func() {
		if _, err := s.prism.Cancel(ctx, &jobpb.CancelJobRequest{JobId: id}); err != nil {
			s.t.Errorf("cancelling: %v", err)
		}
	}
	job.Set("RUNNING")
	s.ran.Go(func() { s.follow(ctx, job, id) })
}

func (s *service) fail(job *fakedataflow.Job, err error) {
	s.Say(api.JobMessage{Id: "failure", MessageImportance: "JOB_MESSAGE_ERROR", MessageText: "Error message from worker: " + err.Error(), Time: time.Now().UTC().Format(time.RFC3339)})
	job.Set("FAILED")
}

// submit takes what was staged and gives it to Prism, the environment but for
// the program being the pool.
func (s *service) submit(ctx context.Context, job *fakedataflow.Job) (string, error) {
	got, err := s.staged(&job.Job)
	if err != nil {
		return "", err
	}
	program, err := s.object(got.WorkerURL)
	if err != nil {
		return "", err
	}
	if sum := sum(program); sum != got.WorkerSHA256 {
		return "", fmt.Errorf("%s has digest %s, the pipeline says %s", got.WorkerURL, sum, got.WorkerSHA256)
	}
	file := filepath.Join(s.t.TempDir(), "worker")
	if err := os.WriteFile(file, program, 0o700); err != nil { //nolint:gosec // a program
		return "", err
	}
	s.mu.Lock()
	s.options, s.worker = got.Options, file
	s.mu.Unlock()
	payload, err := proto.Marshal(&pipepb.ExternalPayload{Endpoint: &pipepb.ApiServiceDescriptor{Url: s.pool}})
	if err != nil {
		return "", err
	}
	for _, env := range got.Model.GetComponents().GetEnvironments() {
		env.Urn, env.Payload, env.Dependencies = "beam:env:external:v1", payload, nil
	}
	prepared, err := s.prism.Prepare(ctx, &jobpb.PrepareJobRequest{Pipeline: got.Model, JobName: job.Name})
	if err != nil {
		return "", err
	}
	run, err := s.prism.Run(ctx, &jobpb.RunJobRequest{PreparationId: prepared.GetPreparationId()})
	return run.GetJobId(), err
}

// follow has the job's state be Prism's, once its workers are gone.
func (s *service) follow(ctx context.Context, job *fakedataflow.Job, id string) {
	for ; ; time.Sleep(20 * time.Millisecond) {
		answer, err := s.prism.GetState(ctx, &jobpb.GetJobStateRequest{JobId: id})
		if err != nil {
			s.fail(job, err)
			return
		}
		switch answer.GetState() {
		case jobpb.JobState_DONE, jobpb.JobState_CANCELLED:
			s.stopWorkers()
			job.Set(answer.GetState().String())
			return
		case jobpb.JobState_FAILED:
			s.stopWorkers()
			s.fail(job, s.why(ctx, id))
			return
		}
	}
}

// why is the last that Prism says of a job.
func (s *service) why(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	stream, err := s.prism.GetMessageStream(ctx, &jobpb.JobMessagesRequest{JobId: id})
	if err != nil {
		return err
	}
	last := fmt.Errorf("prism does not say why")
	for {
		message, err := stream.Recv()
		if err != nil {
			return last
		}
		if text := message.GetMessageResponse().GetMessageText(); strings.Contains(text, "rror") {
			last = fmt.Errorf("%s", text)
		}
	}
}

// stopWorkers takes the machines away, as Dataflow does: by and by.
func (s *service) stopWorkers() {
	s.mu.Lock()
	workers := make([]*rig.Process, 0, len(s.workers))
	for _, w := range s.workers {
		workers = append(workers, w)
	}
	s.mu.Unlock()
	for _, w := range workers {
		w.Signal(unix.SIGTERM)
	}
	patience := time.After(10 * time.Second)
	for _, w := range workers {
		select {
		case <-w.Exited:
		case <-patience:
			w.Signal(unix.SIGKILL)
			<-w.Exited
		}
	}
}

// pool starts workers as the container's boot program does.
type pool struct {
	fnpb.UnimplementedBeamFnExternalWorkerPoolServer
	*service
}

// StartWorker implements the service.
func (p *pool) StartWorker(_ context.Context, req *fnpb.StartWorkerRequest) (*fnpb.StartWorkerResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	dir := p.t.TempDir()
	options := filepath.Join(dir, "pipeline_options.json")
	if err := os.WriteFile(options, p.options, 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command(p.worker, "--worker=true", "--id="+req.GetWorkerId(), "--logging_endpoint="+req.GetLoggingEndpoint().GetUrl(),
		"--control_endpoint="+req.GetControlEndpoint().GetUrl(), "--semi_persist_dir="+dir)
	cmd.Dir = dir
	// Nothing of the submitter's environment but what stands for Google.
	cmd.Env = []string{"PIPELINE_OPTIONS_FILE=" + options, "TMPDIR=" + dir, "HOME=" + dir}
	for _, name := range []string{"STORAGE_EMULATOR_HOST", "SECRET_MANAGER_EMULATOR_HOST"} {
		cmd.Env = append(cmd.Env, name+"="+os.Getenv(name))
	}
	p.started++
	p.workers[fmt.Sprint(p.started)] = rig.Launch(p.t, cmd)
	return &fnpb.StartWorkerResponse{}, nil
}

// StopWorker implements the service.
func (p *pool) StopWorker(context.Context, *fnpb.StopWorkerRequest) (*fnpb.StopWorkerResponse, error) {
	return &fnpb.StopWorkerResponse{}, nil // they go when the job is over
}
