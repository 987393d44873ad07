package dataflow

import (
	"context"

	api "google.golang.org/api/dataflow/v1b3"
)

// Counters are the job's own counters, by namespace.name and summed over
// steps: what workers counted, not what Dataflow did.
func (c *Client) Counters(ctx context.Context, id string) (map[string]int64, error) {
	var metrics *api.JobMetrics
	err := c.patiently(ctx, func(ctx context.Context) (err error) {
		metrics, err = c.jobs.GetMetrics(c.project, c.region, id).Context(ctx).Do()
		return err
	})
	if err != nil {
		return nil, c.explain("reading the counters of job "+id, err)
	}
	return sum(metrics.Metrics), nil
}

// sum leaves out what bundles say that have not ended: each metric comes
// twice, and the other one counts what is committed.
func sum(updates []*api.MetricUpdate) map[string]int64 {
	counters := map[string]int64{}
	for _, u := range updates {
		if u.Name == nil || u.Name.Origin != "user" || u.Name.Context["tentative"] == "true" {
			continue
		}
		if n, ok := u.Scalar.(float64); ok {
			counters[u.Name.Context["namespace"]+"."+u.Name.Name] += int64(n)
		}
	}
	return counters
}
