package operate_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/shopspring/decimal"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/harrowtest/operatortest"
)

type parcel struct {
	Name  *string          `harrow:"name"`
	Items []string         `harrow:"items"`
	Price *decimal.Decimal `harrow:"price"`
}

type piece struct {
	Name  string          `harrow:"name"`
	Piece string          `harrow:"piece"`
	Price decimal.Decimal `harrow:"price"`
}

var errEmpty = errors.New("no items")

func init() {
	// One row for each item: none, one or several of one row; an error after
	// some; a panic.
	harrow.RegisterRows("test-unpack", func(config json.RawMessage) (harrow.RowFunc[parcel, piece], error) {
		var c struct {
			Prefix string `json:"prefix"`
		}
		if err := harrow.ReadConfig(config, &c); err != nil {
			return nil, err
		}
		return func(_ context.Context, row parcel, emit func(piece)) error {
			if row.Items == nil {
				return errEmpty
			}
			for _, item := range row.Items {
				emit(piece{*row.Name, c.Prefix + item, row.Price.Mul(decimal.New(2, 0))})
			}
			return nil
		}, nil
	})
	// One row for one, where it is not to be left out.
	harrow.RegisterRows("test-named", func(config json.RawMessage) (harrow.RowFunc[parcel, parcel], error) {
		if err := harrow.ReadConfig(config, &struct{}{}); err != nil {
			return nil, err
		}
		return func(_ context.Context, row parcel, emit func(parcel)) error {
			if row.Name != nil {
				emit(row)
			}
			return nil
		}, nil
	})
}

func TestOperatorsOverStructsAreOperators(t *testing.T) {
	record := harrow.RecordType{Name: "parcel", Columns: []harrow.Column{
		{Name: "name", Type: harrow.Type{Kind: harrow.Text}}, {Name: "items", Type: harrow.Type{Kind: harrow.Text, List: true}}, {Name: "price", Type: harrow.DefaultDecimal}}}
	price := decimal.New(15, -1)
	rows := []map[string]any{
		{"name": "a", "items": []string{"x", "y"}, "price": price},
		{"name": "b", "items": []string{}, "price": price},
		{"name": "c", "price": price},                              // an error
		{"items": []string{"x"}, "price": price},                   // a panic: no name
		{"name": "d", "items": []string{"one", "two", "three"}},    // a panic: no price
		{"name": "e", "items": []string{"longer"}, "price": price}, // one for one
	}
	for _, c := range []struct {
		name, config string
		out          int
	}{
		{"test-unpack", `{"prefix": "p-"}`, 2 + 0 + 1 + 1 + 1 + 1},
		{"test-named", `{}`, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			operatortest.Run(t, operatortest.Case{Operator: c.name, Config: json.RawMessage(c.config), Record: record, Rows: rows, Out: c.out})
		})
	}
}
