package rowdata

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

// small limits let a fuzzer reach all of them.
var small = Limits{Row: 64, Columns: 4, Depth: 4, Values: 64}

// wholesome checks what holds of every row and fault of any text.
func wholesome(t *testing.T, r Reader, row Row, err error) {
	t.Helper()
	var fault *Fault
	switch {
	case err == io.EOF:
	case errors.As(err, &fault):
		if fault.Code == "" || len(fault.Raw) > maxRaw {
			t.Fatalf("fault %+v", fault)
		}
	case err != nil:
		t.Fatal(err)
	case len(row.Raw) > small.Row:
		t.Fatalf("a row of %d bytes", len(row.Raw))
	case !row.IsJSON():
		for _, cell := range row.Cells {
			if !utf8.ValidString(cell) {
				t.Fatalf("cell %q", cell)
			}
		}
		if want := len(r.(*CSV).Columns()); len(row.Cells) != want {
			t.Fatalf("%d cells, want %d", len(row.Cells), want)
		}
	}
}

// drain reads everything and checks it.
func drain(t *testing.T, r Reader, bytes int) {
	t.Helper()
	for n := 0; ; n++ {
		row, err := r.Next()
		wholesome(t, r, row, err)
		var fault *Fault
		if err == io.EOF || errors.As(err, &fault) && fault.End {
			return
		}
		if n > bytes+1 {
			t.Fatalf("more than %d rows of %d bytes", n, bytes)
		}
	}
}

func FuzzCSV(f *testing.F) {
	for _, text := range []string{"a,b\n1,2\n", "a;b\r\n\"x\r\ny\";2", "sep=|\na|b\n\"1\"\"|2\n", "a\n\"\n1\n2\n\"x\"y\n", "\n\xff\n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		read := csvReader(small)
		drain(t, read(strings.NewReader(text)), len(text))
		if whole, bytewise := show(t, read(strings.NewReader(text))), show(t, read(iotest.OneByteReader(strings.NewReader(text)))); whole != bytewise {
			t.Fatalf("at once %q\nby bytes %q", whole, bytewise)
		}
		// A well-formed row put before the others changes none of them.
		const head = "p,q\n"
		rest := show(t, read(strings.NewReader(head+text)))
		more := show(t, read(strings.NewReader(head+"1,\"2\"\n"+text)))
		if !strings.Contains(rest, "! ") && more != "1|2\n"+rest {
			t.Fatalf("%q, with a row before it %q", rest, more)
		}
	})
}

func FuzzJSONLines(f *testing.F) {
	for _, text := range []string{"{\"a\":[1,2.5e3]}\n", "\"\\ud800\\u0041\"\r\nnull", "[[[[[]]]]]\n{}x\n", "\n\xff\n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		read := func(r io.Reader) Reader { return NewJSONLines(r, small) }
		drain(t, read(strings.NewReader(text)), len(text))
		whole := show(t, read(strings.NewReader(text)))
		if bytewise := show(t, read(iotest.OneByteReader(strings.NewReader(text)))); whole != bytewise {
			t.Fatalf("at once %q\nby bytes %q", whole, bytewise)
		}
		// Files one after the other have the rows of both.
		if !strings.Contains(whole, "! ") {
			if both := show(t, read(strings.NewReader(text+"\n"+text))); both != whole+whole {
				t.Fatalf("twice %q, once %q", both, whole)
			}
		}
	})
}

func FuzzJSON(f *testing.F) {
	for _, text := range []string{`[1,{"a":[2]}]`, `{"a":[1,"x"],"b":{"a":[3]}}`, `[[1,2],[3]] x`, "[\"\xff\", 1"} {
		for _, path := range []string{"$", "$[*]", "$.a[*]", "$[1:].a", "$..a", "$[?@.a]"} {
			f.Add(path, text)
		}
	}
	f.Fuzz(func(t *testing.T, path, text string) {
		p, err := CompilePath(path)
		if err != nil || !p.Streams() {
			return
		}
		drain(t, p.NewReader(strings.NewReader(text), small), len(text))
		whole := show(t, p.NewReader(strings.NewReader(text), small))
		if bytewise := show(t, p.NewReader(iotest.OneByteReader(strings.NewReader(text)), small)); whole != bytewise {
			t.Fatalf("at once %q\nby bytes %q", whole, bytewise)
		}
	})
}

// FuzzJSONValue holds the values to encoding/json's.
func FuzzJSONValue(f *testing.F) {
	for _, text := range []string{`{"a":[1,-2.50e+3,true,null],"b":"x\né😀"}`, `[1,]`, `01`, `"\ud800"`, "\"\x7f\""} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if !utf8.Valid(text) {
			return
		}
		got, fault := decodeJSON(text, Limits{}.withDefaults())
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		var want any
		err := d.Decode(&want)
		if err == nil {
			if _, more := d.Token(); more != io.EOF {
				err = errors.New("more follows")
			}
		}
		if fault != nil && fault.Code == CodeRowSize {
			return
		}
		if (fault == nil) != (err == nil) || err == nil && !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: got %v %v, want %v %v", text, got, fault, want, err)
		}
		streams := accepts(t, "$", text)
		if streams != (err == nil) {
			t.Fatalf("%q: streamed: accepted %v, want %v", text, streams, err)
		}
	})
}
