// Package sqlio is the SQLite sink, registered as "sqlite": one file, one
// table per record, rows upserted by the job's key.
//
// # Tables
//
// A table has the record's data columns, then [harrow.Provenance], and a
// unique index on its key. Types are declared so that another type can be
// told from what is stored:
//
//	text TEXT · int INTEGER · float REAL · bool BOOLEAN (0 or 1) ·
//	decimal(P,S) DECIMAL_TEXT(P,S) · date DATE_TEXT (YYYY-MM-DD) ·
//	timestamp TIMESTAMP_TEXT (RFC 3339, UTC, µs) · list JSON_TEXT (an array)
//
// SQLite has no decimals: they are text in the form of [lakeio.DecimalText],
// plain and without trailing zeros, so that equal numbers are equal texts. A
// float that is no number is null. In texts, NUL and what is no UTF-8 become
// U+FFFD.
//
// A column that a table lacks is added; a column that the record lacks stays
// as it is. Names that begin with _harrow are the sink's own: _harrow_marks
// says which shards are loaded, _harrow_rejects what was refused of them, and
// the indexes _harrow_key_TABLE hold the keys. SQLite has no comments on tables
// and columns: this is where they are described.
//
// _harrow_marks has a row per loaded shard: run, record, input (digest of the
// manifest that lists the shard's rows), shard and shards (its number, and how
// many there are); added, changed, unchanged, stale and rejected, which count
// rows; at, when it was loaded. _harrow_rejects has a row per refused row: the
// same five columns, and the reject as JSON.
package sqlio

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/harrowdata/harrow"
)

func init() { harrow.RegisterSink("sqlite", New) }

// Config configures the sink; its zero value stores at
// <workspace>/<job>/<job>.db.
type Config struct {
	// Path of the database file, absolute or relative to the job's folder in
	// the workspace, which a relative one may not leave. Empty: <job>.db.
	Path string `json:"path,omitempty"`
}

// Sink loads records into one SQLite file. It opens the file when it first
// needs it.
type Sink struct {
	path string
	db   *sql.DB
	now  harrow.Clock
}

// New makes a sink from its JSON [Config]; null or nothing is the default. It
// needs a local workspace, since SQLite has no server that several machines
// could reach.
func New(config json.RawMessage, env harrow.SinkEnv) (harrow.Sink, error) {
	var c Config
	if err := harrow.ReadConfig(config, &c); err != nil {
		return nil, err
	}
	path, err := c.file(env)
	if err != nil {
		return nil, err
	}
	// Opens nothing yet. One connection: SQLite has one writer.
	db, err := sql.Open("sqlite", dataSource(path, "rwc", forLoad))
	if err != nil {
		return nil, fmt.Errorf("sqlite %s: %w", path, err)
	}
	db.SetMaxOpenConns(1)
	return &Sink{path: path, db: db, now: time.Now}, nil
}

func (c Config) file(env harrow.SinkEnv) (string, error) {
	if env.Workspace == "" {
		return "", errors.New("load.sqlite needs a local workspace and a runner in this process; load into postgres or parquet instead")
	}
	name := c.Path
	if name == "" {
		name = env.Job + ".db"
	}
	if filepath.IsAbs(name) {
		return filepath.Clean(name), nil
	}
	if !filepath.IsLocal(name) || !filepath.IsLocal(env.Job) {
		return "", &harrow.ConfigError{Key: "path", Err: fmt.Errorf("got %q; expected an absolute path, or a relative one that stays in the job's folder", name)}
	}
	return filepath.Abs(filepath.Join(env.Workspace, env.Job, name))
}

// What a connection is set to. A commit is on the disk when it returns
// (synchronous FULL), because the marks must not be older than the manifest of
// stage load.
var (
	forLoad  = []string{"busy_timeout(30000)", "journal_mode(WAL)", "synchronous(FULL)", "foreign_keys(0)", "cache_size(-32768)", "temp_store(MEMORY)"}
	forCheck = []string{"busy_timeout(30000)", "query_only(1)"}
)

// dataSource names the file for the driver; mode is rw or rwc (create).
func dataSource(path, mode string, pragmas []string) string {
	q := url.Values{
		"mode":    {mode},
		"_dqs":    {"0"}, // an unknown column is an error, not a text
		"_pragma": pragmas,
	}
	u := url.URL{Scheme: "file", OmitHost: true, Path: filepath.ToSlash(path), RawQuery: q.Encode()}
	return u.String()
}

