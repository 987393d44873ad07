package rules

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
)

var canonical = func() *canon.Canonicalizer {
	c, err := canon.New(canon.Policy{Strip: harrow.DefaultStrip})
	if err != nil {
		panic(err)
	}
	return c
}()

// shopPage is a page at an address of its own; every part of the capture that
// rules look at is set.
func shopPage(body string) Page {
	return Page{
		Capture: harrow.Capture{
			ID: harrow.ID{1}, URL: "http://books.example/old", FinalURL: "http://books.example/catalogue/tilth_1/index.html",
			Status: 200, ContentType: "text/html; charset=utf-8", Attempts: 2, BodyBytes: int64(len(body)),
			Headers:   []harrow.Header{{Name: "X-Shelf", Value: " A  7 "}, {Name: "x-shelf", Value: "B"}},
			Carry:     `{"category":"Field  craft","new":true,"none":null,"rank":1.5}`,
			StartedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), ElapsedMS: 250,
		},
		Body: []byte(body),
	}
}

func shopDocument(body string) *Document { return NewDocument(shopPage(body), canonical, Limits{}) }

// fields reads the fields of a rule as a job file has them, in JSON.
func fields(t testing.TB, text string) harrow.Fields {
	t.Helper()
	var f harrow.Fields
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return f
}

// typesOf returns the record types of rules without extractors: the union of
// their columns.
func typesOf(rules ...harrow.Rule) (types []harrow.RecordType) {
	at := map[string]int{}
	for _, r := range rules {
		if r.Use != "" {
			continue
		}
		i, ok := at[r.Record]
		if !ok {
			i = len(types)
			at[r.Record] = i
			types = append(types, harrow.RecordType{Name: r.Record})
		}
		for _, f := range r.Fields {
			for _, c := range f.Columns(f.Name) {
				if _, there := types[i].Column(c.Name); !there {
					types[i].Columns = append(types[i].Columns, c)
				}
			}
		}
	}
	return types
}

func mustCompile(t testing.TB, rules ...harrow.Rule) *Program {
	t.Helper()
	p, err := Compile(rules, typesOf(rules...))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// applied is what Apply made of a page: rows as "rule ordinal column=value …"
// without nulls, and rejects.
type applied struct {
	rows    []string
	rejects []harrow.Reject
}

func apply(t testing.TB, p *Program, d *Document) (a applied) {
	t.Helper()
	err := p.Apply(context.Background(), d, func(r Row) error {
		a.rows = append(a.rows, showRow(p, r))
		return nil
	}, func(r harrow.Reject) error {
		a.rejects = append(a.rejects, r)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func showRow(p *Program, r Row) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %d", r.Rule, r.Ordinal)
	for i, c := range p.Types()[r.Record].Columns {
		switch v := r.Values[i].(type) {
		case nil:
		case string, []string:
			fmt.Fprintf(&b, " %s=%q", c.Name, v)
		default:
			fmt.Fprintf(&b, " %s=%v", c.Name, v)
		}
	}
	return b.String()
}

// codes lists "code field" of rejects.
func (a applied) codes() (list []string) {
	for _, r := range a.rejects {
		list = append(list, strings.TrimSpace(r.Code+" "+r.Field))
	}
	return list
}
