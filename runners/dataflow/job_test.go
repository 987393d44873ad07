package dataflow

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	api "google.golang.org/api/dataflow/v1b3"

	"github.com/harrowdata/harrow/soak/fakedataflow"
)

const aRun = "019aa8a5-6a52-7c1e-8f00-0123456789ab"

// open is a client of the fake that loses no time, and its log.
func open(t *testing.T, s *fakedataflow.Server) (*Client, *strings.Builder) {
	t.Helper()
	var log strings.Builder
	c, err := Open(t.Context(), Options{Project: "acme-data", Region: "europe-west1", Endpoint: s.URL}, &log)
	if err != nil {
		t.Fatal(err)
	}
	c.first, c.most, c.patience = time.Millisecond, 2*time.Millisecond, 5*time.Second
	return c, &log
}

func submit(t *testing.T, c *Client) string {
	t.Helper()
	id, err := c.Submit(t.Context(), &api.Job{Name: JobName("shop", aRun), ClientRequestId: "request"})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestAJobIsFollowedToItsEnd(t *testing.T) {
	for _, c := range []struct {
		script           []string
		state, want, log string
	}{
		{[]string{"QUEUED", "PENDING", "RUNNING", "RUNNING", "DONE"}, "DONE", "", "QUEUED PENDING RUNNING DONE"},
		{[]string{"RUNNING", "RESOURCE_CLEANING_UP", "DONE"}, "DONE", "", "RUNNING RESOURCE_CLEANING_UP DONE"},
		{[]string{"RUNNING", "FAILED"}, "FAILED", "failed on Dataflow", "RUNNING FAILED"},
		{[]string{"RUNNING", "CANCELLING", "CANCELLED"}, "CANCELLED", "ended on Dataflow as CANCELLED, which Harrow did not ask for", "RUNNING CANCELLING CANCELLED"},
		{[]string{"DRAINING", "DRAINED"}, "DRAINED", "as DRAINED", "DRAINING DRAINED"},
		{[]string{"UPDATED"}, "UPDATED", "as UPDATED", "UPDATED"},
	} {
		s := fakedataflow.Start(t)
		s.Script = c.script
		client, log := open(t, s)
		id := submit(t, client)
		state, err := client.Wait(t.Context(), id)
		if state != c.state || (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: ends as %s, %v; want %s, %q", c.script, state, err, c.state, c.want)
		}
		var seen []string
		for line := range strings.Lines(log.String()) {
			seen = append(seen, line[strings.LastIndex(line, " ")+1:len(line)-1])
		}
		if got := strings.Join(seen, " "); got != c.log {
			t.Errorf("%v: the log has %s, want %s", c.script, got, c.log)
		}
	}
}

func TestAFailedJobSaysWhatWentWrong(t *testing.T) {
	worker := "Error message from worker: generic::unknown: Bundle processing failed: process bundle failed for instruction 3 using plan S1 : while executing Process for Plan[S1]:\n2: Impulse\n\tcaused by:\nparts.MapFn failed\n\tcaused by:\nrecords: the database is full\x1b[31m"
	workflow := "Workflow failed. Causes: S01:Impulse failed., The job failed because a work item has failed 4 times."
	for _, c := range []struct {
		texts []string
		want  string
	}{
		{[]string{worker, workflow}, "failed on Dataflow: records: the database is full"},
		{[]string{workflow}, "failed on Dataflow: Workflow failed. Causes: S01"},
		{[]string{"Startup of the worker pool failed: no quota", workflow}, "failed on Dataflow: Startup of the worker pool failed: no quota"},
		{nil, "does not say why"},
	} {
		s := fakedataflow.Start(t)
		s.Script = []string{"RUNNING", "FAILED"}
		s.Say(api.JobMessage{MessageImportance: "JOB_MESSAGE_WARNING", MessageText: "a worker is slow", Time: "2026-11-22T00:00:00Z"})
		for _, text := range c.texts {
			s.Say(api.JobMessage{MessageImportance: "JOB_MESSAGE_ERROR", MessageText: text, Time: "2026-11-22T00:00:01Z"})
		}
		client, log := open(t, s)
		_, err := client.Wait(t.Context(), submit(t, client))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q in it", err, c.want)
		}
		if n := strings.Count(log.String(), "a worker is slow"); n != 1 {
			t.Errorf("a warning stands in the log %d times", n)
		}
		if strings.Contains(log.String(), "\x1b") {
			t.Error("an escape sequence went to the log")
		}
	}
}

func TestAnInterruptCancelsTheJobAndWaitsForItsEnd(t *testing.T) {
	for _, c := range []struct {
		cancelled []string
		state     string
		done      bool // before the cancellation reached it
	}{
		{[]string{"CANCELLING", "CANCELLING", "CANCELLED"}, "CANCELLED", false},
		{[]string{"DONE"}, "DONE", true},
		{[]string{"CANCELLING", "FAILED"}, "FAILED", false},
	} {
		s := fakedataflow.Start(t)
		s.Script, s.Cancelled = []string{"RUNNING"}, c.cancelled
		client, _ := open(t, s)
		id := submit(t, client)
		ctx, interrupt := context.WithCancelCause(t.Context())
		why := errors.New("somebody pressed Ctrl-C")
		time.AfterFunc(20*time.Millisecond, func() { interrupt(why) })
		state, err := client.Wait(ctx, id)
		if state != c.state || c.done != (err == nil) || err != nil && !errors.Is(err, why) {
			t.Errorf("ends as %s, %v; want %s", state, err, c.state)
		}
	}
}

