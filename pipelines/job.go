package pipelines

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/internal/expr"
	"github.com/harrowdata/harrow/internal/jobfile"
	"github.com/harrowdata/harrow/internal/rules"
	"github.com/harrowdata/harrow/internal/session"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/transforms/enrich/lookup"
	"github.com/harrowdata/harrow/transforms/operate"
)

// ErrUsage: the command or the job file is wrong; nothing was started.
var ErrUsage = errors.New("usage")

// usage is an error that is ErrUsage without saying so.
type usage struct{ error }

func (usage) Is(target error) bool { return target == ErrUsage }

func (u usage) Unwrap() error { return u.error }

func usagef(format string, args ...any) error { return usage{fmt.Errorf(format, args...)} }

// Job is a job file that was read and checked.
type Job struct {
	harrow.Job
	Types   []harrow.RecordType // of what its rules make
	Refined []harrow.RecordType // of what refine makes of them: what is loaded
	Lookups Lookups
	Source  *jobfile.Source
	Path    string
}

// ReadJob reads a job file and checks everything that can be checked without
// network and stores: keys, types, globs, selectors, names of sinks and
// extractors, secrets. All problems are reported, each as FILE:LINE:COL.
func ReadJob(path string, params map[string]string) (*Job, error) {
	lookups := Lookups{}
	job, source, err := jobfile.Read(path, params, jobfile.Options{
		LookupColumns: func(file string) (columns []expr.Column, err error) {
			lookups[file], err = lookup.Columns(context.Background(), beside(path, file), file)
			return lookups[file], err
		},
		OperatorType: func(use string, with json.RawMessage, in harrow.RecordType) (harrow.RecordType, error) {
			link, err := operate.Link(harrow.OperatorUse{Use: use, With: with}, in, true)
			return link.Makes, err
		},
		CheckSelector:    rules.CheckSelector,
		CheckGlob:        func(p string) error { _, err := canon.CompileGlob(p); return err },
		CheckHost:        canon.CheckHostGlob,
		CheckURL:         checkURL,
		KnownSink:        func(name string) error { _, err := harrow.LookupSink(name); return err },
		ExtractorRecords: rules.ExtractorRecords,
	})
	if err != nil {
		return nil, usage{err}
	}
	return newJob(job, source, lookups, path)
}

// keptJob is newJob for a job that a run has kept.
func keptJob(job *harrow.Job, r lakeio.Run) (*Job, error) {
	path := filepath.Join(r.Dir, "the rules of run "+r.ID)
	lookups := Lookups{}
	for _, file := range (&Job{Job: *job}).lookupFiles() {
		columns, err := lookup.Columns(context.Background(), beside(path, file), file)
		if err != nil {
			return nil, usage{fmt.Errorf("%s: %w", path, err)}
		}
		lookups[file] = columns
	}
	return newJob(job, &jobfile.Source{File: path, Dir: r.Dir, Text: []byte(r.JobFile)}, lookups, path)
}

// newJob checks what spans more than the job file's text.
func newJob(job *harrow.Job, source *jobfile.Source, lookups Lookups, path string) (*Job, error) {
	types, err := jobfile.RecordTypes(job, rules.ExtractorRecords)
	if err != nil {
		return nil, usage{err}
	}
	if _, err := rules.Compile(job.Parse, types); err != nil {
		return nil, usage{fmt.Errorf("%s: %w", path, err)}
	}
	if err := source.CheckSecrets(os.LookupEnv); err != nil {
		return nil, usage{err}
	}
	if err := checkSent(job, source); err != nil {
		return nil, usage{err}
	}
	j := &Job{Job: *job, Types: types, Lookups: lookups, Source: source, Path: path}
	for _, t := range types {
		chain, err := newRefining(t, job.Refine[t.Name], lookups, nil)
		if err != nil {
			return nil, usage{fmt.Errorf("%s: refine.%s: %w", path, t.Name, err)}
		}
		j.Refined = append(j.Refined, chain.after)
	}
	return j, nil
}

// checkSent places what is wrong with headers, credentials and the login, once
// their secrets are filled in, in the job file.
func checkSent(job *harrow.Job, source *jobfile.Source) error {
	_, err := session.New(session.Config{Fetch: job.Fetch, Env: os.LookupEnv})
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return err
	}
	var errs jobfile.Errors
	for _, err := range joined.Unwrap() {
		wrong := &harrow.ConfigError{Key: "fetch"}
		errors.As(err, &wrong)
		errs = append(errs, source.Errorf(wrong.Key, "%v", err))
	}
	return errs
}

// beside is where a file that the job file names is.
func beside(jobFile, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(jobFile), filepath.FromSlash(name))
}

// Beside is where a file that the job file names is.
func (j *Job) Beside(name string) string { return beside(j.Path, name) }

func checkURL(url string) error {
	c, err := canon.New(canon.Policy{})
	if err == nil {
		_, err = c.Parse(url)
	}
	return err
}

// CheckStores asks every sink whether it could load the job's records, before
// the first fetch.
func CheckStores(ctx context.Context, job *Job, store lakeio.Store) error {
	dir, err := filepath.Abs(job.Source.Dir)
	if err != nil {
		return fmt.Errorf("the job file's folder: %w", err)
	}
	for name, config := range job.Load {
		sink, err := jobfile.NewSink(name, config, harrow.SinkEnv{Job: job.Name, Workspace: store.Local(), Dir: dir}, os.LookupEnv)
		if err != nil {
			return usage{sinkError(job, name, err)}
		}
		err = sink.Check(ctx, job.Refined)
		if err = errors.Join(err, sink.Close()); err != nil {
			if wrong := (*harrow.ConfigError)(nil); errors.As(err, &wrong) {
				return usage{sinkError(job, name, err)}
			}
			return fmt.Errorf("load.%s: %w", name, err)
		}
	}
	return nil
}

// sinkError places what is wrong with a sink's config in the job file: at the
// key, where the sink says which.
func sinkError(job *Job, name string, err error) error {
	path, text := "load."+name, err.Error()
	wrong := (*harrow.ConfigError)(nil)
	if errors.As(err, &wrong) && wrong.Key != "" {
		path += "." + wrong.Key
	}
	switch {
	case wrong != nil && wrong.Key != "" && strings.HasPrefix(text, wrong.Key+": "):
		text = "load." + name + "." + text
	case !strings.HasPrefix(text, "load."):
		text = "load." + name + ": " + text
	}
	return job.Source.Errorf(path, "%s", text)
}
