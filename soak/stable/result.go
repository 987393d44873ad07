package stable

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/harrowdata/harrow/io/lakeio"
)

// Result is where a job's newest run is, and all that it loaded.
type Result struct {
	Store    lakeio.Store
	Job      string
	SQLite   string // the file; one of the two
	Postgres string // URL of the database; the schema is named by the job
	Parquet  string // the folder of its files; empty: the job loads none
}

// Tables returns what the run came to: its tables, the database's, the Parquet
// files' and the counters of load, which name no kind of database.
func (r Result) Tables(ctx context.Context) (map[string][]string, error) {
	tables, run, err := Run(ctx, r.Store, r.Job)
	if err != nil {
		return nil, err
	}
	stored := func() (map[string][]string, error) { return SQLite(ctx, r.SQLite) }
	if r.Postgres != "" {
		stored = func() (map[string][]string, error) { return Postgres(ctx, r.Postgres, r.Job) }
	}
	rows, err := stored()
	if err != nil {
		return nil, err
	}
	maps.Copy(tables, rows)
	if r.Parquet != "" {
		if rows, err = Parquet(ctx, r.Parquet); err != nil {
			return nil, err
		}
		maps.Copy(tables, rows)
	}
	tables["load counters"], err = r.counters(ctx, run)
	return tables, err
}

// counters are what stage load says of its rows, whichever database it was.
func (r Result) counters(ctx context.Context, run lakeio.Run) (lines []string, err error) {
	m, err := lakeio.Lake{Store: r.Store, Job: r.Job, Run: run.ID}.Manifest(ctx, "load")
	if err != nil {
		return nil, err
	}
	for name, n := range m.Counters {
		name = strings.NewReplacer("load.sqlite.", "load.database.", "load.postgres.", "load.database.").Replace(name)
		lines = append(lines, fmt.Sprint(name, " ", n))
	}
	slices.Sort(lines)
	return lines, nil
}
