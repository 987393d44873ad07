package harrow

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"
)

// Page is one capture as an extractor sees it.
type Page interface {
	// Capture is the page's row in the captures table.
	Capture() Capture
	// Body streams the payload after content-decoding. Each call starts again
	// at its first byte; the caller closes what it opened.
	Body() io.ReadCloser
}

// Extractor gets records out of pages. One instance serves one worker
// goroutine at a time. See RegisterExtractor.
type Extractor interface {
	// Records lists the record types the extractor may emit, known before the
	// first page is fetched.
	Records() []RecordType
	// Extract reads one page and emits its records in order. An error rejects
	// the page (class data) with what was emitted before it kept out of the
	// records; ctx ends when the run stops.
	Extract(ctx context.Context, page Page, emit func(Record) error) error
}

// Output takes what an operator makes.
type Output interface {
	// Emit appends the batch's rows to a table of the stage. The batch stays
	// the caller's.
	Emit(table string, batch Batch) error
	// Reject writes a dead letter. Stage and At are filled in.
	Reject(Reject) error
}

// Operator is one step over batches of a table: a plain object, made on the
// worker from its registered name and JSON config, used by one goroutine at a
// time. In a job's refine it gets the batches of a record and emits those that
// go on to the same table, records/NAME ([Batch.Table]); see [Typer] for other
// columns, and [RegisterRows] for one over plain structs.
type Operator interface {
	// Process handles one batch of the input.
	Process(ctx context.Context, in Batch, out Output) error
	// Finish is called once after the last batch of a part (Map) or of a
	// shard (Shuffle).
	Finish(ctx context.Context, out Output) error
}

// Shard is what a sink loads in one piece: the rows of one record type that
// refine put into one shard.
type Shard struct {
	Run     string
	Record  RecordType
	Key     []string // identity: the columns rows are upserted by
	Latest  string   // the column that says which of two rows is newer
	Input   string   // digest of the input manifest
	Shard   int
	Shards  int
	Batches func() iter.Seq2[Batch, error] // each call reads the shard again from its first row
	Reject  func(Reject) error             // takes a row that the sink refuses
}

// Counts is what loading a shard did to the store.
type Counts struct {
	Added     int64 `json:"added"`
	Changed   int64 `json:"changed"`
	Unchanged int64 `json:"unchanged"` // equal in every data column: not touched
	Stale     int64 `json:"stale"`     // older than the stored row: not written
	Rejected  int64 `json:"rejected"`
}

// Add sums two counts.
func (c Counts) Add(d Counts) Counts {
	return Counts{c.Added + d.Added, c.Changed + d.Changed, c.Unchanged + d.Unchanged, c.Stale + d.Stale, c.Rejected + d.Rejected}
}

// Sink is a store that takes records. Methods may be called from several
// goroutines at once.
type Sink interface {
	// Check reports, before the first fetch, why records of these types could
	// not be loaded: a column whose type differs from the stored one, a store
	// that can't be reached.
	Check(ctx context.Context, types []RecordType) error
	// Load upserts one shard and its mark in one transaction. A shard that is
	// marked already is not loaded again: its counts are reported.
	Load(ctx context.Context, shard Shard) (Counts, error)
	// Close frees what the sink holds.
	Close() error
}

// Loaded is what stage load of a run has committed of one sink.
type Loaded struct {
	Run    string
	Input  string            // digest of the input manifest, as in Shard
	Shards int               // as in Shard
	Counts map[string]Counts // by record: what Load reported, all shards together
}

// Publisher is a sink that only keeps what Load is given, until the run's
// stage load has committed, and shows it then.
type Publisher interface {
	Sink
	// Publish shows the shards of a run to the store's readers. It is called
	// when stage load has committed, and again when that is not known to have
	// come through: what is shown already is not shown twice. An error leaves
	// the run resumable.
	Publish(ctx context.Context, loaded Loaded) error
}

