package pgio

import (
	"context"
	"fmt"
	"strings"
	"time"

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
// data+keys), what is left of the provenance.
type loader struct {
	place      place
	shard      harrow.Shard
	columns    []harrow.Column
	data, keys int
	latest     int // index in columns
	append     []appendFunc
	hung       time.Duration // how long somebody else who loads the shard is waited for

	// Of this try.
	try
}

// try is what a loader knows of one try.
type try struct {
	read    int64 // rows, those that are refused too
	copied  int64 // rows in the temporary table
	order   keyOrder
	again   bool // some key comes twice: there is an againTable
	indexed bool // the temporary table, by n
	refused refusals
	counts  harrow.Counts

	refusedRun int // rows in a row that the table refused
}

func newLoader(p place, s harrow.Shard) (*loader, error) {
	if err := checkNames([]harrow.RecordType{s.Record}); err != nil {
		return nil, err
	}
	layout, err := s.Layout()
	if err != nil {
		return nil, err
	}
	s.Key = layout.Key()
	l := &loader{place: p, shard: s, columns: layout.Columns, data: layout.Data, keys: layout.Keys, latest: layout.Latest}
	for _, c := range l.columns {
		l.append = append(l.append, appenderOf(c.Type))
	}
	return l, nil
}

// begin starts a transaction in which nothing of the server's or the role's
// own settings ends a long COPY, constraints are judged row by row, names of
// ours are all qualified (the job's schema comes into the path for the triggers
// of its tables alone), and the commit is on the disk when it returns: marks
// must not be older than the manifest of stage load. A client whose machine is
// gone is noticed in two minutes. Everything is set for the transaction only:
// a pooler hands the session on after it.
const begin = `BEGIN ISOLATION LEVEL READ COMMITTED;
	SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0;
	SET LOCAL lock_timeout = 0; SET LOCAL jit = off; SET CONSTRAINTS ALL IMMEDIATE;
	SET LOCAL tcp_keepalives_idle = 60; SET LOCAL tcp_keepalives_interval = 10; SET LOCAL tcp_keepalives_count = 6;
	SELECT set_config(name, CASE name WHEN 'synchronous_commit' THEN 'on' ELSE '0' END, true) FROM pg_settings
		WHERE name = 'transaction_timeout' OR name = 'synchronous_commit' AND setting = 'off'`

// begin starts a transaction that acts as a role.
func (c session) begin(ctx context.Context, actor, more string) error {
	query := begin + more
	if actor != "" {
		query += "; SET LOCAL ROLE " + quote(actor)
	}
	return c.exec(ctx, query)
}

// How long a lock of somebody else is waited for, before the transaction is
// tried again.
const (
	lockTable = "SET LOCAL lock_timeout = '10s'" // of a whole table: others queue up behind
	lockRows  = "SET LOCAL lock_timeout = '30s'"
)

// load is the transaction.
func (l *loader) load(ctx context.Context, c session, actor string, now harrow.Clock) (n harrow.Counts, err error) {
	l.try = try{order: newKeyOrder(l.columns[l.data : l.data+l.keys])}
	name := cut("harrow "+l.place.job+" "+l.shard.Run, maxName)
	more := fmt.Sprintf("; SET LOCAL application_name = %s; SET LOCAL search_path = pg_catalog, %s, pg_temp; SET LOCAL lock_timeout = %d",
		literal(name), quote(l.place.schema), l.hung.Milliseconds())
	if err := c.begin(ctx, actor, more); err != nil {
		return n, err
	}
	n, marked, err := c.mark(ctx, l.shard, now().UTC())
	if e := pgError(err); e != nil && e.Code == "55P03" {
		return n, final{fmt.Errorf("somebody else has been loading the same shard for %v and has not finished: %w", l.hung, err)}
	}
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
		handed, err = c.handRejects(ctx, l.shard)
	}
	if err == nil {
		err = c.exec(ctx, "COMMIT")
	}
	if err != nil && handed > 0 { // a further try here would hand them on twice
		err = final{err}
	}
	return n, err
}

func (l *loader) rows(ctx context.Context, c session) error {
	defs := make([]string, len(l.columns))
	for i, col := range l.columns {
		defs[i] = column(i) + " " + loose(col.Type)
	}
	if err := c.exec(ctx, lockRows+"; "+c.place.forgetRejects(l.shard)+"; CREATE TEMPORARY TABLE "+rowsTable+" (n bigint, "+strings.Join(defs, ", ")+") ON COMMIT DROP"); err != nil {
		return err
	}
	if err := l.copyRows(ctx, c); err != nil {
		return err
	}
	if err := l.merge(ctx, c); err != nil {
		return err
	}
	if err := l.refused.flush(ctx, c, l.shard); err != nil {
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
