package parquetio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

const jsonVersion = 1

// mark says that a shard is loaded: by which files, and what was counted.
type mark struct {
	Version int           `json:"version"`
	Run     string        `json:"run"`
	Record  string        `json:"record"`
	Input   string        `json:"input"`
	Shard   int           `json:"shard"`
	Shards  int           `json:"shards"`
	Counts  harrow.Counts `json:"counts"`
	Files   []file        `json:"files"`
}

// file is one file of a shard.
type file struct {
	Staged string `json:"staged"` // where Load wrote it
	URI    string `json:"uri"`    // where readers find it, relative to the sink's folder
	Rows   int64  `json:"rows"`
	Bytes  int64  `json:"bytes"`
}

// index is published.json: all marks of a run that count.
type index struct {
	Version int    `json:"version"`
	Run     string `json:"run"`
	Input   string `json:"input"`
	Shards  int    `json:"shards"`
	Marks   []mark `json:"marks"`
}

func markOf(s harrow.Shard) mark {
	return mark{Version: jsonVersion, Run: s.Run, Record: s.Record.Name, Input: s.Input, Shard: s.Shard, Shards: s.Shards}
}

// of reports whether a mark is of a shard.
func (m mark) of(s harrow.Shard) bool {
	return m.Run == s.Run && m.Record == s.Record.Name && m.Input == s.Input && m.Shard == s.Shard && m.Shards == s.Shards
}

// readJSON reads one of the sink's own files; ok is false where there is none.
func readJSON[T any](ctx context.Context, s lakeio.Store, uri string) (v T, ok bool, err error) {
	data, _, err := s.Read(ctx, uri)
	if errors.Is(err, lakeio.ErrNotFound) {
		return v, false, nil
	}
	if err != nil {
		return v, false, err
	}
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return v, false, fmt.Errorf("%s: %w: want JSON: %v", uri, lakeio.ErrCorrupt, err)
	}
	if head.Version != jsonVersion {
		return v, false, fmt.Errorf("%s: %w: version %d, this release reads %d", uri, lakeio.ErrCorrupt, head.Version, jsonVersion)
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return v, false, fmt.Errorf("%s: %w: %v", uri, lakeio.ErrCorrupt, err)
	}
	return v, true, nil
}

// create writes one of the sink's own files if there is none; else
// lakeio.ErrExists.
func create(ctx context.Context, s lakeio.Store, uri string, v any) error {
	data, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return fmt.Errorf("%s: %w", uri, err)
	}
	return s.Create(ctx, uri, data)
}

// published returns the index of a run, if the run is published.
func published(ctx context.Context, s lakeio.Store, run, input string, shards int) (in index, ok bool, err error) {
	in, ok, err = readJSON[index](ctx, s, publishedURI(run))
	if err == nil && ok && (in.Input != input || in.Shards != shards) {
		err = fmt.Errorf("run %s is published already, from input %.16s in %d shards; this is input %.16s in %d shards", run, in.Input, in.Shards, input, shards)
	}
	return in, ok, err
}

// marked finds the mark of a shard, before or after it was published.
func marked(ctx context.Context, s lakeio.Store, shard harrow.Shard) (mark, bool, error) {
	in, ok, err := published(ctx, s, shard.Run, shard.Input, shard.Shards)
	if err != nil {
		return mark{}, false, err
	}
	for _, m := range in.Marks {
		if m.of(shard) {
			return m, true, nil
		}
	}
	if ok {
		return mark{}, false, fmt.Errorf("run %s is published already, without this shard", shard.Run)
	}
	m, ok, err := readJSON[mark](ctx, s, markURI(shard))
	if err == nil && ok && !m.of(shard) {
		err = fmt.Errorf("%s: %w: it is the mark of shard %d of %d of record %s, run %s", markURI(shard), lakeio.ErrCorrupt, m.Shard, m.Shards, m.Record, m.Run)
	}
	return m, ok, err
}
