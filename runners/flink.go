package runners

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"

	"github.com/harrowdata/harrow/internal/flink"
	"github.com/harrowdata/harrow/internal/loopback"
	"github.com/harrowdata/harrow/runners/jobmanager"
)

// poolBeside is where each TaskManager has a worker pool unless told otherwise.
const poolBeside = "localhost:50000"

// flinkRunner submits to Apache Flink through Beam's job server, which
// translates a bounded pipeline to Flink's DataSet API: a step becomes one
// MapPartition, so that a subtask has its whole share in one bundle. The limits
// of a bundle's size and time, and the number of retries, of Beam's Flink
// options are for streams; the retries are made Flink's own here, for a cluster
// within the job server.
type flinkRunner struct {
	Options // its Name is the submission's: no other job has it
	env     environment
	width   int // subtasks of a step
	mode    string
	reuse   bool
	retries int
	delay   int  // before a retry, ms
	told    bool // the retries or their delay, by who runs the job
}

// Flink's restarts unless told otherwise: a lost TaskManager is no failure.
const (
	defaultRetries = 10
	defaultDelay   = 1000 // ms
)

func openFlink(o Options) (machine, error) {
	f := &flinkRunner{Options: o}
	f.Name = jobmanager.Name(o.Name, o.Workspace, rand.Text())
	if err := beamFlags(o, f.define); err != nil {
		return nil, err
	}
	return f, f.check()
}

func (f *flinkRunner) define(fs *flag.FlagSet) {
	f.env.define(fs)
	fs.IntVar(&f.width, "parallelism", 1, "a whole number > 0: subtasks of a step")
	fs.StringVar(&f.mode, "execution_mode_for_batch", modes[0], fmt.Sprintf("one of %v", modes))
	fs.BoolVar(&f.reuse, "object_reuse", false, "true or false")
	fs.IntVar(&f.retries, "number_of_execution_retries", -1, "a whole number >= 0: restarts of the job after which it fails")
	fs.IntVar(&f.delay, "execution_retry_delay", -1, "milliseconds, >= 0")
}

// modes are Flink's of a batch job (ExecutionMode), the default first. In batch
// modes a step begins when what it takes is whole: a lost task takes few others
// with it, and fewer slots than subtasks are enough; but each such hand-over has
// taskmanager.network.sort-shuffle.min-buffers, 16 MiB by default, so that a
// cluster as it comes runs out of them.
var modes = []string{"PIPELINED", "PIPELINED_FORCED", "BATCH", "BATCH_FORCED"}

func (f *flinkRunner) check() error {
	kind := envExternal
	switch {
	case f.FlinkMaster == flink.Local:
		kind = envLoopback
	case f.FlinkMaster != "":
		if err := hostPort(f.FlinkMaster); err != nil {
			return fmt.Errorf("--flink-master %s: %w of the JobManager's REST API, or %s", f.FlinkMaster, err, flink.Local)
		}
	case f.Endpoint == "":
		return errors.New("want --flink-master HOST:PORT of the JobManager's REST API, or --flink-master " + flink.Local)
	}
	if f.width < 1 {
		return fmt.Errorf("-- --parallelism=%d: want a whole number > 0", f.width)
	}
	if !slices.Contains(modes, f.mode) {
		return fmt.Errorf("-- --execution_mode_for_batch=%s: want one of %v", f.mode, modes)
	}
	if err := f.checkRestarts(); err != nil {
		return err
	}
	if err := f.env.check(kind, poolBeside); err != nil {
		return err
	}
	return f.checkEndpoint()
}

// checkEndpoint wants to know the cluster behind a job server that was named:
// to cancel a job that server only stops waiting for it. Workers in this process
// end with it, and so does their job.
func (f *flinkRunner) checkEndpoint() error {
	if f.Endpoint == "" {
		return nil
	}
	if err := hostPort(f.Endpoint); err != nil {
		return fmt.Errorf("--endpoint %s: %w of a Beam job server", f.Endpoint, err)
	}
	if f.FlinkMaster == "" && f.env.kind != envLoopback {
		return fmt.Errorf("--endpoint %s alone: want --flink-master HOST:PORT too, of the JobManager's REST API, since a job server can't cancel its job there; or %s, if its Flink is within it", f.Endpoint, flink.Local)
	}
	return nil
}

func (f *flinkRunner) checkRestarts() error {
	for _, o := range []struct {
		name     string
		value    *int
		fallback int
	}{{"number_of_execution_retries", &f.retries, defaultRetries}, {"execution_retry_delay", &f.delay, defaultDelay}} {
		switch {
		case *o.value == -1:
			*o.value = o.fallback
			continue
		case *o.value < 0:
			return fmt.Errorf("-- --%s=%d: want 0 or more", o.name, *o.value)
		case f.Endpoint != "":
			return fmt.Errorf("-- --%s goes by the configuration of the job server; leave it out with --endpoint", o.name)
		}
		f.told = true
	}
	return nil
}

