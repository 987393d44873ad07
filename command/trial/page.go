package trial

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/internal/rules"
	"github.com/harrowdata/harrow/io/lakeio"
)

// triedRows is how many rows of a data file are tried.
const triedRows = 100

// read applies the parse and follow rules to the page.
func (t *trier) read(ctx context.Context, page rules.Page, r *Report) error {
	program, err := rules.Compile(t.cfg.Job.Parse, t.cfg.Types)
	if err != nil {
		return err
	}
	limits := rules.Limits{Document: int64(t.cfg.Job.Limits.Document), Data: triedRows}
	d := rules.NewDocument(page, t.canon, limits)
	defer d.Close()
	rows := map[string]*gathered{}
	defer func() {
		for _, g := range rows {
			g.builder.Release()
		}
	}()
	err = program.Apply(ctx, d, func(row rules.Row) error { return r.record(page.Capture, program.Types()[row.Record], row, rows) }, func(rej harrow.Reject) error {
		r.Rejects = append(r.Rejects, Reject{rej.Class, rej.Code, rej.Reason, rej.Record, rej.Field, rej.Value})
		return nil
	})
	if err != nil {
		return err
	}
	traces := program.Explain(d)
	for _, f := range traces {
		if f.Row < 0 {
			continue
		}
		kinds := kindsOf(t.cfg.Types, f.Record)
		one := Field{f.Record, f.Rule, f.Row, f.Field, f.Selector, f.Raw, plain(f.Value, kinds[f.Field]), f.Note, nil}
		if one.Note == noteNothing && strings.HasPrefix(f.Selector, "from: carry:") {
			one.Note = noteCarried
		}
		for _, a := range f.Tried {
			one.Tried = append(one.Tried, Tried(a))
		}
		r.Fields = append(r.Fields, one)
	}
	r.Rules = t.rules(program.Matching(d), traces, r)
	return errors.Join(t.links(ctx, d, r), t.refined(ctx, rows, r))
}

// rules tells what became of every rule.
func (t *trier) rules(matching []int, traces []rules.FieldTrace, r *Report) []Rule {
	all := make([]Rule, len(t.cfg.Job.Parse))
	last := -1
	for i, def := range t.cfg.Job.Parse {
		name := def.Use
		if name == "" {
			name = fmt.Sprintf("%s#%d", def.Record, i+1)
		}
		one := Rule{Rule: name, Record: def.Record, Matched: slices.Contains(matching, i)}
		if one.Matched && def.Last {
			last = i
		}
		for _, f := range traces {
			if f.Rule == name && f.Row < 0 && one.Note == "" {
				one.Note = f.Note
			}
		}
		if !one.Matched && last >= 0 && one.Note == "" {
			one.Note = "not applied: " + all[last].Rule + " matched and is the last"
		}
		for _, rec := range r.Records {
			if rec.Rule == name {
				one.Rows++
			}
		}
		for _, rej := range r.Rejects {
			if one.Matched && def.Record != "" && rej.Record == def.Record {
				one.Rejects++
			}
		}
		all[i] = one
	}
	return all
}

// record writes a row as cat would, and adds it to those of its record.
func (r *Report) record(c harrow.Capture, rt harrow.RecordType, row rules.Row, rows map[string]*gathered) error {
	b := lakeio.NewRecordBuilder(rt)
	defer b.Release()
	if err := b.Append(row.Values, lakeio.Origin{}); err != nil {
		r.Rejects = append(r.Rejects, Reject{Class: harrow.DataFault, Code: rules.CodeType, Reason: err.Error(), Record: rt.Name})
		return nil
	}
	batch := b.Batch()
	defer batch.Release()
	columns := make([]string, len(rt.Columns))
	for i, c := range rt.Columns {
		columns[i] = c.Name
	}
	g := rows[rt.Name]
	if g == nil {
		g = &gathered{builder: lakeio.NewRecordBuilder(rt)}
		rows[rt.Name] = g
	}
	origin := lakeio.Origin{ID: c.ID, URL: c.URL, Ordinal: row.Ordinal, Rule: row.Rule, Digest: c.Digest, FetchedAt: rules.FetchedAt(c)}
	if err := g.builder.Append(row.Values, origin); err != nil {
		return err
	}
	g.rows = append(g.rows, &Refined{Record: rt.Name, Rule: row.Rule, Ordinal: row.Ordinal, OK: true, Failed: []Failed{}, Added: []Added{}, Notes: []string{}})
	r.Records = append(r.Records, Record{rt.Name, row.Rule, row.Ordinal, json.RawMessage(lakeio.AppendJSON(nil, batch, 0, columns))})
	return nil
}

func kindsOf(types []harrow.RecordType, record string) map[string]harrow.Kind {
	kinds := map[string]harrow.Kind{}
	for _, t := range types {
		if t.Name == record {
			for _, c := range t.Columns {
				kinds[c.Name] = c.Type.Kind
			}
		}
	}
	return kinds
}

// plain writes times as cat does; everything else JSON writes well.
func plain(v any, kind harrow.Kind) any {
	switch v := v.(type) {
	case time.Time:
		if kind == harrow.Date {
			return v.Format(lakeio.DateLayout)
		}
		return v.UTC().Format(lakeio.TimestampLayout)
	case []time.Time:
		texts := make([]any, len(v))
		for i, at := range v {
			texts[i] = plain(at, kind)
		}
		return texts
	}
	return v
}

// links looks into the page as a run would.
func (t *trier) links(ctx context.Context, d *rules.Document, r *Report) error {
	follower, err := t.newFollower()
	if err != nil || follower == nil || !follower.LooksInto(d.URL()) {
		return err
	}
	r.Links = &Links{Rules: []string{}, NotTaken: map[string]int{}, First: []Link{}}
	for _, i := range follower.Looking(d.URL()) {
		r.Links.Rules = append(r.Links.Rules, fmt.Sprintf("discover.follow[%d]", i))
	}
	most := cmp.Or(t.cfg.Links, firstLinks)
	base, fault := d.Base()
	if fault != nil {
		r.Links.Problem = fault.Error()
		return nil
	}
	have := map[canon.URL]bool{}
	err = follower.Links(d, func(l rules.Link) error {
		u, err := t.canon.Resolve(base, l.Ref)
		if err != nil {
			r.Links.NotTaken["invalid"]++
			return nil
		}
		if ok, reason, _ := t.scope.Check(u); !ok {
			if seed, err := t.isSeed(ctx, u); err != nil || !seed {
				r.Links.NotTaken[reason]++
				return err
			}
		}
		if have[u] {
			return nil
		}
		have[u] = true
		r.Links.Taken++
		if len(r.Links.First) < most {
			found := Link{URL: u.String(), Text: strings.Clone(l.Text)} // which is the page's
			if l.Carry != "" {
				found.Carry = json.RawMessage(l.Carry)
			}
			r.Links.First = append(r.Links.First, found)
		}
		return nil
	})
	if f := (*rules.Fault)(nil); errors.As(err, &f) {
		r.Links.Problem = f.Error()
		return nil
	}
	return err
}
