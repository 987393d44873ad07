package pgio

import (
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/soak/postgres"
)

// login makes a role that may log in, and returns a URL for it.
func login(t testing.TB, options string) (name, to string) {
	t.Helper()
	srv := postgres.Shared(t)
	name = fmt.Sprint("login_", schemas.Add(1))
	if _, err := srv.SQL(t.Context(), "postgres", "CREATE ROLE "+name+" LOGIN PASSWORD '"+secret+"' "+options); err != nil {
		t.Fatal(err)
	}
	u, _ := url.Parse(srv.URL("postgres"))
	u.User = url.UserPassword(name, secret)
	return name, u.String()
}

// mayCreate lets a role make schemas in the database that all tests share:
// others give rights on it away at the same time.
func mayCreate(t testing.TB, role string) {
	t.Helper()
	for {
		_, err := postgres.Shared(t).SQL(t.Context(), "postgres", "GRANT CREATE ON DATABASE postgres TO "+role)
		if err == nil {
			return
		}
		if !strings.Contains(err.Error(), "tuple concurrently updated") {
			t.Fatal(err)
		}
	}
}

func as(t testing.TB, to, database string) string {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + database
	return u.String()
}

func TestARoleOfTheJobsOwnReachesNothingElse(t *testing.T) {
	s, neighbour := newSink(t, home(t)), newSink(t, home(t))
	for _, s := range []*Sink{s, neighbour} {
		load(t, s, bookShard(t, "r1", bookRow("1", nil, day, "r1")), harrow.Counts{Added: 1})
		if s.actor != "harrow_postgres_"+s.place.schema {
			t.Errorf("loaded by %q", s.actor)
		}
		wantRows(t, s, `SELECT rolcanlogin, rolsuper, rolcreaterole, rolcreatedb, rolbypassrls, (SELECT count(*) FROM pg_auth_members WHERE member = r.oid) FROM pg_roles r WHERE rolname = '`+s.actor+`'`, "f|f|f|f|f|0")
		wantRows(t, s, `SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class WHERE relnamespace = '`+s.place.schema+`'::regnamespace`, s.actor)
		wantRows(t, s, `SELECT nspacl FROM pg_namespace WHERE nspname = '`+s.place.schema+`' AND nspacl::text ~ '(^|[{,])='`)
	}
	// A trigger that somebody talked the job's schema into runs as the job.
	dump(t, s, `SET ROLE `+s.actor+`; CREATE FUNCTION spy() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM `+neighbour.place.table("book")+`; RETURN NEW; END $$;
		CREATE TRIGGER spy BEFORE INSERT ON book FOR EACH ROW EXECUTE FUNCTION spy()`)
	_, err := s.Load(t.Context(), bookShard(t, "r2", bookRow("2", nil, day, "r2")))
	if err == nil || !strings.Contains(err.Error(), "permission denied for schema "+neighbour.place.schema) {
		t.Error(err)
	}
	wantRows(t, neighbour, "SELECT count(*) FROM book", "1")
}

func TestTwoJobsAreNeverInOneSchema(t *testing.T) {
	c := home(t)
	s := newSink(t, c)
	load(t, s, bookShard(t, "r1"), harrow.Counts{})
	other, err := open(c, "shoes")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	want := "schema " + c.Schema + " belongs to job shop, not to job shoes"
	if err := other.Check(t.Context(), nil); err == nil || !strings.Contains(err.Error(), want) {
		t.Error(err)
	}
	if _, err := other.Load(t.Context(), bookShard(t, "r1")); err == nil || !strings.Contains(err.Error(), want) {
		t.Error(err)
	}
}

// Who empties all tables of a schema has emptied the one that says whose it is.
func TestASchemaWhoseTablesWereEmptiedIsTheNextOnes(t *testing.T) {
	c := home(t)
	s := newSink(t, c)
	load(t, s, bookShard(t, "r1", bookRow("1", nil, day, "r1")), harrow.Counts{Added: 1})
	dump(t, s, "TRUNCATE book, _harrow_job, _harrow_marks, _harrow_rejects")
	again := newSink(t, c)
	if err := again.Check(t.Context(), []harrow.RecordType{book}); err != nil {
		t.Error(err)
	}
	load(t, again, bookShard(t, "r1", bookRow("1", nil, day, "r1")), harrow.Counts{Added: 1})
	wantRows(t, again, "SELECT job FROM _harrow_job", "shop")
}

