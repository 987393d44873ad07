package harrow

import (
	"encoding/json"
	"testing"
)

func TestTypesReadWhatTheyWrite(t *testing.T) {
	for text, want := range map[string]Type{
		"text": {Kind: Text}, "int": {Kind: Int}, "float": {Kind: Float}, "bool": {Kind: Bool}, "date": {Kind: Date}, "timestamp": {Kind: Timestamp},
		"decimal(18,2)": {Kind: Decimal, Precision: 18, Scale: 2}, "list": {Kind: Text, List: true}, "list(int)": {Kind: Int, List: true},
		"list(decimal(38,0))": {Kind: Decimal, Precision: 38, List: true}, "list(timestamp)": {Kind: Timestamp, List: true},
	} {
		got, err := ParseType(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("%s: %+v (%s), %v; want %+v", text, got, got, err, want)
		}
		data, err := json.Marshal(got)
		var back Type
		if err != nil || json.Unmarshal(data, &back) != nil || back != got {
			t.Errorf("%s: %s, %v", text, data, err)
		}
	}
	for text, want := range map[string]string{"decimal": "decimal(38,9)", "list(text)": "list", "list( int )": "list(int)", "list(decimal)": "list(decimal(38,9))", "decimal( 4 , 1 )": "decimal(4,1)"} {
		if got, err := ParseType(text); err != nil || got.String() != want {
			t.Errorf("%s: %s, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "Text", "list()", "list(list)", "list(list(int))", "list(money)", "list(int", "list int", "list(decimal(0,0))", "decimal(39,0)", "decimal(2,3)", "decimal(2)"} {
		if got, err := ParseType(text); err == nil || got != (Type{}) {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}

func TestColumnsOfFields(t *testing.T) {
	for want, f := range map[string]Field{
		"x text": {CSS: "a"}, "x list": {CSS: "a", List: ListAll}, "x list(int)": {CSS: "a", List: ListAll, Type: "int"}, "x list(date)": {CSS: "a", Type: "list(date)"},
		"x list(decimal(4,2))": {CSS: "a", List: ListAll, Type: "list(decimal(4,2))"}, "x_amount decimal(38,9) x_currency text": {CSS: "a", Type: TypeMoney},
	} {
		got := ""
		for i, c := range f.Columns("x") {
			if i > 0 {
				got += " "
			}
			got += c.Name + " " + c.Type.String()
		}
		if got != want {
			t.Errorf("%+v: %s, want %s", f, got, want)
		}
	}
	if got := (Field{Type: TypeURL, List: ListAll}).Columns("x"); len(got) != 1 || got[0].Type != (Type{Kind: Text, List: true}) {
		t.Errorf("%+v", got)
	}
}
