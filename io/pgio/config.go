package pgio

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/harrowdata/harrow"
)

// Config configures the sink. Only the url is required.
type Config struct {
	// URL of the server and a database that is there:
	// postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full, as
	// libpq reads it. What it leaves out comes from the environment (PGHOST,
	// PGPASSWORD, …) and ~/.pgpass.
	URL string `json:"url"`
	// Schema is the name of the job's schema, at most 63 bytes; one that is
	// named here may have tables already. Empty: the job's name with '_' for
	// '-'.
	Schema string `json:"schema,omitempty"`
	// Isolation is "schema" (the default: a schema of the url's database) or
	// "database" (a database of the schema's name, and that schema in it).
	Isolation string `json:"isolation,omitempty"`
}

// What Isolation may be.
const (
	bySchema   = "schema"
	byDatabase = "database"
)

// maxName is how many bytes of a name PostgreSQL keeps; it would cut what is
// longer without an error.
const maxName = 63

// place is where a job's tables are.
type place struct {
	job       string
	base      *pgx.ConnConfig // as the url says
	isolation string
	database  string // that is loaded into
	schema    string
	named     bool // the schema is, by the job file
}

func (c Config) place(job string) (p place, err error) {
	p = place{job: job, schema: c.Schema, named: c.Schema != ""}
	if p.base, err = parseURL(c.URL); err != nil {
		return p, &harrow.ConfigError{Key: "url", Err: err}
	}
	if p.schema == "" {
		p.schema = strings.ReplaceAll(job, "-", "_")
	}
	if err := checkSchema(p.schema); err != nil {
		return p, &harrow.ConfigError{Key: "schema", Err: err}
	}
	p.database, p.isolation = p.base.Database, bySchema
	switch c.Isolation {
	case "", bySchema:
	case byDatabase:
		p.isolation = byDatabase
		p.database = p.schema
		if p.schema == "postgres" || strings.HasPrefix(p.schema, "template") {
			return p, &harrow.ConfigError{Key: "schema", Err: fmt.Errorf("%q is a database of the server's own; expected another name", p.schema)}
		}
	default:
		return p, &harrow.ConfigError{Key: "isolation", Err: fmt.Errorf("got %q; expected %s or %s", c.Isolation, bySchema, byDatabase)}
	}
	return p, nil
}

var errURL = errors.New("can't be read; expected postgres://USER:PASSWORD@HOST:PORT/DATABASE")

// parseURL reads a URL. Its errors quote nothing of it: there is a password in
// it.
func parseURL(url string) (*pgx.ConnConfig, error) {
	if url == "" {
		return nil, errors.New("is missing; expected postgres://USER:PASSWORD@HOST:PORT/DATABASE")
	}
	if scheme, _, ok := strings.Cut(url, "://"); !ok || scheme != "postgres" && scheme != "postgresql" {
		return nil, errURL
	}
	c, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, errURL
	}
	if c.Database == "" { // as libpq has it
		c.Database = c.User
	}
	return c, nil
}

func checkSchema(name string) error {
	switch {
	case !utf8.ValidString(name) || strings.ContainsRune(name, 0):
		return fmt.Errorf("%q: expected a name in UTF-8", name)
	case len(name) > maxName:
		return fmt.Errorf("%q has %d bytes; expected at most %d", name, len(name), maxName)
	case strings.HasPrefix(name, "pg_"), name == "information_schema":
		return fmt.Errorf("%q is PostgreSQL's own; expected another name", name)
	case name == "public":
		return errors.New(`"public" is everybody's; expected a schema that is only this job's`)
	}
	return nil
}

// connectTimeout is for one try to connect, where the url says nothing.
const connectTimeout = 10 * time.Second

// config is how to connect to one of the server's databases. Statements get no
// names: behind a pooler, transactions of one client run in several sessions.
func (p place) config(database string) *pgx.ConnConfig {
	c := p.base.Copy()
	c.Database = database
	c.DefaultQueryExecMode = pgx.QueryExecModeExec
	c.StatementCacheCapacity, c.DescriptionCacheCapacity = 0, 0
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = connectTimeout
	}
	c.RuntimeParams["client_encoding"] = "UTF8" // whatever the role, the database and the url say: texts are
	if c.RuntimeParams["application_name"] == "" {
		c.RuntimeParams["application_name"] = cut("harrow "+p.job, maxName)
	}
	return c
}

// cut shortens a text to at most n bytes, between characters.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// String names the place, without a user or a password.
func (p place) String() string {
	host := p.base.Host
	if !strings.HasPrefix(host, "/") {
		host = net.JoinHostPort(host, strconv.Itoa(int(p.base.Port)))
	}
	return fmt.Sprintf("postgres %s, database %s, schema %s", host, p.database, p.schema)
}