// Each way a schema can be there already, or can't be made.
func TestWhoseASchemaIs(t *testing.T) {
	srv := postgres.Shared(t)
	sql := func(statements string) {
		if _, err := srv.SQL(t.Context(), "postgres", statements); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		options string // of the role that logs in; empty: the superuser
		before  string // %[1]s is the schema, %[2]s the role
		want    string // error; empty: it is loaded
		actor   string // who loads: own, login, OTHER
	}{
		"made by a superuser":               {"", "", "", "own"},
		"made by who makes roles":           {"CREATEROLE", "GRANT CREATE ON DATABASE postgres TO %[2]s", "", "own"},
		"made by who makes none":            {"NOCREATEROLE", "GRANT CREATE ON DATABASE postgres TO %[2]s", "", "login"},
		"may not be made":                   {"NOCREATEROLE", "", "there is no schema %[1]s, and role %[2]s may not make it", ""},
		"may not be made, but roles":        {"CREATEROLE", "", "there is no schema %[1]s, and role %[2]s may not make it", ""},
		"empty, the login's":                {"NOCREATEROLE", "CREATE SCHEMA %[1]s AUTHORIZATION %[2]s", "", "login"},
		"empty, the superuser's":            {"", "CREATE SCHEMA %[1]s", "", "own"},
		"empty, another's who lets us":      {"NOCREATEROLE", "CREATE SCHEMA %[1]s; GRANT ALL ON SCHEMA %[1]s TO %[2]s", "", "login"},
		"empty, another's":                  {"NOCREATEROLE", "CREATE SCHEMA %[1]s", "schema %[1]s belongs to role postgres, and role %[2]s may not", ""},
		"empty, may not be given away":      {"CREATEROLE", "CREATE SCHEMA %[1]s AUTHORIZATION %[2]s", "", "login"},
		"somebody's tables, by default":     {"", "CREATE SCHEMA %[1]s; CREATE TABLE %[1]s.orders (a int)", "schema %[1]s is no job's, and not empty; expected one that is empty, of job %[1]s, or not there; to load beside what it has, name it (schema: %[1]s)", ""},
		"somebody's tables":                 {"", "CREATE SCHEMA %[1]s; CREATE TABLE %[1]s.orders (a int)", "", "login"},
		"somebody's tables, a group's":      {"", "CREATE ROLE group_%[1]s; CREATE SCHEMA %[1]s AUTHORIZATION group_%[1]s; CREATE TABLE %[1]s.orders (a int)", "", "login"},
		"somebody's tables, the login's":    {"CREATEROLE", "CREATE SCHEMA %[1]s AUTHORIZATION %[2]s; CREATE TABLE %[1]s.orders (a int)", "", "login"},
		"somebody's tables, not for us":     {"NOCREATEROLE", "CREATE SCHEMA %[1]s; CREATE TABLE %[1]s.orders (a int); GRANT USAGE ON SCHEMA %[1]s TO %[2]s", "schema %[1]s belongs to role postgres, and role %[2]s may not", ""},
		"a role of the name is somebody's":  {"", "CREATE ROLE harrow_postgres_%[1]s", "", "digested"},
		"and the other one too":             {"", "CREATE ROLE harrow_postgres_%[1]s; CREATE ROLE %[3]s", "role %[3]s is there, and not for this schema", ""},
		"empty, of a group the login is in": {"NOCREATEROLE", "CREATE ROLE group_%[1]s; GRANT group_%[1]s TO %[2]s; CREATE SCHEMA %[1]s AUTHORIZATION group_%[1]s", "", "group"},
	} {
		t.Run(name, func(t *testing.T) {
			config := home(t)
			user := "postgres"
			if c.options != "" {
				user, config.URL = login(t, c.options)
			}
			schema, job := config.Schema, "shop"
			role := "harrow_postgres_" + schema
			other := digested(role, place{schema: schema}.purpose("postgres"))
			fill := strings.NewReplacer("%[1]s", schema, "%[2]s", user, "%[3]s", other).Replace
			sql(fill(c.before))
			if strings.HasSuffix(name, "by default") {
				config.Schema, job = "", schema
			}
			sink := func() *Sink {
				s, err := open(config, job)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { s.Close() })
				return s
			}
			s := sink()
			errs := []error{s.Check(t.Context(), []harrow.RecordType{book})}
			_, err := s.Load(t.Context(), bookShard(t, "r1", bookRow("1", nil, day, "r1")))
			errs = append(errs, err)
			want := fill(c.want)
			for _, err := range errs {
				if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
					t.Errorf("%v, want %q", err, want)
				}
				if err != nil && (strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), postgres.Password)) {
					t.Errorf("the password shows: %v", err)
				}
			}
			actor := map[string]string{"own": role, "digested": other, "login": "", "group": "group_" + schema, "": ""}[c.actor]
			if s.actor != actor {
				t.Errorf("loaded by %q, want %q", s.actor, actor)
			}
			if want == "" {
				again := sink()
				load(t, again, bookShard(t, "r2", bookRow("1", nil, day, "r2")), harrow.Counts{Unchanged: 1})
				if again.actor != actor {
					t.Errorf("then by %q, want %q", again.actor, actor)
				}
				if err := again.Check(t.Context(), []harrow.RecordType{book}); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestADatabaseOfTheJobsOwn(t *testing.T) {
	srv := postgres.Shared(t)
	c := home(t)
	c.Isolation = byDatabase
	s := newSink(t, c)
	if err := s.Check(t.Context(), []harrow.RecordType{book}); err != nil {
		t.Error(err)
	}
	const there = "SELECT count(*) FROM pg_database WHERE datname = '%s'"
	if out, err := srv.SQL(t.Context(), "postgres", fmt.Sprintf(there, c.Schema)); out != "0" || err != nil {
		t.Errorf("Check made a database: %s %v", out, err)
	}
	// Two at once make it, and each loads a shard.
	var wg sync.WaitGroup
	for i, s := range []*Sink{s, newSink(t, c)} {
		shard := bookShard(t, "r1", bookRow(fmt.Sprint(i), nil, day, "r1"))
		shard.Shard = i
		wg.Go(func() { load(t, s, shard, harrow.Counts{Added: 1}) })
	}
	wg.Wait()
	wantRows(t, s, "SELECT current_database(), count(*) FROM book", c.Schema+"|2")
	if s.actor != "harrow_"+c.Schema {
		t.Errorf("loaded by %q", s.actor)
	}
	// Nobody else comes in.
	_, to := login(t, "")
	if conn, err := pgx.Connect(t.Context(), as(t, to, c.Schema)); err == nil || !strings.Contains(err.Error(), "permission denied for database") {
		t.Errorf("somebody connected: %v", err)
		_ = conn.Close(t.Context())
	}
	if err := s.Check(t.Context(), []harrow.RecordType{book}); err != nil {
		t.Error(err)
	}
}

// A database that the sink makes is closed by its owner too, who can make no
// role.
func TestADatabaseOfTheJobsOwnIsClosedWithoutARole(t *testing.T) {
	t.Parallel()
	c := home(t)
	c.Isolation = byDatabase
	_, c.URL = login(t, "CREATEDB")
	s := newSink(t, c)
	load(t, s, bookShard(t, "r1", bookRow("1", nil, day, "r1")), harrow.Counts{Added: 1})
	if s.actor != "" {
		t.Errorf("loaded by %q", s.actor)
	}
	_, to := login(t, "")
	if conn, err := pgx.Connect(t.Context(), as(t, to, c.Schema)); err == nil || !strings.Contains(err.Error(), "permission denied for database") {
		t.Errorf("somebody connected: %v", err)
		_ = conn.Close(t.Context())
	}
}

// A role is made only where it can be given all that loading takes.
func TestALoginLoadsItselfWhereARoleCouldNot(t *testing.T) {
	t.Parallel()
	srv := postgres.Shared(t)
	name, to := login(t, "CREATEROLE")
	c := home(t)
	database := c.Schema + "_db"
	c.URL = as(t, to, database)
	sql := func(statements string) {
		if _, err := srv.SQL(t.Context(), "postgres", statements); err != nil {
			t.Fatal(err)
		}
	}
	sql("CREATE DATABASE " + database + "; REVOKE TEMPORARY ON DATABASE " + database + " FROM PUBLIC; GRANT CREATE ON DATABASE " + database + " TO " + name)
	s := newSink(t, c)
	_, err := s.Load(t.Context(), bookShard(t, "r1"))
	for _, err := range []error{err, s.Check(t.Context(), nil)} {
		if err == nil || !strings.Contains(err.Error(), "role "+name+" may not make temporary tables") {
			t.Error(err)
		}
	}
	sql("GRANT TEMPORARY ON DATABASE " + database + " TO " + name)
	if err := s.Check(t.Context(), nil); err != nil {
		t.Error(err)
	}
	load(t, s, bookShard(t, "r1", bookRow("1", nil, day, "r1")), harrow.Counts{Added: 1})
	if s.actor != "" {
		t.Errorf("loaded by %q", s.actor)
	}
}

// Tables that the user made, with constraints of his own, are loaded into as
// they are; what can't be is said by Check.
func TestASchemaWithTablesIsTakenByItsName(t *testing.T) {
	t.Parallel()
	c := home(t)
	s := newSink(t, c)
	rt := harrow.RecordType{Name: "item", Columns: []harrow.Column{column1("upc", harrow.Text), column1("stock", harrow.Int)}}
	item := func(run string, rows ...row) harrow.Shard {
		return harrow.Shard{Run: run, Record: rt, Key: []string{"upc"}, Input: "d", Shards: 1, Batches: batches(t, rt, rows)}
	}
	name, to := login(t, "CREATEROLE")
	mayCreate(t, name)
	dump(t, s, "CREATE SCHEMA "+c.Schema+" AUTHORIZATION "+name+"; COMMENT ON SCHEMA "+c.Schema+" IS 'mine'; SET ROLE "+name+`;
		CREATE TABLE item (upc text CONSTRAINT mine PRIMARY KEY, stock bigint CHECK (stock < 100));
		RESET ROLE; CREATE TABLE far (upc text PRIMARY KEY); GRANT SELECT, INSERT, UPDATE ON far TO `+name+`;
		CREATE TABLE near (upc text PRIMARY KEY); CREATE UNLOGGED TABLE gone (upc text PRIMARY KEY)`)
	c.URL = to
	s = newSink(t, c)
	if err := s.Check(t.Context(), []harrow.RecordType{rt}); err != nil {
		t.Error(err)
	}
	rejected(t, s, item("r1", row{[]any{"1", int64(1)}, day, "r1"}, row{[]any{"2", int64(100)}, day, "r1"}), harrow.Counts{Added: 1, Rejected: 1})
	wantRows(t, s, `SELECT obj_description(oid), pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = '`+c.Schema+`'`, "mine|"+name)
	wantRows(t, s, `SELECT conname FROM pg_constraint WHERE conrelid = 'item'::regclass ORDER BY 1`, "item_stock_check", "mine")
	wantRows(t, s, `SELECT pg_get_userbyid(relowner), relname FROM pg_class WHERE relnamespace = '`+c.Schema+`'::regnamespace AND relkind = 'r' ORDER BY 2`,
		name+"|_harrow_job", name+"|_harrow_marks", name+"|_harrow_rejects", "postgres|far", "postgres|gone", name+"|item", "postgres|near")

	s = newSink(t, c)
	for table, want := range map[string]string{
		"far":  "table far lacks column _id, and role " + name + ", which isn't its owner, may not add it",
		"near": "table near: role " + name + " may not read, insert and update its rows",
		"gone": "table gone is UNLOGGED",
	} {
		rt := harrow.RecordType{Name: table, Columns: rt.Columns[:1]}
		shard := item("r2")
		shard.Record, shard.Batches = rt, batches(t, rt, nil)
		_, err := s.Load(t.Context(), shard)
		for _, err := range []error{err, s.Check(t.Context(), []harrow.RecordType{rt})} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q", err, want)
			}
		}
	}
	other, err := open(c, "shoes")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := other.Check(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "belongs to job shop") {
		t.Error(err)
	}
}

