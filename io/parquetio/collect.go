package parquetio

import (
	"context"
	"errors"
	"os"
	"path"
	"strings"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// Collect implements [harrow.Collector]: what the runs have below .harrow goes,
// but for the index of what they published.
func (s *Sink) Collect(ctx context.Context, runs []string, dry bool) (n harrow.Collected, err error) {
	defer s.named(&err, "collect %d runs", len(runs))
	if s.local() { // opening would make it
		if _, err := os.Stat(s.uri); errors.Is(err, os.ErrNotExist) {
			return n, nil
		}
	}
	store, err := s.open()
	if err != nil {
		return n, err
	}
	for _, run := range runs {
		err := store.Scan(ctx, runDir(run)+"/", func(e lakeio.Entry) error {
			if !strings.HasSuffix(e.Name, "/") {
				return nil
			}
			some, err := weigh(ctx, store, path.Join(runDir(run), e.Name))
			n = n.Add(some)
			return err
		})
		if err == nil && !dry {
			if err = sweep(ctx, store, run); err == nil {
				err = lakeio.RemoveEmpty(store, runDir(run))
			}
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// weigh sums the files below a folder.
func weigh(ctx context.Context, s lakeio.Store, folder string) (n harrow.Collected, err error) {
	err = s.Scan(ctx, folder+"/", func(e lakeio.Entry) error {
		some := harrow.Collected{Files: 1, Bytes: e.Bytes}
		if strings.HasSuffix(e.Name, "/") {
			var err error
			if some, err = weigh(ctx, s, path.Join(folder, e.Name)); err != nil {
				return err
			}
		}
		n = n.Add(some)
		return nil
	})
	return n, err
}
