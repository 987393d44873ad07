// Bench-upsert measures stage load into PostgreSQL beside what one would write
// by hand: psql with COPY into a temporary table and INSERT … ON CONFLICT DO
// UPDATE WHERE … IS DISTINCT FROM, in one session.
//
//	go run ./bench/upsert [-small] [-rows N] [-rounds N] [-md FILE]
//
// Millions of rows of a dozen columns, of every type, are loaded from what
// stage refine has committed into an empty table, and, with another price for
// a tenth of them, into a full one. psql gets the same rows in the same order
// as a text file. Both load into copies of one database, on one server that
// syncs what it writes, in turns. Both must make the same table, which the
// generator knows too; Harrow must reach at least 0.8 of psql's rows a second,
// with at most limits.memory + 300 MiB.
//
// -small is for continuous integration: few rows, and time is not judged.
//
// It ends with exit code 1 when something does not hold, and 2 when something
// went wrong.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/bench/internal/measure"
	"github.com/harrowdata/harrow/soak/postgres"
)

const (
	mib = 1 << 20
	// beyond is what a process may take on top of limits.memory: the Go
	// runtime, Beam and what the garbage collector has not found yet.
	beyond = 300 * mib
	// least is the part of psql's rows a second that Harrow must reach.
	least = 0.8
)

func main() {
	roles.Child()
	small := flag.Bool("small", false, "50,000 rows instead of 5 million, once; time is not judged")
	n := flag.Int64("rows", 5_000_000, "how many rows")
	rounds := flag.Int("rounds", 3, "how often each side loads each case")
	dir := flag.String("dir", "", "folder for the rows and the database; default a temporary one")
	md := flag.String("md", "", "file to write a report to")
	flag.Parse()
	p := plan{rows: *n, rounds: *rounds, memory: 512 * mib, judge: true}
	if *small {
		p = plan{rows: 50_000, rounds: 1, memory: 128 * mib}
	}
	r, err := bench(context.Background(), p, *dir, os.Stdout)
	if err == nil && *md != "" {
		err = r.write(*md)
	}
	if errors.Is(err, postgres.ErrMissing) && os.Getenv("HARROW_TEST_REQUIRE") != "1" {
		fmt.Fprintln(os.Stderr, "bench-upsert: skipped:", err)
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-upsert:", err)
		os.Exit(2)
	}
	if len(r.wrong) > 0 {
		os.Exit(1)
	}
}

type plan struct {
	rows, memory int64
	rounds       int
	judge        bool // time
}

// figures are what one load took.
type figures struct {
	measure.Cost               // of the client; psql's is next to nothing and not taken
	kase, side   string        // case: empty, full
	wall         time.Duration // from the start of load to its commit; of psql, of the whole process
	server       time.Duration // CPU
	wal          int64         // bytes written to the log
}

// Cases and sides.
const (
	empty, full  = "empty", "full"
	harrowed, by = "harrow", "psql"
)

// table to begin with and the set that is loaded, by case.
var cases = []struct {
	name, from string
	set        set
}{{empty, "emptied", 0}, {full, "filled", 1}}

// bench loads all cases in turns and prints a line for each.
func bench(ctx context.Context, p plan, dir string, out io.Writer) (r *results, err error) {
	if dir, err = os.MkdirTemp(dir, "harrow-bench-upsert-"); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o755); err != nil { // the server's user has its folder in it
		return nil, err
	}
	s, err := postgres.New(dir, settings...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	b := &bencher{plan: p, server: s, dir: dir, out: out, results: &results{plan: p}}
	if err := b.prepare(ctx); err != nil {
		return nil, err
	}
	for round := range p.rounds {
		for _, c := range cases {
			sides := []string{harrowed, by}
			if round%2 > 0 {
				sides = []string{by, harrowed}
			}
			for _, side := range sides {
				if err := b.one(ctx, c.name, c.from, c.set, side); err != nil {
					return nil, fmt.Errorf("%s, %s: %w", c.name, side, err)
				}
			}
		}
	}
	return b.results, b.results.conclude(out)
}

type bencher struct {
	plan
	server  *postgres.Server
	dir     string
	out     io.Writer
	inputs  [2]input
	results *results
	number  int
}

func (b *bencher) file(s set) string { return filepath.Join(b.dir, "set-"+strconv.Itoa(int(s))+".txt") }

// prepare makes both sets, as committed parts and as text, and the databases.
func (b *bencher) prepare(ctx context.Context) (err error) {
	for s := range b.inputs {
		b.inputs[s], b.results.rowBytes, err = newInput(ctx, filepath.Join(b.dir, "workspace"), set(s), b.rows, b.memory)
		if err != nil {
			return err
		}
		if err := b.inputs[s].text(ctx, b.file(set(s))); err != nil {
			return err
		}
	}
	if err := fill(ctx, b.server, b.inputs[0]); err != nil {
		return err
	}
	return head(b.out)
}

// one loads one case by one side, and looks at what came of it.
func (b *bencher) one(ctx context.Context, name, from string, s set, side string) error {
	b.number++
	database := fmt.Sprintf("case_%d", b.number)
	if err := branch(ctx, b.server, from, database); err != nil {
		return err
	}
	wal, err := b.written(ctx)
	if err != nil {
		return err
	}
	cpu := b.server.CPU()
	var f figures
	if side == harrowed {
		var n harrow.Counts
		if f, n, err = b.inputs[s].loaded(ctx, b.server.URL(database)); err == nil {
			b.results.counted(name, n)
		}
	} else {
		f, err = byHand(ctx, b.server, database, b.file(s))
	}
	if err != nil {
		return err
	}
	f.kase, f.side, f.server = name, side, b.server.CPU()-cpu
	end, err := b.written(ctx)
	if err != nil {
		return err
	}
	f.wal = end - wal
	c, err := contentOf(ctx, b.server, database)
	if err != nil {
		return err
	}
	b.results.add(f, s, c)
	if err := f.print(b.out, b.rows); err != nil {
		return err
	}
	_, err = b.server.SQL(ctx, "postgres", "DROP DATABASE "+database)
	return err
}

// written is where the server's log has got to.
func (b *bencher) written(ctx context.Context) (int64, error) {
	text, err := b.server.SQL(ctx, "postgres", "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint")
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(text, 10, 64)
}
