package collect

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/harrowdata/harrow/io/lakeio"
)

const (
	manifestName = "manifest.json"
	listName     = "manifest.arrow"
	stopName     = "stop"
)

var shardRecord = regexp.MustCompile(`^shard-\d+\.json$`)

// version collects the folder of a version of pages.
func (c *collector) version(ctx context.Context, id string) error {
	lake := lakeio.Lake{Store: c.store, Job: c.Job, Run: id}
	if c.pages[id] {
		return c.stage(ctx, lake, lakeio.PagesStage, time.Time{})
	}
	if r, ok := c.runs[id]; ok && (r.fate == live || r.fate == begins) {
		return nil
	}
	return c.drop(ctx, lake.Stage(lakeio.PagesStage), time.Time{}, Pages)
}

// run collects the folder of a run.
func (c *collector) run(ctx context.Context, r *run) error {
	if r.fate == begins {
		return nil
	}
	entries, err := c.entries(ctx, r.lake.RunDir())
	if err != nil {
		return err
	}
	for _, e := range entries {
		name, isDir := strings.CutSuffix(e.Name, "/")
		if isDir {
			err = c.folder(ctx, r, name, e.Modified)
		} else if kind, gone := c.file(r, e); gone {
			err = c.remove(ctx, r.uri(name), e, kind)
		}
		if err != nil {
			return err
		}
	}
	if r.fate == live || c.DryRun {
		return nil
	}
	return lakeio.RemoveEmpty(c.store, r.lake.RunDir())
}

// file says whether a file of a run's folder goes, and as what.
func (c *collector) file(r *run, e lakeio.Entry) (Kind, bool) {
	switch {
	case r.fate == live || !c.old(e) || e.Foreign || c.done[r.uri(e.Name)]:
		return "", false
	case r.fate != stays:
		return Runs, true
	case e.Temporary:
		return Temporary, true
	case e.Name == stopName: // there is nobody left who could start anything
		return Status, true
	}
	return "", false
}

// folder collects a folder of a run: a stage, inputs or status.
func (c *collector) folder(ctx context.Context, r *run, name string, at time.Time) error {
	uri := r.uri(name)
	stage := lakeio.StageOf{Run: r.lake.Run, Stage: name}
	switch {
	case c.stays(stage) || r.fate == stays && name != "inputs" && name != "status":
		return c.stage(ctx, r.lake, name, at)
	case r.fate == live:
		return nil
	case r.fate != stays:
		return c.drop(ctx, uri, at, Runs)
	case name == "status":
		_, err := c.below(ctx, uri, at, func(string) bool { return false }, func(string, lakeio.Entry) Kind { return Status })
		return err
	}
	named := set{}
	for _, in := range r.Inputs {
		named.add(r.lake.InputURI(in.Digest))
	}
	_, err := c.below(ctx, uri, at, named.has, func(string, lakeio.Entry) Kind { return Inputs })
	return err
}

func (c *collector) stays(at lakeio.StageOf) bool {
	_, ok := c.stages[at]
	return ok
}

// stage collects a stage that stays. One that a run has yet to commit is left
// alone; of one that nobody will commit stays what shard records name.
func (c *collector) stage(ctx context.Context, lake lakeio.Lake, name string, at time.Time) error {
	dir := lake.Stage(name)
	m, err := lake.Manifest(ctx, name)
	if err != nil && !errors.Is(err, lakeio.ErrNotFound) {
		return err
	}
	committed := err == nil
	if r, ok := c.runs[lake.Run]; !committed && ok && (r.fate == live || r.fate == begins) {
		return nil
	}
	refs := set{}
	for _, p := range m.Parts {
		refs.add(p.URI)
	}
	if committed {
		refs.add(path.Join(dir, manifestName))
		refs.add(path.Join(dir, listName))
	}
	if err := c.shardRecords(ctx, dir, refs); err != nil {
		return err
	}
	_, err = c.below(ctx, dir, at, refs.has, func(uri string, e lakeio.Entry) Kind {
		switch {
		case e.Temporary:
			return Temporary
		case strings.HasPrefix(uri, path.Join(dir, "shuffle")+"/"):
			return Shuffle
		}
		return Parts
	})
	return err
}

