package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"time"

	"github.com/harrowdata/harrow/bench/internal/quiet"
	"github.com/harrowdata/harrow/internal/memory"

	"github.com/harrowdata/harrow/internal/demosite"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/pipelines"

	_ "github.com/harrowdata/harrow/io/sqlio"
)

// jobFile is the harvest as a job: %s are its discover section and the site's
// address.
const jobFile = `version: 1
job: bench
discover:
%s
fetch:
  resolve: {"bench.example": "%s"}
  politeness:
    overrides: {"bench.example": {concurrency: %d, delay: 0s}}
parse:
  - record: product
    match: ["/p/*.html"]
    fields:
      upc:    {css: "th:contains('UPC') + td", required: true}
      title:  {css: "h1", required: true}
      price:  {css: ".price_color", type: money, currency: GBP}
      stock:  {css: ".availability", regex: "(\\d+) available", type: int}
      rating:
        css: "p.star-rating@class"
        map: {"star-rating One": 1, "star-rating Two": 2, "star-rating Three": 3, "star-rating Four": 4, "star-rating Five": 5}
        type: int
      image:  {css: "#gallery img@src", type: url}
      tags:   {css: "ul.tags li", type: list}
      brand:  {css: "th:contains('Publisher') + td"}
refine:
  product: {key: [upc]}
load:
  sqlite: {}
`

// discoverSections by config.Follow.
var discoverSections = map[string]string{
	"": `  seeds: {files: ["seeds.txt"]}`,
	"listings": `  seeds: {urls: ["http://bench.example/"]}
  scope: {include: ["/", "/list/*.html", "/p/*.html"], max_depth: 1000}
  follow: [{within: ["/", "/list/*.html"], css: "a@href"}]`,
	"all": `  seeds: {urls: ["http://bench.example/"]}
  scope: {include: ["/", "/list/*.html", "/p/*.html"], max_depth: 1000}
  follow: [{css: "a@href"}]`,
}

// timed runs the job that was asked for to its end; its rows are not counted yet.
func timed(ctx context.Context, c config, job pipelines.Request) (r result, run pipelines.Result, err error) {
	quiet.Beam()
	stop, err := profile(c.Profile)
	if err != nil {
		return r, run, err
	}
	memory.TuneGC() // as the command does
	begun := time.Now()
	run, err = pipelines.Run(ctx, job)
	r = result{Pages: c.Pages, Elapsed: time.Since(begun)}
	if err = errors.Join(err, stop()); err == nil && run.Exit != 0 {
		err = fmt.Errorf("the run ended with exit code %d: %s", run.Exit, run.Why)
	}
	return r, run, err
}

// harvest is the same as loop, by Harrow.
func harvest(ctx context.Context, c config) (r result, err error) {
	job, err := writeJob(c)
	if err != nil {
		return r, err
	}
	workspace := workspaceOf(c)
	r, run, err := timed(ctx, c, pipelines.Request{JobFile: job, Workspace: workspace})
	if err != nil {
		return r, err
	}
	store, err := lakeio.Open(workspace)
	if err != nil {
		return r, err
	}
	lake := lakeio.Lake{Store: store, Job: run.Run.Job, Run: run.Run.ID}
	for n := range run.Run.Rounds {
		m, err := lake.Manifest(ctx, lakeio.FetchStage(n))
		if err != nil {
			return r, err
		}
		bodies := m.Tables[lakeio.Bodies.Name()]
		r.RawBytes, r.StoredBytes = r.RawBytes+bodies.Raw, r.StoredBytes+bodies.Bytes
	}
	r.Rows, r.Digest, err = digestRows(ctx, filepath.Join(workspace, "bench", "bench.db"))
	return r, err
}

func workspaceOf(c config) string { return filepath.Join(c.Dir, "workspace") }
func jobFileOf(c config) string   { return filepath.Join(c.Dir, "bench.yaml") }

// writeJob writes the job file and its seeds.
func writeJob(c config) (path string, err error) {
	path = jobFileOf(c)
	text := fmt.Sprintf(jobFile, discoverSections[c.Follow], c.Addr, concurrency)
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		return "", err
	}
	f, err := os.Create(filepath.Join(c.Dir, "seeds.txt"))
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriter(f)
	for i := range c.Pages {
		fmt.Fprintln(w, demosite.BenchURL(i))
	}
	return path, w.Flush()
}

// profile starts a CPU profile; without a name it does nothing.
func profile(name string) (stop func() error, err error) {
	if name == "" {
		return func() error { return nil }, nil
	}
	f, err := os.Create(name)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error { pprof.StopCPUProfile(); return f.Close() }, nil
}
