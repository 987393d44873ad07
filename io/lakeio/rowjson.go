package lakeio

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/shopspring/decimal"

	"github.com/harrowdata/harrow"
)

// ColumnError says which column of a row holds something else than its type.
type ColumnError struct {
	Column string
	Value  string // as JSON
	Err    error
}

// Error implements error.
func (e *ColumnError) Error() string { return fmt.Sprintf("column %s: %v", e.Column, e.Err) }

// Unwrap returns why.
func (e *ColumnError) Unwrap() error { return e.Err }

// AppendJSON adds the row that a JSON object holds, in the form that the
// function [AppendJSON] writes: of the builder's columns, provenance among
// them, one that the object lacks is null, and a member that is no column is
// passed over. A decimal may be a number too. What is no object is an error, and
// so is a value of another type ([ColumnError]); the row is not added then.
func (b *RecordBuilder) AppendJSON(row []byte) error {
	object, err := decodeObject(row)
	if err != nil {
		return fmt.Errorf("record %s: %w", b.rtype.Name, err)
	}
	columns := len(b.rtype.Columns)
	values := make([]any, columns+len(harrow.Provenance))
	for i := range values {
		c := b.column(i)
		v, err := fromJSON(c.Type, object[c.Name])
		if err == nil {
			err = checkValue(c.Type, v)
		}
		if err != nil {
			text, _ := json.Marshal(object[c.Name]) // what was decoded can be encoded
			return &ColumnError{c.Name, string(text), err}
		}
		values[i] = v
	}
	b.begin()
	for i, v := range values {
		b.bytes += appendValue(b.rb.Field(i), b.column(i).Type, v)
	}
	return nil
}

// column is a column of the builder's rows, provenance after the data.
func (b *RecordBuilder) column(i int) harrow.Column {
	if n := len(b.rtype.Columns); i >= n {
		return harrow.Provenance[i-n]
	}
	return b.rtype.Columns[i]
}

func decodeObject(text []byte) (object map[string]any, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&object); err != nil {
		return nil, fmt.Errorf("want a JSON object: %w", err)
	}
	if object == nil {
		return nil, errors.New("want a JSON object; got null")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("want one JSON object; something comes behind it")
	}
	return object, nil
}

// fromJSON is the value of Go that a column of type t holds for one of JSON.
func fromJSON(t harrow.Type, v any) (any, error) {
	if v == nil {
		return nil, nil
	}
	if t.List {
		return listFromJSON(t.Element(), v)
	}
	number, isNumber := v.(json.Number)
	text, isText := v.(string)
	switch {
	case t.Kind == harrow.Int && isNumber:
		return strconv.ParseInt(string(number), 10, 64)
	case t.Kind == harrow.Float && isNumber:
		return strconv.ParseFloat(string(number), 64)
	case t.Kind == harrow.Decimal && isNumber:
		return decimal.NewFromString(string(number))
	case t.Kind == harrow.Decimal && isText:
		return decimal.NewFromString(text)
	case t.Kind == harrow.Timestamp && isText:
		return time.Parse(time.RFC3339, text)
	case t.Kind == harrow.Date && isText:
		return time.Parse(DateLayout, text)
	}
	return v, nil // a text, true or false; checkValue refuses what is something else
}

func listFromJSON(t harrow.Type, v any) (any, error) {
	items, ok := v.([]any)
	if !ok {
		return v, nil // checkValue refuses it
	}
	switch t.Kind {
	case harrow.Int:
		return itemsOf[int64](t, items)
	case harrow.Float:
		return itemsOf[float64](t, items)
	case harrow.Bool:
		return itemsOf[bool](t, items)
	case harrow.Decimal:
		return itemsOf[decimal.Decimal](t, items)
	case harrow.Date, harrow.Timestamp:
		return itemsOf[time.Time](t, items)
	}
	return itemsOf[string](t, items)
}

func itemsOf[T any](t harrow.Type, items []any) ([]T, error) {
	list := make([]T, len(items))
	for i, item := range items {
		if item == nil && t.Kind == harrow.Float {
			item = json.Number("NaN") // the only null that a list is written with
		}
		v, err := fromJSON(t, item)
		if err != nil {
			return nil, fmt.Errorf("item %d: %w", i, err)
		}
		value, ok := v.(T)
		if !ok {
			return nil, fmt.Errorf("item %d: %w", i, wrongType(t, v))
		}
		list[i] = value
	}
	return list, nil
}
