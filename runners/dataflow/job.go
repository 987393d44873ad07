package dataflow

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"

	"golang.org/x/oauth2/google"
	api "google.golang.org/api/dataflow/v1b3"
	"google.golang.org/api/googleapi"
	"google.golang.org/api/option"
)

// Client speaks to the API of Dataflow for one project and region.
type Client struct {
	jobs            *api.ProjectsLocationsJobsService
	project, region string
	log             io.Writer
	// The pauses between looks at a job grow from first to most.
	first, most time.Duration
	// patience is how long a job that is cancelled may take to end, and the
	// API may not answer.
	patience time.Duration
}

// Open makes a client with the credentials of this process. log takes a line
// now and then.
func Open(ctx context.Context, o Options, log io.Writer) (*Client, error) {
	// Credentials are renewed while a job ends, when ctx is over.
	ctx = context.WithoutCancel(ctx)
	authorized, err := google.DefaultClient(ctx, cloudPlatform)
	if err != nil {
		return nil, fmt.Errorf("credentials for Google Cloud: %w", err)
	}
	options := []option.ClientOption{option.WithHTTPClient(authorized)}
	if o.Endpoint != "" {
		options = append(options, option.WithEndpoint(o.Endpoint))
	}
	service, err := api.NewService(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("Dataflow: %w", err)
	}
	return &Client{jobs: service.Projects.Locations.Jobs, project: o.Project, region: o.Region, log: log,
		first: time.Second, most: 5 * time.Second, patience: 10 * time.Minute}, nil
}

// JobName is what Dataflow calls a run's job. A job's name has small letters,
// digits and hyphens, so it is as Dataflow wants it:
// [a-z]([-a-z0-9]{0,1022}[a-z0-9])?.
func JobName(job, run string) string { return "harrow-" + job + "-" + run }

var jobNameForm = regexp.MustCompile(`^harrow-([a-z][a-z0-9-]{0,62})-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$`)

// SplitName takes a name apart that JobName made.
func SplitName(name string) (job, run string, err error) {
	m := jobNameForm.FindStringSubmatch(name)
	if m == nil {
		return "", "", fmt.Errorf("job name %q: want harrow-JOB-RUN", name)
	}
	return m[1], m[2], nil
}

// Label adds Harrow's labels to those that were asked for.
func (o Options) Label(job, run string) map[string]string {
	labels := map[string]string{jobLabel: job, runLabel: run}
	for key, value := range o.Labels {
		labels[key] = value
	}
	return labels
}

// Link is where Google shows a job.
func (c *Client) Link(id string) string {
	return fmt.Sprintf("https://console.cloud.google.com/dataflow/jobs/%s/%s?project=%s", c.region, id, c.project)
}

// Submit creates a job and returns its id.
func (c *Client) Submit(ctx context.Context, job *api.Job) (string, error) {
	var made *api.Job
	// An interrupt on the way would leave a job that nobody knows of.
	err := c.patiently(context.WithoutCancel(ctx), func(ctx context.Context) (err error) {
		// Repeating it makes no second job: it has an id of ours.
		made, err = c.jobs.Create(c.project, c.region, job).Context(ctx).Do()
		return err
	})
	if err != nil {
		return "", c.explain("submitting the job", err)
	}
	if made.ClientRequestId != "" && made.ClientRequestId != job.ClientRequestId {
		return "", fmt.Errorf("job %s runs on Dataflow already, as %s: cancel it there, %s", job.Name, made.Id, c.Link(made.Id))
	}
	return made.Id, nil
}

// CancelRun cancels what runs of a run already, and waits for its end: its
// submitter died. Jobs of templates have other names, but the label.
func (c *Client) CancelRun(ctx context.Context, run string) error {
	var ids []string
	err := c.jobs.List(c.project, c.region).Filter("ACTIVE").Pages(ctx, func(page *api.ListJobsResponse) error {
		for _, j := range page.Jobs {
			if j.Labels[runLabel] == run || strings.HasSuffix(j.Name, "-"+run) {
				ids = append(ids, j.Id)
			}
		}
		return nil
	})
	if err != nil {
		return c.explain("listing jobs", err)
	}
	for _, id := range ids {
		fmt.Fprintf(c.log, "dataflow: cancelling job %s, which an earlier process submitted for this run\n", id)
		if _, err := c.cancel(ctx, id, &watch{}); err != nil {
			return err
		}
	}
	return nil
}

