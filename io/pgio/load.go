package pgio

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow/go/v17/arrow"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// Codes of rejects.
const (
	nullKey = "key"
	refused = "refused"
)

// loader loads one shard, perhaps in several tries. Its columns are in this
// order: data columns that are no key (0 to data), the key (data to
// data+keys), what is left of the provenance. In the temporary table they are
// c0, c1 and so on, and n is a row's position in the shard.
type loader struct {
	place      place
	shard      harrow.Shard
	columns    []harrow.Column
	data, keys int
	latest     int // index in columns
	append     []appendFunc

	// Of this try.
	n       int64 // rows read
	copied  int64
	refused refusals
	counts  harrow.Counts
}

func newLoader(p place, s harrow.Shard) (*loader, error) {
	if len(s.Key) == 0 {
		s.Key = []string{"_id", "_ordinal"}
	}
	if s.Latest == "" {
		s.Latest = "_fetched_at"
	}
	if err := checkNames([]harrow.RecordType{s.Record}); err != nil {
		return nil, err
	}
	l := &loader{place: p, shard: s, keys: len(s.Key)}
	isKey := func(c harrow.Column) bool { return slices.Contains(s.Key, c.Name) }
	l.columns = slices.DeleteFunc(slices.Clone(s.Record.Columns), isKey)
	l.data = len(l.columns)
	all := columnsOf(s.Record)
	for _, name := range s.Key {
		i := slices.IndexFunc(all, func(c harrow.Column) bool { return c.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("the key names %q, which is no column of the record", name)
		}
		l.columns = append(l.columns, all[i])
	}
	l.columns = append(l.columns, slices.DeleteFunc(slices.Clone(harrow.Provenance), isKey)...)
	if len(l.columns) != len(all) {
		return nil, fmt.Errorf("the key names a column twice: %s", strings.Join(s.Key, ", "))
	}
	l.latest = slices.IndexFunc(l.columns, func(c harrow.Column) bool { return c.Name == s.Latest })
	if l.latest < 0 {
		return nil, fmt.Errorf("latest names %q, which is no column of the record", s.Latest)
	}
	for _, c := range l.columns {
		l.append = append(l.append, appenderOf(c.Type))
	}
	return l, nil
}

// column is the name of a column of the temporary table.
func column(i int) string { return "c" + strconv.Itoa(i) }

// rowsTable holds the shard's rows until the transaction ends.
const rowsTable = "pg_temp." + reserved + "_rows"

// begin starts a transaction. A shard's rows find theirs in the table by the
// key's index and in no other way: what the planner knows of either table is
// out of date while shards are loaded. It would read the whole table for each
// shard, or, where that was empty a moment ago, for each row.
const begin = `BEGIN ISOLATION LEVEL READ COMMITTED;
	SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0;
	SET LOCAL lock_timeout = 0; SET LOCAL jit = off; SET LOCAL work_mem = '16MB';
	SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off`

// transaction runs f in one.
func (c session) transaction(ctx context.Context, f func(session) error) error {
	if err := c.exec(ctx, begin); err != nil {
		return err
	}
	if err := f(c); err != nil {
		return err // whoever lent the connection rolls back
	}
	return c.exec(ctx, "COMMIT")
}

// load is the transaction.
func (l *loader) load(ctx context.Context, c session, now harrow.Clock) (n harrow.Counts, err error) {
	l.n, l.copied, l.refused, l.counts = 0, 0, refusals{}, harrow.Counts{}
	if err := c.exec(ctx, begin); err != nil {
		return n, err
	}
	n, marked, err := c.mark(ctx, l.shard, now().UTC())
	if err != nil {
		return n, err
	}
	if !marked {
		if err := l.rows(ctx, c); err != nil {
			return n, err
		}
		n = l.counts
	}
	handed := 0
	if n.Rejected > 0 {
		if handed, err = c.handRejects(ctx, l.shard); err != nil {
			return n, err
		}
	}
	if err := c.exec(ctx, "COMMIT"); err != nil {
		if handed > 0 { // a further try here would hand them on twice
			err = final{err}
		}
		return n, err
	}
	return n, nil
}

func (l *loader) rows(ctx context.Context, c session) error {
	defs := make([]string, len(l.columns))
	for i, col := range l.columns {
		defs[i] = column(i) + " " + loose(col.Type)
	}
	if err := c.exec(ctx, "CREATE TEMPORARY TABLE "+rowsTable+" (n bigint, "+strings.Join(defs, ", ")+") ON COMMIT DROP"); err != nil {
		return err
	}
	if err := l.copyRows(ctx, c); err != nil {
		return err
	}
	if err := l.merge(ctx, c); err != nil {
		return err
	}
	l.counts.Rejected = l.refused.total
	return c.fillMark(ctx, l.shard, l.counts)
}

// loose is the type of a column of the temporary table: it takes decimals of
// any precision, so that one too many is a matter of the row.
func loose(t harrow.Type) string {
	name, _, _ := strings.Cut(declared(t.Element()), "(")
	if t.List {
		name += "[]"
	}
	return name
}

func (l *loader) arraysOf(b harrow.Batch) ([]arrow.Array, error) {
	arrays := make([]arrow.Array, len(l.columns))
	for i, c := range l.columns {
		arrays[i] = b.Column(c.Name)
		if a := arrays[i]; a != nil && !arrow.TypeEqual(a.DataType(), lakeio.ArrowType(c.Type)) {
			return nil, fmt.Errorf("column %s holds %s, want %s", c.Name, a.DataType(), c.Type)
		}
	}
	return arrays, nil
}

// nullKey finds a null in the row's key.
func (l *loader) nullKey(arrays []arrow.Array, row int) *harrow.Reject {
	for i := l.data; i < l.data+l.keys; i++ {
		if a := arrays[i]; a == nil || a.IsNull(row) {
			name := l.columns[i].Name
			return &harrow.Reject{Code: nullKey, Field: name, Reason: "column " + name + " of the key is null"}
		}
	}
	return nil
}

func (l *loader) reject(b harrow.Batch, row int, why harrow.Reject) harrow.Reject {
	r := lakeio.RowReject(b, row, l.shard.Record.Name)
	r.Class, r.Code, r.Reason, r.Field = harrow.DataFault, why.Code, why.Reason, why.Field
	return r
}

// errRows is a merge's that wrote less than it judged.
var errRows = errors.New("the table took another number of rows than it was given")
