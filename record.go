package harrow

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Kind is the kind of a record column.
type Kind string

// The kinds of columns, with the Go type a [Record] holds for each.
const (
	Text      Kind = "text"      // string
	Int       Kind = "int"       // int64
	Float     Kind = "float"     // float64
	Bool      Kind = "bool"      // bool
	Decimal   Kind = "decimal"   // decimal.Decimal (github.com/shopspring/decimal)
	Date      Kind = "date"      // time.Time, at midnight UTC
	Timestamp Kind = "timestamp" // time.Time, UTC, µs
)

// Type is a column's type: a kind and, for decimals, precision and scale. A
// column may hold a list of them: a [Record] then holds a slice of the kind's
// Go type, []string, []int64, []float64, []bool, []decimal.Decimal or
// []time.Time, none of whose elements is null.
type Type struct {
	Kind      Kind  `json:"kind"`                // of the elements, for a list
	Precision int32 `json:"precision,omitempty"` // of a decimal, 1 to 38
	Scale     int32 `json:"scale,omitempty"`     // of a decimal, 0 to precision
	List      bool  `json:"list,omitempty"`      // any number of values, in order
}

// Element is the type of a list's elements; of another type, itself.
func (t Type) Element() Type {
	t.List = false
	return t
}

// DefaultDecimal is the type of a plain `decimal` and of amounts of money.
var DefaultDecimal = Type{Kind: Decimal, Precision: 38, Scale: 9}

// listWord is a list of texts, and begins the name of other lists.
const listWord = "list"

// String returns the type as a job file writes it: "text", "decimal(18,2)",
// "list" for a list of texts, "list(int)" and so on for other lists.
func (t Type) String() string {
	switch {
	case t.List && t.Kind == Text:
		return listWord
	case t.List:
		return listWord + "(" + t.Element().String() + ")"
	case t.Kind == Decimal:
		return fmt.Sprintf("decimal(%d,%d)", t.Precision, t.Scale)
	}
	return string(t.Kind)
}

// GoType names the Go type of the column's values in a [Record]: "int64",
// "[]string".
func (t Type) GoType() string {
	name := string(t.Kind) // bool
	switch t.Kind {
	case Text:
		name = "string"
	case Int:
		name = "int64"
	case Float:
		name = "float64"
	case Decimal:
		name = "decimal.Decimal"
	case Date, Timestamp:
		name = "time.Time"
	}
	if t.List {
		return "[]" + name
	}
	return name
}

// ParseType reads what [Type.String] writes; "decimal" alone is
// [DefaultDecimal].
func ParseType(s string) (Type, error) {
	if s == listWord {
		return Type{Kind: Text, List: true}, nil
	}
	if element, ok := strings.CutPrefix(s, listWord+"("); ok && strings.HasSuffix(element, ")") {
		element = strings.TrimSpace(strings.TrimSuffix(element, ")"))
		if strings.HasPrefix(element, listWord) {
			return Type{}, fmt.Errorf("type %q: want list(TYPE) of single values", s)
		}
		t, err := ParseType(element)
		t.List = err == nil
		return t, err
	}
	switch k := Kind(s); k {
	case Text, Int, Float, Bool, Date, Timestamp:
		return Type{Kind: k}, nil
	case Decimal:
		return DefaultDecimal, nil
	}
	if args, ok := strings.CutPrefix(s, "decimal("); ok && strings.HasSuffix(args, ")") {
		p, sc, ok := strings.Cut(strings.TrimSuffix(args, ")"), ",")
		precision, err1 := strconv.Atoi(strings.TrimSpace(p))
		scale, err2 := strconv.Atoi(strings.TrimSpace(sc))
		if ok && err1 == nil && err2 == nil && precision >= 1 && precision <= 38 && scale >= 0 && scale <= precision {
			return Type{Kind: Decimal, Precision: int32(precision), Scale: int32(scale)}, nil
		}
		return Type{}, fmt.Errorf("type %q: want decimal(P,S) with 1 ≤ P ≤ 38 and 0 ≤ S ≤ P", s)
	}
	return Type{}, fmt.Errorf("type %q: want text, int, float, bool, decimal, decimal(P,S), date, timestamp, list or list(TYPE)", s)
}

// Column is one column of a record.
type Column struct {
	Name string `json:"name"`
	Type Type   `json:"type"`
}

// RecordType is a record's name and its data columns, in order. The columns
// whose names begin with an underscore (provenance) are not listed: every
// record has them.
type RecordType struct {
	Name    string   `json:"name"`
	Columns []Column `json:"columns"`
}

// Column returns the column of that name, and whether there is one.
func (t RecordType) Column(name string) (Column, bool) {
	for _, c := range t.Columns {
		if c.Name == name {
			return c, true
		}
	}
	return Column{}, false
}

// AllColumns are those that a stored row has: the record's, then [Provenance].
func (t RecordType) AllColumns() []Column { return slices.Concat(t.Columns, Provenance) }

// Record is one row that an extractor got out of a page: the name of its
// record type and its values by column. A column that is absent is null; see
// [Kind] and [Type] for the Go type of each value.
type Record struct {
	Name   string
	Values map[string]any
}

// Provenance columns: every records table ends with them, in this order.
var Provenance = []Column{
	{"_id", Type{Kind: Text}},              // of the request
	{"_url", Type{Kind: Text}},             // the capture's url, not its final_url
	{"_ordinal", Type{Kind: Int}},          // position among the capture's rows of this record, from 0
	{"_rule", Type{Kind: Text}},            // the rule or extractor that made the row
	{"_digest", Type{Kind: Text}},          // of the body
	{"_fetched_at", Type{Kind: Timestamp}}, // when the capture's answer came
	{"_run", Type{Kind: Text}},             // the run that parsed it
}
