package extras

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/harrowdata/harrow"
)

func init() { harrow.RegisterRows("reading_time", newReadingTime) }

// hasSummary is what reading_time reads of a row: any record with a column
// summary will do.
type hasSummary struct {
	Summary *string `harrow:"summary"` // nil: null
}

// hasReadingTime is what it sets. The record gets the column.
type hasReadingTime struct {
	Minutes *int64 `harrow:"reading_minutes"`
}

func newReadingTime(config json.RawMessage) (harrow.RowFunc[hasSummary, hasReadingTime], error) {
	c := struct {
		WordsPerMinute int `json:"words_per_minute"`
	}{WordsPerMinute: 200}
	if err := harrow.ReadConfig(config, &c); err != nil {
		return nil, err
	}
	if c.WordsPerMinute < 1 {
		return nil, &harrow.ConfigError{Key: "words_per_minute", Err: fmt.Errorf("got %d; expected at least 1", c.WordsPerMinute)}
	}
	return func(_ context.Context, row hasSummary, emit func(hasReadingTime)) error {
		var out hasReadingTime
		if row.Summary != nil {
			words := len(strings.Fields(*row.Summary))
			minutes := int64((words + c.WordsPerMinute - 1) / c.WordsPerMinute)
			out.Minutes = &minutes
		}
		emit(out)
		return nil
	}, nil
}
