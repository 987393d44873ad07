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
	everybody  bool // so may everybody
	owns       bool // the user may say who uses the database

	there     bool   // the schema is
	owner     string // of it; of its mark, where it is marked
	member    bool   // the user may become its owner
	ready     bool   // its owner may make temporary tables
	uses      bool   // the user may make tables in it as it is
	relations int64  // in it
	marked    bool   // it has a table that says whose it is
	job       string // what that says; empty where somebody emptied it
}

const surveyQuery = `SELECT d.datname::text, pg_encoding_to_char(d.encoding)::text, current_setting('default_transaction_read_only') = 'on' OR pg_is_in_recovery(),
	u.rolname::text, u.rolsuper OR u.rolcreaterole, has_database_privilege(d.oid, 'CREATE'), has_database_privilege(d.oid, 'TEMPORARY'),
	has_database_privilege('public', d.oid, 'TEMPORARY'), pg_has_role(d.datdba, 'USAGE'),
	n.oid IS NOT NULL, COALESCE(pg_get_userbyid(o.owner), '')::text,
	COALESCE(pg_has_role(o.owner, CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'MEMBER' ELSE 'SET' END), false),
	COALESCE(has_database_privilege(o.owner, d.oid, 'TEMPORARY'), false),
	COALESCE(has_schema_privilege(n.oid, 'CREATE') AND has_schema_privilege(n.oid, 'USAGE'), false),
	(SELECT count(*) FROM pg_class c WHERE c.relnamespace = n.oid),
	m.oid IS NOT NULL
	FROM pg_database d JOIN pg_roles u ON u.rolname = current_user LEFT JOIN pg_namespace n ON n.nspname = $1
	LEFT JOIN pg_class m ON m.relnamespace = n.oid AND m.relname = $2
	CROSS JOIN LATERAL (SELECT COALESCE(m.relowner, n.nspowner) AS owner) o
	WHERE d.datname = current_database()`

