package pgio

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/harrowdata/harrow"
)

// errKept is a merge's that wrote less than it was to.
var errKept = errors.New("a trigger or a rule of the table keeps the row out")

// apply merges a span of rows. Where the table refuses one of them, the span
// is undone and halved until that one is alone, and is a reject: one bad row
// of n costs about log n statements more. When many were refused one after the
// other, the next ones are tried row by row until one is taken: n bad rows
// cost n statements, and no more.
func (l *loader) apply(ctx context.Context, c session, s span, find *rowFinder) error {
	for ; s.first < s.last && l.refusedRun >= longRun; s.first++ {
		if err := l.apply(ctx, c, span{s.first, s.first}, find); err != nil {
			return err
		}
	}
	err := l.attempt(ctx, c, s)
	if s.first == s.last && metAnother(err) {
		err = l.attempt(ctx, c, s) // and sees now what the other one wrote
	}
	if err == nil {
		return nil
	}
	why, ok := refusal(err)
	if !ok {
		return err
	}
	if s.first == s.last {
		return l.refuse(ctx, c, s.first, why, find)
	}
	if err := l.index(ctx, c); err != nil {
		return err
	}
	half := s.first + (s.last-s.first)/2
	if err := l.apply(ctx, c, span{s.first, half}, find); err != nil {
		return err
	}
	return l.apply(ctx, c, span{half + 1, s.last}, find)
}

// longRun is how many rows are refused before the next ones are expected to
// be.
const longRun = 16

// attempt merges a span of rows, or undoes it where the table refuses one.
func (l *loader) attempt(ctx context.Context, c session, s span) error {
	if err := c.exec(ctx, "SAVEPOINT "+savepoint); err != nil {
		return err
	}
	n, err := l.write(ctx, c, s)
	if err == nil {
		l.counts, l.refusedRun = l.counts.Add(n), 0
		return c.exec(ctx, "RELEASE "+savepoint)
	}
	if _, ok := refusal(err); ok {
		if err := c.exec(ctx, "ROLLBACK TO "+savepoint+"; RELEASE "+savepoint); err != nil {
			return err
		}
	}
	return err
}

// metAnother reports whether a row may have been kept out by somebody who
// wrote its key at the same time.
func metAnother(err error) bool {
	e := pgError(err)
	return errors.Is(err, errKept) || e != nil && e.Code == "23505"
}

const savepoint = reserved + "_span"

func (l *loader) refuse(ctx context.Context, c session, row int64, why harrow.Reject, find *rowFinder) error {
	b, i, err := find.row(row)
	if err != nil {
		return final{err}
	}
	l.refused.add(row, l.reject(b, i, why))
	l.refusedRun++
	if !l.refused.full() {
		return nil
	}
	return l.refused.flush(ctx, c, l.shard)
}

// refusal tells a row that the table doesn't take from a fault of the store:
// data exceptions (22), constraints (23; two texts that a key's collation takes
// for one too), limits of the program (54: a key too long for its index), a
// subquery of a trigger that finds more than one row (21), and what a trigger
// raises.
func refusal(err error) (why harrow.Reject, ok bool) {
	why.Code = refused
	if errors.Is(err, errKept) {
		why.Reason = errKept.Error()
		return why, true
	}
	e := (*pgconn.PgError)(nil)
	if !errors.As(err, &e) || e.Severity == "FATAL" || e.Severity == "PANIC" || len(e.Code) < 2 {
		return why, false
	}
	switch e.Code[:2] {
	case "22", "23", "54", "44", "P0", "21":
	case "08", "40", "53", "55", "57", "58", "XX":
		return why, false
	default:
		if e.Routine != "exec_stmt_raise" { // RAISE of PL/pgSQL, with a code of its own
			return why, false
		}
	}
	why.Field = e.ColumnName
	why.Reason = e.Message
	if e.ConstraintName != "" && !strings.Contains(e.Message, e.ConstraintName) {
		why.Reason += fmt.Sprintf(", constraint %q", e.ConstraintName)
	}
	switch e.Code {
	case "23505", "23503", "23P01": // says of which values; the others' has the whole row
		why.Reason += ": " + e.Detail
	}
	why.Reason += " (SQLSTATE " + e.Code + ")"
	return why, true
}

// rowFinder reads a shard once more, from its first row to the last one that
// is asked for: the rejects' payloads.
type rowFinder struct {
	batches func() iter.Seq2[harrow.Batch, error]
	next    func() (harrow.Batch, error, bool)
	stop    func()
	batch   harrow.Batch
	first   int64 // of batch
}

func newRowFinder(batches func() iter.Seq2[harrow.Batch, error]) *rowFinder {
	return &rowFinder{batches: batches}
}

// row finds a row; each one lies behind the one before. The batch is valid
// until the next call.
func (f *rowFinder) row(n int64) (harrow.Batch, int, error) {
	if f.next == nil {
		f.next, f.stop = iter.Pull2(f.batches())
	}
	for n >= f.first+int64(f.batch.Rows()) {
		f.first += int64(f.batch.Rows())
		b, err, ok := f.next()
		if err == nil && !ok {
			err = fmt.Errorf("the shard has no row %d when it is read again", n)
		}
		f.batch = b
		if err != nil {
			f.batch = harrow.Batch{}
			return b, 0, err
		}
	}
	return f.batch, int(n - f.first), nil
}

func (f *rowFinder) close() {
	if f.stop != nil {
		f.stop()
	}
}
