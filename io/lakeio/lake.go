package lakeio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"
)

// Lake is one run's place in a workspace. It travels to workers as three
// strings and is opened there.
type Lake struct {
	Store Store
	Job   string
	Run   string
}

// RunDir is where the run lives: <job>/runs/<run>.
func (l Lake) RunDir() string { return runDir(l.Job, l.Run) }

func runDir(job, run string) string { return path.Join(job, "runs", run) }

// Stage is where a stage's output lives; fetch's stages are "fetch-<round>" and
// PagesStage, whose output outlives the run: <job>/pages/<run>.
func (l Lake) Stage(stage string) string {
	if stage == PagesStage {
		return path.Join(l.Job, PagesStage, l.Run)
	}
	return path.Join(l.RunDir(), stage)
}

// FetchStage names the stage of a round.
func FetchStage(round int) string { return fmt.Sprintf("fetch-%d", round) }

// BaseStage is the stage that a round, or the commit of pages, belongs to.
func BaseStage(stage string) string {
	if strings.HasPrefix(stage, "fetch-") || stage == PagesStage {
		return "fetch"
	}
	return stage
}

// swapJSON changes a JSON object by compare-and-swap: change sees the present
// value (the zero T where there is none) and says what it is to be. It is
// called again when somebody else came first; its error ends the loop. An
// empty object is none: it is what a power cut may leave of one that was not
// durable.
func swapJSON[T any](ctx context.Context, s Store, uri string, durable func(*T) bool, change func(*T) error) (T, error) {
	for {
		var v T
		data, gen, err := s.Read(ctx, uri)
		if err == nil && len(data) > 0 {
			err = unmarshal(uri, data, &v)
		} else if errors.Is(err, ErrNotFound) {
			err = nil
		}
		if err != nil {
			return v, err
		}
		if err := change(&v); err != nil {
			return v, err
		}
		data, err = json.MarshalIndent(v, "", " ")
		if err != nil {
			return v, fmt.Errorf("%s: %w", uri, err)
		}
		if _, err = s.Swap(ctx, uri, gen, data, durable(&v)); !errors.Is(err, ErrConflict) {
			return v, err
		}
		if err := ctx.Err(); err != nil {
			return v, err
		}
	}
}

func readJSON[T any](ctx context.Context, s Store, uri string) (T, error) {
	var v T
	data, _, err := s.Read(ctx, uri)
	if err == nil {
		err = unmarshal(uri, data, &v)
	}
	return v, err
}

// versioned is what all our JSON files share.
type versioned struct {
	Version int `json:"version"`
}

const jsonVersion = 1

func unmarshal(uri string, data []byte, v any) error {
	var head versioned
	if err := json.Unmarshal(data, &head); err != nil {
		return fmt.Errorf("%s: %w: want JSON: %v", uri, ErrCorrupt, err)
	}
	if head.Version < 1 || head.Version > jsonVersion {
		return fmt.Errorf("%s: %w: version %d, this release reads up to %d", uri, ErrCorrupt, head.Version, jsonVersion)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%s: %w: %v", uri, ErrCorrupt, err)
	}
	return nil
}
