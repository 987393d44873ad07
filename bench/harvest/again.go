package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/PuerkitoBio/goquery"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/bench/internal/measure"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/pipelines"
)

// Parsing again is what a change of the rules costs: the pages are those that a
// run of Harrow has kept, and nobody fetches. Harrow does it by run --from parse,
// the loop with goquery over the same bodies, out of the same files; both into a
// new database.

// harvestAgain parses what the workspace's last run has kept.
func harvestAgain(ctx context.Context, c config) (r result, err error) {
	workspace := workspaceOf(c)
	database := filepath.Join(workspace, "bench", "bench.db")
	for _, name := range []string{database, database + "-wal", database + "-shm"} {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return r, err
		}
	}
	r, _, err = timed(ctx, c, pipelines.Request{JobFile: jobFileOf(c), Workspace: workspace, Run: "last", From: "parse"})
	if err != nil {
		return r, err
	}
	r.Rows, r.Digest, err = digestRows(ctx, database)
	return r, err
}

// kept is one page that a run has kept.
type kept struct {
	url  *url.URL
	body []byte
}

// loopAgain is the same by hand.
func loopAgain(ctx context.Context, c config) (r result, err error) {
	before, err := measure.Own()
	if err != nil {
		return r, err
	}
	begun := time.Now()
	working, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	pages, rows := make(chan kept, 64), make(chan product, 1024)
	go func() {
		defer close(pages)
		if err := readKept(working, workspaceOf(c), pages); err != nil {
			cancel(err)
		}
	}()
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for page := range pages {
				doc, err := goquery.NewDocumentFromReader(bytes.NewReader(page.body))
				if err != nil {
					cancel(err)
					continue
				}
				p, err := parse(doc, page.url)
				if err != nil {
					cancel(fmt.Errorf("%s: %w", page.url, err))
					continue
				}
				rows <- p
			}
		})
	}
	go func() { workers.Wait(); close(rows) }()
	path := filepath.Join(c.Dir, "again.db")
	defer func() { err = errors.Join(err, os.Remove(path)) }()
	if err := write(working, path, rows, cancel); err != nil {
		return r, err
	}
	r = result{Pages: c.Pages, Elapsed: time.Since(begun), Uncounted: before.CPU}
	r.Rows, r.Digest, err = digestRows(ctx, path)
	return r, err
}

// readKept hands out the pages of the workspace's last run. A body of one is one
// row.
func readKept(ctx context.Context, workspace string, to chan<- kept) error {
	store, err := lakeio.Open(workspace)
	if err != nil {
		return err
	}
	run, err := lakeio.LastRun(ctx, store, "bench")
	if err != nil {
		return err
	}
	lake := lakeio.Lake{Store: store, Job: run.Job, Run: run.Source("fetch")}
	for n := range run.Rounds {
		m, err := lake.Manifest(ctx, lakeio.FetchStage(n))
		if err != nil {
			return err
		}
		urls := map[string]*url.URL{} // by digest
		err = eachBatch(ctx, store, m, lakeio.Captures.Name(), func(b harrow.Batch) error {
			for _, c := range lakeio.Captures.Rows(b) {
				u, err := url.Parse(c.URL)
				if err != nil {
					return err
				}
				urls[c.Digest] = u
			}
			return nil
		})
		if err != nil {
			return err
		}
		err = eachBatch(ctx, store, m, lakeio.Bodies.Name(), func(b harrow.Batch) error {
			for _, body := range lakeio.Bodies.Rows(b) {
				select {
				case to <- kept{urls[body.Digest], bytes.Clone(body.Body)}:
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func eachBatch(ctx context.Context, store lakeio.Store, m lakeio.Manifest, table string, visit func(harrow.Batch) error) error {
	for _, part := range m.Parts {
		if part.Table != table {
			continue
		}
		for b, err := range lakeio.ReadBatches(ctx, store, part) {
			if err == nil {
				err = visit(b)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}
