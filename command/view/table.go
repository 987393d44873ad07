package view

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/jobfile"
	"github.com/harrowdata/harrow/internal/rules"
	"github.com/harrowdata/harrow/io/lakeio"
)

// fetchTables are written by every round.
var fetchTables = []string{"captures", "deferred", "bodies", "exchanges", "links"}

// fixed are the tables that every job has, in the order of a harvest.
var fixed = append(append([]string{"requests"}, fetchTables...), "pages", "rejects")

// table is what there is to read of a table of a run.
type table struct {
	name    string
	columns []string
	parts   []harrow.Part
	final   bool // of captures: of a request the run's last word only
}

// find gathers the committed parts of a table; stage narrows where to look.
// Captures of requests that a later round admitted again are seen only where
// their round is named.
func (r Run) find(ctx context.Context, name, stage string) (table, error) {
	t := table{name: name, final: name == lakeio.Captures.Name() && (stage == "" || stage == "fetch")}
	stages, err := r.stagesOf(name, stage)
	if err != nil {
		return t, err
	}
	// Of records the last stage that committed counts, else all do.
	last := strings.HasPrefix(name, lakeio.RecordsPrefix)
	committed := false
	for _, s := range stages {
		m, ok, err := r.Manifest(ctx, s)
		if err != nil {
			return t, err
		}
		if !ok {
			continue
		}
		if last {
			t.parts = nil
		}
		committed = true
		t.parts = append(t.parts, m.TablesOf(name)...)
	}
	if !committed {
		return t, errNotYet{r.ID, strings.Join(stages, ", ")}
	}
	t.columns, err = r.columns(ctx, t)
	return t, err
}

// errNotYet: only what is committed can be read.
type errNotYet struct{ run, stages string }

func (e errNotYet) Error() string {
	return "run " + e.run + " has committed none of " + e.stages + " yet"
}

// stagesOf lists the stages that write a table.
func (r Run) stagesOf(name, only string) ([]string, error) {
	all := r.StageNames()
	var stages []string
	switch {
	case r.Replay != nil && (only == "discover" || strings.HasSuffix(name, lakeio.LoadSuffix)):
		return r.replayTable(name, only)
	case strings.HasPrefix(name, lakeio.RecordsPrefix):
		if known, err := r.recordTables(); err != nil {
			return nil, err
		} else if !slices.Contains(known, name) {
			return nil, r.unknown(name, known)
		}
		stages = []string{"parse", "refine"}
	case name == "requests" && !strings.HasPrefix(only, "fetch"):
		stages = []string{"discover"}
	case name == lakeio.Pages.Name():
		stages = []string{lakeio.PagesStage}
	case name == "rejects":
		stages = all
	case slices.Contains(fetchTables, name), name == "requests": // what a round left to the next one
		stages = slices.DeleteFunc(slices.Clone(all), func(s string) bool { return !strings.HasPrefix(s, "fetch-") })
	default:
		known, _ := r.recordTables() // a hint; the name is wrong anyway
		return nil, r.unknown(name, known)
	}
	if only == "" {
		return stages, nil
	}
	if !slices.Contains(all, only) && !slices.Contains(lakeio.Stages, only) {
		return nil, Usagef("no stage %q; the run has %s", only, strings.Join(all, ", "))
	}
	kept := slices.DeleteFunc(slices.Clone(stages), func(s string) bool { return s != only && lakeio.BaseStage(s) != only })
	if len(kept) == 0 {
		return nil, Usagef("stage %s has no table %s; want %s", only, name, strings.Join(stages, ", "))
	}
	return kept, nil
}

// replayTable is for what a replay sends to its stages: tables of stage discover
// that other runs have in the stages which make them.
func (r Run) replayTable(name, only string) ([]string, error) {
	known := []string{"requests", "captures", "deferred", "rejects"}
	records, err := r.recordTables()
	if err != nil {
		return nil, err
	}
	for _, record := range records {
		known = append(known, record, record+lakeio.LoadSuffix)
	}
	if !slices.Contains(known, name) {
		return nil, r.unknown(name, known)
	}
	if only != "" && only != "discover" {
		return nil, Usagef("stage %s has no table %s; want discover", only, name)
	}
	return []string{"discover"}, nil
}

func (r Run) unknown(name string, records []string) error {
	return Usagef("no table %q; known: %s", name, strings.Join(append(slices.Clone(fixed), records...), ", "))
}

// types are the record types of the run's job.
func (r Run) types() ([]harrow.RecordType, error) {
	types, err := jobfile.RecordTypes(&r.Job, rules.ExtractorRecords)
	if err != nil {
		return nil, usage{err} // an extractor that this binary doesn't have
	}
	return types, nil
}

func (r Run) recordTables() ([]string, error) {
	types, err := r.types()
	if err != nil {
		return nil, err
	}
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = lakeio.RecordsPrefix + t.Name
	}
	return names, nil
}

// columns lists a table's columns: from its files where there are any, since
// an older release may have written fewer.
func (r Run) columns(ctx context.Context, t table) ([]string, error) {
	if len(t.parts) > 0 {
		p, err := lakeio.OpenPart(ctx, r.Store, t.parts[0].URI, t.name)
		if err != nil {
			return nil, err
		}
		var names []string
		for _, f := range p.Schema().Fields() {
			names = append(names, f.Name)
		}
		return names, p.Close()
	}
	for _, info := range lakeio.Tables() {
		if info.Name == t.name {
			names := make([]string, len(info.Columns))
			for i, c := range info.Columns {
				names[i] = c.Name
			}
			return names, nil
		}
	}
	types, err := r.types()
	for _, rt := range types {
		if lakeio.RecordsPrefix+rt.Name != strings.TrimSuffix(t.name, lakeio.LoadSuffix) {
			continue
		}
		var names []string
		for _, f := range lakeio.RecordSchema(rt).Fields() {
			names = append(names, f.Name)
		}
		return names, nil
	}
	return nil, err
}

// each hands every row of the table to do, in the files' order, until do says
// stop.
func (r Run) each(ctx context.Context, t table, do func(b harrow.Batch, row int) error) error {
	for _, p := range t.parts {
		for b, err := range lakeio.ReadBatches(ctx, r.Store, p) {
			if err != nil {
				return err
			}
			for row := range b.Rows() {
				if t.final && readmitted(b, row) {
					continue
				}
				if err := do(b, row); errors.Is(err, errEnough) {
					return nil
				} else if err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// readmitted is harrow.Capture.Readmitted of a row.
func readmitted(b harrow.Batch, row int) bool {
	return harrow.Capture{Outcome: harrow.Outcome(ValueText(b.Column("outcome"), row)), Code: ValueText(b.Column("code"), row)}.Readmitted()
}

// errEnough ends a walk through a table early.
var errEnough = errors.New("enough")

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
