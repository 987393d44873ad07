package dedup

import (
	"errors"
	"fmt"
	"slices"

	"github.com/harrowdata/harrow"
)

// Config says which rows are duplicates and which of them stays. It travels
// to the workers as JSON.
type Config struct {
	Record string      `json:"record"`        // whose rows: table records/<Record>
	Key    []string    `json:"key,omitempty"` // rows that are equal in these columns are duplicates; empty: there are none
	Keep   harrow.Keep `json:"keep,omitzero"` // default latest
	// Columns are the data columns that most_complete counts; empty: all whose
	// names don't begin with an underscore.
	Columns []string `json:"columns,omitempty"`
	// Aged says that rows have an age, by which they come last; see [ByAge],
	// which sets it.
	Aged bool `json:"aged,omitempty"`
}

// Validate names the field that is wrong.
func (c Config) Validate() error {
	if c.Record == "" {
		return errors.New("dedup: Record is empty; want the name of a record")
	}
	for i, column := range c.Key {
		if column == "" || slices.Contains(c.Key[:i], column) {
			return fmt.Errorf("dedup %s: Key %q: want each column once", c.Record, c.Key)
		}
	}
	switch c.Keep.Policy {
	case "", harrow.KeepLatest:
		return nil
	case harrow.KeepFirst, harrow.KeepMostComplete:
		if c.Keep.Column == "" {
			return nil
		}
	}
	return fmt.Errorf("dedup %s: Keep %+v: want latest, {latest: COLUMN}, first or most_complete", c.Record, c.Keep)
}

// latest is the column whose greatest value stays; empty for other policies.
func (c Config) latest() string {
	switch {
	case c.Keep.Column != "":
		return c.Keep.Column
	case c.Keep.Policy == "" || c.Keep.Policy == harrow.KeepLatest:
		return "_fetched_at"
	}
	return ""
}
