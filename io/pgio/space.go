package pgio

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/harrowdata/harrow"
)

// survey is what the server says of the place where a job's tables are to be.
type survey struct {
	database   string
	encoding   string
	readOnly   bool
	user       string // who the connection is
	makesRoles bool
	create     bool // the user may make schemas here
	temporary  bool // and temporary tables
	owns       bool // the user may say who uses the database

	there     bool   // the schema is
	owner     string // of it
	member    bool   // the user may become its owner
	uses      bool   // the user may make tables in it as it is
	relations int64  // in it
	marked    bool   // it has a table that says whose it is
	job       string // what that says; empty where somebody emptied it
}

const surveyQuery = `SELECT d.datname::text, pg_encoding_to_char(d.encoding)::text, current_setting('default_transaction_read_only') = 'on' OR pg_is_in_recovery(),
	u.rolname::text, u.rolsuper OR u.rolcreaterole, has_database_privilege(d.oid, 'CREATE'), has_database_privilege(d.oid, 'TEMPORARY'),
	pg_has_role(d.datdba, 'MEMBER'),
	n.oid IS NOT NULL, COALESCE(pg_get_userbyid(n.nspowner), '')::text, COALESCE(pg_has_role(n.nspowner, 'MEMBER'), false),
	COALESCE(has_schema_privilege(n.oid, 'CREATE') AND has_schema_privilege(n.oid, 'USAGE'), false),
	(SELECT count(*) FROM pg_class c WHERE c.relnamespace = n.oid),
	EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = n.oid AND c.relname = $2)
	FROM pg_database d JOIN pg_roles u ON u.rolname = current_user LEFT JOIN pg_namespace n ON n.nspname = $1
	WHERE d.datname = current_database()`

// survey looks, and changes nothing but the transaction's role.
func (c session) survey(ctx context.Context) (v survey, err error) {
	err = c.conn.QueryRow(ctx, surveyQuery, c.place.schema, owners).Scan(&v.database, &v.encoding, &v.readOnly, &v.user, &v.makesRoles, &v.create,
		&v.temporary, &v.owns, &v.there, &v.owner, &v.member, &v.uses, &v.relations, &v.marked)
	if err != nil || !v.marked {
		return v, err
	}
	if err := c.become(ctx, v.actor()); err != nil {
		return v, err
	}
	err = c.conn.QueryRow(ctx, "SELECT COALESCE(min(job), '') FROM "+c.place.table(owners)).Scan(&v.job)
	if e := pgError(err); e != nil && e.Code == "42501" { // permission denied
		return v, final{fmt.Errorf("schema %s belongs to role %s, and %s may not read it; expected a schema of job %s or none", c.place.schema, v.owner, v.user, c.place.job)}
	}
	return v, err
}

// actor is the role that makes and loads tables, empty for the connection's.
func (v survey) actor() string {
	if v.there && v.member && v.owner != v.user {
		return v.owner
	}
	return ""
}

// verdict says what is in the way of loading a job into the place.
func (v survey) verdict(p place) error {
	switch {
	case v.encoding != "UTF8":
		return fmt.Errorf("the database's encoding is %s; expected UTF8", v.encoding)
	case v.readOnly:
		return errors.New("the server is read-only")
	case !v.temporary && !v.makesRoles:
		return fmt.Errorf("role %s may not make temporary tables in the database; GRANT TEMPORARY ON DATABASE %s TO it", v.user, quote(v.database))
	case !v.there && !v.create:
		return fmt.Errorf("there is no schema %s, and role %s may not make it; GRANT CREATE ON DATABASE %s TO it, or make the schema as its own", p.schema, v.user, quote(v.database))
	case !v.there:
		return nil
	case v.marked && v.job != "" && v.job != p.job:
		return fmt.Errorf("schema %s belongs to job %s, not to job %s; expected a schema of its own for each job", p.schema, v.job, p.job)
	case !v.member && !v.uses:
		return fmt.Errorf("schema %s belongs to role %s, and role %s may not make tables in it", p.schema, v.owner, v.user)
	case !v.marked && v.relations > 0:
		return fmt.Errorf("schema %s is no job's, and not empty; expected one that is empty, of job %s, or not there", p.schema, p.job)
	}
	return nil
}

// become makes the transaction act as a role that owns the job's schema alone.
func (c session) become(ctx context.Context, role string) error {
	if role == "" {
		return nil
	}
	return c.exec(ctx, "SET LOCAL ROLE "+quote(role))
}

