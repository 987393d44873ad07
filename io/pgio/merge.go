package pgio

import (
	"context"
	"fmt"
	"strings"

	"github.com/harrowdata/harrow"
)

// Temporary tables, which the transaction's end removes. The rows' columns
// are n, a row's position in the shard, and c0, c1, … as the loader's.
const (
	rowsTable  = "pg_temp." + reserved + "_rows"
	againTable = "pg_temp." + reserved + "_again" // (n, rank): rows whose key the shard had before, rank-1 times
)

// column is the name of a column of the temporary table.
func column(i int) string { return fmt.Sprint("c", i) }

// plan makes the planner find a row's stored one by the key's index and in no
// other way. What it knows of either table is out of date while shards are
// loaded: it would read the whole table for each shard, or, where that was
// empty a moment ago, for each row. Statistics of the temporary table would
// cost a third of the COPY.
const plan = "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL work_mem = '16MB'"

// mergeQuery writes the rows of the temporary table that where picks, no two
// of one key: it inserts new ones and updates those whose data differ and that
// aren't older than what is stored. It returns how many rows there are, how
// many are to be inserted and updated, how many are stale, and how many were
// written.
//
// What is stored is joined once. Rows that are equal go no further: they
// aren't even locked. Inserts go in the order of the keys, and then updates in
// theirs, so two sessions hardly ever wait for each other. They may where a
// statement is one of several of its shard: the server ends one of the two, and
// that shard is tried again. A row that somebody else writes at the same time
// counts as not written or is refused, and is judged again: see apply.
func (l *loader) mergeQuery(where string) string {
	var on, have, names, values, set, order []string
	for i, c := range l.columns {
		name, value := quote(c.Name), column(i)
		names, values = append(names, name), append(values, value)
		if i < l.data || i >= l.data+l.keys {
			set = append(set, name+" = t."+value)
			continue
		}
		on, have, order = append(on, "s."+name+" = t."+value), append(have, "s."+name), append(order, value+byBytes(c.Type))
	}
	table, key := l.place.table(l.shard.Record.Name), strings.Join(on, " AND ")
	rows := "SELECT * FROM " + rowsTable + " t" + where
	if !l.order.ascending() {
		rows += " ORDER BY " + strings.Join(order, ", ")
	}
	updated := "SELECT FROM j WHERE false"
	if l.data > 0 {
		updated = "UPDATE " + table + " s SET " + strings.Join(set, ", ") + " FROM j t WHERE t.verdict = 2 AND " + key +
			" AND " + l.differs() + " AND NOT " + l.stale() + " RETURNING 1"
	}
	return `WITH j AS MATERIALIZED (
	SELECT t.*, CASE WHEN ` + have[0] + ` IS NULL THEN 1 WHEN ` + l.stale() + ` THEN 3 ELSE 2 END AS verdict
	FROM (` + rows + `) t LEFT JOIN ` + table + ` s ON ` + key + ` WHERE ` + have[0] + ` IS NULL OR ` + l.differs() + `),
inserted AS (INSERT INTO ` + table + ` (` + strings.Join(names, ", ") + `) SELECT ` + strings.Join(values, ", ") + ` FROM j WHERE verdict = 1 RETURNING 1),
updated AS (` + updated + `)
SELECT (SELECT count(*) FROM ` + rowsTable + " t" + where + `), count(*) FILTER (WHERE verdict = 1), count(*) FILTER (WHERE verdict = 2),
	count(*) FILTER (WHERE verdict = 3), (SELECT count(*) FROM inserted) + (SELECT count(*) FROM updated) FROM j`
}

// byBytes makes texts compare by their bytes, whatever the database does.
func byBytes(t harrow.Type) string {
	if t.Kind == harrow.Text {
		return ` COLLATE "C"`
	}
	return ""
}

// differs compares the data columns of a row t with those of the stored row s.
func (l *loader) differs() string {
	if l.data == 0 { // a row of nothing but its key has nothing that could differ
		return "false"
	}
	var have, want []string
	for i, c := range l.columns[:l.data] {
		have, want = append(have, "s."+quote(c.Name)), append(want, "t."+column(i))
	}
	return "(" + strings.Join(have, ", ") + ") IS DISTINCT FROM (" + strings.Join(want, ", ") + ")"
}

