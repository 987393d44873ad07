package view

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/memory"
	"github.com/harrowdata/harrow/internal/seen"
	"github.com/harrowdata/harrow/io/lakeio"
)

// ReplayCount says what came of the rejects that a run replays. One that its
// stage took this time came through; what it leads to may be rejected later on.
type ReplayCount struct {
	Run           string `json:"run"` // whose rejects
	Stage         string `json:"stage,omitempty"`
	Class         string `json:"class,omitempty"`
	Code          string `json:"code,omitempty"`
	Record        string `json:"record,omitempty"`
	Replayed      int64  `json:"replayed"`
	CameThrough   *int64 `json:"came_through"`   // null while the run is not finished
	RejectedAgain *int64 `json:"rejected_again"` // by the same stage
	Deferred      *int64 `json:"deferred"`       // requests: asked first in the next run
}

// NewReplayCount is the count of a replay that has not begun.
func NewReplayCount(r lakeio.Replay) *ReplayCount {
	return &ReplayCount{Run: r.Run, Stage: r.Stage, Class: r.Class, Code: r.Code, Record: r.Record, Replayed: r.Total()}
}

// Replayed counts what came of the rejects that the run replays; nil for
// another run.
func (r Run) Replayed(ctx context.Context) (count *ReplayCount, err error) {
	if r.Replay == nil {
		return nil, nil
	}
	count = NewReplayCount(*r.Replay)
	if r.State != lakeio.Done {
		return count, nil
	}
	again, deferred := newLetters(r.Job), newLetters(r.Job)
	defer func() { err = errors.Join(err, again.Close(), deferred.Close()) }()
	if err := lakeio.EachRow(ctx, r.Store, r.Run.Job, r.StagesOf(), lakeio.Rejects, func(x harrow.Reject) error {
		return add(again, letterID(x))
	}); err != nil {
		return nil, err
	}
	if err := r.eachDeferred(ctx, func(x harrow.Request) error { return add(deferred, x.ID) }); err != nil {
		return nil, err
	}
	var n, left int64
	err = lakeio.EachRow(ctx, r.Store, r.Run.Job, r.Replay.Stages, lakeio.Rejects, func(x harrow.Reject) error {
		if !r.Replay.Wants(x) {
			return nil
		}
		was, err := again.Has(letterID(x))
		if was {
			n++
			return err
		}
		if x.Stage == "fetch" && err == nil {
			if was, err = deferred.Has(x.ID); was {
				left++
			}
		}
		return err
	})
	count.CameThrough, count.RejectedAgain, count.Deferred = new(count.Replayed-n-left), &n, &left
	return count, err
}

// eachDeferred hands out what the run's own rounds have deferred.
func (r Run) eachDeferred(ctx context.Context, do func(harrow.Request) error) error {
	return lakeio.EachRow(ctx, r.Store, r.Run.Job, r.Owned("fetch"), lakeio.DeferredRequests, do)
}

// newLetters is an empty set of any size.
func newLetters(job harrow.Job) *seen.Set {
	return seen.New(memory.For(int64(job.Limits.Memory)).Seen, job.Limits.Spill)
}

func add(s *seen.Set, id harrow.ID) error {
	_, err := s.Add(id)
	return err
}

// letterID identifies what a reject is about, whichever run rejected it: a seed
// by its text, a request or page by its id, a row by its place in the page too.
func letterID(r harrow.Reject) (id harrow.ID) {
	place := ""
	var row struct {
		Parsed *int64 `json:"ordinal"`
		Row    *int64 `json:"_ordinal"`
	}
	switch {
	case r.Stage == "discover" || r.ID.IsZero():
		place = r.Payload
	case r.Stage == "fetch" || json.Unmarshal([]byte(r.Payload), &row) != nil: // a page's has none
	case row.Row != nil:
		place = fmt.Sprint(*row.Row)
	case row.Parsed != nil:
		place = fmt.Sprint(*row.Parsed)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %s %q %q", r.Stage, r.ID, r.Record, place))
	copy(id[:], sum[:])
	return id
}

func (c *ReplayCount) text() string {
	text := fmt.Sprintf("%s of run %s", plural(c.Replayed, "reject"), c.Run)
	if c.CameThrough == nil {
		return text
	}
	text += fmt.Sprintf(": %s came through, %s rejected again", Count(*c.CameThrough), Count(*c.RejectedAgain))
	if *c.Deferred > 0 {
		text += fmt.Sprintf(", %s deferred", Count(*c.Deferred))
	}
	return text
}
