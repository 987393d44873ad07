package operatortest_test

import (
	"encoding/json"
	"testing"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/harrowtest/operatortest"
)

// The test of a plug-in, registered as "cheap" by the package under test,
// which lets rows pass whose price is below a limit.
func ExampleRun() {
	_ = func(t *testing.T) { // func TestCheapIsAnOperator(t *testing.T) {
		operatortest.Run(t, operatortest.Case{
			Operator: "cheap",
			Config:   json.RawMessage(`{"below": 10}`), // what the job file has under `with:`
			Record: harrow.RecordType{Name: "book", Columns: []harrow.Column{
				{Name: "title", Type: harrow.Type{Kind: harrow.Text}},
				{Name: "price", Type: harrow.Type{Kind: harrow.Int}},
			}},
			Rows: []map[string]any{
				{"title": "one", "price": int64(5)},
				{"title": "two", "price": int64(15)},
				{"title": "three"}, // no price: a reject
				{"title": "four", "price": int64(9)},
			},
			Out: 3, // two rows and a reject
		})
	}
}
