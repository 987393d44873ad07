// Package compare says how the records of two runs of a job differ: what
// harrow diff prints. It only reads, and knows nothing of Beam.
//
// # What is compared
//
// The rows of each record that one stage, refine or parse, has committed in
// both runs, by their data columns: those whose names begin with an underscore
// say where a row comes from and are not compared. Two values are the same if
// `harrow cat` shows them alike. A column that only one run has, or that
// changed its type, is named once; the first kind is not compared, the second
// by its text.
//
// # Which rows belong together
//
// Rows of refine by the record's key, as the second run's job has it; rows of
// parse, where several pages may have told of one key, by the key and the
// request; a record without a key by request and ordinal (_id, _ordinal).
// Where several rows of a run are equal in these, the first is compared with
// the first of the other run, the second with the second and so on, in the
// order of (_url, _ordinal) and then of the whole row: two runs with the same
// rows never differ.
//
// # Memory
//
// Both sides are sorted outside of memory, so any number of rows takes the
// same: the shares of limits.memory that a stage's shuffle has, which are 60
// percent of it. What is larger goes to limits.spill.
package compare

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/harrowdata/harrow/command/view"
	"github.com/harrowdata/harrow/io/lakeio"
)

// Query says what is compared, and what is shown of it.
type Query struct {
	Stage   string   // parse or refine; empty: refine if both runs have committed it, else parse
	Records []string // empty: all
	Fields  []string // data columns; empty: all
	Limit   int64    // rows shown of each record; 0: all
	Summary bool     // count rows and show none
}

// Summary is what differs, in numbers.
type Summary struct {
	Job     string   `json:"job"`
	First   Side     `json:"first"`
	Second  Side     `json:"second"`
	Stage   string   `json:"stage"`  // whose rows were compared
	Differ  bool     `json:"differ"` // in rows, columns or rejects
	Records []Record `json:"records"`
	Rejects []Reject `json:"rejects"` // of stages that both have committed; those whose counts differ
}

// Side is one of the runs.
type Side struct {
	Run       string    `json:"run"`
	State     string    `json:"state"` // as run.json has it: active, paused, failed, done
	CreatedAt time.Time `json:"created_at"`
	Parent    string    `json:"parent,omitempty"`
	From      string    `json:"from,omitempty"`
	Owner     string    `json:"owner,omitempty"` // the run whose rows these are, where that is another one
}

// Record is what differs in one record.
type Record struct {
	Record     string           `json:"record"`
	MatchedBy  []string         `json:"matched_by"` // columns
	FirstRows  int64            `json:"first_rows"`
	SecondRows int64            `json:"second_rows"`
	Equal      int64            `json:"equal"`
	Changed    int64            `json:"changed"`
	Removed    int64            `json:"removed"` // only in the first run
	Added      int64            `json:"added"`   // only in the second
	Fields     map[string]int64 `json:"fields"`  // by column: in how many changed rows it differs
	Columns    []Column         `json:"columns"` // that are not the same in both
	Notes      []string         `json:"notes,omitempty"`
}

// Column is a column that only one run has, or that has another type.
type Column struct {
	Column string  `json:"column"`
	First  *string `json:"first"` // its type; null: it has none such
	Second *string `json:"second"`
}

// differs reports whether anything does.
func (r Record) differs() bool {
	return r.Changed+r.Removed+r.Added > 0 || len(r.Columns) > 0
}

// Diff is what [Runs] found. Close removes its file.
type Diff struct {
	Summary
	out  view.Output
	rows *spool
}