// Collected is what a sink removed that no reader of it saw.
type Collected struct {
	Files int64 `json:"files,omitempty"`
	Bytes int64 `json:"bytes,omitempty"` // of the files
	Rows  int64 `json:"rows,omitempty"`  // marks and what is kept beside them
}

// Add sums what was removed.
func (c Collected) Add(d Collected) Collected {
	return Collected{c.Files + d.Files, c.Bytes + d.Bytes, c.Rows + d.Rows}
}

// Collector is a sink that keeps something of a run beside what its readers
// see: marks, files that wait to be published.
type Collector interface {
	Sink
	// Collect removes what the sink keeps of runs that no one will go on with,
	// and nothing that readers see: what a run has published stays. It makes
	// nothing: a store that is not there has nothing to be removed. With dry
	// it only counts. It may be called again for the same runs.
	Collect(ctx context.Context, runs []string, dry bool) (Collected, error)
}

// SinkEnv is what a sink may know of the job it serves.
type SinkEnv struct {
	Job       string
	Workspace string // the root of a local workspace; empty when it is not local
	Dir       string // the absolute path of the job file's folder: what relative paths of a config are relative to
}

// Clock is handed to what must not read the time by itself.
type Clock func() time.Time

type registry[F any] struct {
	kind string
	mu   sync.RWMutex
	by   map[string]F
}

func (r *registry[F]) add(name string, f F) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, dup := r.by[name]; dup {
		panic(fmt.Sprintf("harrow: %s %q registered twice", r.kind, name))
	}
	if r.by == nil {
		r.by = map[string]F{}
	}
	r.by[name] = f
}

func (r *registry[F]) get(name string) (F, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	f, ok := r.by[name]
	if !ok {
		known := "known: " + strings.Join(r.names(), ", ")
		if len(r.by) == 0 {
			known = "this program has none"
		}
		return f, fmt.Errorf("no %s is called %q; %s", r.kind, name, known)
	}
	return f, nil
}

func (r *registry[F]) names() []string {
	names := make([]string, 0, len(r.by))
	for n := range r.by {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// list is the names, under lock.
func (r *registry[F]) list() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.names()
}

// NewExtractor makes an extractor from its JSON config (`with:` in a job
// file; null when absent). An error names the field and what was expected.
type NewExtractor func(config json.RawMessage) (Extractor, error)

// NewOperator makes an operator from its JSON config, as NewExtractor does.
type NewOperator func(config json.RawMessage) (Operator, error)

// NewSink makes a sink from its JSON config, as NewExtractor does.
type NewSink func(config json.RawMessage, env SinkEnv) (Sink, error)

var (
	extractors = &registry[NewExtractor]{kind: "extractor"}
	operators  = &registry[NewOperator]{kind: "operator"}
	sinks      = &registry[NewSink]{kind: "sink"}
)

// RegisterExtractor makes an extractor known to job files by its name
// (`use: name`). Call it from an init function; a duplicate name panics.
func RegisterExtractor(name string, f NewExtractor) { extractors.add(name, f) }

// RegisterOperator makes an operator known by its name. Call it from an init
// function; a duplicate name panics.
func RegisterOperator(name string, f NewOperator) {
	if _, err := LookupRows(name); err == nil {
		panic(fmt.Sprintf("harrow: operator %q registered twice", name))
	}
	operators.add(name, f)
}

// RegisterSink makes a sink known to job files by its name (a key of `load`).
// Call it from an init function; a duplicate name panics.
func RegisterSink(name string, f NewSink) { sinks.add(name, f) }

// LookupExtractor finds a registered extractor; the error of an unknown name
// lists the known ones.
func LookupExtractor(name string) (NewExtractor, error) { return extractors.get(name) }

// LookupOperator finds a registered operator; the error of an unknown name
// lists the known ones.
func LookupOperator(name string) (NewOperator, error) { return operators.get(name) }

// LookupSink finds a registered sink; the error of an unknown name lists the
// known ones.
func LookupSink(name string) (NewSink, error) { return sinks.get(name) }
