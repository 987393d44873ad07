// Package jobmanager asks a Flink cluster over the REST API of its JobManager
// (Flink 1.19, docs/ops/rest_api), beside Beam's job server: that knows only
// the jobs of its own life.
package jobmanager

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// ErrUnavailable: nothing at the address answers as Flink's REST API does. Try
// again when the cluster is up, or name another address.
var ErrUnavailable = errors.New("the JobManager's REST API can't be asked")

const (
	timeout = 10 * time.Second       // of one request
	every   = 500 * time.Millisecond // a job that ends is looked at
	maxBody = 16 << 20               // of an answer
)

// Client asks the JobManager at an address, HOST:PORT.
type Client struct{ Address string }

// Job is a job of the cluster, maybe one that is over.
type Job struct {
	ID    string `json:"jid"`
	Name  string `json:"name"`
	State string `json:"state"`      // CREATED, RUNNING, RESTARTING, CANCELLING, FINISHED, CANCELED, FAILED, …
	Start int64  `json:"start-time"` // Unix time, ms
}

// Ended reports whether nothing follows the job's state.
func (j Job) Ended() bool {
	return slices.Contains([]string{"FINISHED", "CANCELED", "FAILED"}, j.State)
}

// Link is where Flink's own pages show a job.
func (c Client) Link(id string) string {
	return "http://" + c.Address + "/#/job/running/" + url.PathEscape(id) + "/overview"
}

// client keeps no connection: it asks now and then.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment}}

// ask makes one request; out may be nil.
func (c Client) ask(ctx context.Context, method, path string, out any) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w: %s http://%s%s: %w", ErrUnavailable, method, c.Address, path, err)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+c.Address+path, nil)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		var named *url.Error
		if errors.As(err, &named) {
			err = named.Err // the URL is said already
		}
		return err
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody))
	switch {
	case err != nil:
		return err
	case res.StatusCode/100 != 2:
		return fmt.Errorf("%s: %.200q", res.Status, body)
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("what answers is no JobManager's: %w", err)
	}
	return nil
}

// Jobs lists the cluster's jobs, those that are over too as long as it keeps
// them.
func (c Client) Jobs(ctx context.Context) ([]Job, error) {
	var all struct {
		Jobs []Job `json:"jobs"`
	}
	err := c.ask(ctx, http.MethodGet, "/jobs/overview", &all)
	return all.Jobs, err
}

// Find is the newest job of that name that goes on; !ok: there is none.
func (c Client) Find(ctx context.Context, name string) (found Job, ok bool, err error) {
	jobs, err := c.Jobs(ctx)
	for _, j := range jobs {
		if j.Name == name && !j.Ended() && (!ok || j.Start >= found.Start) {
			found, ok = j, true
		}
	}
	return found, ok, err
}

// Overview is what the cluster has at the moment.
type Overview struct {
	TaskManagers int    `json:"taskmanagers"`
	Slots        int    `json:"slots-total"`
	Free         int    `json:"slots-available"`
	Version      string `json:"flink-version"`
	Running      int    `json:"jobs-running"`
}

// Overview asks what the cluster has.
func (c Client) Overview(ctx context.Context) (o Overview, err error) {
	err = c.ask(ctx, http.MethodGet, "/overview", &o)
	return o, err
}

// Config is the configuration that the JobManager was started with, by Flink's
// names.
func (c Client) Config(ctx context.Context) (map[string]string, error) {
	var entries []struct{ Key, Value string }
	err := c.ask(ctx, http.MethodGet, "/jobmanager/config", &entries)
	config := map[string]string{}
	for _, e := range entries {
		config[e.Key] = e.Value
	}
	return config, err
}

// Restarts says how a cluster of that configuration restarts the jobs of Harrow:
// none, or the strategy by Flink's name for it and, of fixed-delay, how often.
// Flink's DataSet API, which Beam translates bounded pipelines to, leaves a
// strategy that a job brings behind, so what the cluster has counts; without
// checkpoints, as here, its default is none.
func Restarts(config map[string]string) string {
	switch how := strings.ToLower(cmp.Or(config["restart-strategy.type"], config["restart-strategy"])); how {
	case "", "none", "off", "disable":
		return NoRestarts
	case "fixed-delay", "fixeddelay":
		return "fixed-delay, " + cmp.Or(config["restart-strategy.fixed-delay.attempts"], "1") + " times"
	default:
		return how
	}
}

// NoRestarts is what [Restarts] says of a cluster where a lost TaskManager
// fails a job.
const NoRestarts = "none"

// ClassPath is the JobManager's, entry by entry.
func (c Client) ClassPath(ctx context.Context) ([]string, error) {
	var environment struct {
		ClassPath []string `json:"classpath"`
	}
	err := c.ask(ctx, http.MethodGet, "/jobmanager/environment", &environment)
	return environment.ClassPath, err
}

// End cancels all jobs that mine wants and waits, as long as ctx lasts, until
// none of them goes on; n counts what it cancelled.
func (c Client) End(ctx context.Context, mine func(Job) bool) (n int, err error) {
	cancelled := map[string]bool{}
	for {
		jobs, err := c.Jobs(ctx)
		if err != nil {
			return len(cancelled), err
		}
		on := slices.DeleteFunc(jobs, func(j Job) bool { return j.Ended() || !mine(j) })
		if len(on) == 0 {
			return len(cancelled), nil
		}
		for _, j := range on {
			// One that can't be cancelled is tried again: it may have ended.
			if cancelled[j.ID] = cancelled[j.ID] || c.ask(ctx, http.MethodPatch, "/jobs/"+url.PathEscape(j.ID)+"?mode=cancel", nil) == nil; !cancelled[j.ID] {
				delete(cancelled, j.ID)
			}
		}
		select {
		case <-time.After(every):
		case <-ctx.Done():
			return len(cancelled), fmt.Errorf("job %s on Flink at %s is to end, but goes on: %w", on[0].Name, c.Address, ctx.Err())
		}
	}
}

// brief is the length of a digest and of a nonce in a job's name, in bytes.
const brief = 4

const (
	uuidForm  = `[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}`
	briefForm = `[0-9a-f]{8}`
)

var (
	ofRun       = regexp.MustCompile(`^(.*)-(` + uuidForm + `)$`)
	ofWorkspace = regexp.MustCompile(`^(.*-` + briefForm + `)-` + uuidForm + `-` + briefForm + `$`)
)

// Name is what one submission of a job is called on Flink. The job's own name is
// harrow-<job>-<run>; before the run comes a digest of the workspace, unless
// that is empty, and the nonce of the submission follows. So what one lock of a
// job is about has one beginning, and a submission a name that no other has: a
// process that has lost the job must not cancel what another has submitted of
// the same run.
func Name(own, workspace, nonce string) string {
	parts := ofRun.FindStringSubmatch(own)
	if parts == nil || workspace == "" {
		return own + "-" + short(nonce)
	}
	return parts[1] + "-" + short(workspace) + "-" + parts[2] + "-" + short(nonce)
}

func short(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:brief])
}

// Sibling tells the jobs that run the same harvest in the same workspace as the
// submission of that name: whichever run of it. One that names no workspace has
// none but itself.
func Sibling(name string) func(Job) bool {
	stem := ofWorkspace.FindStringSubmatch(name)
	return func(j Job) bool {
		if j.Name == name {
			return true
		}
		other := ofWorkspace.FindStringSubmatch(j.Name)
		return stem != nil && other != nil && other[1] == stem[1]
	}
}
