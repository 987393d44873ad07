package pgio

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/harrowdata/harrow"
)

var _ harrow.Collector = (*Sink)(nil)

// Collect implements [harrow.Collector]: marks of the runs go, and the rejects
// beside them.
func (s *Sink) Collect(ctx context.Context, runs []string, dry bool) (n harrow.Collected, err error) {
	err = s.retry(ctx, "collect", s.pauses[:min(3, len(s.pauses))], func() error {
		if there, err := s.databaseThere(ctx); err != nil || !there {
			return err
		}
		return s.conns.with(ctx, func(c *pgx.Conn) (err error) {
			n, err = session{c, s.place}.collect(ctx, runs, dry)
			return err
		})
	})
	if err != nil {
		return harrow.Collected{}, fmt.Errorf("%s: %w", s.place, err)
	}
	return n, nil
}

// collect is the transaction.
func (c session) collect(ctx context.Context, runs []string, dry bool) (n harrow.Collected, err error) {
	if err := c.begin(ctx, "", "; "+lockRows); err != nil {
		return n, err
	}
	v, err := c.survey(ctx) // and goes on as who loads
	if err != nil {
		return n, err
	}
	if v.marked && v.job != "" && v.job != c.place.job {
		return n, final{v.verdict(c.place)}
	}
	what := "DELETE"
	if dry {
		what = "SELECT"
	}
	if v.marked {
		for _, table := range []string{marks, rejects} {
			tag, err := c.conn.Exec(ctx, what+" FROM "+c.place.table(table)+" WHERE run = ANY ($1::text[])", runs)
			if err != nil {
				return n, err
			}
			n.Rows += tag.RowsAffected()
		}
	}
	return n, c.exec(ctx, "COMMIT")
}

// databaseThere asks the server whether the job's database is there.
func (s *Sink) databaseThere(ctx context.Context) (there bool, err error) {
	if s.place.isolation != byDatabase {
		return true, nil
	}
	err = s.place.fromBase(ctx, func(c *pgx.Conn) error {
		return c.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", s.place.database).Scan(&there)
	})
	return there, err
}
