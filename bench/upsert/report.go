package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/bench/internal/measure"
)

// results are what all loads took, and what does not hold.
type results struct {
	plan
	rowBytes int64
	all      []figures
	made     map[string]content // by case
	wrong    []string
}

func (r *results) failed(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(r.wrong, text) {
		r.wrong = append(r.wrong, text)
	}
}

// counted judges what load has counted.
func (r *results) counted(name string, got harrow.Counts) {
	want := harrow.Counts{Added: r.rows}
	if name == full {
		want = harrow.Counts{Changed: changed(r.rows), Unchanged: r.rows - changed(r.rows)}
	}
	if got != want {
		r.failed("%s: load counted %+v, want %+v", name, got, want)
	}
}

// add takes a load and judges the table it made and the memory it took.
func (r *results) add(f figures, s set, c content) {
	r.all = append(r.all, f)
	if rows, prices := fmt.Sprint(r.rows), r.want(s); c.rows != rows || c.prices != prices {
		r.failed("%s, %s: %s rows with prices of %s, want %s with %s", f.kase, f.side, c.rows, c.prices, rows, prices)
	}
	if r.made == nil {
		r.made = map[string]content{}
	}
	if first, ok := r.made[f.kase]; ok && first != c {
		r.failed("%s: the tables differ: %+v and %+v", f.kase, first, c)
	}
	r.made[f.kase] = c
	if most := r.memory + beyond; f.side == harrowed && f.Peak > most {
		r.failed("%s: peak memory is %s MiB, at most %s", f.kase, measure.MiB(f.Peak), measure.MiB(most))
	}
}

// want is the sum of a set's prices, in cents.
func (r *results) want(s set) string { return fmt.Sprint(s.prices(r.rows)) }

// rate is a side's rows a second in a case, all rounds together.
func (r *results) rate(name, side string) float64 {
	rows, wall := int64(0), time.Duration(0)
	for _, f := range r.all {
		if f.kase == name && f.side == side {
			rows, wall = rows+r.rows, wall+f.wall
		}
	}
	return float64(rows) / wall.Seconds()
}

func (r *results) ratio(name string) float64 { return r.rate(name, harrowed) / r.rate(name, by) }

// peak is the most memory that a load of Harrow's took.
func (r *results) peak() (most int64) {
	for _, f := range r.all {
		most = max(most, f.Peak)
	}
	return most
}

// format of a line of the table: it is printed as soon as its load has ended.
const format = "%-6v %-7v %8v %9v %12v %12v %9v %8v\n"

func head(out io.Writer) error {
	_, err := fmt.Fprintf(out, format, "table", "side", "s", "rows/s", "client CPU s", "server CPU s", "peak MiB", "WAL MiB")
	return err
}

// cells of a line; psql's own cost is next to nothing.
func (f figures) cells(rows int64) []any {
	cpu, peak := "", ""
	if f.side == harrowed {
		cpu, peak = fmt.Sprintf("%.1f", f.CPU.Seconds()), measure.MiB(f.Peak)
	}
	return []any{f.kase, f.side, fmt.Sprintf("%.1f", f.wall.Seconds()), fmt.Sprintf("%.0f", float64(rows)/f.wall.Seconds()), cpu,
		fmt.Sprintf("%.1f", f.server.Seconds()), peak, measure.MiB(f.wal)}
}

func (f figures) print(out io.Writer, rows int64) error {
	_, err := fmt.Fprintf(out, format, f.cells(rows)...)
	return err
}

// conclude judges the ratios, prints them and what does not hold, and writes
// the rows of the soak's table.
func (r *results) conclude(out io.Writer) error {
	for _, c := range cases {
		ratio := r.ratio(c.name)
		if r.judge && ratio < least {
			r.failed("%s: %.2f of psql's rows a second, at least %.2f", c.name, ratio, least)
		}
		if _, err := fmt.Fprintf(out, "%s: %s\n", c.name, r.verdict(c.name)); err != nil {
			return err
		}
	}
	for _, wrong := range r.wrong {
		if _, err := fmt.Fprintln(out, "FAILED:", wrong); err != nil {
			return err
		}
	}
	for _, c := range cases {
		result := "ok; "
		if len(r.wrong) > 0 {
			result = fmt.Sprint("FAILED: ", r.wrong, "; ")
		}
		err := measure.SoakRow("upsert into PostgreSQL", fmt.Sprint(seed), fmt.Sprintf("%d rows of %d B into a table that is %s, %d rounds", r.rows, r.rowBytes, c.name, r.rounds),
			result+r.verdict(c.name))
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *results) verdict(name string) string {
	return fmt.Sprintf("%.0f rows/s, psql %.0f: %.2f of it; peak %s MiB with limits.memory %s", r.rate(name, harrowed), r.rate(name, by), r.ratio(name),
		measure.MiB(r.peak()), measure.MiB(r.memory))
}

// write writes the report.
func (r *results) write(file string) error {
	var b strings.Builder
	fmt.Fprintf(&b, `# Upserts into PostgreSQL, beside psql

Made by `+"`make bench-upsert`"+` on %s, commit %s, %d cores, %s/%s, %s. Seed %d.

%d rows of %d bytes, a text key and 11 columns of every type besides the provenance, from what stage refine has committed in %d shards, loaded into
an empty table, and, with another price for a tenth of them, into a full one. By hand is one session of psql: COPY from a text file of the same rows in
the same order into a temporary table, then INSERT … ON CONFLICT DO UPDATE WHERE … IS DISTINCT FROM. Each load starts from a copy of the same database,
after a checkpoint. Both made the same tables, which were checked against the generator. limits.memory is %s MiB.

The server, for both: %s; the rest is
PostgreSQL's default. It runs on the same machine.

| table | rows/s | psql, rows/s | of it |
|---|---|---|---|
`, time.Now().UTC().Format(time.DateOnly), measure.Commit(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), seed,
		r.rows, r.rowBytes, shards, measure.MiB(r.memory), strings.Join(settings, ", "))
	for _, c := range cases {
		fmt.Fprintf(&b, "| %s | %.0f | %.0f | %.2f |\n", c.name, r.rate(c.name, harrowed), r.rate(c.name, by), r.ratio(c.name))
	}
	b.WriteString("\nAll rounds together. Each load:\n\n| table | side | s | rows/s | client's CPU, s | server's CPU, s | peak, MiB | WAL, MiB |\n|---|---|---|---|---|---|---|---|\n")
	for _, f := range r.all {
		fmt.Fprintf(&b, "| %v | %v | %v | %v | %v | %v | %v | %v |\n", f.cells(r.rows)...)
	}
	for _, wrong := range r.wrong {
		fmt.Fprintf(&b, "\nFAILED: %s\n", wrong)
	}
	return os.WriteFile(file, []byte(b.String()), 0o666)
}
