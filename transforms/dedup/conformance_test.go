package dedup

import (
	"encoding/json"
	"testing"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/harrowtest/operatortest"
)

func TestTheOperatorIsOne(t *testing.T) {
	text := harrow.Type{Kind: harrow.Text}
	record := harrow.RecordType{Name: "book", Columns: []harrow.Column{{Name: "upc", Type: text}, {Name: "title", Type: text}, {Name: "stock", Type: harrow.Type{Kind: harrow.Int}}}}
	rows := []map[string]any{
		{"upc": nil, "title": "without a key"},
		{"upc": "a", "title": "first", "stock": int64(1)},
		{"upc": "a", "title": "second"},
		{"upc": "b"},
		{"upc": "b", "stock": int64(2)},
		{"upc": "b", "title": "third", "stock": int64(3)},
		{"upc": "c", "title": "alone"},
	}
	for _, keep := range []string{`"latest"`, `"first"`, `"most_complete"`, `{"latest": "stock"}`} {
		t.Run(keep, func(t *testing.T) {
			operatortest.Run(t, operatortest.Case{Operator: "dedup", Record: record, Rows: rows, Out: 4,
				Config: json.RawMessage(`{"record": "book", "key": ["upc"], "keep": ` + keep + `}`)})
		})
	}
}
