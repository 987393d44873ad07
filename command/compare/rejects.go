package compare

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/harrowdata/harrow/command/view"
	"github.com/harrowdata/harrow/io/lakeio"
)

// Reject counts dead letters that share all of this in both runs.
type Reject struct {
	Stage  string `json:"stage"`
	Class  string `json:"class"`
	Code   string `json:"code"`
	Record string `json:"record"` // empty: of no record
	Field  string `json:"field"`
	First  int64  `json:"first"`
	Second int64  `json:"second"`
}

// rejects counts those of the records, and of none, whose numbers differ. A
// stage that only one run has committed doesn't count: the other's are to
// come.
func (c *comparison) rejects(records []string) ([]Reject, error) {
	counts := map[Reject]*[2]int64{}
	for _, stage := range lakeio.Stages {
		if c.runs[0].Source(stage) == c.runs[1].Source(stage) {
			continue // the same files
		}
		var both [2][]lakeio.Manifest
		committed := true
		for i, r := range c.runs {
			list, all, err := manifests(c.ctx, r, stage)
			if err != nil {
				return nil, err
			}
			both[i], committed = list, committed && all
		}
		if !committed {
			continue
		}
		for i, list := range both {
			for _, m := range list {
				if err := c.count(counts, i, m, records); err != nil {
					return nil, err
				}
			}
		}
	}
	list := []Reject{}
	for r, n := range counts {
		if n[0] != n[1] {
			r.First, r.Second = n[0], n[1]
			list = append(list, r)
		}
	}
	at := func(r Reject) int { return slices.Index(lakeio.Stages, r.Stage) }
	slices.SortFunc(list, func(a, b Reject) int {
		return cmp.Or(at(a)-at(b), strings.Compare(a.Class, b.Class), strings.Compare(a.Code, b.Code),
			strings.Compare(a.Record, b.Record), strings.Compare(a.Field, b.Field))
	})
	return list, nil
}

// manifests are those of a stage, of fetch one a round; all is false while one
// is missing.
func manifests(ctx context.Context, r view.Run, stage string) (list []lakeio.Manifest, all bool, err error) {
	for _, name := range r.Manifests(stage) {
		m, ok, err := r.Manifest(ctx, name)
		if err != nil || !ok {
			return nil, false, err
		}
		list = append(list, m)
	}
	return list, true, nil
}

func (c *comparison) count(counts map[Reject]*[2]int64, side int, m lakeio.Manifest, records []string) error {
	for _, part := range m.TablesOf(lakeio.Rejects.Name()) {
		for r, err := range lakeio.ReadRows(c.ctx, c.runs[side].Store, lakeio.Rejects, part) {
			if err != nil {
				return err
			}
			if r.Record != "" && !slices.Contains(records, r.Record) && len(c.query.Records) > 0 {
				continue
			}
			k := Reject{Stage: r.Stage, Class: string(r.Class), Code: r.Code, Record: r.Record, Field: r.Field}
			n := counts[k]
			if n == nil {
				// The row's strings point into its batch, which goes.
				k = Reject{Stage: strings.Clone(k.Stage), Class: strings.Clone(k.Class), Code: strings.Clone(k.Code),
					Record: strings.Clone(k.Record), Field: strings.Clone(k.Field)}
				n = new([2]int64)
				counts[k] = n
			}
			n[side]++
		}
	}
	return nil
}
