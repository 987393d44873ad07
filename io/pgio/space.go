package pgio

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/harrowdata/harrow"
)

// make makes the job's schema and the sink's own tables.
func (p place) make(ctx context.Context, c *pgx.Conn) error {
	_, err := c.Exec(ctx, `CREATE SCHEMA IF NOT EXISTS `+quote(p.schema)+`;
		CREATE TABLE IF NOT EXISTS `+p.table(marks)+` (run text, record text, input text, shard bigint, shards bigint,
			added bigint NOT NULL, changed bigint NOT NULL, unchanged bigint NOT NULL, stale bigint NOT NULL, rejected bigint NOT NULL,
			at timestamp with time zone NOT NULL, PRIMARY KEY (run, record, input, shard, shards));
		CREATE TABLE IF NOT EXISTS `+p.table(rejects)+` (run text, record text, input text, shard bigint, shards bigint,
			"row" bigint, reject json NOT NULL, PRIMARY KEY (run, record, input, shard, shards, "row"))`)
	return err
}

// checkServer asks the server what would be in the way of a load.
func (s *Sink) checkServer(ctx context.Context, types []harrow.RecordType) error {
	return s.conns.with(ctx, func(c *pgx.Conn) error {
		var errs []error
		for _, t := range types {
			_, _, err := session{c, s.place}.missing(ctx, t)
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	})
}

// lock makes others wait who make or change tables of this schema, until the
// transaction ends. Its first number is ours alone: no other application's
// locks are hit.
func (c session) lock(ctx context.Context) error {
	return c.exec(ctx, "SELECT pg_catalog.pg_advisory_xact_lock($1::int, pg_catalog.hashtext($2))", int64(lockClass), c.place.schema)
}

// lockClass is "hrrw".
const lockClass = 0x68727277
