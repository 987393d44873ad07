package pgio

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/harrowdata/harrow"
)

// session speaks to one connection.
type session struct {
	conn  *pgx.Conn
	place place
}

func (c session) exec(ctx context.Context, query string, args ...any) error {
	_, err := c.conn.Exec(ctx, query, args...)
	return err
}

// table is the qualified name of a table of the schema.
func (p place) table(name string) string { return quote(p.schema) + "." + quote(name) }

// markOf is what a mark is found by: with another digest of the input or
// another number of shards there is none.
func markOf(s harrow.Shard) []any {
	return []any{s.Run, s.Record.Name, s.Input, int64(s.Shard), int64(s.Shards)}
}

const whereMark = ` WHERE run = $1 AND record = $2 AND input = $3 AND shard = $4 AND shards = $5`

// mark puts the shard's mark, whose counts come later, so that nobody else
// loads the shard until this transaction ends: they wait here. It returns the
// counts of a shard that is loaded, and whether it is.
func (c session) mark(ctx context.Context, s harrow.Shard, at any) (n harrow.Counts, ok bool, err error) {
	tag, err := c.conn.Exec(ctx, `INSERT INTO `+c.place.table(marks)+` (run, record, input, shard, shards, added, changed, unchanged, stale, rejected, at)
		VALUES ($1, $2, $3, $4, $5, 0, 0, 0, 0, 0, $6) ON CONFLICT DO NOTHING`, append(markOf(s), at)...)
	if err != nil || tag.RowsAffected() > 0 {
		return n, false, err
	}
	err = c.conn.QueryRow(ctx, `SELECT added, changed, unchanged, stale, rejected FROM `+c.place.table(marks)+whereMark, markOf(s)...).
		Scan(&n.Added, &n.Changed, &n.Unchanged, &n.Stale, &n.Rejected)
	return n, err == nil, err
}

// forgetRejects removes what is left of a shard whose mark somebody deleted, to
// have it loaded again.
func (p place) forgetRejects(s harrow.Shard) string {
	return fmt.Sprintf("DELETE FROM %s WHERE run = %s AND record = %s AND input = %s AND shard = %d AND shards = %d",
		p.table(rejects), literal(s.Run), literal(s.Record.Name), literal(s.Input), s.Shard, s.Shards)
}

// fillMark gives the mark its counts.
func (c session) fillMark(ctx context.Context, s harrow.Shard, n harrow.Counts) error {
	return c.exec(ctx, `UPDATE `+c.place.table(marks)+` SET added = $6, changed = $7, unchanged = $8, stale = $9, rejected = $10`+whereMark,
		append(markOf(s), n.Added, n.Changed, n.Unchanged, n.Stale, n.Rejected)...)
}

// refusals are rejects on their way into the database: who finds the shard
// marked hands the same ones on, since the process that loaded it may have
// died before its own were committed.
type refusals struct {
	rows  []int64
	texts []string // JSON
	size  int
	total int64
	err   error
}

// maxRefused is how many bytes of them are held.
const maxRefused = 1 << 20

func (r *refusals) add(row int64, why harrow.Reject) {
	data, err := json.Marshal(why)
	if err != nil {
		r.err = err
	}
	r.rows, r.texts = append(r.rows, row), append(r.texts, string(data))
	r.size += len(data)
	r.total++
}

// full reports whether they have to be written before there are more.
func (r *refusals) full() bool { return r.size >= maxRefused }

func (r *refusals) flush(ctx context.Context, c session, s harrow.Shard) error {
	if r.err != nil || len(r.rows) == 0 {
		return r.err
	}
	err := c.exec(ctx, `INSERT INTO `+c.place.table(rejects)+` (run, record, input, shard, shards, "row", reject)
		SELECT $1, $2, $3, $4, $5, r, t::json FROM unnest($6::bigint[], $7::text[]) AS u(r, t)`, append(markOf(s), r.rows, r.texts)...)
	r.rows, r.texts, r.size = r.rows[:0], r.texts[:0], 0
	return err
}

// handRejects hands on what was refused of a shard, and reports how many.
func (c session) handRejects(ctx context.Context, s harrow.Shard) (n int, err error) {
	rows, err := c.conn.Query(ctx, `SELECT reject::text FROM `+c.place.table(rejects)+whereMark+` ORDER BY "row"`, markOf(s)...)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		var r harrow.Reject
		if err := rows.Scan(&text); err != nil {
			return n, err
		}
		if err := json.NewDecoder(strings.NewReader(text)).Decode(&r); err != nil {
			return n, final{fmt.Errorf("table %s: %w", rejects, err)}
		}
		if n++; s.Reject != nil {
			if err := s.Reject(r); err != nil {
				return n, final{err}
			}
		}
	}
	return n, rows.Err()
}
