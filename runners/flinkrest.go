package runners

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"time"
)

// Patience with a JobManager, but in tests.
var (
	restTimeout = 10 * time.Second // of one request
	restEvery   = 500 * time.Millisecond
)

// maxRestBody bounds what a JobManager's answer may be.
const maxRestBody = 16 << 20

// errNoJobManager: the REST API doesn't answer as Flink's does.
var errNoJobManager = errors.New("the JobManager's REST API can't be asked")

// jobManager is Flink's REST API, as Flink 1.19 documents it.
type jobManager struct{ address string } // host:port

// flinkJob is one line of /jobs/overview.
type flinkJob struct {
	ID    string `json:"jid"`
	Name  string `json:"name"`
	State string `json:"state"`
	Start int64  `json:"start-time"` // ms
}

// ended says that nothing follows a job's state.
func (j flinkJob) ended() bool {
	return slices.Contains([]string{"FINISHED", "CANCELED", "FAILED"}, j.State)
}

// link is where Flink's own pages show the job.
func (m jobManager) link(id string) string {
	return "http://" + m.address + "/#/job/" + url.PathEscape(id)
}

// ask makes one request; out may be nil.
func (m jobManager) ask(ctx context.Context, method, path string, out any) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w: %s http://%s%s: %w", errNoJobManager, method, m.address, path, err)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, restTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+m.address+path, nil)
	if err != nil {
		return err
	}
	res, err := restClient.Do(req)
	if err != nil {
		var same *url.Error
		if errors.As(err, &same) {
			err = same.Err // it names the URL, too
		}
		return err
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxRestBody))
	switch {
	case err != nil:
		return err
	case res.StatusCode/100 != 2:
		return fmt.Errorf("%s: %.200q", res.Status, body)
	case out == nil:
		return nil
	}
	return json.Unmarshal(body, out)
}

// restClient keeps no connection: it asks now and then, and a JobManager that
// was replaced has another address.
var restClient = &http.Client{Transport: &http.Transport{DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment}}

func (m jobManager) jobs(ctx context.Context) ([]flinkJob, error) {
	var all struct {
		Jobs []flinkJob `json:"jobs"`
	}
	err := m.ask(ctx, http.MethodGet, "/jobs/overview", &all)
	return all.Jobs, err
}

// find is the newest job of that name.
func (m jobManager) find(ctx context.Context, name string) (found flinkJob, ok bool, err error) {
	jobs, err := m.jobs(ctx)
	for _, j := range jobs {
		if j.Name == name && (!ok || j.Start >= found.Start) {
			found, ok = j, true
		}
	}
	return found, ok, err
}

// slots is how many task slots the cluster has at the moment.
func (m jobManager) slots(ctx context.Context) (int, error) {
	var overview struct {
		Slots int `json:"slots-total"`
	}
	err := m.ask(ctx, http.MethodGet, "/overview", &overview)
	return overview.Slots, err
}

// end cancels all jobs that mine wants and waits until none of them goes on; n
// counts them.
func (m jobManager) end(ctx context.Context, mine func(flinkJob) bool) (n int, err error) {
	cancelled := map[string]bool{}
	for {
		jobs, err := m.jobs(ctx)
		if err != nil {
			return len(cancelled), err
		}
		on := ""
		for _, j := range jobs {
			if j.ended() || !mine(j) {
				continue
			}
			on = j.Name
			if !cancelled[j.ID] {
				// One that ended meanwhile can't be cancelled: the next look tells.
				if err := m.ask(ctx, http.MethodPatch, "/jobs/"+url.PathEscape(j.ID)+"?mode=cancel", nil); err != nil && ctx.Err() != nil {
					return len(cancelled), err
				}
				cancelled[j.ID] = true
			}
		}
		if on == "" {
			return len(cancelled), nil
		}
		select {
		case <-time.After(restEvery):
		case <-ctx.Done():
			return len(cancelled), fmt.Errorf("job %s on http://%s is cancelled, but goes on: %w", on, m.address, ctx.Err())
		}
	}
}

// uuid is how a job's name ends: with its run.
var uuid = regexp.MustCompile(`-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// sibling tells the jobs that run the same harvest as the one of that name,
// whichever run of it.
func sibling(name string) func(flinkJob) bool {
	stem := uuid.ReplaceAllString(name, "")
	return func(j flinkJob) bool {
		return j.Name == name || stem != name && uuid.ReplaceAllString(j.Name, "") == stem && j.Name != stem
	}
}
