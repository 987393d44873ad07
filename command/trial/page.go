package trial

import (
	"context"
	"encoding/json"
	"errors"
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
	err = program.Apply(ctx, d, func(row rules.Row) error { return r.record(program.Types()[row.Record], row) }, func(rej harrow.Reject) error {
		r.Rejects = append(r.Rejects, Reject{rej.Class, rej.Code, rej.Reason, rej.Record, rej.Field, rej.Value})
		return nil
	})
	if err != nil {
		return err
	}
	for _, f := range program.Explain(d) {
		kinds := kindsOf(t.cfg.Types, f.Record)
		r.Fields = append(r.Fields, Field{f.Record, f.Rule, f.Row, f.Field, f.Selector, f.Raw, plain(f.Value, kinds[f.Field]), f.Note})
	}
	return t.links(d, r)
}

// record writes a row as cat would.
func (r *Report) record(rt harrow.RecordType, row rules.Row) error {
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
func (t *trier) links(d *rules.Document, r *Report) error {
	follower, err := t.newFollower()
	if err != nil || follower == nil || !follower.LooksInto(d.URL()) {
		return err
	}
	r.Links = &Links{NotTaken: map[string]int{}, First: []string{}}
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
		if ok, reason, _ := t.scope.Check(u); !ok && !t.seeds[u] {
			r.Links.NotTaken[reason]++
			return nil
		}
		if have[u] {
			return nil
		}
		have[u] = true
		r.Links.Taken++
		if len(r.Links.First) < firstLinks {
			r.Links.First = append(r.Links.First, u.String())
		}
		return nil
	})
	if f := (*rules.Fault)(nil); errors.As(err, &f) {
		r.Links.Problem = f.Error()
		return nil
	}
	return err
}
