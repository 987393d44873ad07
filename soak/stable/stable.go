// Package stable says what it means that two runs made the same tables: the
// stable projection. It leaves out what timing decides (when something was
// asked, how often it was tried, where its body lies, by which link it was
// found first) and the order of rows; all else has to be equal.
package stable

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// dropped are the columns that timing decides.
var dropped = map[string]bool{"_run": true, "_fetched_at": true, "started_at": true, "elapsed_ms": true, "remote_addr": true, "attempts": true,
	"at": true, "body_part": true, "body_row": true, "depth": true, "parent": true, "carry": true}

// droppedHeaders are the header fields that timing decides, in lower case.
var droppedHeaders = map[string]bool{"date": true, "age": true, "set-cookie": true}

// Tables returns the rows of a run's committed tables in the stable
// projection, sorted, one text a row, by "<stage> <table>"; the rounds of
// fetch are one stage. Captures, rejects and records are multisets of rows;
// links the set of (from_id, id, rel); bodies the set of digests. A capture
// whose request a later round admitted again doesn't count. A stage that
// has not committed is an error; stages that the run took over are read from
// the run that made them.
func Tables(ctx context.Context, lake lakeio.Lake, run lakeio.Run) (map[string][]string, error) {
	tables := map[string][]string{}
	for _, stage := range lakeio.Stages {
		of := lake
		of.Run = run.Source(stage)
		for _, name := range run.Manifests(stage) {
			if err := addStage(ctx, tables, of, stage, name); err != nil {
				return nil, err
			}
		}
	}
	for name, rows := range tables {
		slices.Sort(rows)
		if set(name) {
			rows = slices.Compact(rows)
		}
		tables[name] = rows
	}
	return tables, nil
}

// readmitted is harrow.Capture.Readmitted of a row: a later round has the
// request's outcome.
func readmitted(b harrow.Batch, row int) bool {
	return string(lakeio.AppendJSONValue(nil, b.Column("code"), row)) == `"`+harrow.CodeBundleTime+`"`
}

func set(name string) bool {
	return strings.HasSuffix(name, " "+lakeio.Links.Name()) || strings.HasSuffix(name, " "+lakeio.Bodies.Name())
}

func addStage(ctx context.Context, tables map[string][]string, lake lakeio.Lake, stage, name string) error {
	m, err := lake.Manifest(ctx, name)
	if err != nil {
		return err
	}
	for _, part := range m.Parts {
		project := projection(part.Table)
		if project == nil {
			continue
		}
		key := stage + " " + part.Table
		for b, err := range lakeio.ReadBatches(ctx, lake.Store, part) {
			if err != nil {
				return err
			}
			for i := range b.Rows() {
				if part.Table == lakeio.Captures.Name() && readmitted(b, i) {
					continue
				}
				row, err := project(b, i)
				if err != nil {
					return fmt.Errorf("%s row %d: %w", part.URI, i, err)
				}
				tables[key] = append(tables[key], row)
			}
		}
	}
	return nil
}

// projection is how a table's rows are written; nil: the table is not
// compared.
func projection(table string) func(b harrow.Batch, row int) (string, error) {
	columns := func(names ...string) func(harrow.Batch, int) (string, error) {
		return func(b harrow.Batch, row int) (string, error) {
			return string(lakeio.AppendJSON(nil, b, row, names)), nil
		}
	}
	switch table {
	case lakeio.Links.Name():
		return columns("from_id", "id", "rel")
	case lakeio.Bodies.Name():
		return columns("digest")
	case lakeio.Captures.Name(), lakeio.Rejects.Name():
		return rowText
	}
	if strings.HasPrefix(table, lakeio.RecordsPrefix) {
		return rowText
	}
	return nil
}

// rowText is a row as JSON without what is dropped.
func rowText(b harrow.Batch, row int) (string, error) {
	var names []string
	for _, f := range b.Arrow().Schema().Fields() {
		if !dropped[f.Name] && f.Name != "headers" && f.Name != "payload" {
			names = append(names, f.Name)
		}
	}
	text := lakeio.AppendJSON(nil, b, row, names)
	for _, part := range []struct {
		column  string
		project func([]byte) ([]byte, error)
	}{{"headers", projectHeaders}, {"payload", projectPayload}} {
		column := b.Column(part.column)
		if column == nil {
			continue
		}
		value, err := part.project(lakeio.AppendJSONValue(nil, column, row))
		if err != nil {
			return "", fmt.Errorf("%s: %w", part.column, err)
		}
		text = append(append(text, " "+part.column+" "...), value...)
	}
	return string(text), nil
}

func projectHeaders(value []byte) ([]byte, error) {
	var headers [][2]string
	if err := json.Unmarshal(value, &headers); err != nil {
		return nil, err
	}
	return json.Marshal(slices.DeleteFunc(headers, func(h [2]string) bool { return droppedHeaders[strings.ToLower(h[0])] }))
}

// projectPayload leaves out of a reject's payload, which is a request or a row
// as JSON, what is left out of requests and rows.
func projectPayload(value []byte) ([]byte, error) {
	var text string
	if err := json.Unmarshal(value, &text); err != nil || text == "" {
		return value, err
	}
	var members map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &members) != nil {
		return value, nil // a line of text: compared as it is
	}
	maps.DeleteFunc(members, func(name string, _ json.RawMessage) bool { return dropped[strings.ToLower(name)] })
	return json.Marshal(members) // sorted by name
}

// maxShown bounds how many rows of a table Diff shows of each side.
const maxShown = 5

// Diff says in what two sets of tables differ, for a person to read; empty:
// they are equal.
func Diff(a, b map[string][]string) string {
	names := map[string]bool{}
	for name := range a {
		names[name] = true
	}
	for name := range b {
		names[name] = true
	}
	var out strings.Builder
	for _, name := range slices.Sorted(maps.Keys(names)) {
		onlyA, onlyB := difference(a[name], b[name])
		if len(onlyA)+len(onlyB) == 0 {
			continue
		}
		fmt.Fprintf(&out, "%s: %d rows and %d rows; %d only in the first, %d only in the second\n", name, len(a[name]), len(b[name]), len(onlyA), len(onlyB))
		show(&out, "-", onlyA)
		show(&out, "+", onlyB)
	}
	return out.String()
}

func show(out *strings.Builder, mark string, rows []string) {
	for i, row := range rows {
		if i == maxShown {
			fmt.Fprintf(out, "  %s … %d more\n", mark, len(rows)-i)
			return
		}
		fmt.Fprintf(out, "  %s %s\n", mark, row)
	}
}

// difference takes equal rows out of two sorted multisets.
func difference(a, b []string) (onlyA, onlyB []string) {
	for len(a) > 0 && len(b) > 0 {
		switch strings.Compare(a[0], b[0]) {
		case 0:
			a, b = a[1:], b[1:]
		case -1:
			onlyA, a = append(onlyA, a[0]), a[1:]
		default:
			onlyB, b = append(onlyB, b[0]), b[1:]
		}
	}
	return append(onlyA, a...), append(onlyB, b...)
}

// Run is Tables of a job's newest run, which must be done.
func Run(ctx context.Context, store lakeio.Store, job string) (map[string][]string, lakeio.Run, error) {
	run, err := lakeio.LastRun(ctx, store, job)
	if err != nil {
		return nil, run, err
	}
	if run.State != lakeio.Done {
		return nil, run, errors.New("run " + run.ID + " is " + string(run.State) + ", want done")
	}
	tables, err := Tables(ctx, lakeio.Lake{Store: store, Job: job, Run: run.ID}, run)
	return tables, run, err
}