// Runs compares two runs of a job. Rows that differ are written as out wants
// them, beside what is counted, and shown by [Diff.Write]. An error that is
// view.ErrUsage says what there is; one of a damaged file names it.
func Runs(ctx context.Context, first, second view.Run, q Query, out view.Output, paint view.Paint) (d *Diff, err error) {
	if q.Limit < 0 {
		return nil, view.Usagef("--limit %d: want 0 or more", q.Limit)
	}
	c := &comparison{ctx: ctx, runs: [2]view.Run{first, second}, query: q}
	if err := c.stage(); err != nil {
		return nil, err
	}
	records, err := c.records()
	if err != nil {
		return nil, err
	}
	d = &Diff{out: out, rows: &spool{folder: second.Job.Limits.Spill}}
	defer func() {
		if err != nil {
			d, err = nil, errors.Join(err, d.Close())
		}
	}()
	d.Summary = Summary{Job: second.Run.Job, First: c.side(0), Second: c.side(1), Stage: c.query.Stage, Rejects: []Reject{}}
	for _, name := range records {
		r, err := c.record(name, newWriter(d.rows, out, paint, q))
		if err != nil {
			return d, fmt.Errorf("record %s: %w", name, err)
		}
		d.Records = append(d.Records, r)
		d.Differ = d.Differ || r.differs()
	}
	if err := checkFields(q.Fields, c.seen); err != nil {
		return d, err
	}
	if d.Rejects, err = c.rejects(records); err != nil {
		return d, err
	}
	d.Differ = d.Differ || len(d.Rejects) > 0
	return d, nil
}

// Close removes what Runs wrote.
func (d *Diff) Close() error { return d.rows.close() }

// comparison is two runs being compared.
type comparison struct {
	ctx       context.Context
	runs      [2]view.Run
	query     Query
	manifests [2]lakeio.Manifest // of the stage
	seen      []string           // data columns of the records compared
}

func (c *comparison) side(i int) Side {
	r := c.runs[i]
	s := Side{Run: r.ID, State: string(r.State), CreatedAt: r.CreatedAt, Parent: r.Parent, From: r.From}
	if owner := r.Owner(c.query.Stage).Run; owner != r.ID {
		s.Owner = owner
	}
	return s
}

// stage finds the stage whose rows are compared and its manifests.
func (c *comparison) stage() error {
	stages := []string{c.query.Stage}
	switch c.query.Stage {
	case "":
		stages = []string{"refine", "parse"}
	case "parse", "refine":
	default:
		return view.Usagef("--stage %s: want parse or refine", c.query.Stage)
	}
	var missing error
	for _, stage := range stages {
		missing = nil
		for i, r := range c.runs {
			m, ok, err := r.Manifest(c.ctx, stage)
			if err != nil {
				return err
			}
			if !ok && missing == nil {
				missing = fmt.Errorf("run %s has not committed %s yet", r.ID, stage)
			}
			c.manifests[i] = m
		}
		if missing == nil {
			c.query.Stage = stage
			return nil
		}
	}
	return missing
}

// records are the names of what is compared, sorted: what the rules of either
// run make, and what either has rows of.
func (c *comparison) records() ([]string, error) {
	known := map[string]bool{}
	for i, r := range c.runs {
		for _, rule := range r.Job.Parse {
			if rule.Record != "" {
				known[rule.Record] = true
			}
		}
		for table := range c.manifests[i].Tables {
			if name, ok := strings.CutPrefix(table, lakeio.RecordsPrefix); ok {
				known[name] = true
			}
		}
	}
	names := sortedKeys(known)
	if len(c.query.Records) == 0 {
		return names, nil
	}
	var wanted []string
	for _, name := range c.query.Records {
		if !known[name] {
			return nil, view.Usagef("--record %s: want one of %s", name, strings.Join(names, ", "))
		}
		if !slices.Contains(wanted, name) {
			wanted = append(wanted, name)
		}
	}
	slices.Sort(wanted)
	return wanted, nil
}

// checkFields finds columns that are asked for and that no record has.
func checkFields(fields, seen []string) error {
	for _, f := range fields {
		if strings.HasPrefix(f, "_") {
			return view.Usagef("--fields %s: only data columns are compared, not those that say where a row comes from", f)
		}
		if len(seen) > 0 && !slices.Contains(seen, f) {
			slices.Sort(seen)
			return view.Usagef("--fields: no record has a column %q; known: %s", f, strings.Join(slices.Compact(seen), ", "))
		}
	}
	return nil
}
