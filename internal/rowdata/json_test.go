package rowdata

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/harrowdata/harrow/internal/suites"
	"pgregory.net/rapid"
)

func TestJSONLinesCostALineEach(t *testing.T) {
	read := func(r io.Reader) Reader { return NewJSONLines(r, Limits{Row: 40, Depth: 3, Values: 20}) }
	for _, test := range []struct{ name, text, want string }{
		{"values", "{\"a\":1}\r\n[2]\n\"x\"\nnull", "{\"a\":1}\n[2]\n\"x\"\nnull\n"},
		{"empty lines", "\n \n1\n\r\n", "1\n"},
		{"no JSON", "{a}\n1\n", "! row 1 \"{a}\"\n1\n"},
		{"two values", "1 2\n3\n", "! row 1 \"1 2\"\n3\n"},
		{"not UTF-8", "\"\xff\"\n3\n", "! encoding 1 \"\\\"\\xff\\\"\"\n3\n"},
		{"too long", strings.Repeat("1", 100) + "\n3\n", "! row_size 1 \"11111111111111111111\"\n3\n"},
		{"too long at the end", "3\n" + strings.Repeat("1", 100), "3\n! row_size 2 \"11111111111111111111\"\n"},
		{"just fits", strings.Repeat("1", 40) + "\r\n3\n", strings.Repeat("1", 40) + "\n3\n"},
		{"just does not", strings.Repeat("1", 41) + "\n3\n", "! row_size 1 \"11111111111111111111\"\n3\n"},
		{"too deep", "[[[[]]]]\n[[[]]]\n", "! row_size 1 \"[[[[]]]]\"\n[[[]]]\n"},
		{"too many values", "[1,1,1,1,1,1,1,1,1,1,1]\n3\n", "! row_size 1 \"[1,1,1,1,1,1,1,1,1,1\"\n3\n"},
		{"numbers stay as they are", "1.50\n123456789012345678901\n1E400\n", "1.50\n123456789012345678901\n1E400\n"},
		{"the last of one name counts", `{"a":1,"a":2}`, "{\"a\":2}\n"},
		{"escapes", `"\u00e9\ud83d\ude00\ud800x\n\/"`, "\"é😀\uFFFDx\\n/\"\n"},
	} {
		t.Run(test.name, func(t *testing.T) { everyWay(t, test.text, test.want, read) })
	}
}

func TestRowsOfAJSONDocumentByItsPath(t *testing.T) {
	const doc = `{"meta": {"n": 2, "items": [9]}, "items": [{"a": 1}, {"a": [2, {"b": "x\"]"}]}, 3, null],
		"pages": [{"rows": [1, 2]}, {}, {"rows": {"x": 3}}, {"rows": [4]}], "a\u0062": [5]}`
	for _, test := range []struct {
		path, want string
		streams    bool
	}{
		{"$.items[*]", "{\"a\":1}\n{\"a\":[2,{\"b\":\"x\\\"]\"}]}\n3\nnull\n", true},
		{"$.items[1:3]", "{\"a\":[2,{\"b\":\"x\\\"]\"}]}\n3\n", true},
		{"$.items[0:9:2]", "{\"a\":1}\n3\n", true},
		{"$.items[2]", "3\n", true},
		{"$.items[1].a[*]", "2\n{\"b\":\"x\\\"]\"}\n", true},
		{"$.pages[*].rows[*]", "1\n2\n3\n4\n", true},
		{"$.ab[*]", "5\n", true},
		{"$.*.n", "2\n", true},
		{"$.meta", "{\"items\":[9],\"n\":2}\n", true},
		{"$.nothing[*]", "", true},
		{"$.items.a", "", true},
		{"$.items[?@.a]", "{\"a\":1}\n{\"a\":[2,{\"b\":\"x\\\"]\"}]}\n3\nnull\n", true}, // the filter is the caller's
		{"$.items[?@.a == $.meta.n]", "", false},
		{"$.items[-1]", "", false},
		{"$.items[0,2]", "", false},
		{"$..n", "", false},
		{"$.items[::-2]", "", false},
	} {
		p, err := CompilePath(test.path)
		if err != nil {
			t.Fatal(err)
		}
		if p.Streams() != test.streams {
			t.Errorf("%s: streams %v", test.path, p.Streams())
		}
		if want := strings.Contains(test.path, "?") && test.streams; (p.Filter() == "$[?@[\"a\"]]") != want {
			t.Errorf("%s: filter %s", test.path, p.Filter())
		}
		if !p.Streams() {
			continue
		}
		t.Run(test.path, func(t *testing.T) { everyWay(t, doc, test.want, pathReader(t, test.path, Limits{})) })
	}
}

