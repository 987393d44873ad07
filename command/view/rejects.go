package view

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// RejectCount is how many dead letters share a stage, class and code.
type RejectCount struct {
	Stage string `json:"stage"`
	Class string `json:"class"`
	Code  string `json:"code"`
	Count int64  `json:"count"`
}

// Rejects counts the dead letters of all stages that have committed, in the
// order of the stages, the most frequent first.
func (r Run) Rejects(ctx context.Context) ([]RejectCount, error) {
	t, err := r.find(ctx, lakeio.Rejects.Name(), "")
	if errors.As(err, &errNotYet{}) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	counts := map[RejectCount]int64{}
	err = r.each(ctx, t, func(b harrow.Batch, row int) error {
		counts[RejectCount{Stage: ValueText(b.Column("stage"), row), Class: ValueText(b.Column("class"), row), Code: ValueText(b.Column("code"), row)}]++
		return nil
	})
	if err != nil {
		return nil, err
	}
	all := make([]RejectCount, 0, len(counts))
	for c, n := range counts {
		c.Count = n
		all = append(all, c)
	}
	stage := func(c RejectCount) int { return slices.Index(lakeio.Stages, lakeio.BaseStage(c.Stage)) }
	slices.SortFunc(all, func(a, b RejectCount) int {
		return cmp.Or(stage(a)-stage(b), strings.Compare(a.Stage, b.Stage), cmp.Compare(b.Count, a.Count),
			strings.Compare(a.Class, b.Class), strings.Compare(a.Code, b.Code))
	})
	return all, nil
}

// WriteRejects writes the counts for people.
func WriteRejects(w io.Writer, counts []RejectCount) error {
	if len(counts) == 0 {
		_, err := io.WriteString(w, "no rejects\n")
		return err
	}
	buf := bufio.NewWriter(w)
	t := NewTextTable(buf, false, 0, "stage", "class", "code", "count")
	t.Right(3)
	for _, c := range counts {
		if err := t.Row(c.Stage, c.Class, c.Code, Count(c.Count)); err != nil {
			return err
		}
	}
	return errors.Join(t.End(), buf.Flush())
}
