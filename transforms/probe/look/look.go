// Package look is what a worker sees of the world that a job needs: the
// workspace, the secrets, the sinks, room for what doesn't fit into memory. A
// [Report] of it is short text without secrets, so that it can come back to who
// asked by any way there is; it must not need the workspace, which may be what
// is wrong.
package look

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/build"
	"github.com/harrowdata/harrow/internal/jobfile"
	"github.com/harrowdata/harrow/io/lakeio"
)

// Config says what is looked at. It travels to the workers as JSON, without
// secrets.
type Config struct {
	Probe     string                     // who asks: a worker looks once for each
	Workspace string                     // as workers open it; empty: none
	Job       string                     // whose sinks and folders they are
	Dir       string                     // the job file's folder: what relative paths of a sink's config are relative to
	Secrets   []string                   // names: an environment variable, or file:/path
	Load      map[string]json.RawMessage // config by the sink's registered name, as in the job file
	Types     []harrow.RecordType        // what is loaded
	Spill     string                     // folder for what doesn't fit into memory
}

// Report is what one worker process saw. Texts of errors are empty where all is
// well.
type Report struct {
	Worker    string            `json:"worker"` // of the process, by chance
	Host      string            `json:"host"`
	PID       int               `json:"pid"`
	At        time.Time         `json:"at"`                  // when it looked, by its clock
	Build     string            `json:"build"`               // of the program, as package build names it
	Memory    int64             `json:"memory,omitempty"`    // bytes that it may use; 0: unknown
	Workspace string            `json:"workspace,omitempty"` // why it can't be used
	Secrets   []string          `json:"secrets,omitempty"`   // why these can't be had; a name each, never a value
	Sinks     map[string]string `json:"sinks,omitempty"`     // why, by the sink's name
	Spill     string            `json:"spill,omitempty"`     // why nothing can be written there
	Room      int64             `json:"room,omitempty"`      // bytes that are free there
}

// patience is how long a worker looks at most: a store that hangs must not
// hang who asks.
const patience = 30 * time.Second

// once is one look of this process.
type once struct {
	sync.Once
	report Report
}

var (
	self  = uuid.NewString()
	looks sync.Map // of *once, by probe
)

// Around looks around, once for each probe in this process: who asks again gets
// the same answer.
func Around(ctx context.Context, c Config) Report {
	kept, _ := looks.LoadOrStore(c.Probe, &once{})
	o, _ := kept.(*once)
	o.Do(func() { o.report = around(ctx, c) })
	return o.report
}

func around(ctx context.Context, c Config) Report {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	r := Report{Worker: self, Host: host, PID: os.Getpid(), At: time.Now().UTC().Round(0), Memory: memory()}
	if r.Build, err = build.Self(); err != nil {
		r.Build = short(err)
	}
	var store lakeio.Store
	if c.Workspace != "" {
		store, err = workspace(ctx, c.Workspace)
		r.Workspace = short(err)
	}
	for _, name := range c.Secrets {
		if err := jobfile.Lacking([]string{name}, os.LookupEnv); err != nil {
			r.Secrets = append(r.Secrets, short(err))
		}
	}
	r.Sinks = sinks(ctx, c, store)
	r.Room, err = spill(c.Spill)
	r.Spill = short(err)
	return r
}

// Writable opens the workspace at a path or URI, and writes, reads back and
// removes an object in it.
func Writable(ctx context.Context, uri string) error {
	_, err := workspace(ctx, uri)
	return err
}

// workspace opens a workspace and writes, reads back and removes an object.
func workspace(ctx context.Context, uri string) (lakeio.Store, error) {
	store, err := lakeio.Open(uri)
	if err != nil {
		return nil, err
	}
	name, want := "probe-"+uuid.NewString(), []byte("a worker looks whether it may write here\n")
	if err := store.Create(ctx, name, want); err != nil {
		return nil, err
	}
	got, _, err := store.Read(ctx, name)
	if err == nil && !bytes.Equal(got, want) {
		err = fmt.Errorf("%s: what was written reads as something else", name)
	}
	return store, errors.Join(err, store.Delete(ctx, name))
}

// sinks asks each sink whether it could load the job's records from here.
func sinks(ctx context.Context, c Config, store lakeio.Store) map[string]string {
	env := harrow.SinkEnv{Job: c.Job, Dir: c.Dir}
	if store != nil {
		env.Workspace = store.Local()
	}
	var found map[string]string
	for _, name := range slices.Sorted(maps.Keys(c.Load)) {
		if err := sink(ctx, name, c.Load[name], env, c.Types); err != nil {
			if found == nil {
				found = map[string]string{}
			}
			found[name] = short(err)
		}
	}
	return found
}

func sink(ctx context.Context, name string, config json.RawMessage, env harrow.SinkEnv, types []harrow.RecordType) (err error) {
	s, err := jobfile.NewSink(name, config, env, os.LookupEnv)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return s.Check(ctx, types)
}

// spill writes a file where memory is spilled to and says how much room there
// is.
func spill(dir string) (room int64, err error) {
	if dir == "" {
		dir = os.TempDir()
	}
	name := path.Join(dir, "harrow-probe-"+rand.Text())
	if err := os.WriteFile(name, []byte("harrow\n"), 0o600); err != nil {
		return 0, err
	}
	return free(dir), os.Remove(name)
}

// maxText bounds an error's text in a report.
const maxText = 400

// short is an error as one line.
func short(err error) string {
	if err == nil {
		return ""
	}
	text := strings.Join(strings.Fields(err.Error()), " ")
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "…"
	}
	return text
}
