package sqlio

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"
	"modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// loader loads one shard.
//
// A row costs one look-up, which compares in the database, and one write where
// there is something to write. In a trial of 100,000 rows of 15 columns, half
// of them updates, on 2 cores, one run each, this made 91 k rows/s, and a merge
// by sets from a temporary table 83 k rows/s: too close to call, but the merge
// has no row to blame when it fails. BenchmarkLoad measures the first.
type loader struct {
	harrow.Layout // of the columns, and so of the statements' arguments
	shard         harrow.Shard

	session session
	find    *statement // of the stored row: whether the data is equal, and its latest
	insert  *statement
	update  *statement
	args    []driver.NamedValue
	found   []driver.Value
	counts  harrow.Counts
}

func newLoader(s harrow.Shard) (*loader, error) {
	if err := checkNames([]harrow.RecordType{s.Record}); err != nil {
		return nil, err
	}
	layout, err := s.Layout()
	if err != nil {
		return nil, err
	}
	if s.Reject == nil {
		s.Reject = func(harrow.Reject) error { return nil }
	}
	l := &loader{Layout: layout, shard: s, found: make([]driver.Value, 2)}
	l.args = named(make([]driver.Value, len(l.Columns)))
	return l, nil
}

// load is the transaction.
func (l *loader) load(ctx context.Context, c session, now harrow.Clock) (n harrow.Counts, err error) {
	l.session = c
	if err := c.exec("BEGIN IMMEDIATE"); err != nil {
		return n, err
	}
	if err := c.prepareMarks(); err != nil {
		return n, err
	}
	if n, marked, err := c.mark(l.shard); err != nil || marked {
		if err == nil {
			err = c.repeatRejects(l.shard)
		}
		return n, errors.Join(err, c.exec("COMMIT"))
	}
	if err := c.prepareTable(l.shard.Record, l.Key()); err != nil {
		return n, err
	}
	if err := l.rows(ctx); err != nil {
		return n, err
	}
	if err := c.writeMark(l.shard, l.counts, now); err != nil {
		return n, err
	}
	return l.counts, c.exec("COMMIT")
}

func (l *loader) rows(ctx context.Context) (err error) {
	if err := l.prepare(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.find.close(), l.insert.close(), l.update.close()) }()
	for b, err := range l.shard.Batches() {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if err := l.batch(b); err != nil {
			return err
		}
	}
	return nil
}

func (l *loader) prepare() error {
	table := "main." + quote(l.shard.Record.Name)
	var names, key, set, values []string
	for i, c := range l.Columns {
		names = append(names, c.Name)
		values = append(values, "?")
		switch assign := quote(c.Name) + " = ?" + strconv.Itoa(i+1); {
		case l.IsKey(i):
			key = append(key, assign)
		default:
			set = append(set, assign)
		}
	}
	equal := "1" // a row of nothing but its key has nothing that could differ
	if l.Data > 0 {
		equal = "(" + quoteAll(names[:l.Data]) + ") IS (" + strings.Join(values[:l.Data], ", ") + ")"
	}
	where := " WHERE " + strings.Join(key, " AND ")
	var errs [3]error
	l.find, errs[0] = l.session.prepare("SELECT " + equal + ", " + quote(l.Columns[l.Latest].Name) + " FROM " + table + where)
	l.insert, errs[1] = l.session.prepare("INSERT INTO " + table + " (" + quoteAll(names) + ") VALUES (" + strings.Join(values, ", ") + ")")
	l.update, errs[2] = l.session.prepare("UPDATE " + table + " SET " + strings.Join(set, ", ") + where)
	return errors.Join(errs[:]...)
}

func (l *loader) batch(b harrow.Batch) error {
	arrays := make([]arrow.Array, len(l.Columns))
	values := make([]valueFunc, len(l.Columns))
	for i, c := range l.Columns {
		arrays[i], values[i] = b.Column(c.Name), valueOf(c.Type)
		if a := arrays[i]; a != nil && !arrow.TypeEqual(a.DataType(), lakeio.ArrowType(c.Type)) {
			return fmt.Errorf("column %s holds %s, want %s", c.Name, a.DataType(), c.Type)
		}
	}
	for row := range b.Rows() {
		for i, a := range arrays {
			if l.args[i].Value = nil; a != nil && a.IsValid(row) {
				l.args[i].Value = values[i](a, row)
			}
		}
		if err := l.row(b, row); err != nil {
			return err
		}
	}
	return nil
}

// row judges and stores the row in l.args.
func (l *loader) row(b harrow.Batch, row int) error {
	for i := l.Data; i < l.Data+l.Keys; i++ {
		if l.args[i].Value == nil {
			return l.reject(b, row, harrow.Reject{Code: "key", Field: l.Columns[i].Name,
				Reason: "column " + l.Columns[i].Name + " of the key is null"})
		}
	}
	ok, err := l.find.first(l.args[:l.Data+l.Keys], l.found)
	if err != nil {
		return err
	}
	write, count := l.insert, &l.counts.Added
	switch {
	case !ok:
	case l.found[0] == int64(1):
		l.counts.Unchanged++
		return nil
	case compare(l.Columns[l.Latest].Type.Kind, l.args[l.Latest].Value, l.found[1]) < 0:
		l.counts.Stale++
		return nil
	default:
		write, count = l.update, &l.counts.Changed
	}
	err = write.exec(l.args)
	if refusal(err) {
		return l.reject(b, row, harrow.Reject{Code: "refused", Reason: err.Error()})
	}
	if err == nil {
		*count++
	}
	return err
}

func (l *loader) reject(b harrow.Batch, row int, why harrow.Reject) error {
	r := lakeio.RowReject(b, row, l.shard.Record.Name)
	r.Class, r.Code, r.Reason, r.Field = harrow.DataFault, why.Code, why.Reason, why.Field
	l.counts.Rejected++
	if err := l.session.noteReject(l.shard, r); err != nil {
		return err
	}
	return l.shard.Reject(r)
}

// refusal tells a row that the table doesn't take, for which SQLite undoes
// only its statement, from a fault of the store.
func refusal(err error) bool {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code() & 0xff {
	case lib.SQLITE_CONSTRAINT, lib.SQLITE_MISMATCH, lib.SQLITE_TOOBIG:
		return true
	}
	return false
}

// statement is prepared once per shard.
type statement struct{ s driver.Stmt }

func (c session) prepare(query string) (*statement, error) {
	s, err := c.conn.Prepare(query)
	if err != nil {
		return nil, err
	}
	return &statement{s}, nil
}

func (s *statement) exec(args []driver.NamedValue) error {
	_, err := s.s.(driver.StmtExecContext).ExecContext(context.Background(), args)
	return err
}

// first reads the first row into dest; ok is false when there is none.
func (s *statement) first(args []driver.NamedValue, dest []driver.Value) (ok bool, err error) {
	rows, err := s.s.(driver.StmtQueryContext).QueryContext(context.Background(), args)
	if err != nil {
		return false, err
	}
	if err = rows.Next(dest); err == io.EOF {
		return false, rows.Close()
	}
	return err == nil, errors.Join(err, rows.Close())
}

func (s *statement) close() error {
	if s == nil {
		return nil
	}
	return s.s.Close()
}