// survey looks, and changes nothing but the transaction's role.
func (c session) survey(ctx context.Context) (v survey, err error) {
	err = c.conn.QueryRow(ctx, surveyQuery, c.place.schema, owners).Scan(&v.database, &v.encoding, &v.readOnly, &v.user, &v.makesRoles, &v.create,
		&v.temporary, &v.everybody, &v.owns, &v.there, &v.owner, &v.member, &v.ready, &v.uses, &v.relations, &v.marked)
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

// actor is the role that makes and loads tables, empty for the connection's:
// the one that made the mark; before there is one, the owner of an empty
// schema.
func (v survey) actor() string {
	if v.there && v.member && v.owner != v.user && !v.others() {
		return v.owner
	}
	return ""
}

// others reports whether the schema has tables, and is no job's.
func (v survey) others() bool { return !v.marked && v.relations > 0 }

// ownRole reports whether a role of the job's own is made for the schema: it
// must be able to have all that the connection's has here.
func (v survey) ownRole() bool {
	return v.makesRoles && !v.marked && (v.owns || v.everybody) && v.create && (!v.there || v.owner == v.user && !v.others())
}

// verdict says what is in the way of loading a job into the place.
func (v survey) verdict(p place) error {
	switch {
	case v.encoding != "UTF8":
		return fmt.Errorf("the database's encoding is %s; expected UTF8", v.encoding)
	case v.readOnly:
		return errors.New("the server is read-only")
	case !v.temporary && !v.ownRole() && v.actor() == "":
		return fmt.Errorf("role %s may not make temporary tables in the database; GRANT TEMPORARY ON DATABASE %s TO it", v.user, quote(v.database))
	case !v.ready && v.actor() != "":
		return fmt.Errorf("role %s, which loads, may not make temporary tables in the database; GRANT TEMPORARY ON DATABASE %s TO it", v.owner, quote(v.database))
	case !v.there && !v.create:
		return fmt.Errorf("there is no schema %s, and role %s may not make it; GRANT CREATE ON DATABASE %s TO it, or make the schema as its own", p.schema, v.user, quote(v.database))
	case !v.there:
		return nil
	case v.marked && v.job != "" && v.job != p.job:
		return fmt.Errorf("schema %s belongs to job %s, not to job %s; expected a schema of its own for each job", p.schema, v.job, p.job)
	case v.others() && !p.named:
		return fmt.Errorf("schema %s is no job's, and not empty; expected one that is empty, of job %s, or not there; to load beside what it has, name it (schema: %s)", p.schema, p.job, p.schema)
	case v.actor() == "" && !v.uses && v.owner != v.user:
		return fmt.Errorf("schema %s belongs to role %s, and role %s may not make tables in it", p.schema, v.owner, v.user)
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

// makeSchema makes the schema or takes over an empty one. One that others have
// tables in stays as it is.
func (c session) makeSchema(ctx context.Context, v survey) (actor string, err error) {
	if v.others() {
		return "", nil
	}
	actor = v.actor()
	if v.ownRole() {
		if actor, err = c.makeRole(ctx, v); err != nil {
			return "", err
		}
	}
	if err := c.share(ctx, v, actor); err != nil {
		return "", err
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

// share says who uses the database: of one that is the job's own, nobody else.
func (c session) share(ctx context.Context, v survey, actor string) error {
	if !v.owns {
		return nil
	}
	name := quote(v.database)
	var todo []string
	rights := "TEMPORARY"
	if c.place.isolation == byDatabase {
		rights = "CONNECT, TEMPORARY"
		todo = append(todo, "REVOKE ALL ON DATABASE "+name+" FROM PUBLIC", "COMMENT ON DATABASE "+name+" IS "+literal("Harrow job "+c.place.job+", and no other's"))
	}
	if actor != "" && (v.ownRole() || len(todo) > 0) {
		todo = append(todo, "GRANT "+rights+" ON DATABASE "+name+" TO "+quote(actor))
	}
	if len(todo) == 0 {
		return nil
	}
	return c.exec(ctx, strings.Join(todo, "; "))
}

// purpose is the comment of the job's role, so that no two places take one for
// theirs.
func (p place) purpose(database string) string {
	return fmt.Sprintf("Harrow: owns schema %s of database %s, and nothing else", p.schema, database)
}

// role finds a name for the job's role, and says whether the role is there.
// Roles are the whole server's, so the name has the database in it too; where
// another place has the same, it ends in a digest.
func (c session) role(ctx context.Context, database string) (name string, there bool, err error) {
	name = "harrow_" + database + "_" + c.place.schema
	if database == c.place.schema {
		name = "harrow_" + c.place.schema
	}
	name = short(name)
	purpose, comment := c.place.purpose(database), ""
	for _, name := range []string{name, digested(name, purpose)} {
		err := c.conn.QueryRow(ctx, `SELECT COALESCE(shobj_description(oid, 'pg_authid'), '') FROM pg_roles WHERE rolname = $1`, name).Scan(&comment)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return name, false, nil
		case err != nil:
			return "", false, err
		case comment == purpose:
			return name, true, nil
		}
	}
	return "", false, final{fmt.Errorf("role %s is there, and not for this schema (its comment: %q); expected none of this name", digested(name, purpose), comment)}
}

// makeRole makes a role that can't log in and owns nothing yet.
func (c session) makeRole(ctx context.Context, v survey) (role string, err error) {
	role, there, err := c.role(ctx, v.database)
	if err != nil {
		return "", err
	}
	var todo []string
	if !there {
		todo = append(todo, "CREATE ROLE "+quote(role)+" NOLOGIN", "COMMENT ON ROLE "+quote(role)+" IS "+literal(c.place.purpose(v.database)))
	}
	todo = append(todo, "GRANT "+quote(role)+" TO CURRENT_USER")
	err = c.exec(ctx, strings.Join(todo, "; "))
	if e := pgError(err); e != nil && e.Code == "42501" {
		return "", final{fmt.Errorf("role %s for the job's schema: %w", role, err)}
	}
	return role, err
}

// lock makes others wait who make or change tables of this schema, until the
// transaction ends. Its first number is ours alone: no other application's
// locks are hit.
func (c session) lock(ctx context.Context) error {
	return c.exec(ctx, fmt.Sprintf("SELECT pg_advisory_xact_lock(%d, hashtext(%s)); %s", lockClass, literal(c.place.schema), lockTable))
}

// lockClass is "hrrw".
const lockClass = 0x68727277
