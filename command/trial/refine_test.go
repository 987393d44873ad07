package trial_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/command/trial"
	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/internal/expr"
	"github.com/harrowdata/harrow/internal/jobfile"
	"github.com/harrowdata/harrow/transforms/enrich/lookup"
)

const refineJob = `
version: 1
job: shop
discover: {seeds: {urls: ["http://books.example/"]}}
parse:
  - record: item
    each: li
    fields:
      code:  {css: b}
      price: {css: i, type: "decimal(9,2)"}
      in:    {css: u}
      name:  {any: [{css: h1}, {css: h2}, {css: b}]}
      words: {css: s, type: list}
      shelf: {from: "carry:shelf"}
refine:
  item:
    key: [code]
    check:
      - {field: price, min: 1, max: 100}
      - {field: code, pattern: "^[a-z]$"}
      - {expr: "price <> 50"}
      - {field: eur, max: 20}
    enrich:
      - lookup: {file: rates.csv, join: {in: currency}}
        add:
          rate: {expr: "number(rate)", type: "decimal(9,2)"}
          eur:  {expr: "price * rate", type: "decimal(9,4)"}
          kept: {expr: "rate is not null", type: bool}
          once: {expr: "_ordinal + 1", type: int}
`

const refinePage = `<ul>
<li><b>a</b><i>10</i><u>USD</u><s>x</s><s>y</s>
<li><b>BB</b><i>0.5</i><u>GBP</u>
<li><b>c</b><i>50</i><u>CHF</u>
<li><i>5</i>
<li><b>d</b><i>5</i><u>BAD</u>
<li><b>e</b><i>90</i><u>USD</u>
</ul>`

// refineConfig is the job with a lookup file beside it.
func refineConfig(t *testing.T, job, rates string) trial.Config {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "rates.csv")
	if err := os.WriteFile(file, []byte(rates), 0o666); err != nil {
		t.Fatal(err)
	}
	columns, err := lookup.Columns(t.Context(), file, "rates.csv")
	if err != nil {
		t.Fatal(err)
	}
	j, _, err := jobfile.Parse("shop.yaml", []byte(job), nil, jobfile.Options{
		LookupColumns: func(string) ([]expr.Column, error) { return columns, nil }})
	if err != nil {
		t.Fatal(err)
	}
	types, err := jobfile.RecordTypes(j, nil)
	if err != nil {
		t.Fatal(err)
	}
	return trial.Config{Job: *j, Types: types, Env: os.LookupEnv, File: file2("page.html", refinePage),
		Lookups: map[string][]expr.Column{"rates.csv": columns}, Beside: func(name string) string { return filepath.Join(dir, name) }}
}

func file2(name, body string) *trial.File { return file(name, "text/html; charset=utf-8", body) }

const rates = "currency,rate\nEUR,1\nUSD,0.9\nGBP,1.15\nBAD,much\n"

func TestTryTellsWhatRefineMakesOfEachRow(t *testing.T) {
	r, err := trial.URL(t.Context(), refineConfig(t, refineJob, rates), "http://books.example/x")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "refine", r, false)
	data, err := json.Marshal(r.Refined[0])
	if want := `{"record":"item","rule":"item#1","ordinal":0,"ok":true,"failed":[],"added":[{"column":"rate","value":"0.9"},{"column":"eur","value":"9"},{"column":"kept","value":true},{"column":"once","value":1}],"notes":[]}`; err != nil || string(data) != want {
		t.Errorf("%v\n%s\nwant\n%s", err, data, want)
	}
	for i, ok := range []bool{true, false, false, false, false, false} {
		if r.Refined[i].OK != ok {
			t.Errorf("row %d: ok %v, want %v", i, r.Refined[i].OK, ok)
		}
	}
	name := r.Fields[3]
	if len(name.Tried) != 3 || name.Tried[0].Raw != nil || name.Tried[2].Raw != "a" || name.Selector != "css: b" {
		t.Errorf("%+v", name)
	}
}

func TestTryDoesNotRunOperators(t *testing.T) {
	cfg := refineConfig(t, refineJob, rates)
	entry := cfg.Job.Refine["item"]
	entry.Operators = []harrow.OperatorUse{{Use: "mine"}}
	cfg.Job.Refine["item"] = entry
	r, err := trial.URL(t.Context(), cfg, "http://books.example/x")
	if err != nil {
		t.Fatal(err)
	}
	last := r.Refined[5] // its late check would fail
	if want := "operators: not run by try, nor the checks that follow them"; !last.OK || len(last.Notes) != 1 || last.Notes[0] != want {
		t.Errorf("%+v", last)
	}
}

func TestALookupFileThatChangedIsAnError(t *testing.T) {
	for _, c := range []struct{ name, rates, want string }{
		{"twice", rates + "USD,2\n", `refine.item: enrich[0]: rates.csv: "USD" comes twice`},
		{"gone", "", "no such file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := refineConfig(t, refineJob, rates)
			if c.rates == "" {
				cfg.Beside = func(name string) string { return filepath.Join(t.TempDir(), name) }
			} else if err := os.WriteFile(cfg.Beside("rates.csv"), []byte(c.rates), 0o666); err != nil {
				t.Fatal(err)
			}
			if _, err := trial.URL(t.Context(), cfg, "http://books.example/x"); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}

func TestSeedsOfFilesAreInScope(t *testing.T) {
	c, err := canon.New(canon.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	cfg := newConfig(t, site)
	cfg.Seeds = func(_ context.Context, do func(canon.URL)) error {
		read++
		for _, text := range []string{"http://else.example/", "http://books.example/cart/1"} {
			u, err := c.Parse(text)
			if err != nil {
				return err
			}
			do(u)
		}
		return nil
	}
	r, err := trial.URL(t.Context(), cfg, "http://books.example/cart/1")
	if want := (trial.Verdict{OK: true, Why: "a seed of discover.seeds.files: always in scope"}); err != nil || r.Hops[0].Scope != want {
		t.Errorf("%v, %+v", err, r.Hops)
	}
	if read != 1 {
		t.Errorf("seeds were read %d times, want once", read)
	}
	if r, err = trial.URL(t.Context(), cfg, "http://books.example/"); err != nil || r.Links.Taken != 3 || len(r.Links.NotTaken) != 1 || read != 2 {
		t.Errorf("%v, %+v, read %d times", err, r.Links, read)
	}
	if r, err = trial.URL(t.Context(), cfg, "http://books.example/book/1"); err != nil || !r.Hops[0].Scope.OK || read != 2 {
		t.Errorf("%v, %+v: the seeds were read for a URL that is in scope anyway", err, r.Hops)
	}
	away := errors.New("the disk is away")
	cfg.Seeds = func(context.Context, func(canon.URL)) error { return away }
	if _, err = trial.URL(t.Context(), cfg, "http://books.example/cart/1"); !errors.Is(err, away) {
		t.Errorf("%v", err)
	}
}