func (f *flinkRunner) remote() bool { return f.env.kind != envLoopback }

func (f *flinkRunner) parallelism() int { return f.width }

// jobManager is where the cluster can be asked; !ok: nowhere, it lives in a job
// server or only that knows it.
func (f *flinkRunner) jobManager() (m jobmanager.Client, ok bool) {
	return jobmanager.Client{Address: f.FlinkMaster}, f.FlinkMaster != "" && f.FlinkMaster != flink.Local
}

// options are the job's, by Beam's names. They do not travel by themselves: the
// Go SDK sends only the parallelism.
func (f *flinkRunner) options() map[string]any {
	return map[string]any{
		"job_name":                 f.Name,
		"parallelism":              f.width,
		"execution_mode_for_batch": f.mode,
		"object_reuse":             f.reuse,
	}
}

// conf is Flink's own configuration of a cluster within the job server. Another
// one goes by its own, see [jobmanager.Restarts].
func (f *flinkRunner) conf() map[string]string {
	if f.retries == 0 {
		return map[string]string{"restart-strategy.type": "none"}
	}
	return map[string]string{
		"restart-strategy.type":                 "fixed-delay",
		"restart-strategy.fixed-delay.attempts": strconv.Itoa(f.retries),
		"restart-strategy.fixed-delay.delay":    strconv.Itoa(f.delay) + " ms",
	}
}

func (f *flinkRunner) execute(ctx context.Context, p *beam.Pipeline) (_ Result, err error) {
	if err := f.makeWay(ctx); err != nil {
		return Result{}, err
	}
	pool, stop, err := f.env.workers(ctx)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	pipeline, err := translate(ctx, p, pool)
	if err != nil {
		return Result{}, err
	}
	apart(pipeline)
	res, j, err := f.attempts(f.equipped(ctx), func(equipped bool) (Result, *job, error) {
		j := &job{log: f.Log, pipeline: pipeline}
		res, err := f.converse(ctx, j, equipped)
		return res, j, err
	})
	if err != nil && j.client != nil {
		err = errors.Join(err, f.endLate(ctx, j, res.Link != ""))
	}
	return res, err
}

// converse has a job server run the job, and ends that, if it is this run's.
func (f *flinkRunner) converse(ctx context.Context, j *job, equipped bool) (Result, error) {
	ctx, endpoint, closeServer, err := f.server(ctx, equipped)
	if err != nil {
		return Result{}, err
	}
	defer func() {
		if err := closeServer(); err != nil { // what the job has come to it has
			fmt.Fprintf(f.Log, "flink: the job server's end: %v\n", err)
		}
	}()
	conn, err := dial(endpoint)
	if err != nil {
		return Result{}, err
	}
	defer func() { _ = conn.Close() }() // nothing is on it any more
	j.client = jobpb.NewJobServiceClient(conn)
	return f.follow(ctx, j)
}

// ready asks the JobManager for anything.
func (f *flinkRunner) ready(ctx context.Context) error {
	m, ok := f.jobManager()
	if !ok {
		return nil
	}
	if _, err := m.Overview(ctx); err != nil {
		return fmt.Errorf("--flink-master %s: %w", f.FlinkMaster, err)
	}
	return nil
}

// makeWay ends what an earlier process left of the same harvest on the cluster:
// whoever runs it now has the job's lock in its workspace.
func (f *flinkRunner) makeWay(ctx context.Context) error {
	m, ok := f.jobManager()
	if !ok {
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, endPatience)
	defer cancel()
	if err := f.cancelled(m.End(bounded, jobmanager.Sibling(f.Name))); err != nil {
		return err
	}
	has, err := m.Overview(ctx)
	if err != nil {
		return nil // it was asked for its jobs just now, and what follows is advice
	}
	if has.TaskManagers > 1 && f.env.kind == envLoopback {
		return fmt.Errorf("-- --environment_type=%s: workers in this process are for one TaskManager on this machine, and the cluster has %d; leave it out, and let each have a worker pool", envLoopback, has.TaskManagers)
	}
	if has.Slots > 0 && f.width == 1 {
		fmt.Fprintf(f.Log, "flink: the cluster has %d task slots and the job uses 1; more: -- --parallelism=%d\n", has.Slots, has.Slots)
	}
	if config, err := m.Config(ctx); err == nil {
		f.adviseRestarts(jobmanager.Restarts(config))
	}
	return nil
}

// adviseRestarts says what is wrong with how the cluster restarts jobs.
func (f *flinkRunner) adviseRestarts(how string) {
	switch {
	case how == jobmanager.NoRestarts:
		fmt.Fprintln(f.Log, "flink: the cluster restarts no job, so that a lost TaskManager fails this one; set restart-strategy.type: fixed-delay in its configuration")
	case f.told:
		fmt.Fprintf(f.Log, "flink: --number_of_execution_retries and --execution_retry_delay are for --flink-master %s; the cluster's own configuration says %s\n", flink.Local, how)
	}
}

