package sqlio

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"

	"github.com/harrowdata/harrow"
)

// forCollect is what the connection is set to that only marks are deleted by.
var forCollect = []string{"busy_timeout(30000)", "synchronous(FULL)", "foreign_keys(0)"}

// Collect implements [harrow.Collector]: marks of the runs go, and the rejects
// beside them.
func (s *Sink) Collect(ctx context.Context, runs []string, dry bool) (n harrow.Collected, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("sqlite %s: %w", s.path, err)
		}
	}()
	if _, err := os.Stat(s.path); errors.Is(err, os.ErrNotExist) {
		return n, nil
	}
	release, err := acquire(ctx, s.path)
	if err != nil {
		return n, err
	}
	defer release()
	pragmas := forCollect
	if dry {
		pragmas = forCheck
	}
	db, err := sql.Open("sqlite", dataSource(s.path, "rw", pragmas))
	if err != nil {
		return n, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return n, raw(ctx, db, func(c session) error {
		tables, err := c.markTables()
		for _, table := range tables {
			for _, run := range runs {
				rows, rerr := c.forgetRun(table, run, dry)
				n.Rows, err = n.Rows+rows, errors.Join(err, rerr)
			}
		}
		return err
	})
}

// markTables are those of the tables of marks that are there.
func (c session) markTables() (names []string, err error) {
	err = c.query(func(row []driver.Value) error {
		name, _ := row[0].(string)
		names = append(names, name)
		return nil
	}, `SELECT name FROM main.sqlite_master WHERE type = 'table' AND name IN (?1, ?2)`, marks, rejects)
	return names, err
}

func (c session) forgetRun(table, run string, dry bool) (rows int64, err error) {
	err = c.query(func(row []driver.Value) error {
		rows, _ = row[0].(int64)
		return nil
	}, `SELECT count(*) FROM main.`+table+` WHERE run = ?1`, run)
	if err == nil && rows > 0 && !dry {
		err = c.exec(`DELETE FROM main.`+table+` WHERE run = ?1`, run)
	}
	return rows, err
}
