package pipelines

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/shopspring/decimal"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/demosite"
	"github.com/harrowdata/harrow/io/lakeio"
)

// priced is what the tests' operator reads, label what it sets.
type priced struct {
	Title  string           `harrow:"title"`
	Price  *decimal.Decimal `harrow:"price_amount"`
	Rating *int64           `harrow:"rating"`
}

type label struct {
	Label string `harrow:"label"`
	Grade *int64 `harrow:"grade"`
}

func init() {
	harrow.RegisterRows("test-label", func(config json.RawMessage) (harrow.RowFunc[priced, label], error) {
		return func(_ context.Context, p priced, emit func(label)) error {
			switch {
			case p.Rating != nil && *p.Rating == 1:
				return fmt.Errorf("%s isn't worth it", p.Title)
			case strings.HasPrefix(p.Title, "The "):
				panic("a bug of the user's")
			}
			emit(label{Label: strings.ToUpper(p.Title), Grade: p.Rating})
			return nil
		}, nil
	})
}

// refined has every kind of step for books.
const refinedBooks = `  book:
    key: [upc]
    keep: latest
    check:
      - {field: price_amount, min: 0.01, max: 100000}
      - {field: rating, in: [1, 2, 3, 4, 5]}
      - {field: title, required: true, length: {min: 1, max: 200}, pattern: "^[^<]*$"}
      - {expr: "stock is null or stock >= 0"}
      - {field: price_eur, min: 1}
      - {expr: "grade != 5 or price_eur < 90"}
    enrich:
      - lookup: {file: rates.csv, join: {price_currency: code}}
        add:
          price_eur: {expr: "round(price_amount * rate, 2)", type: "decimal(18,2)"}
          in_pence: {expr: "price_amount * 100", type: int}
      - lookup: {file: names.jsonl, join: {price_currency: code, rating: stars}}
        add: {currency_name: {expr: "coalesce(name, concat('unnamed ', price_currency))"}}
    operators: [{use: test-label}]
    thresholds: {coverage: {label: 1, brand: 0.1}}
`

func refinedShop(t *testing.T, lines int, replace ...string) *bench {
	t.Helper()
	replace = append([]string{"  book:\n    key: [upc]           # some products have two addresses: one row each\n    keep: latest\n", refinedBooks}, replace...)
	b := newShop(t, demosite.Options{Products: 60, Seed: 11}, replace...)
	var rates strings.Builder
	rates.WriteString("code,rate\nGBP,1.17125\nEUR,1\nUSD,0.92\n")
	for i := range lines {
		fmt.Fprintf(&rates, "X%07d,1.%d\n", i, i)
	}
	b.seedFile("rates.csv", rates.String())
	b.seedFile("names.jsonl", `{"code":"GBP","stars":"3","name":"pound"}`+"\n"+`{"code":"GBP","stars":4,"name":"sterling"}`+"\n")
	return b
}

// TestARecordGoesThroughAllItsSteps compares runs in which the lookup file is
// in memory with one in which it is too large for it, on both runners.
func TestARecordGoesThroughAllItsSteps(t *testing.T) {
	t.Parallel()
	meaning(t)
	b := refinedShop(t, 0)
	run := b.must()
	want := b.tables(run)
	books := b.records(run, "refine", "book", "upc", "price_amount", "price_currency", "rating", "price_eur", "in_pence", "currency_name", "label", "grade")
	if len(books) < 10 {
		t.Fatalf("%d books: the test sees nothing", len(books))
	}
	rejects := map[string]int{}
	for _, r := range rows(b, lakeio.Rejects, run, "refine") {
		if r.Record != "book" || r.Class != harrow.DataFault || !json.Valid([]byte(r.Payload)) || r.URL == "" {
			t.Errorf("reject %+v", r)
		}
		rejects[r.Code]++
	}
	if rejects["operator"] == 0 {
		t.Errorf("rejects by code: %v; want some of the operator", rejects)
	}
	for _, row := range books {
		checkBook(t, row)
	}
	for _, c := range []struct {
		name, runner string
		lines        int
	}{{"prism", "prism", 0}, {"a file too large for memory", "direct", 120_000}, {"the same on prism", "prism", 120_000}} {
		t.Run(c.name, func(t *testing.T) {
			other := refinedShop(t, c.lines, "version: 1\n", "version: 1\nlimits: {memory: 64MiB}\n")
			other.request.Runner = c.runner
			got := other.must()
			for _, in := range got.Inputs {
				if in.Use == "" {
					continue
				}
				if in.Use != lakeio.InputLookup || in.Memory == 0 || (c.lines > 0) != (in.Memory > 12<<20) && in.Path == "rates.csv" {
					t.Errorf("input %+v", in)
				}
			}
			same(t, c.name, want, other.tables(got))
		})
	}
}

