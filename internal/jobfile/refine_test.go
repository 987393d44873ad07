package jobfile

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/expr"
)

const bookshop = `version: 1
job: shop
discover: {seeds: {urls: ["http://a.example/"]}}
parse:
  - record: book
    fields:
      title: {css: h1}
      price: {css: .p, type: money, currency: GBP}
      stock: {css: .s, type: int}
      tags: {css: li, type: list}
refine:
  book:
`

// refineHooks know one file and two operators.
var refineHooks = Options{
	LookupColumns: func(file string) ([]expr.Column, error) {
		if file != "rates.csv" {
			return nil, fmt.Errorf("open %s: no such file", file)
		}
		text := harrow.Type{Kind: harrow.Text}
		return []expr.Column{{Name: "code", Type: text, Loose: true}, {Name: "rate", Type: text, Loose: true}, {Name: "title", Type: text, Loose: true}}, nil
	},
	OperatorType: func(use string, with json.RawMessage, in harrow.RecordType) (harrow.RecordType, error) {
		switch use {
		case "cut":
			var c struct {
				At int `json:"at"`
			}
			return in, harrow.ReadConfig(with, &c)
		case "grade":
			in.Columns = append(in.Columns[:len(in.Columns):len(in.Columns)], harrow.Column{Name: "grade", Type: harrow.Type{Kind: harrow.Int}})
			return in, nil
		case "strip":
			in.Columns = in.Columns[1:]
			return in, nil
		}
		return in, fmt.Errorf("no operator is called %q", use)
	},
}

func TestRefineIsCheckedAtItsPlace(t *testing.T) {
	rates := "    enrich: [{lookup: {file: rates.csv, join: {price_currency: code}}, add: {eur: {expr: %q, type: decimal}}}]\n"
	for _, c := range []struct{ name, refine, want string }{
		{"all is well", fmt.Sprintf(rates, "round(price_amount * rate, 9)") + "    key: [title]\n    check: [{expr: \"eur > 0 and stock < 5\"}, {field: grade, in: [1, 2]}, {field: title, pattern: \"^[A-Z]\", length: {min: 1, max: 9}}]\n    operators: [{use: grade}]\n    thresholds: {coverage: {eur: 1, grade: 0.5}}\n", ""},
		{"a check's syntax", "    check: [{expr: \"stock >\"}]\n", `13:20: refine.book.check[0].expr: at character 8: got the end; expected a column, a number, a text in quotes or (`},
		{"a check's types", "    check: [{expr: \"title > 3\"}]\n", `13:20: refine.book.check[0].expr: at character 9: this is a number; > expected text`},
		{"a check that is no condition", "    check: [{expr: \"stock + 1\"}]\n", `13:20: refine.book.check[0].expr: the expression is a number; expected one that is true or false`},
		{"an unknown column", "    check: [{expr: \"stok > 1\"}]\n", `13:20: refine.book.check[0].expr: at character 1: there is no column stok; expected title, price_amount, price_currency, stock, tags, _id, _url, _ordinal, _rule, _digest, _fetched_at or _run`},
		{"a pattern", "    check: [{field: title, pattern: \"(\"}]\n", `13:37: refine.book.check[0].pattern: got "("; expected RE2, but error parsing regexp: missing closing ): ` + "`(`"},
		{"a minimum of a list", "    check: [{field: tags, min: 1}]\n", `13:27: refine.book.check[0].min does not go with type list; expected type text, int, float, bool, decimal, date or timestamp`},
		{"a date that is none", "    check: [{field: _fetched_at, min: \"soon\"}]\n", `13:39: refine.book.check[0].min: at character 18: "soon" is no timestamp; expected one like 2024-05-01T12:00:00Z`},
		{"no such file", strings.ReplaceAll(fmt.Sprintf(rates, "rate"), "rates.csv", "rate.csv"), `13:30: refine.book.enrich[0].lookup.file: open rate.csv: no such file`},
		{"no such column in the file", strings.ReplaceAll(fmt.Sprintf(rates, "rate"), ": code", ": kode"), `13:64: refine.book.enrich[0].lookup.join.price_currency: rates.csv has no column "kode"; expected "code", "rate", "title"`},
		{"a column of both", fmt.Sprintf(rates, "number(title)"), `13:90: refine.book.enrich[0].add.eur.expr: title is a column of book and of rates.csv; expected names that say which`},
		{"a type that doesn't fit", fmt.Sprintf(rates, "upper(rate)"), `13:90: refine.book.enrich[0].add.eur.expr: at character 1: the result is text; expected a number, for type decimal(38,9)`},
		{"a quotient", fmt.Sprintf(rates, "price_amount / rate"), `13:90: refine.book.enrich[0].add.eur.expr: at character 1: a quotient may have 18 digits after the point, decimal(38,9) has 9; expected round(…, 9)`},
		{"an added name of another case", "    enrich: [{lookup: {file: rates.csv, join: {title: title}}, add: {Stock: {expr: rate}}}]\n", `13:70: refine.book.enrich[0].add.Stock: book has a column stock already; expected a new name`},
		{"a list to join by", "    enrich: [{lookup: {file: rates.csv, join: {tags: title}}, add: {x: {expr: rate}}}]\n", `13:48: refine.book.enrich[0].lookup.join.tags: tags is a list; expected a column of one value to join by`},
		{"a key that comes too late", fmt.Sprintf(rates, "rate") + "    key: [eur]\n", `14:11: refine.book.key[0]: book has no column eur; expected title, price_amount, price_currency, stock or tags`},
		{"an unknown operator", "    operators: [{use: grades}]\n", `13:23: refine.book.operators[0].use: no operator is called "grades"`},
		{"an operator's config", "    operators: [{use: cut, with: {at: [1]}}]\n", `13:39: refine.book.operators[0].with.at: got array; expected a whole number`},
		{"an operator that drops the key", "    key: [title]\n    operators: [{use: strip}]\n", `13:11: refine.book.key[0]: the operators drop or change the column title; expected it as it was, since rows are loaded by it`},
		{"a threshold of nothing", "    operators: [{use: strip}]\n    thresholds: {coverage: {title: 1}}\n", `14:29: refine.book.thresholds.coverage.title: book has no column title; expected price_amount, price_currency, stock or tags`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := Parse("job.yaml", []byte(bookshop+c.refine), nil, refineHooks)
			got := ""
			if err != nil {
				got = strings.ReplaceAll(err.Error(), "job.yaml:", "")
			}
			if got != c.want {
				t.Errorf("%s\n got %s\nwant %s", c.refine, got, c.want)
			}
		})
	}
}

// TestWithoutHooksWhatDependsOnFilesIsLeftAlone reads a job where nobody can
// look into files or ask operators.
func TestWithoutHooksWhatDependsOnFilesIsLeftAlone(t *testing.T) {
	text := bookshop + "    enrich: [{lookup: {file: any.csv, join: {title: x}}, add: {y: {expr: z}}}]\n    operators: [{use: any}]\n    check: [{field: w, required: true}]\n"
	if _, _, err := Parse("job.yaml", []byte(text), nil, Options{}); err != nil {
		t.Error(err)
	}
}
