package parquetio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/harrowtest/sinktest"
	_ "github.com/harrowdata/harrow/io/gcsio"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/soak/fakegcs"
)

func TestTheSinkIsOne(t *testing.T) {
	t.Run("on a disk", func(t *testing.T) {
		sinktest.Run(t, func(tb testing.TB) sinktest.Store { return storeAt(tb, tb.TempDir()) })
	})
	t.Run("on Cloud Storage", func(t *testing.T) {
		server, n := fakegcs.Start(t), 0
		sinktest.Run(t, func(tb testing.TB) sinktest.Store {
			n++
			return storeAt(tb, server.Workspace(fmt.Sprint("out", n)))
		})
	})
}

// storeAt is the sink's folder at a path or URI.
func storeAt(tb testing.TB, uri string) sinktest.Store {
	config, err := json.Marshal(Config{Path: uri})
	check(tb, err)
	return sinktest.Store{
		History: true,
		Open:    func() (harrow.Sink, error) { return New(config, harrow.SinkEnv{Job: "shop"}) },
		Rows: func(rt harrow.RecordType) (list []map[string]any, err error) {
			store, err := lakeio.Open(uri)
			if err != nil {
				return nil, err
			}
			dir := tb.TempDir()
			if err := fetchFolder(tb.Context(), store, escape(rt.Name), dir); err != nil {
				return nil, err
			}
			for _, f := range visible(tb, dir) {
				for _, row := range rowsOf(tb, filepath.Join(dir, f)) {
					var values map[string]any
					d := json.NewDecoder(strings.NewReader(row))
					d.UseNumber()
					check(tb, d.Decode(&values))
					list = append(list, values)
				}
			}
			return list, nil
		},
	}
}

// fetchFolder copies what is below a folder of a store to a disk.
func fetchFolder(ctx context.Context, from lakeio.Store, folder, dir string) error {
	to, err := lakeio.Open(dir)
	if err != nil {
		return err
	}
	names, err := from.List(ctx, folder+"/")
	if err != nil {
		return err
	}
	for _, name := range names {
		uri := path.Join(folder, name)
		if strings.HasSuffix(name, "/") {
			err = fetchFolder(ctx, from, uri, dir)
		} else {
			err = fetchFile(ctx, from, to, uri)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func fetchFile(ctx context.Context, from, to lakeio.Store, uri string) (err error) {
	r, err := from.Open(ctx, uri)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	return to.Put(ctx, uri, data)
}