// Path is the absolute path of the database file.
func (s *Sink) Path() string { return s.path }

// Close closes the file.
func (s *Sink) Close() error {
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("sqlite %s: %w", s.path, err)
	}
	return nil
}

// Check implements [harrow.Sink]: names that can't be tables or columns, a
// file that can't be written, a stored column of another type. It creates
// nothing.
func (s *Sink) Check(ctx context.Context, types []harrow.RecordType) error {
	errs := []error{checkNames(types)}
	f, err := os.OpenFile(s.path, os.O_RDWR, 0)
	switch {
	case err == nil:
		errs = append(errs, f.Close(), s.checkFile(ctx, types))
	case errors.Is(err, os.ErrNotExist):
		if d, err := os.Stat(filepath.Dir(s.path)); err == nil && !d.IsDir() {
			errs = append(errs, fmt.Errorf("sqlite %s: %s is no folder", s.path, filepath.Dir(s.path)))
		}
	default:
		errs = append(errs, fmt.Errorf("sqlite: %w", err))
	}
	return errors.Join(errs...)
}

func (s *Sink) checkFile(ctx context.Context, types []harrow.RecordType) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("sqlite %s: %w", s.path, err)
		}
	}()
	db, err := sql.Open("sqlite", dataSource(s.path, "rw", forCheck))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return raw(ctx, db, func(c session) error {
		var errs []error
		for _, t := range types {
			_, err := c.missing(t)
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	})
}

// Load implements [harrow.Sink]. A shard is one transaction; an error leaves
// the file as it was. A row that a constraint of the table refuses is a
// reject and the others are loaded.
func (s *Sink) Load(ctx context.Context, shard harrow.Shard) (counts harrow.Counts, err error) {
	defer func() {
		if err != nil {
			counts, err = harrow.Counts{}, fmt.Errorf("sqlite %s: record %s, shard %d: %w", s.path, shard.Record.Name, shard.Shard, err)
		}
	}()
	l, err := newLoader(shard)
	if err != nil {
		return counts, err
	}
	release, err := acquire(ctx, s.path)
	if err != nil {
		return counts, err
	}
	defer release()
	if err := os.MkdirAll(filepath.Dir(s.path), 0o777); err != nil {
		return counts, err
	}
	err = raw(ctx, s.db, func(c session) error {
		counts, err = l.load(ctx, c, s.now)
		return err
	})
	return counts, err
}

// writers holds one token per database file. SQLite has one writer; waiting
// here, in order and for as long as it takes, beats its busy timeout, which is
// left for other processes. It is process-wide because each worker goroutine
// may have a sink of its own.
var writers sync.Map

func acquire(ctx context.Context, path string) (release func(), err error) {
	v, _ := writers.LoadOrStore(path, make(chan struct{}, 1))
	token := v.(chan struct{})
	select {
	case token <- struct{}{}:
		return func() { <-token }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// raw runs f on a connection of the driver, below database/sql, whose
// conversions would cost as much as the rows. When f fails the connection is
// closed, which rolls its transaction back.
func raw(ctx context.Context, db *sql.DB, f func(session) error) (err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if e := conn.Close(); !errors.Is(e, sql.ErrConnDone) {
			err = errors.Join(err, e)
		}
	}()
	err = conn.Raw(func(c any) error { return f(session{c.(driver.Conn)}) })
	if err != nil {
		_ = conn.Raw(func(any) error { return driver.ErrBadConn }) // it returns just that
	}
	return err
}

// session speaks to one connection. Statements get no context: the driver
// would start a goroutine for each; a shard is stopped between its batches.
type session struct{ conn driver.Conn }

func (c session) exec(query string, args ...driver.Value) error {
	_, err := c.conn.(driver.ExecerContext).ExecContext(context.Background(), query, named(args))
	return err
}

// query calls each with every row; the slice is reused.
func (c session) query(each func([]driver.Value) error, query string, args ...driver.Value) (err error) {
	rows, err := c.conn.(driver.QueryerContext).QueryContext(context.Background(), query, named(args))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	dest := make([]driver.Value, len(rows.Columns()))
	for {
		if err := rows.Next(dest); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := each(dest); err != nil {
			return err
		}
	}
}

func named(args []driver.Value) []driver.NamedValue {
	list := make([]driver.NamedValue, len(args))
	for i, v := range args {
		list[i] = driver.NamedValue{Ordinal: i + 1, Value: v}
	}
	return list
}
