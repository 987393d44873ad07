package lakeio

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v17/arrow/array"
	"pgregory.net/rapid"

	"github.com/harrowdata/harrow"
)

// finite takes out of a row what JSON has no number for.
func finite(values []any) []any {
	for i, v := range values {
		switch v := v.(type) {
		case float64:
			if math.IsInf(v, 0) || math.IsNaN(v) {
				values[i] = nil
			}
		case []float64:
			for j, f := range v {
				if math.IsInf(f, 0) {
					v[j] = math.NaN()
				}
			}
		}
	}
	return values
}

func TestARowComesBackFromItsJSON(t *testing.T) {
	there, back := NewRecordBuilder(everyKind), NewRecordBuilder(everyKind)
	defer there.Release()
	defer back.Release()
	rapid.Check(t, func(t *rapid.T) {
		rows := rapid.IntRange(1, 4).Draw(t, "rows")
		for i := range rows {
			o := Origin{ID: harrow.ID{byte(i)}, URL: anyText(t), Ordinal: int64(i), Rule: anyText(t), Digest: "d", FetchedAt: time.UnixMicro(rapid.Int64Range(0, 1<<50).Draw(t, "at")), Run: "r"}
			if err := there.Append(finite(anyValues(t)), o); err != nil {
				t.Fatal(err)
			}
		}
		want := there.Batch()
		defer want.Release()
		for i := range rows {
			if err := back.AppendJSON(AppendJSON(nil, want, i, nil)); err != nil {
				t.Fatalf("%s: %v", AppendJSON(nil, want, i, nil), err)
			}
		}
		got := back.Batch()
		defer got.Release()
		if !array.RecordApproxEqual(want.Arrow(), got.Arrow(), array.WithNaNsEqual(true), array.WithAbsTolerance(0)) {
			t.Fatalf("got\n%v\nwant\n%v", got.Arrow(), want.Arrow())
		}
	})
}

func TestARowOfOtherColumnsFitsAsFarAsItDoes(t *testing.T) {
	b := NewRecordBuilder(everyKind)
	defer b.Release()
	if err := b.AppendJSON([]byte(`{"text": "a", "gone": {"x": [1]}, "amount": 12.5, "wide": "-0.000000001", "floats": [1, null], "_url": "http://a.example/", "_ordinal": 3}`)); err != nil {
		t.Fatal(err)
	}
	batch := b.Batch()
	defer batch.Release()
	got := string(AppendJSON(nil, batch, 0, []string{"text", "int", "amount", "wide", "floats", "_url", "_ordinal", "_id", "_run"}))
	if want := `{"text":"a","int":null,"amount":"12.5","wide":"-0.000000001","floats":[1,null],"_url":"http://a.example/","_ordinal":3,"_id":null,"_run":null}`; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestARowThatDoesNotFitNamesItsColumnAndIsNotAdded(t *testing.T) {
	b := NewRecordBuilder(everyKind)
	defer b.Release()
	for row, want := range map[string]string{
		`{"text": 1}`:            "text",
		`{"int": "1"}`:           "int",
		`{"int": 1.5}`:           "int",
		`{"int": 1e300}`:         "int",
		`{"float": 1e999}`:       "float",
		`{"bool": "true"}`:       "bool",
		`{"amount": "1000"}`:     "amount", // decimal(5,2)
		`{"amount": "1.005"}`:    "amount",
		`{"amount": "x"}`:        "amount",
		`{"wide": 1e2000000000}`: "wide",
		`{"day": "2024-02-30"}`:  "day",
		`{"at": "yesterday"}`:    "at",
		`{"tags": "a"}`:          "tags",
		`{"tags": [1]}`:          "tags",
		`{"tags": [null]}`:       "tags",
		`{"ints": [1, "2"]}`:     "ints",
		`{"text": {"a": 1}}`:     "text",
		`{"_ordinal": "0"}`:      "_ordinal",
	} {
		wrong := &ColumnError{}
		if err := b.AppendJSON([]byte(row)); !errors.As(err, &wrong) || wrong.Column != want || wrong.Value == "" || !strings.HasPrefix(err.Error(), "column "+want+": ") {
			t.Errorf("%s: %v", row, err)
		}
	}
	for _, row := range []string{"", "null", "[]", `"a"`, "{", `{"a": 1} {}`, `{"a": 1}x`} {
		if err := b.AppendJSON([]byte(row)); err == nil || !strings.Contains(err.Error(), "record every: want") {
			t.Errorf("%s: %v", row, err)
		}
	}
	if b.Rows() != 0 {
		t.Errorf("%d rows were added", b.Rows())
	}
}

// Whatever a payload holds, it is a row or an error, and a row is written as it
// is read.
func FuzzRecordBuilderAppendJSON(f *testing.F) {
	f.Add([]byte(`{"text": "a\ud800", "int": -9223372036854775808, "float": -0, "amount": "-12.50", "wide": "1e28", "day": "0001-01-01", "at": "9999-12-31T23:59:59.999999Z", "tags": [], "times": ["2024-01-01T00:00:00+14:00"]}`))
	f.Add([]byte(`{"int": 1, "int": 2}`))
	f.Add([]byte(`{"amount": 1E-2, "wide": 1e28}`))
	b, again := NewRecordBuilder(everyKind), NewRecordBuilder(everyKind)
	f.Fuzz(func(t *testing.T, row []byte) {
		if b.AppendJSON(row) != nil {
			return
		}
		first := b.Batch()
		defer first.Release()
		text := AppendJSON(nil, first, 0, nil)
		if err := again.AppendJSON(text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		second := again.Batch()
		defer second.Release()
		if got := AppendJSON(nil, second, 0, nil); !slices.Equal(got, text) {
			t.Errorf("%s became %s", text, got)
		}
	})
}
