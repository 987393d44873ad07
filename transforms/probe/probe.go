// Package probe has workers look at the world that a job needs, wherever the
// runner has them, and tell what they saw. Nothing of a run is touched.
package probe

import (
	"context"
	"slices"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/harrowdata/harrow/transforms/probe/look"
)

func init() {
	register.DoFn2x1[context.Context, int, error](&lookFn{})
}

// namespace is of the counters whose names are reports.
const namespace = "harrow.probe"

// Workers has the runner's workers look around. How many hear of it is the
// runner's choice: there are so many elements, spread over what it runs at
// once, and a process looks once however many come to it.
//
// What they saw comes back as the names of counters, since these need nothing
// but the runner: see [Reports]. A bundle that runs again tells the same, or
// tells it of another worker.
func Workers(s beam.Scope, cfg look.Config, elements int) {
	s = s.Scope("probe")
	list := make([]int, max(1, elements))
	for i := range list {
		list[i] = i
	}
	beam.ParDo0(s, &lookFn{Config: cfg}, beam.Reshuffle(s, beam.CreateList(s, list)))
}

// Reports are what workers told, by host and process, each process once.
// Counters are the job's, by namespace.name.
func Reports(counters map[string]int64) ([]look.Report, error) {
	seen := map[string]look.Report{}
	for name := range counters {
		text, ok := strings.CutPrefix(name, namespace+".")
		if !ok {
			continue
		}
		r, err := look.Read(text)
		if err != nil {
			return nil, err
		}
		seen[r.Worker] = r
	}
	reports := make([]look.Report, 0, len(seen))
	for _, r := range seen {
		reports = append(reports, r)
	}
	slices.SortFunc(reports, func(a, b look.Report) int {
		if c := strings.Compare(a.Host, b.Host); c != 0 {
			return c
		}
		return a.PID - b.PID
	})
	return reports, nil
}

// lookFn looks around from the worker that it runs on.
type lookFn struct {
	Config look.Config
}

// ProcessElement counts the report.
func (fn *lookFn) ProcessElement(ctx context.Context, _ int) error {
	text, err := look.Around(ctx, fn.Config).Text()
	if err != nil {
		return err
	}
	beam.NewCounter(namespace, text).Inc(ctx, 1)
	return nil
}
