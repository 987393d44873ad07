package parquetio

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
	pq "github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/pqarrow"
	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// Check implements [harrow.Sink]: columns to partition by that a record
// doesn't have, a folder that can't be written, and stored files of other
// folders or types: the newest file of each record is looked at. On a local
// disk nothing is written; elsewhere a file of a few bytes, which is removed.
func (s *Sink) Check(ctx context.Context, types []harrow.RecordType) (err error) {
	var errs []error
	for _, t := range types {
		errs = append(errs, s.checkType(t))
	}
	if err := errors.Join(errs...); err != nil {
		return err // about the job: no place is named
	}
	defer s.named(&err, "check")
	if s.local() {
		there, err := checkLocal(s.uri)
		if err != nil || !there {
			return err
		}
	}
	store, err := s.open()
	if err != nil {
		return err
	}
	if !s.local() {
		probe := path.Join(hidden, "probe-"+uuid.NewString())
		if err := errors.Join(store.Put(ctx, probe, []byte("harrow looks whether it may write here\n")), store.Delete(ctx, probe)); err != nil {
			return err
		}
	}
	for _, t := range types {
		errs = append(errs, s.checkStored(ctx, store, t))
	}
	return errors.Join(errs...)
}

// checkLocal reports whether a folder is there, and whether it can be written,
// or made.
func checkLocal(dir string) (there bool, err error) {
	for at := dir; ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if errors.Is(err, os.ErrNotExist) && at != filepath.Dir(at) {
			continue
		}
		if err != nil {
			return false, err
		}
		if !info.IsDir() {
			return false, fmt.Errorf("%s is no folder", at)
		}
		if err := unix.Access(at, unix.W_OK|unix.X_OK); err != nil {
			return false, fmt.Errorf("folder %s can't be written: %w", at, err)
		}
		return at == dir, nil
	}
}

// checkStored compares a record with its newest file.
func (s *Sink) checkStored(ctx context.Context, store lakeio.Store, t harrow.RecordType) error {
	uri, err := newest(ctx, store, t.Name)
	if err != nil || uri == "" {
		return err
	}
	var want []string
	for _, c := range s.partitionBy {
		name, _, _ := strings.Cut(folderOf(c, ""), "=")
		want = append(want, name)
	}
	var have []string
	for _, dir := range strings.Split(path.Dir(uri), "/")[1:] {
		name, _, _ := strings.Cut(dir, "=")
		have = append(have, name)
	}
	if !slices.Equal(have, want) {
		return &harrow.ConfigError{Key: "partition_by", Err: fmt.Errorf("record %s is stored in folders by [%s], the job's are by [%s] (%s)",
			t.Name, strings.Join(have, ", "), strings.Join(want, ", "), uri)}
	}
	schema, err := storedSchema(ctx, store, uri)
	if err != nil {
		return err
	}
	var errs []error
	for _, c := range t.AllColumns() {
		fields, ok := schema.FieldsByName(c.Name)
		if !ok || s.inFolder(c.Name) || sameType(fields[0].Type, c.Type) {
			continue
		}
		stored := fields[0].Type.String()
		if st, err := lakeio.TypeOf(fields[0].Type); err == nil {
			stored = st.String()
		}
		errs = append(errs, fmt.Errorf("record %s: column %s is stored as %s, the job's type is %s (%s)", t.Name, c.Name, stored, c.Type, uri))
	}
	if err := errors.Join(errs...); err != nil {
		return &harrow.ConfigError{Err: err}
	}
	return nil
}

func storedSchema(ctx context.Context, s lakeio.Store, uri string) (_ *arrow.Schema, err error) {
	in, err := s.Open(ctx, uri)
	if err != nil {
		return nil, err
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: %w: %v", uri, lakeio.ErrCorrupt, p)
		}
		err = errors.Join(err, in.Close())
	}()
	r, err := pq.NewParquetReader(in)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %v", uri, lakeio.ErrCorrupt, err)
	}
	return pqarrow.FromParquet(r.MetaData().Schema, nil, nil)
}

// newest finds the newest file of a record, "" where there is none: among what
// runs have published, else by name. Runs' names sort by time.
func newest(ctx context.Context, s lakeio.Store, record string) (string, error) {
	runs, err := s.List(ctx, hidden+"/")
	if err != nil {
		return "", err
	}
	for _, run := range slices.Backward(runs) {
		if !strings.HasSuffix(run, "/") {
			continue
		}
		in, _, err := readJSON[index](ctx, s, path.Join(hidden, run, "published.json"))
		if err != nil {
			return "", err
		}
		for _, m := range in.Marks {
			if m.Record != record || len(m.Files) == 0 {
				continue
			}
			r, err := s.Open(ctx, m.Files[0].URI)
			if err == nil {
				return m.Files[0].URI, r.Close()
			}
			if !errors.Is(err, lakeio.ErrNotFound) { // else somebody has removed the run
				return "", err
			}
			break
		}
	}
	return lastName(ctx, s, escape(record), maxDepth)
}

// lastName finds the last file below a folder.
func lastName(ctx context.Context, s lakeio.Store, dir string, depth int) (string, error) {
	names, err := s.List(ctx, dir+"/")
	if err != nil {
		return "", err
	}
	for _, name := range slices.Backward(names) {
		switch {
		case strings.HasPrefix(name, "."), strings.HasPrefix(name, "_"):
		case strings.HasSuffix(name, suffix):
			return path.Join(dir, name), nil
		case strings.HasSuffix(name, "/") && depth > 0:
			if uri, err := lastName(ctx, s, path.Join(dir, name), depth-1); err != nil || uri != "" {
				return uri, err
			}
		}
	}
	return "", nil
}
