package pgio

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/harrowdata/harrow"
)

// reserved begins the names of what is the sink's own.
const reserved = "_harrow"

// system are the columns that every table of PostgreSQL has.
var system = []string{"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"}

// quote makes an identifier of any name that checkName lets through.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func quoteAll(names []string) string {
	list := make([]string, len(names))
	for i, n := range names {
		list[i] = quote(n)
	}
	return strings.Join(list, ", ")
}

// literal makes a text of SQL.
func literal(s string) string {
	s = strings.ReplaceAll(s, "'", "''")
	if strings.Contains(s, `\`) {
		return " E'" + strings.ReplaceAll(s, `\`, `\\`) + "'"
	}
	return "'" + s + "'"
}

// derived is a name of ours for what belongs to a table. A long one is cut and
// ends in a digest, so that two of them are never one.
func derived(what, table string) string {
	return short(reserved + "_" + what + "_" + table)
}

// short is a name that PostgreSQL keeps whole.
func short(name string) string {
	if len(name) <= maxName {
		return name
	}
	return digested(name, name)
}

// digested is a name that ends in a digest of what it stands for.
func digested(name, what string) string {
	sum := sha256.Sum256([]byte(what))
	end := "_" + hex.EncodeToString(sum[:8])
	return cut(name, maxName-len(end)) + end
}

func checkName(what, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("postgres: a %s without a name", what)
	case strings.ContainsRune(name, 0), !utf8.ValidString(name):
		return fmt.Errorf("postgres: %s %q: expected a name in UTF-8 without NUL", what, name)
	case len(name) > maxName:
		return fmt.Errorf("postgres: %s %q: PostgreSQL's names have at most %d bytes, this one %d", what, name, maxName, len(name))
	case strings.HasPrefix(strings.ToLower(name), reserved):
		return fmt.Errorf("postgres: %s %q: names that begin with %s are reserved", what, name, reserved)
	case what == "column" && slices.Contains(system, name):
		return fmt.Errorf("postgres: column %q: every table of PostgreSQL has one of its own of this name", name)
	}
	return nil
}

// checkNames finds names that can't be tables or columns.
func checkNames(types []harrow.RecordType) error {
	var errs []error
	for _, t := range types {
		errs = append(errs, checkName("table", t.Name))
		seen := map[string]bool{}
		for _, c := range t.AllColumns() {
			if seen[c.Name] {
				errs = append(errs, fmt.Errorf("postgres: record %q has two columns %q", t.Name, c.Name))
			}
			seen[c.Name] = true
			errs = append(errs, checkName("column", c.Name))
		}
	}
	return errors.Join(errs...)
}

// declared is the type of a column, as PostgreSQL shows it.
func declared(t harrow.Type) string {
	if t.List {
		return declared(t.Element()) + "[]"
	}
	switch t.Kind {
	case harrow.Int:
		return "bigint"
	case harrow.Float:
		return "double precision"
	case harrow.Bool:
		return "boolean"
	case harrow.Decimal:
		return fmt.Sprintf("numeric(%d,%d)", t.Precision, t.Scale)
	case harrow.Date:
		return "date"
	case harrow.Timestamp:
		return "timestamp with time zone"
	}
	return "text"
}
