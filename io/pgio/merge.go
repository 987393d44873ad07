package pgio

import (
	"context"
	"fmt"
	"strings"
)

// mergeQuery writes the rows of the temporary table that condition picks, no
// two of one key: it inserts new ones, updates those whose data differ and
// that aren't older than what is stored, and counts: new, to be changed,
// unchanged, stale, written.
//
// What is stored is joined once; rows that are equal go no further, so that
// they aren't even locked. The order of the writes is the key's in every
// session: two of them can't wait for each other.
func (l *loader) mergeQuery(condition string) string {
	var on, names, values, set, key, order []string
	for i, c := range l.columns {
		name, value := quote(c.Name), column(i)
		names, values = append(names, name), append(values, "j."+value)
		if i < l.data || i >= l.data+l.keys {
			set = append(set, name+" = excluded."+name)
			continue
		}
		on, key = append(on, "s."+name+" = t."+value), append(key, name)
		if c.Type.List || c.Type.Kind != "text" {
			order = append(order, "j."+value)
		} else {
			order = append(order, "j."+value+` COLLATE "C"`)
		}
	}
	table := l.place.table(l.shard.Record.Name)
	given := func(i int) string { return "t." + column(i) }
	again := func(i int) string { return "excluded." + quote(l.columns[i].Name) }
	return fmt.Sprintf(`WITH j AS MATERIALIZED (
	SELECT t.*, CASE WHEN s.%[1]s IS NULL THEN 1 WHEN %[2]s THEN 4 ELSE 2 END AS verdict
	FROM %[3]s t LEFT JOIN %[4]s s ON %[5]s WHERE (s.%[1]s IS NULL OR %[6]s)%[7]s),
written AS (
	INSERT INTO %[4]s AS s (%[8]s) SELECT %[9]s FROM j WHERE verdict <= 2 ORDER BY %[10]s
	ON CONFLICT (%[11]s) DO UPDATE SET %[12]s WHERE %[13]s AND NOT %[14]s RETURNING 1)
SELECT count(*) FILTER (WHERE verdict = 1), count(*) FILTER (WHERE verdict = 2), count(*) FILTER (WHERE verdict = 4), (SELECT count(*) FROM written) FROM j`,
		key[0], l.stale(given), rowsTable, table, strings.Join(on, " AND "), l.differs(given), condition,
		strings.Join(names, ", "), strings.Join(values, ", "), strings.Join(order, ", "),
		strings.Join(key, ", "), strings.Join(set, ", "), l.differs(again), l.stale(again))
}

// differs compares the data columns of a row, named by given, with those of
// the stored row s.
func (l *loader) differs(given func(int) string) string {
	if l.data == 0 { // a row of nothing but its key has nothing that could differ
		return "false"
	}
	var have, want []string
	for i, c := range l.columns[:l.data] {
		have, want = append(have, "s."+quote(c.Name)), append(want, given(i))
	}
	return "(" + strings.Join(have, ", ") + ") IS DISTINCT FROM (" + strings.Join(want, ", ") + ")"
}

// stale says whether a row is older than the stored row s: null first, texts
// by their bytes.
func (l *loader) stale(given func(int) string) string {
	c := l.columns[l.latest]
	have, want := "s."+quote(c.Name), given(l.latest)
	less := want + " < " + have
	if c.Type.Kind == "text" {
		less += ` COLLATE "C"`
	}
	return "COALESCE(" + less + ", " + want + " IS NULL AND " + have + " IS NOT NULL)"
}

func (l *loader) merge(ctx context.Context, c session) error {
	if l.copied == 0 {
		return nil
	}
	var written int64
	err := c.conn.QueryRow(ctx, l.mergeQuery("")).Scan(&l.counts.Added, &l.counts.Changed, &l.counts.Stale, &written)
	if err != nil {
		return err
	}
	l.counts.Unchanged = l.copied - l.counts.Added - l.counts.Changed - l.counts.Stale
	if written != l.counts.Added+l.counts.Changed {
		return errRows
	}
	return nil
}