func TestJSONDocumentsThatAreBroken(t *testing.T) {
	l := Limits{Row: 60, Depth: 4}
	long := `"` + strings.Repeat("x", 200) + `"`
	deep := strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)
	for _, test := range []struct{ name, path, text, want string }{
		{"cut between rows", "$[*]", "[1, 2,", "1\n2\n! data 0 \"\"\n"},
		{"cut in a row", "$[*]", `[1, {"a": tru`, "1\n! data 0 \"{\\\"a\\\": tru\"\n"},
		{"broken in a row", "$[*]", `[1, {"a" 2}, 3]`, "1\n! data 0 \"{\\\"a\\\" \"\n"},
		{"broken beside the rows", "$.a[*]", `{"a": [1], "b": 01}`, "1\n! data 0 \"\"\n"},
		{"something behind it", "$[*]", `[1] x`, "1\n! data 0 \"\"\n"},
		{"nothing", "$[*]", "", "! data 0 \"\"\n"},
		{"a long row", "$[*]", "[1, " + long + ", 2]", "1\n! row_size 0 \"\\\"xxxxxxxxxxxxxxxxxxx\"\n2\n"},
		{"a row that just fits", "$[*]", "[" + strings.Repeat("1", 60) + "]", strings.Repeat("1", 60) + "\n"},
		{"a row that just does not", "$[*]", "[" + strings.Repeat("1", 61) + "]", "! row_size 0 \"11111111111111111111\"\n"},
		{"a long value beside the rows", "$.a[*]", `{"b": ` + long + `, "a": [1]}`, "1\n"},
		{"a long name", "$.a[*]", `{` + long + `: [2], "a": [1]}`, "1\n"},
		{"a deep row", "$[*]", "[1, [[[[[]]]]], 2]", "1\n! row_size 0 \"[[[[[]]]]]\"\n2\n"},
		{"a very deep row", "$[*]", "[1, " + deep + ", 2]", "1\n! row_size 0 \"[[[[[[[[[[[[[[[[[[[[\"\n2\n"},
		{"a deep value beside the rows", "$.a[*]", `{"b": ` + deep + `, "a": [1]}`, "1\n"},
		{"a row not in UTF-8", "$[*]", "[1, \"\xff\", 2]", "1\n! encoding 0 \"\\\"\\xff\\\"\"\n2\n"},
	} {
		t.Run(test.name, func(t *testing.T) { everyWay(t, test.text, test.want, pathReader(t, test.path, l)) })
	}
}

func TestFaultsOfADocumentSayWhere(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{`[1, 2 3]`, `no JSON: '3' at byte 6; expected a comma or ]`},
		{`[1, `, `no JSON: the text ends at byte 4; expected a value`},
		{`[1, {"a": 1, }]`, `no JSON: '}' at byte 13; expected a member's name in quotes`},
		{`[1] []`, `no JSON: '[' at byte 4; expected the end of the document`},
	} {
		r := pathReader(t, "$[*]", Limits{})(strings.NewReader(test.text))
		var err error
		for err == nil {
			_, err = r.Next()
		}
		if err.Error() != test.want {
			t.Errorf("%s: %v, want %s", test.text, err, test.want)
		}
	}
}

func TestPathsThatAreNone(t *testing.T) {
	for _, text := range []string{"", "items", "$.items[", "$" + strings.Repeat(".a", maxPathText)} {
		if _, err := CompilePath(text); err == nil {
			t.Errorf("%.20q is taken for a path", text)
		}
	}
}

// TestStreamedRowsAreThoseOfTheWholeDocument holds the walker to the JSONPath
// library.
func TestStreamedRowsAreThoseOfTheWholeDocument(t *testing.T) {
	names := rapid.SampledFrom([]string{"a", "b", "c"})
	var value func(depth int) *rapid.Generator[any]
	value = func(depth int) *rapid.Generator[any] {
		scalar := rapid.SampledFrom([]any{nil, true, "x\n\"é", "", json.Number("1.50"), json.Number("-2")})
		if depth == 0 {
			return scalar
		}
		return rapid.Custom(func(t *rapid.T) any {
			switch rapid.IntRange(0, 2).Draw(t, "kind") {
			case 0:
				return scalar.Draw(t, "scalar")
			case 1:
				return rapid.SliceOfN(value(depth-1), 0, 4).Draw(t, "array")
			}
			// One member: those of several would be walked in another order than the library's.
			m := map[string]any{}
			for _, name := range rapid.SliceOfN(names, 0, 1).Draw(t, "names") {
				m[name] = value(depth-1).Draw(t, "member")
			}
			return m
		})
	}
	segment := rapid.SampledFrom([]string{".a", ".b", ".*", "[0]", "[1]", "[*]", "[1:]", "[:2]", "[0:3:2]", "['c']"})
	rapid.Check(t, func(t *rapid.T) {
		doc := value(4).Draw(t, "doc")
		text, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		segments := rapid.SliceOfN(segment, 0, 4).Draw(t, "path")
		p, err := CompilePath("$" + strings.Join(segments, ""))
		if err != nil {
			t.Fatal(err)
		}
		var got []any
		for r := p.NewReader(strings.NewReader(string(text)), Limits{}); ; {
			row, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, row.Value)
		}
		want := []any(p.path.Select(doc))
		if len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
			t.Fatalf("%s in %s: got %v, want %v", p, text, got, want)
		}
	})
}

// jsonPass is how many cases of JSONTestSuite that must be accepted or refused
// are; fewer is a regression.
const jsonPass = 283

func TestSuiteJSONTestSuite(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(suites.Path(t, "JSONTestSuite", "test_parsing"), "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	passed, judged, accepted, free := 0, 0, 0, 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(file)
		whole := accepts(t, "$", text)
		for _, path := range []string{"$[*]", "$.x.y", "$[1:].a"} { // other ways through the same text must not crash
			accepts(t, path, text)
		}
		switch want := name[0] == 'y'; {
		case name[0] == 'i':
			free++
			if whole {
				accepted++
			}
		case whole == want:
			judged++
			passed++
		default:
			judged++
			t.Errorf("%s: accepted: %v", name, whole)
		}
	}
	t.Logf("%d of %d cases pass; of %d that are free, %d are accepted", passed, judged, free, accepted)
	if passed < jsonPass {
		t.Errorf("%d cases pass, want at least %d", passed, jsonPass)
	}
}

// accepts reports whether a text is read without a fault.
func accepts(t *testing.T, path string, text []byte) bool {
	t.Helper()
	return !strings.Contains(show(t, pathReader(t, path, Limits{Depth: 512})(strings.NewReader(string(text)))), "! ")
}