func TestADatabaseThatIsSomebodyElses(t *testing.T) {
	srv := postgres.Shared(t)
	c := home(t)
	c.Isolation = byDatabase
	if _, err := srv.SQL(t.Context(), "postgres", "CREATE DATABASE "+c.Schema); err != nil {
		t.Fatal(err)
	}
	if _, err := srv.SQL(t.Context(), c.Schema, "CREATE TABLE orders (a int)"); err != nil {
		t.Fatal(err)
	}
	s := newSink(t, c)
	_, err := s.Load(t.Context(), bookShard(t, "r1"))
	for _, err := range []error{err, s.Check(t.Context(), nil)} {
		if err == nil || !strings.Contains(err.Error(), "database "+c.Schema+" is no job's, and not empty") {
			t.Error(err)
		}
	}
	c.Schema += "_none"
	name, to := login(t, "")
	c.URL = to
	s = newSink(t, c)
	_, err = s.Load(t.Context(), bookShard(t, "r1"))
	for _, err := range []error{err, s.Check(t.Context(), nil)} {
		if err == nil || !strings.Contains(err.Error(), "there is no database "+c.Schema+", and role "+name+" may not make it") {
			t.Error(err)
		}
	}
}

func TestADatabaseThatCantHoldTheRows(t *testing.T) {
	srv := postgres.Shared(t)
	for name, c := range map[string]struct{ make, want string }{
		"latin":    {"CREATE DATABASE %s ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0", "the database's encoding is LATIN1; expected UTF8"},
		"readonly": {"CREATE DATABASE %[1]s; ALTER DATABASE %[1]s SET default_transaction_read_only = on", "the server is read-only"},
	} {
		if _, err := srv.SQL(t.Context(), "postgres", fmt.Sprintf(c.make, name)); err != nil {
			t.Fatal(err)
		}
		s := newSink(t, Config{URL: srv.URL(name)})
		_, err := s.Load(t.Context(), bookShard(t, "r1"))
		for _, err := range []error{err, s.Check(t.Context(), nil)} {
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "database "+name) {
				t.Error(err)
			}
		}
	}
}
