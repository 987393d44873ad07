package sqlio

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

const (
	marks   = reserved + "_marks"
	rejects = reserved + "_rejects"
)

// markOf is what a mark is found by: with another digest of the input or
// another number of shards there is none.
func markOf(s harrow.Shard) []driver.Value {
	return []driver.Value{s.Run, s.Record.Name, s.Input, int64(s.Shard), int64(s.Shards)}
}

const whereMark = ` WHERE run = ?1 AND record = ?2 AND input = ?3 AND shard = ?4 AND shards = ?5`

func (c session) prepareMarks() error {
	err := c.exec(`CREATE TABLE IF NOT EXISTS main.` + marks + ` (run TEXT NOT NULL, record TEXT NOT NULL, input TEXT NOT NULL,
		shard INTEGER NOT NULL, shards INTEGER NOT NULL, added INTEGER NOT NULL, changed INTEGER NOT NULL, unchanged INTEGER NOT NULL,
		stale INTEGER NOT NULL, rejected INTEGER NOT NULL, at TIMESTAMP_TEXT NOT NULL, PRIMARY KEY (run, record, input, shard, shards))`)
	if err != nil {
		return err
	}
	return c.exec(`CREATE TABLE IF NOT EXISTS main.` + rejects + ` (run TEXT NOT NULL, record TEXT NOT NULL, input TEXT NOT NULL,
		shard INTEGER NOT NULL, shards INTEGER NOT NULL, reject JSON_TEXT NOT NULL)`)
}

// mark returns the counts of a shard that is loaded, and whether it is.
func (c session) mark(s harrow.Shard) (n harrow.Counts, ok bool, err error) {
	err = c.query(func(row []driver.Value) error {
		ok = true
		for i, to := range []*int64{&n.Added, &n.Changed, &n.Unchanged, &n.Stale, &n.Rejected} {
			*to, _ = row[i].(int64)
		}
		return nil
	}, `SELECT added, changed, unchanged, stale, rejected FROM main.`+marks+whereMark, markOf(s)...)
	return n, ok, err
}

func (c session) writeMark(s harrow.Shard, n harrow.Counts, now harrow.Clock) error {
	return c.exec(`INSERT INTO main.`+marks+` VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)`,
		append(markOf(s), n.Added, n.Changed, n.Unchanged, n.Stale, n.Rejected, now().UTC().Format(lakeio.TimestampLayout))...)
}

// noteReject keeps a reject beside the mark: who finds the shard marked hands
// the same rejects on, since the process that loaded it may have died before
// its own were committed.
func (c session) noteReject(s harrow.Shard, r harrow.Reject) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return c.exec(`INSERT INTO main.`+rejects+` VALUES (?1, ?2, ?3, ?4, ?5, ?6)`, append(markOf(s), string(data))...)
}

func (c session) repeatRejects(s harrow.Shard) error {
	return c.query(func(row []driver.Value) error {
		text, _ := row[0].(string)
		var r harrow.Reject
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			return fmt.Errorf("table %s: %w", rejects, err)
		}
		return s.Reject(r)
	}, `SELECT reject FROM main.`+rejects+whereMark+` ORDER BY rowid`, markOf(s)...)
}
