package pgio

import (
	"context"
	"fmt"
	"strings"

	"github.com/harrowdata/harrow"
)

// The sink's own tables.
const (
	owners  = reserved + "_job"
	marks   = reserved + "_marks"
	rejects = reserved + "_rejects"
)

// ownColumn is a column of one of the sink's own tables.
type ownColumn struct{ name, kind, comment string }

// ofShard are the columns that a mark is found by.
var ofShard = []ownColumn{
	{"run", "text", "the run that loaded the shard"},
	{"record", "text", "the record, which is a table of this schema"},
	{"input", "text", "digest of the manifest that lists the shard's rows"},
	{"shard", "bigint", "the shard's number, from 0"},
	{"shards", "bigint", "how many shards the run has"},
}

// own are the sink's own tables.
var own = []struct {
	name, comment, key string
	columns            []ownColumn
}{
	{owners, "Whose schema this is: one row. Harrow loads no other job into it.", "job", []ownColumn{
		{"job", "text", "the job's name"},
		{"since", "timestamp with time zone DEFAULT now()", "when the schema became the job's"},
	}},
	{marks, "Which shards of a run are loaded: a row is written in the transaction that loads the shard, and a shard that has one is not loaded again.",
		"run, record, input, shard, shards", append(ofShard[:len(ofShard):len(ofShard)],
			ownColumn{"added", "bigint NOT NULL", "rows that were new"},
			ownColumn{"changed", "bigint NOT NULL", "rows that were there with other data"},
			ownColumn{"unchanged", "bigint NOT NULL", "rows that were there with the same data, and were not touched"},
			ownColumn{"stale", "bigint NOT NULL", "rows older than the one that was there, which stayed"},
			ownColumn{"rejected", "bigint NOT NULL", "rows that could not be stored"},
			ownColumn{"at", "timestamp with time zone NOT NULL", "when it was loaded, by the clock of the loading machine"})},
	{rejects, "Rows that could not be stored: what the run reports as rejects of stage load.",
		`run, record, input, shard, shards, "row"`, append(ofShard[:len(ofShard):len(ofShard)],
			ownColumn{"row", "bigint", "the row's position in the shard, from 0"},
			ownColumn{"reject", "json NOT NULL", "code, reason and the row itself (payload)"})},
}

// provenance says what the columns are that every record has.
var provenance = map[string]string{
	"_id":         "id of the request whose answer the row was read from: 32 hexadecimal digits",
	"_url":        "the URL that was asked for",
	"_ordinal":    "the row's position among the rows of this record on that page, from 0",
	"_rule":       "the rule or extractor that made the row",
	"_digest":     "SHA-256 of the page's body, in hexadecimal",
	"_fetched_at": "when the page was answered",
	"_run":        "the run that wrote the row: a later one that found the same data left it as it is",
}

// makeOwn makes the sink's own tables, with what their columns are.
func (c session) makeOwn(ctx context.Context, v survey) error {
	mark := "INSERT INTO " + c.place.table(owners) + " (job) VALUES (" + literal(c.place.job) + ")"
	if v.marked && v.job == "" {
		return c.exec(ctx, mark)
	}
	if v.marked {
		return nil
	}
	todo := []string{"COMMENT ON SCHEMA " + quote(c.place.schema) + " IS " + literal(fmt.Sprintf("Harrow job %s: a table for each record; %s… are the loader's own.", c.place.job, reserved))}
	if v.there && !v.member || v.others() { // only its owner may comment on it
		todo = nil
	}
	for _, t := range own {
		var defs []string
		for _, col := range t.columns {
			defs = append(defs, quote(col.name)+" "+col.kind)
		}
		table := c.place.table(t.name)
		todo = append(todo, "CREATE TABLE "+table+" ("+strings.Join(defs, ", ")+", PRIMARY KEY ("+t.key+"))", "COMMENT ON TABLE "+table+" IS "+literal(t.comment))
		for _, col := range t.columns {
			todo = append(todo, "COMMENT ON COLUMN "+table+"."+quote(col.name)+" IS "+literal(col.comment))
		}
	}
	return c.exec(ctx, strings.Join(append(todo, mark), "; "))
}

// describe comments on a record's table and on columns that were just made.
func (c session) describe(ctx context.Context, t harrow.RecordType, columns []harrow.Column, made bool) error {
	table := c.place.table(t.Name)
	var todo []string
	if made {
		todo = append(todo, "COMMENT ON TABLE "+table+" IS "+literal(fmt.Sprintf("Record %s of Harrow job %s: one row for each key. A column that the job no longer has, and a row that a run no longer finds, stay as they are.", t.Name, c.place.job)))
	}
	for _, col := range columns {
		comment, ok := provenance[col.Name]
		if !ok {
			comment = fmt.Sprintf("the record's field, of type %s", col.Type)
		}
		todo = append(todo, "COMMENT ON COLUMN "+table+"."+quote(col.Name)+" IS "+literal(comment))
	}
	if len(todo) == 0 {
		return nil
	}
	return c.exec(ctx, strings.Join(todo, "; "))
}