// Wait waits for a job's end and returns its last state without JOB_STATE_.
// Only DONE comes without an error. When ctx ends, the job is cancelled and its
// end waited for.
func (c *Client) Wait(ctx context.Context, id string) (string, error) {
	w := &watch{}
	state, err := c.poll(ctx, id, w)
	if ctx.Err() != nil && !over(state) {
		state, err = c.cancel(context.WithoutCancel(ctx), id, w)
		if err == nil && state != stateDone {
			err = context.Cause(ctx)
		}
		return short(state), err
	}
	if err == nil && state != stateDone {
		err = w.failure(id, state)
	}
	return short(state), err
}

// States of a job.
const (
	stateDone      = "JOB_STATE_DONE"
	stateFailed    = "JOB_STATE_FAILED"
	stateCancelled = "JOB_STATE_CANCELLED"
)

func short(state string) string { return strings.TrimPrefix(state, "JOB_STATE_") }

// over says of a state that nothing follows it.
func over(state string) bool {
	switch state {
	case stateDone, stateFailed, stateCancelled, "JOB_STATE_DRAINED", "JOB_STATE_UPDATED":
		return true
	}
	return false
}

// poll looks at a job until it is over or ctx ends.
func (c *Client) poll(ctx context.Context, id string, w *watch) (state string, err error) {
	for pause := c.first; ; pause = min(pause*5/4, c.most) {
		var job *api.Job
		err := c.patiently(ctx, func(ctx context.Context) (err error) {
			job, err = c.jobs.Get(c.project, c.region, id).View("JOB_VIEW_SUMMARY").Context(ctx).Do()
			return err
		})
		if err != nil {
			return state, c.explain("looking at job "+id+", which may go on at "+c.Link(id), err)
		}
		if job.CurrentState != state {
			state = job.CurrentState
			fmt.Fprintf(c.log, "dataflow: job %s: %s\n", id, short(state))
		}
		c.tell(ctx, id, w)
		if over(state) {
			return state, nil
		}
		if err := sleep(ctx, pause); err != nil {
			return state, err
		}
	}
}

// cancel ends a job and waits, no longer than patience.
func (c *Client) cancel(ctx context.Context, id string, w *watch) (state string, err error) {
	ctx, stop := context.WithTimeout(ctx, c.patience)
	defer stop()
	err = c.patiently(ctx, func(ctx context.Context) error {
		_, err := c.jobs.Update(c.project, c.region, id, &api.Job{RequestedState: stateCancelled}).Context(ctx).Do()
		return err
	})
	var refused *googleapi.Error
	if err != nil && !(errors.As(err, &refused) && refused.Code == http.StatusBadRequest) { // it is over already
		return "", c.explain("cancelling job "+id+", see "+c.Link(id), err)
	}
	state, err = c.poll(ctx, id, w)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("job %s was cancelled %v ago and is still %s, see %s: %w", id, c.patience, short(state), c.Link(id), err)
	}
	return state, err
}

// callTimeout bounds one request.
const callTimeout = time.Minute

// patiently repeats what the network or the API may be the cause of.
func (c *Client) patiently(ctx context.Context, do func(context.Context) error) error {
	deadline := time.Now().Add(c.patience)
	for pause := c.first; ; pause = min(pause*2, c.most) {
		call, end := context.WithTimeout(ctx, callTimeout)
		err := do(call)
		end()
		if err == nil || !transient(err) || ctx.Err() != nil || time.Now().After(deadline) {
			return err
		}
		if serr := sleep(ctx, pause); serr != nil {
			return errors.Join(err, serr)
		}
	}
}

// transient errors may be gone next time.
func transient(err error) bool {
	var answer *googleapi.Error
	if errors.As(err, &answer) {
		return answer.Code >= 500 || answer.Code == http.StatusTooManyRequests || answer.Code == http.StatusRequestTimeout
	}
	return true // the network, or a request that took too long
}

// explain says what was done and what to do about an answer.
func (c *Client) explain(what string, err error) error {
	var answer *googleapi.Error
	if errors.As(err, &answer) {
		text := printable(answer.Message)
		if text == "" {
			text = http.StatusText(answer.Code)
		}
		switch answer.Code {
		case http.StatusForbidden, http.StatusUnauthorized:
			text += "; the submitting account needs the role Dataflow Admin in project " + c.project + ", and Service Account User on the workers' account"
		case http.StatusNotFound:
			text += "; is there a project " + c.project + " with the Dataflow API enabled, and a region " + c.region + "?"
		}
		return fmt.Errorf("Dataflow: %s: %d %s", what, answer.Code, text)
	}
	return fmt.Errorf("Dataflow: %s: %w", what, err)
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
