package extras

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

func init() { harrow.RegisterSink("jsonl", newJSONL) }

// jsonl keeps every run's rows in files of their own, PATH/RECORD/RUN-SHARD.jsonl.
// It never updates one: what another run loads lies beside it.
type jsonl struct {
	Path string `json:"path"` // a folder, relative to the job file
}

func newJSONL(config json.RawMessage, env harrow.SinkEnv) (harrow.Sink, error) {
	s := &jsonl{}
	if err := harrow.ReadConfig(config, s); err != nil {
		return nil, err
	}
	if s.Path == "" {
		return nil, &harrow.ConfigError{Key: "path", Err: errors.New("is missing; expected a folder")}
	}
	if env.Workspace == "" { // each worker of a cluster would write to its own disk
		return nil, errors.New("it needs a local workspace and a runner in this process")
	}
	if !filepath.IsAbs(s.Path) {
		s.Path = filepath.Join(env.Dir, s.Path)
	}
	return s, nil
}

// Check refuses, before the first fetch, a column whose type is another than
// in the files that are there.
func (s *jsonl) Check(_ context.Context, types []harrow.RecordType) error {
	var errs []error
	for _, t := range types {
		_, err := s.columns(t)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// columns are those that files of the record have, and then the new ones.
func (s *jsonl) columns(t harrow.RecordType) ([]harrow.Column, error) {
	if t.Name != filepath.Base(t.Name) || !filepath.IsLocal(t.Name) {
		return nil, fmt.Errorf("record %q: expected a name that a folder can have", t.Name)
	}
	stored := harrow.RecordType{Name: t.Name}
	if err := readJSON(filepath.Join(s.Path, t.Name, ".columns"), &stored.Columns); err != nil {
		return nil, err
	}
	for _, c := range t.Columns {
		was, ok := stored.Column(c.Name)
		if !ok {
			stored.Columns = append(stored.Columns, c)
		} else if was.Type != c.Type {
			return nil, fmt.Errorf("%s.%s is %s in %s; the job has %s", t.Name, c.Name, was.Type, s.Path, c.Type)
		}
	}
	return stored.Columns, nil
}

// mark says that a shard is loaded, and what was counted. It is written last.
type mark struct {
	Input  string        `json:"input"`
	Shards int           `json:"shards"`
	Counts harrow.Counts `json:"counts"`
}

// Load writes a shard once. A shard that is marked, by a process that died
// later, has its rejects reported again, since that process may have lost them.
func (s *jsonl) Load(ctx context.Context, shard harrow.Shard) (counts harrow.Counts, err error) {
	defer func() {
		if err != nil {
			counts, err = harrow.Counts{}, fmt.Errorf("record %s, shard %d: %w", shard.Record.Name, shard.Shard, err)
		}
	}()
	columns, err := s.columns(shard.Record)
	if err != nil {
		return counts, err
	}
	folder := filepath.Join(s.Path, shard.Record.Name)
	name := fmt.Sprintf("%s-%05d", shard.Run, shard.Shard)
	markFile := filepath.Join(folder, "."+name+".mark")
	var m mark
	if err := readJSON(markFile, &m); err != nil {
		return counts, err
	}
	if m.Input == shard.Input && m.Shards == shard.Shards {
		_, err := writeRows(ctx, io.Discard, shard)
		return m.Counts, err
	}
	if err := os.Remove(markFile); err != nil && !errors.Is(err, fs.ErrNotExist) { // it is of other rows
		return counts, err
	}
	err = writeFile(filepath.Join(folder, name+".jsonl"), func(w io.Writer) (err error) {
		counts, err = writeRows(ctx, w, shard)
		return err
	})
	if err == nil {
		err = writeJSON(filepath.Join(folder, ".columns"), columns)
	}
	if err != nil {
		return counts, err
	}
	return counts, writeJSON(markFile, mark{shard.Input, shard.Shards, counts})
}

// writeRows writes the rows and rejects those without a key.
func writeRows(ctx context.Context, w io.Writer, shard harrow.Shard) (counts harrow.Counts, err error) {
	var line []byte
	for batch, err := range shard.Batches() {
		if err = errors.Join(err, ctx.Err()); err != nil {
			return counts, err
		}
		for row := range batch.Rows() {
			null := func(key string) bool { c := batch.Column(key); return c == nil || c.IsNull(row) }
			if i := slices.IndexFunc(shard.Key, null); i >= 0 {
				r := lakeio.RowReject(batch, row, shard.Record.Name)
				r.Class, r.Code, r.Field, r.Reason = harrow.DataFault, "key", shard.Key[i], "a column of the key is null"
				if err := shard.Reject(r); err != nil {
					return counts, err
				}
				counts.Rejected++
				continue
			}
			line = append(lakeio.AppendJSON(line[:0], batch, row, nil), '\n')
			if _, err := w.Write(line); err != nil {
				return counts, err
			}
			counts.Added++
		}
	}
	return counts, ctx.Err()
}

// Close has nothing to do: every file was closed by the load that wrote it.
func (s *jsonl) Close() error { return nil }

// readJSON leaves v as it is where there is no file.
func readJSON(path string, v any) error {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(data, v)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func writeJSON(path string, v any) error {
	return writeFile(path, func(w io.Writer) error { return json.NewEncoder(w).Encode(v) })
}

// writeFile writes a file that has its name only once it is complete and on
// the disk.
func writeFile(path string, write func(io.Writer) error) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".writing-*")
	if err != nil {
		return err
	}
	b := bufio.NewWriter(f)
	if err = write(b); err == nil {
		err = b.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return err
}
