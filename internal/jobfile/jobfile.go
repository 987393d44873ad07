// Package jobfile reads job files: YAML to a typed harrow.Job, with every
// problem named at its line and column.
//
// Reading goes in steps, each of which finds all it can: the YAML tree
// (tree.go), ${param.…} filled in and secrets found (interpolate.go), the
// job's types as the schema (decode.go) with a table of ranges (ranges.go) and
// one of what isn't built yet (notyet.go), and what spans several values
// (semantics.go, refine.go). Secrets are never resolved by reading.
package jobfile

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/expr"
)

// Options are what reading asks others. A nil hook is not asked.
type Options struct {
	// CheckSelector says what is wrong with a selector. Kinds: "css" (may end
	// in @attribute), "xpath", "jsonpath", "jsonld", and "rows" for the
	// JSONPath of a rule's rows; those that aren't built yet are not asked for.
	CheckSelector func(kind, expr string) error
	// CheckGlob says what is wrong with a URL pattern: a path glob, one with
	// // for scheme://host/path, or re: and RE2 (compiled already).
	CheckGlob func(pattern string) error
	// CheckHost says what is wrong with a host pattern of scope, resolve or
	// overrides.
	CheckHost func(pattern string) error
	// CheckURL says what is wrong with the URL of a sitemap.
	CheckURL func(url string) error
	// ExtractorRecords lists the record types of a registered extractor.
	ExtractorRecords ExtractorRecords
	// LookupColumns reads which columns a lookup file has; its name is as the
	// job file has it.
	LookupColumns func(file string) ([]expr.Column, error)
	// OperatorType says what a registered operator with this config makes of
	// rows of a record.
	OperatorType func(use string, with json.RawMessage, in harrow.RecordType) (harrow.RecordType, error)
	// KnownSink says what is wrong with a sink's name.
	KnownSink func(name string) error
}

// Source is the job file behind a job: its text and where things stand.
type Source struct {
	File string // as it was given to Read
	Dir  string // relative paths of the job are relative to it
	Text []byte // as it was read, without secrets filled in

	job     []byte // canonical JSON: parameters filled in, no defaults
	seeds   []string
	at      map[string]Pos
	keys    map[string]Pos
	secrets []secret
}

// Read reads a job file, fills ${param.…} in and applies the defaults. What
// is wrong with the file comes as Errors, all of it at once; a file that can't
// be read as the system's error.
func Read(path string, params map[string]string, opts Options) (*harrow.Job, *Source, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("job file: %w", err)
	}
	return Parse(path, data, params, opts)
}

func readFile(path string) (_ []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return io.ReadAll(io.LimitReader(f, maxBytes+1))
}

// Parse is Read for a text; name stands for the file in messages, and its
// folder is what relative paths are relative to.
func Parse(name string, data []byte, params map[string]string, opts Options) (*harrow.Job, *Source, error) {
	job, source, errs := parse(name, data, params, opts)
	if err := errs.sorted(); err != nil {
		return nil, nil, err
	}
	canonical, err := json.Marshal(job)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	source.job = canonical
	job.SetDefaults()
	return job, source, nil
}

// parse returns the job as far as it could be read, without defaults.
func parse(name string, data []byte, params map[string]string, opts Options) (*harrow.Job, *Source, Errors) {
	job := &harrow.Job{}
	root, errs := readTree(name, data)
	if root == nil {
		return job, nil, errs
	}
	f := filler{file: name, params: params, used: map[string]bool{}, errs: errs}
	f.fill(root, "", false)
	f.unused()

	d := &decoder{file: name, opts: opts, at: map[string]Pos{}, keys: map[string]Pos{}, errs: f.errs}
	d.decode(root, reflect.ValueOf(job).Elem(), place{})
	c := checker{decoder: d, job: job}
	if root.kind == object || root.kind == null {
		c.check()
	}
	return job, &Source{
		File: name, Dir: filepath.Dir(name), Text: data,
		seeds: slices.Clone(job.Discover.Seeds.Files), at: d.at, keys: d.keys, secrets: f.secrets,
	}, d.errs
}

// Digest identifies what the job file says: parameters filled in, secrets not,
// comments and formatting without influence; and the extra texts (inputs,
// --limit), in order. It is 64 hexadecimal digits.
func (s *Source) Digest(extra ...string) string {
	h := sha256.New()
	for _, text := range append([]string{string(s.job)}, extra...) {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(text)))
		h.Write(size[:]) // so that no two lists of texts run together alike
		h.Write([]byte(text))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Errorf makes an Error at the key of a path ("load.sqlite",
// "discover.seeds.files[0]"), or of the nearest one above it that is in the
// file, for problems that others find later.
func (s *Source) Errorf(path, format string, args ...any) *Error {
	for at := path; ; at = at[:strings.LastIndexAny(at, ".[")] {
		pos, ok := s.keys[at]
		if !ok {
			pos, ok = s.at[at]
		}
		if ok || !strings.ContainsAny(at, ".[") {
			return &Error{File: s.File, Line: pos.Line, Col: pos.Col, Path: path, Msg: fmt.Sprintf(format, args...)}
		}
	}
}

// SeedFiles returns the files that discover.seeds.files names, sorted, each
// once; relative patterns are relative to Dir. A pattern that matches no file
// is an error at its place.
func (s *Source) SeedFiles() ([]string, error) {
	var files []string
	var errs Errors
	for i, pattern := range s.seeds {
		path := fmt.Sprintf("discover.seeds.files[%d]", i)
		found, err := globFiles(s.Dir, pattern)
		switch {
		case err != nil:
			errs = append(errs, s.Errorf(path, "%s: got %q; expected a glob: %v", path, pattern, err))
		case len(found) == 0:
			errs = append(errs, s.Errorf(path, "%s: %q matches no file; expected at least one in %s", path, pattern, s.Dir))
		}
		files = append(files, found...)
	}
	if err := errs.sorted(); err != nil {
		return nil, err
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

// globFiles matches a pattern below a folder whose own name is no pattern.
func globFiles(dir, pattern string) ([]string, error) {
	root := dir
	if filepath.IsAbs(pattern) {
		root = ""
	}
	found, err := filepath.Glob(filepath.Join(escapeGlob(root), pattern))
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(found, func(path string) bool {
		info, err := os.Stat(path)
		return err != nil || info.IsDir()
	}), nil
}

// escapeGlob makes a folder's name match itself only.
func escapeGlob(path string) string {
	var b []rune
	for _, r := range path {
		if r == '*' || r == '?' || r == '[' || r == '\\' && filepath.Separator != '\\' {
			b = append(b, '\\')
		}
		b = append(b, r)
	}
	return string(b)
}
