package harrow

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
)

type goodRow struct {
	Title string          `harrow:"title"`
	Price decimal.Decimal `harrow:"price,decimal(18,2)"`
	Day   *time.Time      `harrow:"day,date"`
	Tags  []string        `harrow:"tags"`
	Own   int             // not a column
}

func noRows[In, Out any](json.RawMessage) (RowFunc[In, Out], error) { return nil, nil }

func TestRowsOperatorsSayWhatTheyMake(t *testing.T) {
	RegisterRows("test-good", noRows[goodRow, goodRow])
	op, err := LookupRows("test-good")
	if err != nil {
		t.Fatal(err)
	}
	text := Type{Kind: Text}
	in := RecordType{Name: "book", Columns: []Column{{"title", text}, {"price", DefaultDecimal}, {"day", Type{Kind: Timestamp}}, {"tags", Type{Kind: Text, List: true}}, {"more", text}}}
	out, err := op.Type(in)
	if want := "{book [{title text} {price decimal(18,2)} {day date} {tags list} {more text}]}"; err != nil || fmt.Sprint(out) != want {
		t.Errorf("%v, %v; want %s", out, err, want)
	}
	in.Columns[0].Type = Type{Kind: Int}
	if _, err := op.Type(in); err == nil || !strings.Contains(err.Error(), "it reads column title as text; in book it is int") {
		t.Errorf("%v", err)
	}
}

func TestRowsOperatorsThatCanNotBePanic(t *testing.T) {
	for want, register := range map[string]func(){
		"is no struct":        func() { RegisterRows("x", noRows[int, goodRow]) },
		"has no field tagged": func() { RegisterRows("x", noRows[goodRow, struct{ A string }]) },
		"want string, int64": func() {
			RegisterRows("x", noRows[struct {
				A int `harrow:"a"`
			}, goodRow])
		},
		"names no column": func() {
			RegisterRows("x", noRows[struct {
				A string `harrow:""`
			}, goodRow])
		},
		"two fields are tagged a": func() {
			RegisterRows("x", noRows[struct {
				A, B string `harrow:"a"`
			}, goodRow])
		},
		"the tag says int": func() {
			RegisterRows("x", noRows[struct {
				A string `harrow:"a,int"`
			}, goodRow])
		},
		"type \"nonsense\"": func() {
			RegisterRows("x", noRows[struct {
				A string `harrow:"a,nonsense"`
			}, goodRow])
		},
		"is not exported": func() {
			RegisterRows("x", noRows[struct {
				a string `harrow:"a"`
			}, goodRow])
		},
		"\"test-taken\" registered": func() { RegisterRows("test-taken", noRows[goodRow, goodRow]) },
	} {
		func() {
			defer func() {
				if p := fmt.Sprint(recover()); !strings.Contains(p, want) {
					t.Errorf("panic %q, want %q in it", p, want)
				}
			}()
			if strings.Contains(want, "taken") {
				RegisterOperator("test-taken", func(json.RawMessage) (Operator, error) { return nil, nil })
			}
			register()
		}()
	}
}
