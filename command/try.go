package command

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/command/trial"
	"github.com/harrowdata/harrow/command/view"
	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/pipelines"
)

type tryCmd struct {
	paramFlag
	JobFile     string `arg:"" name:"job.yaml" help:"Job file."`
	URL         string `arg:"" name:"url" help:"URL to try."`
	File        string `help:"Take this file for the answer of URL; nothing is asked." placeholder:"PAGE.html"`
	ContentType string `help:"With --file: the answer's Content-Type; by default by the file's name." placeholder:"TYPE"`
	Links       int    `help:"Name this many of the links found." placeholder:"N" default:"10"`
	JSON        bool   `name:"json" help:"Write JSON."`
}

// file reads what stands for the answer; nil: nothing does.
func (c *tryCmd) file(most int64) (*trial.File, error) {
	if c.File == "" {
		if c.ContentType != "" {
			return nil, view.Usagef("--content-type %s: it goes with --file", c.ContentType)
		}
		return nil, nil
	}
	info, err := os.Stat(c.File)
	switch {
	case err != nil:
		return nil, view.Usagef("--file: %w", err)
	case info.IsDir():
		return nil, view.Usagef("--file %s is a folder; want a file", c.File)
	}
	f := &trial.File{Name: c.File, ContentType: cmp.Or(c.ContentType, typeOf(c.File)), Size: info.Size(), Open: func() io.ReadCloser { return open(c.File) }}
	if info.Size() > most {
		return f, nil
	}
	if f.Body, err = os.ReadFile(c.File); err != nil {
		return nil, view.Usagef("--file: %w", err)
	}
	return f, nil
}

// open opens a file; what is wrong with it shows when it is read.
func open(name string) io.ReadCloser {
	f, err := os.Open(name)
	if err != nil {
		return broken{err}
	}
	return f
}

// broken is a file that could not be opened.
type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

func (b broken) Close() error { return nil }

// typeOf is the media type that a file's name stands for; what is unknown is
// taken for a page.
func typeOf(name string) string {
	switch ext := strings.ToLower(filepath.Ext(name)); ext {
	case ".csv":
		return "text/csv"
	case ".tsv":
		return "text/tab-separated-values"
	case ".json":
		return "application/json"
	case ".jsonl", ".ndjson":
		return "application/x-ndjson"
	case ".xml", ".rss", ".atom":
		return "application/xml"
	case ".txt":
		return "text/plain"
	case ".xhtml":
		return "application/xhtml+xml"
	}
	return "text/html"
}

// Run implements the command.
func (c *tryCmd) Run(e *env) error {
	job, err := c.read(c.JobFile)
	if err != nil {
		return err
	}
	var hosts []string
	if len(job.Discover.Scope.Hosts) == 0 {
		if hosts, err = pipelines.SeedHosts(e.ctx, job); err != nil {
			return err
		}
	}
	file, err := c.file(int64(job.Limits.Document))
	if err != nil {
		return err
	}
	report, err := trial.URL(e.ctx, trial.Config{Job: job.Job, Types: job.Types, Hosts: hosts, Env: os.LookupEnv, File: file, Links: c.Links,
		Lookups: job.Lookups, Beside: job.Beside,
		Seeds: func(ctx context.Context, do func(canon.URL)) error { return pipelines.EachSeed(ctx, job, do) },
		Wait: func(key string, d time.Duration) {
			fmt.Fprintf(e.stderr, "waiting %s before %s is asked again\n", view.Took(d), view.Printable(key))
		}}, c.URL)
	if err != nil {
		return err
	}
	if c.JSON {
		err = writeJSON(e.stdout, report)
	} else {
		is, width := terminal(e.stdout)
		err = report.WriteText(e.stdout, width(), paint(is))
	}
	if err == nil && report.Outcome != harrow.Fetched {
		err = errQuiet(exitFailed)
	}
	return err
}