// prepare makes what a shard needs before its transaction, in one of its own:
// others must not wait for a table until a whole shard is loaded.
func (c session) prepare(ctx context.Context, s harrow.Shard) (actor string, err error) {
	if err := c.begin(ctx, "", ""); err != nil {
		return "", err
	}
	if err := c.lock(ctx); err != nil {
		return "", err
	}
	if actor, err = c.settle(ctx); err != nil {
		return "", err
	}
	if err := c.prepareTable(ctx, s.Record, s.Key); err != nil {
		return "", err
	}
	return actor, c.exec(ctx, "COMMIT")
}

// settle makes the schema, its owner and the sink's own tables, as far as they
// aren't there, and goes on as the owner. It returns who that is, empty for
// the connection's own role.
func (c session) settle(ctx context.Context) (actor string, err error) {
	v, err := c.survey(ctx)
	if err != nil {
		return "", err
	}
	if err := v.verdict(c.place); err != nil {
		return "", final{err}
	}
	if err := c.checkForeign(ctx, v); err != nil {
		return "", err
	}
	actor = v.actor()
	if !v.marked {
		if actor, err = c.makeSchema(ctx, v); err != nil {
			return "", err
		}
		if err := c.become(ctx, actor); err != nil {
			return "", err
		}
	}
	return actor, c.makeOwn(ctx, v)
}

// makeSchema makes the schema or takes over an empty one.
func (c session) makeSchema(ctx context.Context, v survey) (actor string, err error) {
	actor = v.actor()
	if v.makesRoles && (!v.there || v.owner == v.user) {
		actor = c.place.role(v.database)
		if err := c.makeRole(ctx, v, actor); err != nil {
			return "", err
		}
	}
	name := quote(c.place.schema)
	switch {
	case !v.there && actor != "":
		err = c.exec(ctx, "CREATE SCHEMA "+name+" AUTHORIZATION "+quote(actor))
	case !v.there:
		err = c.exec(ctx, "CREATE SCHEMA "+name)
	case actor != "" && actor != v.owner:
		err = c.exec(ctx, "ALTER SCHEMA "+name+" OWNER TO "+quote(actor))
	}
	return actor, err
}

// role is the name of the job's role. Roles are the whole server's, so it
// names the database too; what is too long ends in a digest.
func (p place) role(database string) string {
	name := "harrow_" + database + "_" + p.schema
	if database == p.schema {
		name = "harrow_" + p.schema
	}
	return short(name)
}

// makeRole makes a role that can't log in and owns nothing yet. Its comment
// says what it is for, so that no two places take one for theirs.
func (c session) makeRole(ctx context.Context, v survey, role string) error {
	purpose := fmt.Sprintf("Harrow: owns schema %s of database %s, and nothing else", c.place.schema, v.database)
	var there bool
	var comment string
	err := c.conn.QueryRow(ctx, `SELECT true, COALESCE(shobj_description(oid, 'pg_authid'), '') FROM pg_roles WHERE rolname = $1`, role).Scan(&there, &comment)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	if there && comment != purpose {
		return final{fmt.Errorf("role %s is there, and not for this schema (its comment: %q); expected none of this name", role, comment)}
	}
	var todo []string
	if !there {
		todo = append(todo, "CREATE ROLE "+quote(role)+" NOLOGIN", "COMMENT ON ROLE "+quote(role)+" IS "+literal(purpose))
	}
	todo = append(todo, "GRANT "+quote(role)+" TO CURRENT_USER")
	if v.owns && c.place.isolation == byDatabase {
		name := quote(v.database)
		todo = append(todo, "REVOKE ALL ON DATABASE "+name+" FROM PUBLIC", "GRANT CONNECT, TEMPORARY ON DATABASE "+name+" TO "+quote(role),
			"COMMENT ON DATABASE "+name+" IS "+literal("Harrow job "+c.place.job+", and no other's"))
	} else if v.owns {
		todo = append(todo, "GRANT TEMPORARY ON DATABASE "+quote(v.database)+" TO "+quote(role))
	}
	err = c.exec(ctx, strings.Join(todo, "; "))
	if e := pgError(err); e != nil && e.Code == "42501" {
		return final{fmt.Errorf("role %s for the job's schema: %w", role, err)}
	}
	return err
}

// lock makes others wait who make or change tables of this schema, until the
// transaction ends. Its first number is ours alone: no other application's
// locks are hit.
func (c session) lock(ctx context.Context) error {
	return c.exec(ctx, fmt.Sprintf("SELECT pg_advisory_xact_lock(%d, hashtext(%s)); %s", lockClass, literal(c.place.schema), lockTable))
}

// lockClass is "hrrw".
const lockClass = 0x68727277
