package runners

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/harrowdata/harrow/runners/jobmanager"
)

const (
	thisRun = "harrow-shop-0190c0de-0000-7000-8000-000000000002"
	lastRun = "harrow-shop-0190c0de-0000-7000-8000-000000000001"

	workspace = "gs://bucket/harvests"
)

// master is a JobManager's REST API with jobs on it; a job that is cancelled
// has ended at once.
type master struct {
	*httptest.Server
	mu     sync.Mutex
	jobs   []jobmanager.Job
	looks  int             // how often it is asked for its jobs until
	looked chan<- struct{} // this is told so; nil: nobody wants to know
}

func newMaster(t *testing.T, jobs ...jobmanager.Job) *master {
	t.Helper()
	m := &master{jobs: jobs}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /jobs/overview", func(w http.ResponseWriter, _ *http.Request) {
		m.mu.Lock()
		defer m.mu.Unlock()
		_ = json.NewEncoder(w).Encode(map[string]any{"jobs": m.jobs})
		if m.looks--; m.looks == 0 && m.looked != nil {
			m.looked <- struct{}{}
		}
	})
	mux.HandleFunc("GET /overview", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"taskmanagers":2,"slots-total":4}`))
	})
	mux.HandleFunc("PATCH /jobs/{id}", func(w http.ResponseWriter, r *http.Request) {
		m.mu.Lock()
		defer m.mu.Unlock()
		for i, j := range m.jobs {
			if j.ID == r.PathValue("id") {
				m.jobs[i].State = "CANCELED"
			}
		}
		w.WriteHeader(http.StatusAccepted)
	})
	m.Server = httptest.NewServer(mux)
	t.Cleanup(m.Close)
	return m
}

func (m *master) address() string { return strings.TrimPrefix(m.URL, "http://") }

// states are the jobs' by id.
func (m *master) states() (list []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, j := range m.jobs {
		list = append(list, j.ID+" "+j.State)
	}
	slices.Sort(list)
	return list
}

func TestOnlyOneJobOfAHarvestIsOnTheCluster(t *testing.T) {
	m := newMaster(t, jobmanager.Job{ID: "zombie", Name: jobmanager.Name(lastRun, workspace, "a process"), State: "RUNNING"}, jobmanager.Job{ID: "other", Name: "wordcount", State: "RUNNING"},
		jobmanager.Job{ID: "staging", Name: jobmanager.Name(lastRun, "gs://staging", "a process"), State: "RUNNING"})
	s := (&service{plays: [][]*jobpb.JobMessagesResponse{{state(jobpb.JobState_DONE)}}}).start(t)
	var log bytes.Buffer
	if _, err := Execute(t.Context(), "flink", aPipeline(), Options{Name: thisRun, Workspace: workspace, FlinkMaster: m.address(), Endpoint: s.endpoint, Log: &log}); err != nil {
		t.Fatal(err)
	}
	if got := m.states(); !slices.Equal(got, []string{"other RUNNING", "staging RUNNING", "zombie CANCELED"}) {
		t.Errorf("on the cluster: %v", got)
	}
	if !strings.Contains(log.String(), "cancelled 1 jobs") || !strings.Contains(log.String(), "--parallelism=4") {
		t.Errorf("said %q", log.String())
	}
}

func TestNothingIsSubmittedToAClusterThatCantBeAsked(t *testing.T) {
	m := newMaster(t)
	m.Close()
	s := (&service{}).start(t)
	_, err := Execute(t.Context(), "flink", aPipeline(), Options{Name: thisRun, Workspace: workspace, FlinkMaster: m.address(), Endpoint: s.endpoint})
	if !errors.Is(err, jobmanager.ErrUnavailable) || s.prepared != nil {
		t.Errorf("%v, prepared %v", err, s.prepared)
	}
}

func TestAJobThatIsGivenUpEndsOnTheCluster(t *testing.T) {
	for name, lost := range map[string]bool{"by its run": false, "with its job server": true} {
		t.Run(name, func(t *testing.T) {
			impatient(t)
			endPatience = 10 * time.Second // the service is deaf: only the cluster counts
			m := newMaster(t, jobmanager.Job{ID: "old", Name: thisRun, State: "FAILED", Start: 9})
			s := &service{plays: [][]*jobpb.JobMessagesResponse{running, {}}, deaf: true}
			if lost {
				s.then = status.Error(codes.Unavailable, "gone")
			}
			s.start(t)
			ctx, giveUp := context.WithCancel(t.Context())
			defer giveUp()
			log := said(func(line string) {
				if strings.Contains(line, "the job is at http://") && !lost {
					giveUp()
				}
			})
			s.runs = func() {
				m.mu.Lock()
				defer m.mu.Unlock()
				name, _ := s.prepared.GetPipelineOptions().AsMap()["beam:option:job_name:v1"].(string)
				// Another process may have gone on with the run meanwhile.
				m.jobs = append(m.jobs, jobmanager.Job{ID: "new", Name: name, State: "RUNNING", Start: 1},
					jobmanager.Job{ID: "taken over", Name: jobmanager.Name(thisRun, workspace, "another process"), State: "RUNNING", Start: 2})
			}
			res, err := Execute(ctx, "flink", aPipeline(), Options{Name: thisRun, Workspace: workspace, FlinkMaster: m.address(), Endpoint: s.endpoint, Log: log})
			if lost && !errors.Is(err, errLost) || !lost && !errors.Is(err, context.Canceled) {
				t.Errorf("%+v, %v", res, err)
			}
			if got := m.states(); !slices.Equal(got, []string{"new CANCELED", "old FAILED", "taken over RUNNING"}) {
				t.Errorf("on the cluster: %v", got)
			}
			if !lost && s.cancels != 1 { // or it may hand the job on still
				t.Errorf("the service was told %d times", s.cancels)
			}
			if !lost && (!strings.HasSuffix(res.Link, "/new/overview") || res.State != "CANCELLED") {
				t.Errorf("%+v", res)
			}
		})
	}
}

// TestAJobThatCameLateEnds: the service says that a job runs long before the
// cluster has it.
func TestAJobThatCameLateEnds(t *testing.T) {
	impatient(t)
	endPatience, latePatience = 10*time.Second, 5*time.Second
	m := newMaster(t)
	s := (&service{plays: [][]*jobpb.JobMessagesResponse{running}, deaf: true}).start(t)
	ctx, giveUp := context.WithCancel(t.Context())
	s.runs = func() {
		name, _ := s.prepared.GetPipelineOptions().AsMap()["beam:option:job_name:v1"].(string)
		giveUp()
		time.AfterFunc(time.Second, func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.jobs = append(m.jobs, jobmanager.Job{ID: "late", Name: name, State: "RUNNING"})
		})
	}
	_, err := Execute(ctx, "flink", aPipeline(), Options{Name: thisRun, Workspace: workspace, FlinkMaster: m.address(), Endpoint: s.endpoint})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if got := m.states(); !slices.Equal(got, []string{"late CANCELED"}) {
		t.Errorf("on the cluster: %v", got)
	}
}

// TestWhatAKilledProcessHadSubmittedEnds: it may come to the cluster when its
// successor's job is there.
func TestWhatAKilledProcessHadSubmittedEnds(t *testing.T) {
	for name, c := range map[string]struct {
		holds func(context.Context) bool
		want  string
	}{
		"by who holds the job":    {func(context.Context) bool { return true }, "CANCELED"},
		"not by who has lost it":  {func(context.Context) bool { return false }, "RUNNING"},
		"not by who can't say so": {nil, "RUNNING"},
	} {
		t.Run(name, func(t *testing.T) {
			impatient(t)
			endPatience = 10 * time.Second
			m := newMaster(t)
			s := (&service{plays: [][]*jobpb.JobMessagesResponse{running}}).start(t)
			s.runs = func() {
				m.mu.Lock()
				defer m.mu.Unlock()
				name, _ := s.prepared.GetPipelineOptions().AsMap()["beam:option:job_name:v1"].(string)
				m.jobs = append(m.jobs, jobmanager.Job{ID: "own", Name: name, State: "RUNNING"})
			}
			ctx, giveUp := context.WithCancel(t.Context())
			defer giveUp()
			asked := make(chan struct{}, 1) // often enough since the other is there that it has ended
			o := Options{Name: thisRun, Workspace: workspace, FlinkMaster: m.address(), Endpoint: s.endpoint, Holds: c.holds}
			o.Log = said(func(line string) {
				if !strings.Contains(line, "the job is at http://") {
					return
				}
				m.mu.Lock()
				m.jobs = append(m.jobs, jobmanager.Job{ID: "other", Name: jobmanager.Name(thisRun, workspace, "a killed process"), State: "RUNNING"},
					jobmanager.Job{ID: "wordcount", Name: "wordcount", State: "RUNNING"})
				m.looks, m.looked = 4, asked
				m.mu.Unlock()
			})
			go func() {
				select {
				case <-asked:
					giveUp()
				case <-ctx.Done():
				}
			}()
			if _, err := Execute(ctx, "flink", aPipeline(), o); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			if got := m.states(); !slices.Equal(got, []string{"other " + c.want, "own CANCELED", "wordcount RUNNING"}) {
				t.Errorf("on the cluster: %v", got)
			}
		})
	}
}

func TestWorkersInThisProcessAreForOneTaskManager(t *testing.T) {
	m := newMaster(t)
	s := (&service{}).start(t)
	_, err := Execute(t.Context(), "flink", aPipeline(), Options{Name: thisRun, FlinkMaster: m.address(), Endpoint: s.endpoint, Beam: []string{"--environment_type=LOOPBACK"}})
	if err == nil || !strings.Contains(err.Error(), "the cluster has 2") || s.prepared != nil {
		t.Errorf("%v, prepared %v", err, s.prepared)
	}
}

// said is a log that is listened to.
type said func(line string)

func (s said) Write(p []byte) (int, error) { s(string(p)); return len(p), nil }

func TestRestartsAreFlinksOwn(t *testing.T) {
	t.Parallel()
	for flags, want := range map[string]string{
		"": "fixed-delay 10 1000 ms",
		"--number_of_execution_retries=3 --execution_retry_delay=50": "fixed-delay 3 50 ms",
		"--number_of_execution_retries=0":                            "none  ",
	} {
		m, err := openFlink(Options{FlinkMaster: "jm:1", Beam: strings.Fields(flags)})
		if err != nil {
			t.Fatal(err)
		}
		conf := m.(*flinkRunner).conf()
		if got := conf["restart-strategy.type"] + " " + conf["restart-strategy.fixed-delay.attempts"] + " " + conf["restart-strategy.fixed-delay.delay"]; got != want {
			t.Errorf("%q: %s, want %s", flags, got, want)
		}
	}
}

func TestWhoMeantToSayHowJobsAreRestartedHearsWhoDoes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ flags, cluster, says string }{
		{"", "fixed-delay, 20 times", ""},
		{"", jobmanager.NoRestarts, "the cluster restarts no job"},
		{"--number_of_execution_retries=3", jobmanager.NoRestarts, "the cluster restarts no job"},
		{"--number_of_execution_retries=3", "fixed-delay, 20 times", "configuration says fixed-delay, 20 times"},
		{"--execution_retry_delay=3", "exponential-delay", "configuration says exponential-delay"},
	} {
		var said bytes.Buffer
		m, err := openFlink(Options{FlinkMaster: "jm:1", Beam: strings.Fields(c.flags), Log: &said})
		if err != nil {
			t.Fatal(err)
		}
		m.(*flinkRunner).adviseRestarts(c.cluster)
		if got := said.String(); !strings.Contains(got, c.says) || c.says == "" && got != "" {
			t.Errorf("%q, cluster %s: said %q, want %q", c.flags, c.cluster, got, c.says)
		}
	}
}
