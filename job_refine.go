package harrow

import (
	"encoding/json"
	"fmt"
)

// Refine says what happens to one record's rows between parse and load, in
// this order: check, dedup, enrich, operators, check of what enrich added.
type Refine struct {
	Key        []string      `json:"key,omitempty"`       // identity: dedup and upsert go by these columns; default (_id, _ordinal)
	Keep       Keep          `json:"keep,omitzero"`       // which of duplicates stays; default latest
	Check      []Check       `json:"check,omitempty"`     // a row that fails one is a reject
	Enrich     []Enrich      `json:"enrich,omitempty"`    // columns added from lookup files
	Operators  []OperatorUse `json:"operators,omitempty"` // registered Go operators, in this order
	Thresholds *Thresholds   `json:"thresholds,omitzero"` // crossed: exit 3; default: none
}

// Policies of [Keep].
const (
	KeepLatest       = "latest"        // by fetched_at, or by Column
	KeepFirst        = "first"         // least (URL, ordinal)
	KeepMostComplete = "most_complete" // most non-null data columns, then first
)

// Keep says which of several rows with one key stays.
type Keep struct {
	Policy string // KeepLatest, KeepFirst or KeepMostComplete; empty is KeepLatest
	Column string // KeepLatest only: the column that says which row is newer; empty: fetched_at
}

// MarshalJSON writes the policy, or {"latest": COLUMN}.
func (k Keep) MarshalJSON() ([]byte, error) {
	if k.Column != "" {
		return json.Marshal(map[string]string{KeepLatest: k.Column})
	}
	return json.Marshal(k.Policy)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (k *Keep) UnmarshalJSON(data []byte) error {
	var policy string
	if json.Unmarshal(data, &policy) == nil {
		switch policy {
		case "", KeepLatest, KeepFirst, KeepMostComplete:
			*k = Keep{Policy: policy}
			return nil
		}
	}
	var by map[string]string
	if json.Unmarshal(data, &by) == nil && len(by) == 1 && by[KeepLatest] != "" {
		*k = Keep{Policy: KeepLatest, Column: by[KeepLatest]}
		return nil
	}
	return fmt.Errorf("%.80s; expected latest, {latest: COLUMN}, first or most_complete", data)
}

// Check is one demand on a row: on Field, or on the row as a whole by Expr.
// Null passes all but Required.
type Check struct {
	Field    string   `json:"field,omitzero"`    // a column; none with Expr
	Required bool     `json:"required,omitzero"` // not null
	Min      Scalar   `json:"min,omitzero"`      // at least, in the column's type
	Max      Scalar   `json:"max,omitzero"`      // at most
	In       []Scalar `json:"in,omitempty"`      // one of
	Pattern  string   `json:"pattern,omitzero"`  // RE2 that a text must match somewhere
	Length   *Length  `json:"length,omitzero"`   // of a text in characters, of a list in items
	Expr     string   `json:"expr,omitzero"`     // an expression over the row's columns that must be true
}

// Length bounds a text or list; both ends belong to it.
type Length struct {
	Min int  `json:"min,omitzero"` // at least 0
	Max *int `json:"max,omitzero"` // at least Min; default: no limit
}

// Enrich adds columns from a row of a lookup file.
type Enrich struct {
	Lookup Lookup    `json:"lookup"`
	Add    Additions `json:"add,omitempty"` // the new columns, in order
}

// Lookup joins rows with a file.
type Lookup struct {
	File string            `json:"file"` // csv, jsonl, parquet or arrow, relative to the job file
	Join map[string]string `json:"join"` // column of the record to column of the file
}

// Addition is one column that enrichment adds.
type Addition struct {
	Name string `json:"-"`
	Expr string `json:"expr"`          // over the record's and the file's columns; decimal arithmetic
	Type string `json:"type,omitzero"` // as ParseType reads; default text
}

// Additions are added columns in order. In JSON it is an object in that order.
type Additions []Addition

// MarshalJSON writes an object whose keys are in the columns' order.
func (a Additions) MarshalJSON() ([]byte, error) {
	return marshalOrdered(len(a), func(i int) (string, any) { return a[i].Name, a[i] })
}

// UnmarshalJSON reads an object and keeps the order of its keys.
func (a *Additions) UnmarshalJSON(data []byte) error {
	*a = nil
	return unmarshalOrdered(data, func(name string, d *json.Decoder) error {
		add := Addition{Name: name}
		err := d.Decode(&add)
		*a = append(*a, add)
		return err
	})
}

// OperatorUse names a registered operator and its config.
type OperatorUse struct {
	Use  string          `json:"use"`
	With json.RawMessage `json:"with,omitempty"`
}

// Thresholds are what a run must reach; crossing one is exit 3.
type Thresholds struct {
	MinRows       int64              `json:"min_rows,omitzero"`        // rows loaded, at least 0; default 0
	MaxRejectRate *float64           `json:"max_reject_rate,omitzero"` // rejects ÷ (rows + rejects), 0 to 1; default: no limit
	Coverage      map[string]float64 `json:"coverage,omitempty"`       // share of rows where the column is not null, 0 to 1
}