func TestAJobThatDoesNotEndIsNotWaitedForForEver(t *testing.T) {
	s := fakedataflow.Start(t)
	s.Script, s.Cancelled = []string{"RUNNING"}, []string{"CANCELLING"}
	client, _ := open(t, s)
	client.patience = 50 * time.Millisecond
	id := submit(t, client)
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	if _, err := client.Wait(ctx, id); err == nil || !strings.Contains(err.Error(), "is still CANCELLING") || !strings.Contains(err.Error(), client.Link(id)) {
		t.Errorf("got %v; want its state and where to look", err)
	}
}

func TestAnInterruptOnTheWayLeavesNoJobThatNobodyKnowsOf(t *testing.T) {
	s := fakedataflow.Start(t)
	client, _ := open(t, s)
	ctx, interrupt := context.WithCancel(t.Context())
	s.Refuse = func(method, _ string) int {
		if method == http.MethodPost {
			interrupt()
		}
		return 0
	}
	id, err := client.Submit(ctx, &api.Job{Name: JobName("shop", aRun), ClientRequestId: "request"})
	if err != nil || id == "" {
		t.Fatalf("got %q, %v; want the job's id, to cancel it by", id, err)
	}
	s.Script = []string{"RUNNING"}
	if state, err := client.Wait(ctx, id); state == "RUNNING" {
		t.Errorf("it is left as %s, %v", state, err)
	}
}

func TestWhatTheAPIMayGetOverIsTriedAgain(t *testing.T) {
	s := fakedataflow.Start(t)
	asked := map[string]int{}
	s.Refuse = func(method, path string) int {
		asked[method+path]++
		if n := asked[method+path]; n <= 2 {
			return []int{http.StatusServiceUnavailable, http.StatusTooManyRequests}[n-1]
		}
		return 0
	}
	client, _ := open(t, s)
	if state, err := client.Wait(t.Context(), submit(t, client)); state != "DONE" || err != nil {
		t.Errorf("ends as %s, %v", state, err)
	}
	if n := len(s.Jobs()); n != 1 {
		t.Errorf("%d jobs", n)
	}
}

func TestARefusalSaysWhatToDo(t *testing.T) {
	for status, want := range map[int]string{
		http.StatusForbidden: "needs the role Dataflow Admin in project acme-data",
		http.StatusNotFound:  "the Dataflow API enabled, and a region europe-west1",
		http.StatusConflict:  "submitting the job: 409 the script says so",
	} {
		s := fakedataflow.Start(t)
		s.Refuse = func(string, string) int { return status }
		client, _ := open(t, s)
		_, err := client.Submit(t.Context(), &api.Job{Name: JobName("shop", aRun)})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d: got %v, want %q in it", status, err, want)
		}
		if n := len(s.Sent()); n != 1 {
			t.Errorf("%d: asked %d times", status, n)
		}
	}
}

func TestAJobOfTheSameRunIsCancelledBeforeTheNext(t *testing.T) {
	s := fakedataflow.Start(t)
	client, log := open(t, s)
	mine := s.Add(api.Job{Name: JobName("shop", aRun)}, "RUNNING")
	other := s.Add(api.Job{Name: JobName("shop", strings.Replace(aRun, "019", "018", 1))}, "RUNNING")
	ended := s.Add(api.Job{Name: JobName("shop", aRun)}, "FAILED")
	if err := client.CancelRun(t.Context(), aRun); err != nil {
		t.Fatal(err)
	}
	if mine.State() != "CANCELLED" || other.State() != "RUNNING" || ended.State() != "FAILED" {
		t.Errorf("this run's is %s, another's %s, the ended one %s", mine.State(), other.State(), ended.State())
	}
	if !strings.Contains(log.String(), mine.Id) {
		t.Errorf("the log does not say so: %s", log)
	}
}

func TestAJobThatIsSomebodyElsesIsNotTakenForOurs(t *testing.T) {
	s := fakedataflow.Start(t)
	client, _ := open(t, s)
	s.Add(api.Job{Name: JobName("shop", aRun), ClientRequestId: "theirs"}, "RUNNING")
	if _, err := client.Submit(t.Context(), &api.Job{Name: JobName("shop", aRun), ClientRequestId: "ours"}); err == nil || !strings.Contains(err.Error(), "runs on Dataflow already") {
		t.Errorf("got %v", err)
	}
}

func TestCountersAreThoseOfWorkersSummedOverSteps(t *testing.T) {
	metric := func(origin, step, name string, value any, more ...string) *api.MetricUpdate {
		context := map[string]string{"namespace": "fetch", "step": step}
		if slices.Contains(more, "tentative") {
			context["tentative"] = "true"
		}
		return &api.MetricUpdate{Name: &api.MetricStructuredName{Origin: origin, Name: name, Context: context}, Scalar: value}
	}
	s := fakedataflow.Start(t)
	s.Metrics = []*api.MetricUpdate{
		metric("user", "s1", "requests", 3), metric("user", "s2", "requests", 4), metric("user", "s1", "requests", 9, "tentative"),
		metric("user", "s1", "elapsed", nil), metric("dataflow/v1b3", "s1", "ElementCount", 100), {Scalar: 1},
	}
	client, _ := open(t, s)
	counters, err := client.Counters(t.Context(), submit(t, client))
	if err != nil || len(counters) != 1 || counters["fetch.requests"] != 7 {
		t.Errorf("got %v, %v; want fetch.requests 7 alone", counters, err)
	}
}
