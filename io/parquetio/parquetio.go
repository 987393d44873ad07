// Package parquetio is the Parquet sink, registered as "parquet": one folder
// per record, which gets files and never loses one.
//
// # Folders
//
// Below the configured path:
//
//	<record>/run=<run>/<run>-<shard>-<number>.parquet   partition_by: [_run], the default
//	<record>/<column>=<value>/…/<run>-<shard>-<number>.parquet
//	.harrow/<run>/published.json                        which files a run has added
//	.harrow/<run>/<input>/<record>/…                    of a run whose load has not committed
//
// Values are written as Hive does: what could be taken for something else than
// a part of a name is %XX, null and the empty text are
// __HIVE_DEFAULT_PARTITION__. As with other writers a column that the files
// are partitioned by is in the folder's name only, and what type its values
// have is for the reader to say: many take 007 for a number. The exception is
// _run: readers pass over folders whose names begin with an underscore, so its
// folder is named run, and the column stays in the files.
//
// All runs' rows are there side by side, also rows with the same key: a reader
// selects a run, or reads all of them as a history.
//
// # Files
//
// The data columns, then [harrow.Provenance], all of them nullable, pages
// compressed with zstd:
//
//	text STRING · int INT64 · float DOUBLE · bool BOOLEAN ·
//	decimal(P,S) DECIMAL(P,S) in a FIXED_LEN_BYTE_ARRAY · date DATE ·
//	timestamp TIMESTAMP (µs, adjusted to UTC) · list LIST of three levels
//
// What is no UTF-8 in a text becomes U+FFFD. The footer's key-value metadata
// says where the rows came from: harrow.version, harrow.job, harrow.run,
// harrow.record, harrow.input (digest of the input manifest), harrow.shard,
// harrow.shards, harrow.key (a JSON list), harrow.partition (a JSON object of
// the folder's columns and values, where null is null) and harrow.rows.
//
// # What counts
//
// A file is written once. Load writes below .harrow, under names of its own
// attempt and none that readers look for; the first attempt that creates the
// shard's mark has won, and the others report what it did. When stage load has
// committed, Publish gives the files that the marks name their names, then
// writes published.json and removes what was below .harrow/<run>. So no reader
// meets a file of a run whose load has not committed, half a file, or a row
// twice.
package parquetio

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

func init() { harrow.RegisterSink("parquet", New) }

// Config configures the sink.
type Config struct {
	// Path is the folder that gets a folder for each record: a local one,
	// absolute or relative to the job file, or a URI whose scheme a workspace
	// may have (gs://bucket/prefix). It is required.
	Path string `json:"path"`
	// PartitionBy are the columns whose values are folders, outermost first:
	// data columns that are no lists, or _run; at most 8. Absent: _run. An
	// empty list makes none.
	PartitionBy []string `json:"partition_by"`
}

const (
	runColumn = "_run"
	runFolder = "run" // what readers see of it: see the package's comment
	maxDepth  = 8
)

// Sink loads records into a folder of Parquet files. It opens the folder when
// it first needs it.
type Sink struct {
	uri         string // as lakeio.Open takes it
	job         string
	partitionBy []string
	limits      limits

	mu    sync.Mutex
	store lakeio.Store
}

// limits bound what a load holds; tests lower them.
type limits struct {
	rowBytes  int64 // of rows gathered before they are written
	fileBytes int64 // of rows in a file
	openFiles int   // files that stay open while other folders' rows come
	files     int   // of one shard
}

var defaultLimits = limits{rowBytes: 8 << 20, fileBytes: 512 << 20, openFiles: 8, files: 10_000}

// forms say what a key of the config holds.
var forms = map[string]string{"path": "a folder", "partition_by": "a list of columns"}

