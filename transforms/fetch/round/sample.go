package round

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/internal/httpfetch"
	"github.com/harrowdata/harrow/internal/rules"
	"github.com/harrowdata/harrow/io/lakeio"
)

// What a sample may cost: the first pages of each rule are parsed, then one
// in many, and never more than a share of one core beyond what there is at the
// beginning.
const (
	sampleFirst = 20
	sampleEvery = 100
	sampleShare = 0.02
	sampleBurst = time.Second
)

// sampler parses a sample of the pages that are fetched and throws the rows
// away: a wrong selector shows in the first minute, not when a crawl of a day
// is through. A nil sampler does nothing.
type sampler struct {
	canon    *canon.Canonicalizer
	document int64
	begun    time.Time
	busy     sync.Mutex // held while a page is parsed: program is one goroutine's
	program  *rules.Program
	pages    rules.Pages
	rules    []harrow.Rule

	mu      sync.Mutex
	spent   time.Duration
	fetched int64
	matched []int64 // pages by rule
	parsed  []int64 // of them
	records []lakeio.RecordSample
	columns [][]int // by record: where the values of its Fields are in a row
}

// newSampler compiles the job's rules; without any it returns nil.
func newSampler(cfg Config, c *canon.Canonicalizer, now time.Time) (*sampler, error) {
	if len(cfg.Parse) == 0 {
		return nil, nil
	}
	program, err := rules.Compile(cfg.Parse, cfg.Types)
	if err != nil {
		return nil, fmt.Errorf("the rules of the sample: %w", err)
	}
	s := &sampler{canon: c, document: cfg.Document, begun: now, program: program, rules: cfg.Parse,
		matched: make([]int64, len(cfg.Parse)), parsed: make([]int64, len(cfg.Parse))}
	for _, t := range program.Types() {
		record, columns := sampleOf(t, cfg.Parse)
		s.records, s.columns = append(s.records, record), append(s.columns, columns)
	}
	return s, nil
}

// sampleOf lists what is counted of a record: its fields, or the columns that
// an extractor makes.
func sampleOf(t harrow.RecordType, parse []harrow.Rule) (record lakeio.RecordSample, at []int) {
	record.Record = t.Name
	add := func(name, column string, required bool) {
		i := slices.IndexFunc(t.Columns, func(c harrow.Column) bool { return c.Name == column })
		k := slices.IndexFunc(record.Fields, func(f lakeio.FieldSample) bool { return f.Field == name })
		switch {
		case i >= 0 && k < 0:
			record.Fields = append(record.Fields, lakeio.FieldSample{Field: name, Required: required})
			at = append(at, i)
		case k >= 0:
			record.Fields[k].Required = record.Fields[k].Required && required
		}
	}
	for _, r := range parse {
		if r.Record != t.Name {
			continue
		}
		for _, f := range r.Fields {
			add(f.Name, f.Columns(f.Name)[0].Name, f.Required)
		}
	}
	if len(record.Fields) == 0 {
		for _, c := range t.Columns {
			add(c.Name, c.Name, false)
		}
	}
	return record, at
}

// page looks at a page that was fetched, and parses it if it is to be in the
// sample. cores is taken while it computes. An error is one of reading the
// body back, or ctx's.
func (s *sampler) page(ctx context.Context, c harrow.Capture, body *httpfetch.Body, cores chan struct{}) error {
	if s == nil || c.Kind != harrow.KindPage {
		return nil
	}
	limits := rules.Limits{Document: s.document}
	matching := s.program.Matching(rules.NewDocument(rules.Page{Capture: c}, s.canon, limits))
	if !s.wants(matching, time.Now()) || body.Len() > s.document || !s.busy.TryLock() {
		return nil
	}
	defer s.busy.Unlock()
	select {
	case cores <- struct{}{}:
		defer func() { <-cores }()
	case <-ctx.Done():
		return nil
	}
	text, err := readAll(body, s.document)
	if err != nil {
		return err
	}
	began := time.Now()
	d := s.pages.Document(rules.Page{Capture: c, Body: text}, s.canon, limits)
	defer d.Close()
	result := newSampled(s)
	err = s.program.Apply(ctx, d, result.row, result.reject)
	s.add(matching, result, time.Since(began), err == nil)
	return nil // what an extractor can't do shows when parse runs
}

// wants counts a page and says whether it is to be parsed: one of a rule's
// first, or one in many, as long as there is time to spend.
func (s *sampler) wants(matching []int, now time.Time) (yes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fetched++
	for _, i := range matching {
		s.matched[i]++
		yes = yes || s.parsed[i] < sampleFirst || s.matched[i]%sampleEvery == 0
	}
	for i := range s.records {
		if slices.ContainsFunc(matching, func(k int) bool { return s.makes(k, i) }) {
			s.records[i].Matched++
		}
	}
	return yes && s.spent < sampleBurst+time.Duration(sampleShare*float64(now.Sub(s.begun)))
}

// makes reports whether a rule makes a record; an extractor may make any that
// no rule names.
func (s *sampler) makes(rule, record int) bool {
	name := s.rules[rule].Record
	if name != "" {
		return name == s.records[record].Record
	}
	return !slices.ContainsFunc(s.rules, func(r harrow.Rule) bool { return r.Record == s.records[record].Record })
}

func (s *sampler) add(matching []int, r *sampled, took time.Duration, whole bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spent += took
	if !whole {
		return
	}
	for _, i := range matching {
		s.parsed[i]++
	}
	for i := range s.records {
		into := &s.records[i]
		if slices.ContainsFunc(matching, func(k int) bool { return s.makes(k, i) }) {
			into.Pages++
		}
		into.Merge(r.records[i])
	}
}

// report is what came of the sample so far.
func (s *sampler) report() []lakeio.RecordSample {
	if s == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	records := slices.Clone(s.records) // Merge makes what is in them anew
	for i := range records {
		records[i].Fetched = s.fetched
	}
	return records
}

// sampled is what came of one page.
type sampled struct {
	s       *sampler
	records []lakeio.RecordSample
}

func newSampled(s *sampler) *sampled {
	r := &sampled{s: s, records: make([]lakeio.RecordSample, len(s.records))}
	for i := range r.records {
		for _, f := range s.records[i].Fields { // names never change
			r.records[i].Fields = append(r.records[i].Fields, lakeio.FieldSample{Field: f.Field, Required: f.Required})
		}
		r.records[i].Rejects = map[string]int64{}
	}
	return r
}

func (r *sampled) row(row rules.Row) error {
	into := &r.records[row.Record]
	into.Rows++
	for i, column := range r.s.columns[row.Record] {
		if row.Values[column] != nil {
			into.Fields[i].Filled++
		}
	}
	return nil
}

func (r *sampled) reject(rej harrow.Reject) error {
	for i, t := range r.s.program.Types() {
		if t.Name != rej.Record {
			continue
		}
		r.records[i].Rejects[rej.Code]++
		for k := range r.records[i].Fields {
			if f := &r.records[i].Fields[k]; f.Field == rej.Field {
				f.Failed++
			}
		}
	}
	return nil
}
