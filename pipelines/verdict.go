package pipelines

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// verdict says how a run that came through is to be judged: exit 3 with all
// the reasons, or 0.
func verdict(ctx context.Context, lake lakeio.Lake, p Plan) (exit int, why string, err error) {
	reasons, err := crossed(ctx, lake, p)
	if err != nil {
		return 0, "", err
	}
	deferred, err := deferred(ctx, lake, p)
	if err != nil {
		return 0, "", err
	}
	if deferred > 0 {
		reason := fmt.Sprintf("%d requests were deferred: the next run asks them first", deferred)
		if end := p.Job.Fetch.MaxBundleTime; end > 0 {
			reason += fmt.Sprintf("; of bundles of %s discover.rounds allows %d one after the other, more of either make a run complete", time.Duration(end), max(1, p.Run.Rounds-1))
		}
		reasons = append(reasons, reason)
	}
	if len(reasons) > 0 {
		return 3, strings.Join(reasons, "; "), nil
	}
	return 0, "", nil
}

// deferred counts the requests that the run's own rounds did not ask.
func deferred(ctx context.Context, lake lakeio.Lake, p Plan) (n int64, err error) {
	if p.Run.Source("fetch") != p.Run.ID {
		return 0, nil
	}
	return lakeio.CountRows(ctx, lake.Store, lake.Job, p.Run.Owned("fetch"), lakeio.DeferredRequests.Name())
}

// crossed lists the thresholds that a run which has loaded did not reach, each
// as a sentence.
func crossed(ctx context.Context, lake lakeio.Lake, p Plan) (reasons []string, err error) {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(p.Job.Refine)) {
		if p.Job.Refine[name].Thresholds != nil {
			names = append(names, name)
		}
	}
	if len(names) == 0 || p.Run.Replay != nil { // a few rows say nothing about all
		return nil, nil
	}
	manifests := map[string]lakeio.Manifest{}
	for _, stage := range []string{"parse", "refine", "load"} {
		owner := lake
		owner.Run = p.Run.Source(stage)
		manifests[stage], err = owner.Manifest(ctx, stage)
		if errors.Is(err, lakeio.ErrNotFound) {
			return nil, nil // the run stops before load: nothing is to be judged yet
		}
		if err != nil {
			return nil, err
		}
	}
	rejects, err := rejectsOf(ctx, lake.Store, manifests)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		reasons = append(reasons, judge(name, *p.Job.Refine[name].Thresholds, manifests, rejects[name])...)
	}
	return reasons, nil
}

// judge compares one record with its thresholds. Rows are those loaded into
// the sink that took the fewest.
func judge(name string, t harrow.Thresholds, manifests map[string]lakeio.Manifest, rejects int64) (reasons []string) {
	crossed := func(format string, args ...any) {
		reasons = append(reasons, name+": "+fmt.Sprintf(format, args...))
	}
	rows := loaded(manifests["load"], name)
	if rows < t.MinRows {
		crossed("%d rows were loaded, min_rows is %d", rows, t.MinRows)
	}
	if all := rows + rejects; t.MaxRejectRate != nil && all > 0 {
		if rate := float64(rejects) / float64(all); rate > *t.MaxRejectRate {
			crossed("%d of %d rows were rejected (%.4g), max_reject_rate is %g", rejects, all, rate, *t.MaxRejectRate)
		}
	}
	refined := manifests["refine"]
	counted := refined.Counters["rows."+name]
	for _, column := range slices.Sorted(maps.Keys(t.Coverage)) {
		filled := refined.Counters["filled."+name+"."+column]
		if want := t.Coverage[column]; counted > 0 && float64(filled)/float64(counted) < want {
			crossed("%s has a value in %d of %d rows (%.4g), coverage is to be %g", column, filled, counted, float64(filled)/float64(counted), want)
		}
	}
	return reasons
}

// loaded is how many rows of a record are in the sink that took the fewest:
// added, changed, or there already.
func loaded(m lakeio.Manifest, record string) (least int64) {
	first := true
	for _, records := range m.Loads() {
		c, ok := records[record]
		if n := c.Added + c.Changed + c.Unchanged + c.Stale; ok && (first || n < least) {
			least, first = n, false
		}
	}
	return least
}

// rejectsOf counts the rejects of each record in the stages that have rows of
// it.
func rejectsOf(ctx context.Context, store lakeio.Store, manifests map[string]lakeio.Manifest) (map[string]int64, error) {
	counts := map[string]int64{}
	for _, m := range manifests {
		for _, part := range m.TablesOf(lakeio.Rejects.Name()) {
			for r, err := range lakeio.ReadRows(ctx, store, lakeio.Rejects, part) {
				if err != nil {
					return nil, err
				}
				if r.Record != "" {
					counts[strings.Clone(r.Record)]++
				}
			}
		}
	}
	return counts, nil
}
