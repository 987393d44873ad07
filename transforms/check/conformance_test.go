package check

import (
	"encoding/json"
	"testing"

	"github.com/shopspring/decimal"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/harrowtest/operatortest"
)

func TestTheOperatorIsOne(t *testing.T) {
	config, err := json.Marshal(Config{Record: book, Checks: []harrow.Check{
		{Field: "title", Required: true, Pattern: "^[a-z]+$"},
		{Expr: "10 / stock > price"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	operatortest.Run(t, operatortest.Case{Operator: Operator, Config: config, Record: book, Out: 6, Rows: []map[string]any{
		{"title": "one", "stock": int64(1), "price": decimal.New(5, 0), "tags": []string{"x", "y"}},
		{"title": "dear", "stock": int64(1), "price": decimal.New(50, 0)},
		{"title": nil},
		{"title": "none", "stock": int64(0), "price": decimal.New(1, 0)}, // a division by zero
		{"title": "B"},
		{"title": "last", "tags": []string{}},
	}})
}
