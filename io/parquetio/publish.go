package parquetio

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// Publish implements [harrow.Publisher]: it gives the run's files the names
// that readers look for, and removes what else the run left below .harrow.
// Whoever is interrupted goes on where it was; a run that is published stays
// as it is. Marks that don't make up what the run has committed are an error,
// and nothing is published.
func (s *Sink) Publish(ctx context.Context, loaded harrow.Loaded) (err error) {
	defer s.named(&err, "publish run %s", loaded.Run)
	store, err := s.open()
	if err != nil {
		return err
	}
	in, done, err := published(ctx, store, loaded.Run, loaded.Input, loaded.Shards)
	if err != nil {
		return err
	}
	if !done {
		if in, err = gather(ctx, store, loaded); err != nil {
			return err
		}
		if len(in.Marks) == 0 {
			return nil // the run has no rows
		}
		if err := reveal(ctx, store, in); err != nil {
			return err
		}
		if err := create(ctx, store, publishedURI(loaded.Run), in); err != nil && !errors.Is(err, lakeio.ErrExists) {
			return err
		}
	}
	return sweep(ctx, store, loaded.Run)
}

// gather reads the marks that count.
func gather(ctx context.Context, s lakeio.Store, loaded harrow.Loaded) (in index, err error) {
	in = index{Version: jsonVersion, Run: loaded.Run, Input: loaded.Input, Shards: loaded.Shards}
	dir := stagingDir(loaded.Run, loaded.Input, loaded.Shards)
	records, err := s.List(ctx, dir+"/")
	if err != nil {
		return in, err
	}
	sums := map[string]harrow.Counts{}
	for _, record := range records {
		names, err := s.List(ctx, path.Join(dir, record)+"/")
		if err != nil {
			return in, err
		}
		for _, name := range names {
			if !strings.HasSuffix(name, ".json") {
				continue
			}
			uri := path.Join(dir, record, name)
			m, ok, err := readJSON[mark](ctx, s, uri)
			if err != nil || !ok {
				return in, errors.Join(err, fmt.Errorf("%s: the mark can't be read", uri))
			}
			in.Marks = append(in.Marks, m)
			sums[m.Record] = sums[m.Record].Add(m.Counts)
		}
	}
	return in, compare(sums, loaded.Counts)
}

// compare says where marks and what was committed differ: files that are gone
// must not pass for a run without rows.
func compare(marked, committed map[string]harrow.Counts) error {
	records := maps.Clone(marked)
	if records == nil {
		records = map[string]harrow.Counts{}
	}
	maps.Copy(records, committed)
	for _, record := range slices.Sorted(maps.Keys(records)) {
		if m, c := marked[record], committed[record]; m != c {
			return fmt.Errorf("record %s: %w: its marks say %+v, the run committed %+v", record, lakeio.ErrCorrupt, m, c)
		}
	}
	return nil
}

// reveal gives files their names, durably.
func reveal(ctx context.Context, s lakeio.Store, in index) error {
	folders := map[string]bool{}
	for _, m := range in.Marks {
		for _, f := range m.Files {
			if err := revealFile(ctx, s, f); err != nil {
				return err
			}
			for dir := path.Dir(f.URI); !folders[dir]; dir = path.Dir(dir) {
				folders[dir] = true
			}
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(folders)) {
		if err := s.Sync(ctx, dir+"/"); err != nil {
			return err
		}
	}
	return nil
}

func revealFile(ctx context.Context, s lakeio.Store, f file) error {
	err := lakeio.Copy(ctx, s, f.Staged, f.URI)
	if err == nil {
		return s.Sync(ctx, f.URI)
	}
	if !errors.Is(err, lakeio.ErrExists) && !errors.Is(err, lakeio.ErrNotFound) {
		return err
	}
	// Whoever published before, or does now, was here.
	there, oerr := s.Open(ctx, f.URI)
	if oerr != nil {
		return errors.Join(err, oerr)
	}
	size := there.Size()
	if err := there.Close(); err != nil {
		return err
	}
	if size != f.Bytes {
		return fmt.Errorf("%s: %w: it has %d bytes, the run's file of this name has %d", f.URI, lakeio.ErrExists, size, f.Bytes)
	}
	return s.Sync(ctx, f.URI)
}

// sweep removes what a published run has below .harrow, but for its index.
func sweep(ctx context.Context, s lakeio.Store, run string) error {
	names, err := s.List(ctx, runDir(run)+"/")
	if err != nil {
		return err
	}
	for _, name := range names {
		if strings.HasSuffix(name, "/") {
			if err := lakeio.RemoveFolder(ctx, s, path.Join(runDir(run), name)); err != nil {
				return err
			}
		}
	}
	return nil
}
