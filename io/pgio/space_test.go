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
		"somebody's tables":                 {"", "CREATE SCHEMA %[1]s; CREATE TABLE %[1]s.orders (a int)", "schema %[1]s is no job's, and not empty", ""},
		"somebody's tables, the login's":    {"NOCREATEROLE", "CREATE SCHEMA %[1]s AUTHORIZATION %[2]s; CREATE TABLE %[1]s.orders (a int)", "schema %[1]s is no job's, and not empty", ""},
		"a role of the name is somebody's":  {"", "CREATE ROLE harrow_postgres_%[1]s", "role harrow_postgres_%[1]s is there, and not for this schema", ""},
		"empty, of a group the login is in": {"NOCREATEROLE", "CREATE ROLE group_%[1]s; GRANT group_%[1]s TO %[2]s; CREATE SCHEMA %[1]s AUTHORIZATION group_%[1]s", "", "group"},
	} {
		t.Run(name, func(t *testing.T) {
			config := home(t)
			user := "postgres"
			if c.options != "" {
				user, config.URL = login(t, c.options)
			}
			fill := strings.NewReplacer("%[1]s", config.Schema, "%[2]s", user).Replace
			sql(fill(c.before))
			s := newSink(t, config)
			errs := []error{s.Check(t.Context(), []harrow.RecordType{book})}
			_, err := s.Load(t.Context(), bookShard(t, "r1", bookRow("1", nil, day, "r1")))
			errs = append(errs, err)
			want := fill(c.want)
			for i, err := range errs {
				if i == 0 && strings.HasPrefix(name, "a role") {
					continue // Check knows only where a role is needed
				}
				if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
					t.Errorf("%v, want %q", err, want)
				}
				if err != nil && (strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), postgres.Password)) {
					t.Errorf("the password shows: %v", err)
				}
			}
			actor := map[string]string{"own": "harrow_postgres_" + config.Schema, "login": "", "group": "group_" + config.Schema, "": ""}[c.actor]
			if s.actor != actor {
				t.Errorf("loaded by %q, want %q", s.actor, actor)
			}
			if want == "" {
				again := newSink(t, config)
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
