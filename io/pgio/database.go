package pgio

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/harrowdata/harrow"
)

// databaseThere asks whether the job's database is there, and whether the user
// may make it.
func (p place) databaseThere(ctx context.Context, c *pgx.Conn) (there bool, err error) {
	var may bool
	err = c.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1), rolsuper OR rolcreatedb FROM pg_roles WHERE rolname = current_user`, p.database).Scan(&there, &may)
	if err == nil && !there && !may {
		err = final{fmt.Errorf("there is no database %s, and role %s may not make it (CREATEDB)", p.database, c.Config().User)}
	}
	return there, err
}

// fromBase runs f on a connection to the url's own database.
func (p place) fromBase(ctx context.Context, f func(*pgx.Conn) error) (err error) {
	c, err := pgx.ConnectConfig(ctx, p.config(p.base.Database))
	if err != nil {
		if e := pgError(err); e != nil && e.Code == "3D000" { // and nobody makes this one
			err = final{err}
		}
		return err
	}
	defer func() { err = errors.Join(err, hangUp(c)) }()
	return f(c)
}

// makeDatabase makes the job's database where isolation asks for one. Whoever
// makes it at the same time has made it too.
func (p place) makeDatabase(ctx context.Context) error {
	if p.isolation != byDatabase {
		return nil
	}
	return p.fromBase(ctx, func(c *pgx.Conn) error {
		there, err := p.databaseThere(ctx, c)
		if err != nil || there {
			return err
		}
		_, err = c.Exec(ctx, "CREATE DATABASE "+quote(p.database)+" TEMPLATE template0 ENCODING 'UTF8'")
		if e := pgError(err); e != nil && slices.Contains([]string{"42P04", "23505"}, e.Code) {
			return nil
		}
		return err
	})
}

// foreign counts what a database holds outside of the job's schema.
const foreign = `SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE n.nspname NOT LIKE 'pg\_%' AND n.nspname NOT IN ('information_schema', $1)`

// checkForeign refuses a database that is somebody else's.
func (c session) checkForeign(ctx context.Context, v survey) error {
	if c.place.isolation != byDatabase || v.marked {
		return nil
	}
	var n int64
	if err := c.conn.QueryRow(ctx, foreign, c.place.schema).Scan(&n); err != nil {
		return err
	}
	if n > 0 {
		return final{fmt.Errorf("database %s is no job's, and not empty; expected one that is empty, of job %s, or not there", v.database, c.place.job)}
	}
	return nil
}

// checkServer asks the server what would be in the way of a load.
func (s *Sink) checkServer(ctx context.Context, types []harrow.RecordType) error {
	if s.place.isolation == byDatabase {
		var there bool
		err := s.place.fromBase(ctx, func(c *pgx.Conn) (err error) {
			there, err = s.place.databaseThere(ctx, c)
			return err
		})
		if err != nil || !there {
			return err
		}
	}
	return s.conns.with(ctx, func(c *pgx.Conn) error {
		look := session{c, s.place}
		if err := look.exec(ctx, begin+"; SET TRANSACTION READ ONLY"); err != nil {
			return err
		}
		err := look.check(ctx, types)
		return errors.Join(err, look.exec(ctx, "ROLLBACK"))
	})
}

func (c session) check(ctx context.Context, types []harrow.RecordType) error {
	v, err := c.survey(ctx)
	if err != nil {
		return err
	}
	if err := v.verdict(c.place); err != nil {
		if !v.readOnly { // which a standby is until it is promoted
			err = final{err}
		}
		return err
	}
	if err := c.checkForeign(ctx, v); err != nil {
		return err
	}
	if v.ownRole() {
		if _, _, err := c.role(ctx, v.database); err != nil {
			return err
		}
	}
	if !v.there {
		return nil
	}
	var errs []error
	for _, t := range types {
		_, _, err := c.missing(ctx, t)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