// stale says whether a row t is older than the stored row s: null first, texts
// by their bytes.
func (l *loader) stale() string {
	c := l.columns[l.latest]
	have, want := "s."+quote(c.Name), "t."+column(l.latest)
	return "COALESCE(" + want + " < " + have + byBytes(c.Type) + ", " + want + " IS NULL AND " + have + " IS NOT NULL)"
}

// merge brings the rows of the temporary table into the record's.
func (l *loader) merge(ctx context.Context, c session) error {
	if l.copied == 0 {
		return nil
	}
	if err := l.findAgain(ctx, c); err != nil {
		return err
	}
	if err := c.exec(ctx, plan); err != nil {
		return err
	}
	find := newRowFinder(l.shard.Batches)
	defer find.close()
	return l.apply(ctx, c, span{0, l.read - 1}, find)
}

// findAgain finds keys that the shard has several times. Where the rows came
// in the order of their keys, as they do out of a shuffle, that was seen on
// the way.
func (l *loader) findAgain(ctx context.Context, c session) error {
	if l.order.ascending() {
		return nil
	}
	var key []string
	for i := l.data; i < l.data+l.keys; i++ {
		key = append(key, column(i))
	}
	tag, err := c.conn.Exec(ctx, "CREATE TEMPORARY TABLE "+againTable+` ON COMMIT DROP AS SELECT n, rank FROM
		(SELECT n, row_number() OVER (PARTITION BY `+strings.Join(key, ", ")+` ORDER BY n) AS rank FROM `+rowsTable+`) r WHERE rank > 1`)
	if err != nil || tag.RowsAffected() == 0 {
		return err
	}
	l.again = true
	if err := l.index(ctx, c); err != nil {
		return err
	}
	return c.exec(ctx, "CREATE INDEX ON "+againTable+" (rank, n); CREATE INDEX ON "+againTable+" (n); ANALYZE "+againTable)
}

// index makes rows quick to find by their position.
func (l *loader) index(ctx context.Context, c session) error {
	if l.indexed {
		return nil
	}
	l.indexed = true
	return c.exec(ctx, "CREATE UNIQUE INDEX ON "+rowsTable+" (n)")
}

// span is a range of rows of the shard, its last one included.
type span struct{ first, last int64 }

func (s span) condition() string { return fmt.Sprintf("t.n BETWEEN %d AND %d", s.first, s.last) }

// write merges the rows of a span: as if one came after the other, so what
// comes again of a key comes in a statement of its own.
func (l *loader) write(ctx context.Context, c session, s span) (n harrow.Counts, err error) {
	if !l.again {
		if s == (span{0, l.read - 1}) {
			return l.writeSome(ctx, c, "")
		}
		return l.writeSome(ctx, c, " WHERE "+s.condition())
	}
	n, err = l.writeSome(ctx, c, " WHERE "+s.condition()+" AND NOT EXISTS (SELECT FROM "+againTable+" a WHERE a.n = t.n)")
	var most int64
	if err == nil {
		err = c.conn.QueryRow(ctx, "SELECT COALESCE(max(rank), 0) FROM "+againTable+" t WHERE "+s.condition()).Scan(&most)
	}
	for rank := int64(2); err == nil && rank <= most; rank++ {
		var more harrow.Counts
		more, err = l.writeSome(ctx, c, fmt.Sprintf(" WHERE t.n IN (SELECT n FROM %s t WHERE rank = %d AND %s)", againTable, rank, s.condition()))
		n = n.Add(more)
	}
	return n, err
}

func (l *loader) writeSome(ctx context.Context, c session, where string) (n harrow.Counts, err error) {
	var rows, written int64
	err = c.conn.QueryRow(ctx, l.mergeQuery(where)).Scan(&rows, &n.Added, &n.Changed, &n.Stale, &written)
	n.Unchanged = rows - n.Added - n.Changed - n.Stale
	if err == nil && written != n.Added+n.Changed {
		err = errKept
	}
	return n, err
}
