// Package carry holds what a request hands on to the records of its page and
// to the pages it leads to: columns and their values, as one JSON object in a
// canonical form. The empty text is no column at all.
package carry

import (
	"encoding/json"
	"fmt"

	"github.com/harrowdata/harrow/internal/normal"
)

// Encode writes columns in canonical form, [normal.JSON]. Values are JSON,
// written or as package rowdata has it. No columns are the empty text.
func Encode[V any](columns map[string]V) (string, error) {
	if len(columns) == 0 {
		return "", nil
	}
	text, err := normal.JSON(columns)
	if err != nil {
		return "", fmt.Errorf("carry: %w", err)
	}
	return text, nil
}

// Overlay is below with above laid over it: where both have a column, above's
// value counts, be it null.
func Overlay(below, above string) (string, error) {
	switch {
	case below == "":
		return above, nil
	case above == "":
		return below, nil
	}
	columns := map[string]json.RawMessage{}
	for _, text := range []string{below, above} {
		if err := json.Unmarshal([]byte(text), &columns); err != nil {
			return "", fmt.Errorf("carry %.200q: want a JSON object: %w", text, err)
		}
	}
	return Encode(columns)
}