func checkBook(t *testing.T, row string) {
	t.Helper()
	var book struct {
		PriceAmount   decimal.Decimal  `json:"price_amount"`
		PriceCurrency string           `json:"price_currency"`
		PriceEUR      *decimal.Decimal `json:"price_eur"`
		InPence       int64            `json:"in_pence"`
		Rating        *int64           `json:"rating"`
		CurrencyName  string           `json:"currency_name"`
		Label         string           `json:"label"`
		Grade         *int64           `json:"grade"`
	}
	if err := json.Unmarshal([]byte(row), &book); err != nil {
		t.Fatalf("%s: %v", row, err)
	}
	rate, known := map[string]string{"GBP": "1.17125", "EUR": "1", "USD": "0.92"}[book.PriceCurrency]
	switch {
	case !known && book.PriceEUR != nil,
		known && (book.PriceEUR == nil || !book.PriceEUR.Equal(book.PriceAmount.Mul(decimal.RequireFromString(rate)).Round(2))),
		book.InPence != book.PriceAmount.Shift(2).IntPart(),
		book.Label == "", fmt.Sprint(book.Grade == nil) != fmt.Sprint(book.Rating == nil):
		t.Errorf("book %s", row)
	}
	name := "unnamed " + book.PriceCurrency
	if book.PriceCurrency == "GBP" && book.Rating != nil && *book.Rating >= 3 && *book.Rating <= 4 {
		name = []string{"pound", "sterling"}[*book.Rating-3]
	}
	if book.CurrencyName != name {
		t.Errorf("currency %s: %s, want %s", row, book.CurrencyName, name)
	}
}

func TestWhatIsWrongWithALookupFileIsSaidBeforeTheFirstFetch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ file, text, want string }{
		{"rates.csv", "code,rate\nGBP,1\nEUR,2\nGBP,3\n", `rates.csv: line 4 has the same code as line 2: "GBP"; expected each once, since rows are joined by it`},
		{"rates.csv", "code,rat\n", `there is no column rate`},
		{"rates.csv", "code,rate\nGBP,\"1\nEUR", `rates.csv: line 2: a quote is not closed before the end of the file`},
		{"rates.csv", "code,rate\nGBP,1,2\n", `rates.csv: line 2: the row has 3 cells; the first line has 2`},
		{"rates.csv", "", `rates.csv: line 1: the file has no line that names the columns`},
		{"names.jsonl", `{"code":"GBP","stars":"many","name":"x"}`, `names.jsonl: line 1: column stars, which rating is joined with: "many" is no number`},
		{"names.jsonl", "[1]\n", `names.jsonl: line 1: "[1]"; expected a JSON object`},
	} {
		b := refinedShop(t, 0)
		b.seedFile(c.file, c.text)
		if _, err := b.run(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %q\n got %v\nwant %s", c.file, c.text, err, c.want)
		}
		if n := len(b.log.Requests()); n > 0 {
			t.Errorf("%d requests were sent", n)
		}
	}
}

// TestALookupFileIsPartOfTheRun changes it between two legs of a run: the run
// can't go on, and one that can reads its copy.
func TestALookupFileIsPartOfTheRun(t *testing.T) {
	t.Parallel()
	meaning(t)
	b := refinedShop(t, 0)
	first := b.must(until("parse"))
	b.seedFile("rates.csv", "code,rate\nGBP,2\n")
	if _, err := b.run(); err == nil || !strings.Contains(err.Error(), "changed since run "+first.ID) {
		t.Errorf("%v", err)
	}
	b = refinedShop(t, 0)
	b.must(until("parse"))
	again := b.must()
	if again.State != lakeio.Done {
		t.Errorf("state %s", again.State)
	}
	if m := b.manifest(again, "refine"); m.Counters["rows.book"] != m.Tables["records/book"].Rows || m.Counters["filled.book.label"] != m.Counters["rows.book"] {
		t.Errorf("counters %v of %d rows", m.Counters, m.Tables["records/book"].Rows)
	}
	folder := b.dir + "/" + b.lake(again.ID).Stage("refine") + "/shuffle"
	if left, err := os.ReadDir(folder); err == nil && len(left) > 0 {
		t.Errorf("%s still has %d files", folder, len(left))
	}
}

func TestCrossedThresholdsAreAllNamed(t *testing.T) {
	t.Parallel()
	meaning(t)
	b := refinedShop(t, 0, "thresholds: {coverage: {label: 1, brand: 0.1}}", "thresholds: {min_rows: 1000, max_reject_rate: 0, coverage: {label: 1, price_eur: 1}}",
		"  offer:\n    key: [url]\n", "  offer:\n    thresholds: {min_rows: 1, coverage: {url: 1}}\n    key: [url]\n")
	b.seedFile("rates.csv", "code,rate\nUSD,1\n")
	res, err := b.run()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"rows were loaded, min_rows is 1000", "rows were rejected (0.", "max_reject_rate is 0", "price_eur has a value in 0 of ", "coverage is to be 1"} {
		if !strings.Contains(res.Why, want) {
			t.Errorf("%q is not in %s", want, res.Why)
		}
	}
	if res.Exit != 3 || strings.Contains(res.Why, "offer") || strings.Contains(res.Why, "label") || res.Run.Exit != 3 {
		t.Errorf("exit %d: %s", res.Exit, res.Why)
	}
}