// New makes a sink from its JSON [Config]. An error about one of its keys is a
// [harrow.ConfigError].
func New(config json.RawMessage, env harrow.SinkEnv) (harrow.Sink, error) {
	var c Config
	if len(bytes.TrimSpace(config)) > 0 {
		d := json.NewDecoder(bytes.NewReader(config))
		d.DisallowUnknownFields()
		err := d.Decode(&c)
		if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) && wrong.Field != "" {
			return nil, &harrow.ConfigError{Key: wrong.Field, Err: fmt.Errorf("got %s; expected %s", wrong.Value, forms[wrong.Field])}
		}
		if err != nil {
			return nil, fmt.Errorf("%w; expected {path: FOLDER} and perhaps partition_by: [COLUMN, …]", err)
		}
	}
	if c.Path == "" {
		return nil, &harrow.ConfigError{Key: "path", Err: errors.New("is missing; expected a folder, relative to the job file, or gs://BUCKET/PREFIX")}
	}
	if strings.ContainsRune(c.Path, 0) {
		return nil, &harrow.ConfigError{Key: "path", Err: fmt.Errorf("%q holds NUL; expected a folder", c.Path)}
	}
	if c.PartitionBy == nil {
		c.PartitionBy = []string{runColumn}
	}
	if err := checkPartitionBy(c.PartitionBy); err != nil {
		return nil, err
	}
	uri, err := place(c.Path, env.Dir)
	if err != nil {
		return nil, &harrow.ConfigError{Key: "path", Err: err}
	}
	return &Sink{uri: uri, job: env.Job, partitionBy: c.PartitionBy, limits: defaultLimits}, nil
}

// place makes a path absolute; other URIs stay as they are.
func place(path, dir string) (string, error) {
	scheme, rest, isURI := strings.Cut(path, "://")
	switch {
	case isURI && scheme != "file":
		return path, nil
	case isURI:
		path = rest
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	return filepath.Abs(path)
}

func checkPartitionBy(columns []string) error {
	if len(columns) > maxDepth {
		return &harrow.ConfigError{Key: "partition_by", Err: fmt.Errorf("got %d columns; expected at most %d", len(columns), maxDepth)}
	}
	for i, name := range columns {
		key := fmt.Sprintf("partition_by[%d]", i)
		switch {
		case slices.Contains(columns[:i], name):
			return &harrow.ConfigError{Key: key, Err: fmt.Errorf("column %q is there twice; expected each column once", name)}
		case name != runColumn && (name == "" || strings.HasPrefix(name, "_") || strings.HasPrefix(name, ".")):
			// Readers pass over folders that begin like this.
			return &harrow.ConfigError{Key: key, Err: fmt.Errorf("got %q; expected a data column, or _run", name)}
		}
	}
	return nil
}

// local reports whether the sink's folder is one of this machine.
func (s *Sink) local() bool { return !strings.Contains(s.uri, "://") }

// URI is where the records' folders are: the absolute path of a local folder,
// or the URI of another store.
func (s *Sink) URI() string { return s.uri }

func (s *Sink) open() (lakeio.Store, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.store == nil {
		store, err := lakeio.Open(s.uri)
		if err != nil {
			return nil, fmt.Errorf("parquet %s: %w", s.uri, err)
		}
		s.store = store
	}
	return s.store, nil
}

// Close implements [harrow.Sink]. Every file was closed by the load that wrote
// it.
func (s *Sink) Close() error { return nil }

// named says what an error of the sink was about.
func (s *Sink) named(err *error, format string, args ...any) {
	if *err != nil {
		*err = fmt.Errorf("parquet %s: %s: %w", s.uri, fmt.Sprintf(format, args...), *err)
	}
}

// Load implements [harrow.Sink]. It holds, beside the batch it is handed, at
// most 8 MiB of rows, a copy of those of one folder, and what of these is
// being encoded. Rows of the first 8 folders of a shard are in one file each;
// of the others, in one file for each 8 MiB of the shard's rows. An error, or
// the end of ctx, leaves nothing that will be published.
//
// A row whose key is null and one whose value makes too long a name are
// rejects.
func (s *Sink) Load(ctx context.Context, shard harrow.Shard) (counts harrow.Counts, err error) {
	defer func() {
		if err != nil {
			counts = harrow.Counts{}
		}
		s.named(&err, "record %s, shard %d", shard.Record.Name, shard.Shard)
	}()
	l, err := newLoader(s, shard)
	if err != nil {
		return counts, err
	}
	return l.load(ctx)
}
