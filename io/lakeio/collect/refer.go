package collect

import (
	"context"
	"errors"
	"hash/maphash"
	"path"
	"slices"
	"strings"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// set holds URIs as 64 bits of hash: millions of files are little memory, and
// two that share a hash only keep one that could go.
type set map[uint64]struct{}

var seed = maphash.MakeSeed()

func (s set) add(uri string) { s[maphash.String(seed, uri)] = struct{}{} }

func (s set) has(uri string) bool {
	_, ok := s[maphash.String(seed, uri)]
	return ok
}

// refer reads what stays refers to: stages of other runs, versions of pages,
// and whatever lies in another folder than the one that refers to it.
func (c *collector) refer(ctx context.Context) error {
	c.outside = set{}
	for _, id := range c.ids {
		if r := c.runs[id]; r.fate == live || r.fate == stays {
			c.referRun(r)
		}
	}
	current, err := lakeio.CurrentPages(ctx, c.store, c.Job)
	if err != nil {
		return err
	}
	c.pages[current] = true
	for id := range c.pages {
		c.stages[lakeio.StageOf{Run: id, Stage: lakeio.PagesStage}] = true
	}
	bodies := false
	for _, r := range c.runs {
		bodies = bodies || r.fate == goes || r.fate == none
	}
	for at, points := range c.stages {
		if err := c.referStage(ctx, at, bodies && points); err != nil {
			return err
		}
	}
	return nil
}

// referRun notes the stages and versions of pages that a run needs.
func (c *collector) referRun(r *run) {
	// Without a memory nothing was asked conditionally.
	points := r.PagesRun != "" || r.Parent != "" || r.Replay != nil
	for _, at := range r.StagesOf() {
		c.stages[at] = c.stages[at] || points
		if at.Stage == lakeio.PagesStage {
			c.pages[at.Run] = true
		}
	}
	if r.PagesRun != "" {
		c.pages[r.PagesRun] = true
	}
	if r.Replay == nil {
		return
	}
	needs := slices.Concat(r.Replay.Asked, r.Replay.Refined) // a replay of this one goes by that, too
	if r.fate == live {
		needs = slices.Concat(needs, r.Replay.Stages, r.Replay.Deferred)
	}
	for _, at := range needs {
		c.stages[at] = true
	}
}

// referStage notes what a stage's manifest lists beyond its own folder, and
// the bodies that its rows point to if somebody will ask for these: those of
// runs that stay are listed by their own manifests.
func (c *collector) referStage(ctx context.Context, at lakeio.StageOf, bodies bool) error {
	lake := lakeio.Lake{Store: c.store, Job: c.Job, Run: at.Run}
	m, err := lake.Manifest(ctx, at.Stage)
	if errors.Is(err, lakeio.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	own := lake.Stage(at.Stage) + "/"
	for _, p := range m.Parts {
		if !strings.HasPrefix(p.URI, own) {
			c.outside.add(p.URI)
		}
		if !bodies || p.Table != lakeio.Captures.Name() && p.Table != lakeio.Pages.Name() {
			continue
		}
		if err := c.referBodies(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// referBodies notes the parts that the rows of a part point to, of runs that
// are no more.
func (c *collector) referBodies(ctx context.Context, p harrow.Part) error {
	runs := path.Join(c.Job, "runs") + "/"
	return lakeio.BodyParts(ctx, c.store, p, func(uri string) {
		rest, ours := strings.CutPrefix(uri, runs)
		id, _, _ := strings.Cut(rest, "/")
		if r, ok := c.runs[id]; ours && ok && (r.fate == goes || r.fate == none) {
			c.outside.add(uri)
		}
	})
}