// shardRecords adds the shard records of a round and the files they name.
func (c *collector) shardRecords(ctx context.Context, dir string, refs set) error {
	entries, err := c.entries(ctx, dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !shardRecord.MatchString(e.Name) {
			continue
		}
		uri := path.Join(dir, e.Name)
		refs.add(uri)
		record, err := lakeio.ReadShardRecord(ctx, c.store, uri)
		if err != nil {
			return err
		}
		for _, roll := range record.Rolls {
			for _, p := range roll.Parts {
				refs.add(p.URI)
			}
		}
	}
	return nil
}

// drop removes a stage, or any other folder, but for what is referred to from
// elsewhere. Its manifest goes first; one that is too young keeps all.
func (c *collector) drop(ctx context.Context, dir string, at time.Time, kind Kind) error {
	entries, err := c.entries(ctx, dir)
	if err != nil {
		return err
	}
	for _, name := range []string{manifestName, listName} {
		i := slices.IndexFunc(entries, func(e lakeio.Entry) bool { return e.Name == name })
		if i < 0 {
			continue
		}
		if !c.old(entries[i]) {
			return nil
		}
		if err := c.now(ctx, path.Join(dir, name), entries[i].Bytes, kind); err != nil {
			return err
		}
	}
	_, err = c.below(ctx, dir, at, func(string) bool { return false }, func(string, lakeio.Entry) Kind { return kind })
	return err
}

// entries lists a folder that has few names of its own.
func (c *collector) entries(ctx context.Context, dir string) (list []lakeio.Entry, err error) {
	err = c.store.Scan(ctx, dir+"/", func(e lakeio.Entry) error {
		list = append(list, e)
		return nil
	})
	return list, err
}

// below removes what lies in a folder and in those below it, is old and is
// referred to by nobody, and the folders that this leaves empty; at is when
// the folder was modified, zero where that doesn't matter.
func (c *collector) below(ctx context.Context, dir string, at time.Time, keep func(uri string) bool, kind func(string, lakeio.Entry) Kind) (left int, err error) {
	removed := false
	err = c.store.Scan(ctx, dir+"/", func(e lakeio.Entry) error {
		uri := path.Join(dir, e.Name)
		if strings.HasSuffix(e.Name, "/") {
			n, err := c.below(ctx, uri, e.Modified, keep, kind)
			left, removed = left+n, removed || n == 0
			return err
		}
		if c.Meter.Looked.Add(1); c.done[uri] {
			removed = true
			return nil
		}
		if !c.old(e) || e.Foreign || !lakeio.ValidURI(uri) || keep(uri) || c.outside.has(uri) {
			left++
			return nil
		}
		removed = true
		return c.remove(ctx, uri, e, kind(uri, e))
	})
	if err == nil && left == 0 && !c.DryRun && (removed || !at.After(c.cutoff)) {
		err = lakeio.RemoveEmpty(c.store, dir)
	} else {
		left++
	}
	return left, err
}

// remove deletes a file, beside others where that takes a request.
func (c *collector) remove(ctx context.Context, uri string, e lakeio.Entry, kind Kind) error {
	if c.DryRun || c.store.Local() != "" {
		return c.delete(ctx, uri, e.Bytes, kind)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	c.deletes.Go(func() error { return c.delete(ctx, uri, e.Bytes, kind) })
	return nil
}

// now deletes a file before its folder is gone through.
func (c *collector) now(ctx context.Context, uri string, bytes int64, kind Kind) error {
	c.done[uri] = true
	return c.delete(ctx, uri, bytes, kind)
}

func (c *collector) delete(ctx context.Context, uri string, bytes int64, kind Kind) error {
	if !c.DryRun {
		if err := c.held(); err != nil {
			return err
		}
		if err := c.store.Delete(ctx, uri); err != nil {
			return err
		}
	}
	c.Meter.Removed.Add(1)
	c.count(kind, Count{Files: 1, Bytes: bytes})
	return nil
}

// held reports whether the lock, where one was needed, is still ours.
func (c *collector) held() error {
	if c.lock == nil || c.lock.Err() == nil && c.lock.Left() > 0 {
		return nil
	}
	return errors.Join(fmt.Errorf("job %s: the lock was not renewed in time: try again", c.Job), c.lock.Err())
}

func (c *collector) count(kind Kind, n Count) {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.report.Kinds[kind]
	c.report.Kinds[kind] = Count{was.Files + n.Files, was.Bytes + n.Bytes, was.Rows + n.Rows}
}