// server is the job server to use: the one that was named, or one of this run,
// whose end ends the context. To an equipped cluster it brings no jars.
func (f *flinkRunner) server(ctx context.Context, equipped bool) (_ context.Context, endpoint string, end func() error, err error) {
	if f.Endpoint != "" {
		return ctx, f.Endpoint, func() error { return nil }, nil
	}
	s, err := flink.StartJobServer(ctx, flink.JobServer{Master: f.FlinkMaster, Equipped: equipped, Options: f.conf()})
	if err != nil {
		return ctx, "", nil, err
	}
	if why := s.Bare(); why != nil {
		fmt.Fprintln(f.Log, loopback.Warn("flink: the job server", why))
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var watched sync.WaitGroup
	watched.Go(func() {
		select {
		case <-s.Done():
			cancel(fmt.Errorf("%w: %w", errLost, s.Err()))
		case <-ctx.Done():
		}
	})
	return ctx, s.Endpoint(), func() error {
		cancel(nil)
		watched.Wait()
		return s.Close()
	}, nil
}

// follow runs the job to its end.
func (f *flinkRunner) follow(ctx context.Context, j *job) (Result, error) {
	var shown sync.WaitGroup
	link := ""
	look, enough := context.WithCancel(ctx)
	if m, ok := f.jobManager(); ok {
		// The job server only stops waiting: its job would go on.
		j.end = func(ctx context.Context) error {
			_, err := m.End(ctx, f.mine)
			return err
		}
		j.running = func() { shown.Go(func() { link = f.show(look, m) }) }
	}
	res, err := j.run(ctx, f.Name, f.options())
	enough()
	shown.Wait()
	res.Link = link
	return res, err
}

// mine tells this submission from all other jobs.
func (f *flinkRunner) mine(j jobmanager.Job) bool { return j.Name == f.Name }

// latePatience is how long a job that was never seen may be on its way from the
// job server to the cluster, but in tests.
var latePatience = 3 * time.Second

// endLate makes sure, after the job server's end, that nothing of a job that
// has not come to its own end goes on on the cluster. The job server says that
// a job runs long before it has handed it on: one that was never seen may come
// yet.
func (f *flinkRunner) endLate(ctx context.Context, j *job, seen bool) error {
	m, ok := f.jobManager()
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endPatience)
	defer cancel()
	for until := time.Now().Add(latePatience); ; {
		n, err := m.End(ctx, f.mine)
		if err != nil || n > 0 || seen || !j.sent || j.state == jobpb.JobState_FAILED || time.Now().After(until) {
			return err
		}
		select {
		case <-time.After(min(showEvery, latePatience)):
		case <-ctx.Done():
			return nil
		}
	}
}

// showEvery is how often Flink is asked whether it has the job.
const showEvery = 500 * time.Millisecond

// othersEvery is how often it is asked for others of the harvest then, but in
// tests.
var othersEvery = 5 * time.Second

// show says where Flink shows the job, once it does, and as long as the job runs
// it ends others of the same harvest: what a killed process had submitted may
// come when its successor has looked, and would hold slots.
func (f *flinkRunner) show(ctx context.Context, m jobmanager.Client) (link string) {
	every := showEvery
	for {
		if job, ok, err := m.Find(ctx, f.Name); link == "" && ok && err == nil {
			link, every = m.Link(job.ID), othersEvery
			fmt.Fprintf(f.Log, "flink: the job is at %s\n", link)
		}
		f.endOthers(ctx, m)
		select {
		case <-time.After(every):
		case <-ctx.Done():
			return link
		}
	}
}

// endOthers cancels what an earlier process has left of the same harvest, if
// that is still this process's. What fails is tried again.
func (f *flinkRunner) endOthers(ctx context.Context, m jobmanager.Client) {
	if f.Holds == nil {
		return
	}
	sibling := jobmanager.Sibling(f.Name)
	others := func(j jobmanager.Job) bool { return sibling(j) && !f.mine(j) }
	jobs, err := m.Jobs(ctx)
	if err != nil || !slices.ContainsFunc(jobs, func(j jobmanager.Job) bool { return others(j) && !j.Ended() }) || !f.Holds(ctx) {
		return
	}
	bounded, cancel := context.WithTimeout(ctx, endPatience)
	defer cancel()
	_ = f.cancelled(m.End(bounded, others))
}

// cancelled says how many jobs of an earlier process were.
func (f *flinkRunner) cancelled(n int, err error) error {
	if n > 0 {
		fmt.Fprintf(f.Log, "flink: cancelled %d jobs that an earlier process had left\n", n)
	}
	return err
}
