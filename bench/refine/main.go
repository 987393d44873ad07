// Bench-refine measures the memory of a shuffle with deduplication: millions
// of generated rows of at least 300 bytes, a tenth of them duplicates, far
// more than limits.memory.
//
//	go run ./bench/refine [-small] [-most]
//
// Rows are generated in one process and refined in another, whose peak of
// resident memory counts: at most limits.memory + 300 MiB in all. Each case
// must have spilled, and must have kept exactly one row of each key, the right
// one. -small is for continuous integration: few rows at the least limit, and
// four times the rows must not take 64 MiB more.
//
// Then the most rows go through check, dedup and enrich, and DuckDB does the
// same from Parquet: both must make the same, and what each took is printed.
//
// It ends with exit code 1 when a bound does not hold.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/harrowdata/harrow/bench/internal/anywhere"
	"github.com/harrowdata/harrow/bench/internal/measure"
)

const (
	mib = 1 << 20
	// beyond is what a process may take on top of limits.memory: the Go
	// runtime, Beam and what the garbage collector has not found yet.
	beyond = 300 * mib
	// growth is what four times the rows may take more, with -small.
	growth = 64 * mib
	// minRow is the least size of a row, in bytes.
	minRow = 300
)

func main() {
	anywhere.Worker()
	roles.Child()
	var on anywhere.On
	on.Flags(flag.CommandLine)
	one := flag.Int64("one", 0, "only dedup of this many rows, at the greatest limit, on the runner that -runner names; peak and spill are not judged")
	result := flag.String("result", "", "with -one: write its figures to this file as JSON")
	small := flag.Bool("small", false, "200,000 and 800,000 rows with 64 MiB instead of 3 and 12 million with 256 and 512 MiB")
	most := flag.Bool("most", false, "only the most rows at the greatest limit")
	dir := flag.String("dir", "", "folder for rows and spill files; default a temporary one")
	flag.Parse()
	p := full
	if *small {
		p = few
	}
	if *most {
		p.rows, p.limits = p.rows[len(p.rows)-1:], p.limits[len(p.limits)-1:]
	}
	if *one > 0 {
		if err := single(context.Background(), on, *one, *dir, *result); err != nil {
			fmt.Fprintln(os.Stderr, "bench-refine:", err)
			os.Exit(2)
		}
		return
	}
	ok, err := bench(context.Background(), p, *dir, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-refine:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

// plan is which cases are run: each of rows × limits × shards.
type plan struct {
	rows, limits []int64
	shards       []int
	compare      bool  // the most rows with DuckDB, too
	growth       int64 // between the least and the most rows; 0: any
}

var (
	full = plan{rows: []int64{3_000_000, 12_000_000}, limits: []int64{256 * mib, 512 * mib}, shards: []int{16, 1}, compare: true}
	few  = plan{rows: []int64{200_000, 800_000}, limits: []int64{64 * mib}, shards: []int{16, 1}, compare: true, growth: growth}
)

// figures are what one case took.
type figures struct {
	measure.Cost
	rows, limit int64
	shards      int
	rowBytes    int64
	elapsed     time.Duration
	began       time.Time
	spilled     int64 // bytes at most at once
	slices      int   // shuffle files
	kept        int64
	wrong       []string // which bounds do not hold
}

// bench runs all cases and prints the table; ok is false when a bound does not
// hold.
func bench(ctx context.Context, p plan, dir string, out io.Writer) (ok bool, err error) {
	dir, err = os.MkdirTemp(dir, "harrow-bench-refine-")
	if err != nil {
		return false, err
	}
	defer func() {
		if e := os.RemoveAll(dir); err == nil {
			err = e
		}
	}()
	if err := head(out); err != nil {
		return false, err
	}
	var all []figures
	ok = true
	for _, rows := range p.rows {
		c, err := generated(ctx, dir, rows)
		if err != nil {
			return false, err
		}
		for _, c.Limit = range p.limits {
			for _, c.Shards = range p.shards {
				f, err := c.run(ctx)
				if err != nil {
					return false, err
				}
				f.judge()
				f.grown(p, all)
				all = append(all, f)
				ok = ok && len(f.wrong) == 0
				if err := f.print(out); err != nil {
					return false, err
				}
			}
		}
		if rows == p.rows[len(p.rows)-1] && p.compare {
			c.Limit, c.Shards = p.limits[len(p.limits)-1], p.shards[0]
			if err := c.compare(ctx, dir, out); err != nil {
				return false, err
			}
		}
		if err := c.drop(); err != nil {
			return false, err
		}
	}
	return ok, nil
}

// single runs one case on a runner and writes what it took. What was kept is
// checked as ever.
func single(ctx context.Context, on anywhere.On, rows int64, dir, result string) error {
	dir, err := os.MkdirTemp(dir, "harrow-bench-refine-")
	if err != nil {
		return err
	}
	c, err := generated(ctx, dir, rows)
	var f figures
	if err == nil {
		c.On, c.Limit, c.Shards = on, full.limits[len(full.limits)-1], full.shards[0]
		f, err = c.run(ctx)
	}
	if err = errors.Join(err, os.RemoveAll(dir)); err != nil {
		return err
	}
	return anywhere.Write(result, anywhere.Result{What: fmt.Sprintf("%d rows of %d bytes, limits.memory %d MiB", f.rows, f.rowBytes, f.limit/mib), Began: f.began, Wall: f.elapsed})
}

// judge notes which bounds do not hold.
func (f *figures) judge() {
	wrong := func(ok bool, format string, args ...any) {
		if !ok {
			f.wrong = append(f.wrong, fmt.Sprintf(format, args...))
		}
	}
	wrong(f.Peak <= f.limit+beyond, "peak over %d MiB", (f.limit+beyond)/mib)
	// Every shuffle goes through files; a worker writes one when its share of
	// the memory is spent, and one in the end.
	wrong(f.slices > runtime.GOMAXPROCS(0), "did not spill")
	wrong(f.rowBytes >= minRow, "rows of less than %d bytes", minRow)
}

// grown compares with the same case of fewer rows.
func (f *figures) grown(p plan, before []figures) {
	for _, b := range before {
		if p.growth > 0 && b.limit == f.limit && b.shards == f.shards && f.Peak-b.Peak > p.growth {
			f.wrong = append(f.wrong, fmt.Sprintf("%d MiB more than with %d rows", (f.Peak-b.Peak)/mib, b.rows))
		}
	}
}

// format of a line of the table: it is printed as soon as its case has ended.
const format = "%9v %6v %9v %6v %7v %8v %7v %8v %9v %11v %6v %9v  %v\n"

func head(out io.Writer) error {
	_, err := fmt.Fprintf(out, format, "rows", "B/row", "limit MiB", "shards", "s", "rows/s", "CPU s", "peak MiB", "bound MiB", "spilled MiB", "files", "kept", "verdict")
	return err
}

func (f figures) print(out io.Writer) error {
	verdict := "ok"
	if len(f.wrong) > 0 {
		verdict = fmt.Sprint("FAILED: ", f.wrong)
	}
	seconds, cpu := fmt.Sprintf("%.1f", f.elapsed.Seconds()), fmt.Sprintf("%.1f", f.CPU.Seconds())
	_, err := fmt.Fprintf(out, format, f.rows, f.rowBytes, f.limit/mib, f.shards, seconds, int64(float64(f.rows)/f.elapsed.Seconds()), cpu,
		f.Peak/mib, (f.limit+beyond)/mib, f.spilled/mib, f.slices, f.kept, verdict)
	if err != nil {
		return err
	}
	return measure.SoakRow("refine", fmt.Sprint(seed), fmt.Sprintf("%d rows of %d B, %d MiB, %d shards", f.rows, f.rowBytes, f.limit/mib, f.shards),
		fmt.Sprintf("%s; peak %d MiB, %s s CPU, %d MiB spilled, %d rows kept", verdict, f.Peak/mib, cpu, f.spilled/mib, f.kept))
}
