package seedfile

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/harrowdata/harrow/internal/memory/memorytest"
)

// read returns what a file holds, each seed and bad line as a text.
func read(name, text string) (got []string, err error) {
	err = Each(context.Background(), name, strings.NewReader(text), Taker{
		Seed: func(line int, s Seed) error { got = append(got, fmt.Sprint(line, " ", shown(s))); return nil },
		Bad:  func(line int, _, why string) error { got = append(got, fmt.Sprint(line, ": ", why)); return nil }})
	return got, err
}

func shown(s Seed) string {
	text := s.Method + " " + s.URL
	for _, h := range s.Headers {
		text += " " + h.Name + "=" + h.Value
	}
	if s.Body != nil {
		text += " body " + string(s.Body)
	}
	return strings.TrimSpace(text + " " + s.Carry)
}

func TestFilesByTheirEnding(t *testing.T) {
	for _, c := range []struct {
		name, file, text string
		want             []string
		fails            string // in the error
	}{
		{"one URL a line", "a.txt", "http://a.example/\n\n# a comment\n  http://b.example/  \r\nhttp://c.example/",
			[]string{"1 GET http://a.example/", "4 GET http://b.example/", "5 GET http://c.example/"}, ""},
		{"a byte order mark", "a.txt", "\ufeffhttp://a.example/\n", []string{"1 GET http://a.example/"}, ""},
		{"an empty file", "a.txt", "", nil, ""},
		{"what is no URL is told later", "a.txt", "no url\n", []string{"1 GET no url"}, ""},
		{"a line that never ends", "a.txt", strings.Repeat("x", 3*MaxLine) + "\nhttp://a.example/\n",
			[]string{"1: the line is longer than 1048576 bytes", "2 GET http://a.example/"}, ""},
		{"not UTF-8", "a.txt", "http://a.example/\xe4\nhttp://b.example/", []string{"1: byte 17 of the row is no UTF-8", "2 GET http://b.example/"}, ""},

		{"csv", "a.CSV", "url\nhttp://a.example/\n\"http://b.example/,1\"\n", []string{"2 GET http://a.example/", "3 GET http://b.example/,1"}, ""},
		{"csv with every column", "a.csv", "\ufeffcategory,method,url,headers,body,rank\n\"a \"\"b\"\" <c>\",post,http://a.example/,\"{\"\"Accept\"\":\"\"x\"\"}\",q=1,1.10\n,,http://b.example/,,,\n",
			[]string{`2 POST http://a.example/ Accept=x body q=1 {"category":"a \"b\" <c>","rank":"1.10"}`, "3 GET http://b.example/"}, ""},
		{"csv over several lines", "a.csv", "url,note\nhttp://a.example/,\"x\ny\"\nhttp://b.example/,z\n",
			[]string{`2 GET http://a.example/ {"note":"x\ny"}`, `4 GET http://b.example/ {"note":"z"}`}, ""},
		{"csv without a url in a row", "a.csv", "url\nhttp://a.example/\n\"\"\n", []string{"2 GET http://a.example/", "3: no url"}, ""},
		{"csv with a row too short and one too long", "a.csv", "url,x\nhttp://a.example/\nhttp://b.example/,1,2\n",
			[]string{"2: the row has 1 cells; the first line has 2", "3: the row has 3 cells; the first line has 2"}, ""},
		{"csv with a bare quote", "a.csv", "url\nhttp://a.example/?q=\"x\nhttp://b.example/\n",
			[]string{"2 GET http://a.example/?q=\"x", "3 GET http://b.example/"}, ""},
		{"csv with text after a quote", "a.csv", "url\n\"http://a.example/\"x\nhttp://b.example/\n",
			[]string{"2: a quote is not closed before the end of the file", "3 GET http://b.example/"}, ""},
		{"csv with headers that are none", "a.csv", "url,headers\nhttp://a.example/,x\n",
			[]string{"2: headers: no JSON: 'x' at byte 0; expected a value"}, ""},
		{"csv that isn't UTF-8", "a.csv", "url,x\nhttp://a.example/,\xe4\n", []string{"2: byte 18 of the row is no UTF-8"}, ""},
		{"csv without the column", "a.csv", "link\nx\n", nil, `line 1: the first line has no column "url"; it has "link"`},
		{"csv with a column twice", "a.csv", "url,x,x\n", nil, "line 1: two columns are called x"},
		{"csv with a column without name", "a.csv", ",url\n", nil, "line 1: column 1 has no name"},
		{"an empty csv", "a.csv", "", nil, "the file has no line that names the columns"},
		{"csv with a quote that is not closed", "a.csv", "url\n\"http://a.example/\nhttp://b.example/\n",
			[]string{"2: a quote is not closed before the end of the file", "3 GET http://b.example/"}, ""},
		{"csv with a row without end", "a.csv", "url\nhttp://a.example/\n\"" + strings.Repeat("x", MaxLine) + "\"\nhttp://b.example/\n",
			[]string{"2 GET http://a.example/", "3: the row is longer than 1048576 bytes", "4 GET http://b.example/"}, ""},
		{"csv with semicolons, and line ends within quotes", "a.csv", "url;x\r\n\r\nhttp://a.example/;\"a\r\nb\"\r\nhttp://b.example/;;\r\n",
			[]string{`3 GET http://a.example/ {"x":"a\r\nb"}`, "5 GET http://b.example/"}, ""},

		{"jsonl", "a.jsonl", "{\"url\": \"http://a.example/\"}\n\n{\"url\": 1}\nnot json\nnull\n{\"url\":\"x\"} {}\n{}\n", []string{"1 GET http://a.example/",
			"3: field url: got 1; want a text", "4: no JSON: 'n' at byte 0; expected a value",
			"5: want a JSON object; got null", "6: no JSON: '{' at byte 12; expected the end of the value", "7: no url"}, ""},
		{"jsonl with a body as text", "a.jsonl", `{"url":"http://a.example/","method":"put","body":"a\u0000b","headers":{"B":["1","2"],"a":"x"}}`,
			[]string{"1 PUT http://a.example/ B=1 B=2 a=x body a\x00b"}, ""},
		{"jsonl with a body as JSON", "a.jsonl", `{"url":"http://a.example/","body":{"page": 1.0, "q": ["<"]}}`,
			[]string{`1 POST http://a.example/ Content-Type=application/json body {"page":1.0,"q":["<"]}`}, ""},
		{"jsonl with a body as JSON of another type", "a.jsonl", `{"url":"http://a.example/","body":[1],"headers":[["content-type","application/x-ndjson"]]}`,
			[]string{`1 POST http://a.example/ content-type=application/x-ndjson body [1]`}, ""},
		{"jsonl with what is carried", "a.jsonl", `{"url":"http://a.example/","z":1.10,"b":"\u00e4<","t":true,"n":null,"long":12345678901234567890}`,
			[]string{`1 GET http://a.example/ {"b":"ä<","long":12345678901234567890,"n":null,"t":true,"z":1.10}`}, ""},
		{"jsonl with a list to carry", "a.jsonl", `{"url":"http://a.example/","tags":["a"]}`,
			[]string{`1: field tags: got ["a"]; want a text, number, true, false or null`}, ""},
		{"jsonl with a body that is a number", "a.jsonl", `{"url":"http://a.example/","body":1}`,
			[]string{`1: field body: got 1; want a text, or a JSON object or list`}, ""},
		{"methods that are none", "a.jsonl", "{\"url\":\"x\",\"method\":\"a b\"}\n{\"url\":\"x\",\"method\":\"connect\"}\n", []string{
			`1: method "A B"; want GET, POST, PUT or another one of HTTP save CONNECT and TRACE`,
			`2: method "CONNECT"; want GET, POST, PUT or another one of HTTP save CONNECT and TRACE`}, ""},
		{"headers that HTTP doesn't allow", "a.jsonl", "{\"url\":\"x\",\"headers\":{\"a b\":\"\"}}\n{\"url\":\"x\",\"headers\":{\"Host\":\"y\"}}\n{\"url\":\"x\",\"headers\":{\"A\":1}}\n", []string{
			`1: headers: "a b" is not a valid header name`, "2: headers: header Host can't be set", "3: headers: A is 1; want a text or a list of texts"}, ""},
		{"parts that are too large", "a.jsonl", fmt.Sprintf("{\"url\":\"x\",\"body\":%q}\n{\"url\":\"x\",\"c\":%q}\n", strings.Repeat("b", MaxBody+1), strings.Repeat("c", MaxCarry)),
			[]string{"1: body: 262145 bytes; want at most 262144", "2: carry: 65544 bytes; want at most 65536"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := read(c.file, c.text)
			if c.fails != "" {
				if err == nil || !strings.Contains(err.Error(), c.fails) || !strings.Contains(err.Error(), c.file) {
					t.Fatalf("error %v, want %q and the file's name", err, c.fails)
				}
				return
			}
			if err != nil || !slices.Equal(got, c.want) {
				t.Errorf("error %v, got\n%s\nwant\n%s", err, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

func TestAnErrorOfTheTakerEndsTheReading(t *testing.T) {
	stop := errors.New("enough")
	for file, text := range map[string]string{"a.txt": "x\ny\n", "a.csv": "url\nx\ny\n", "a.jsonl": "{\"url\":\"x\"}\n{\"url\":\"y\"}\n",
		"bad.csv": "url,z\nx\ny\n", "bad.jsonl": "x\ny\n"} {
		n := 0
		end := func() error { n++; return stop }
		err := Each(t.Context(), file, strings.NewReader(text), Taker{Seed: func(int, Seed) error { return end() }, Bad: func(int, string, string) error { return end() }})
		if !errors.Is(err, stop) || n != 1 {
			t.Errorf("%s: %d seeds, error %v", file, n, err)
		}
	}
}

func TestAContextThatIsOverEndsTheReading(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for file, text := range map[string]string{"a.txt": "x\n", "a.csv": "url\nx\n", "a.jsonl": "{\"url\":\"x\"}\n"} {
		if err := Each(ctx, file, strings.NewReader(text), Taker{}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error %v", file, err)
		}
	}
}

// The same seeds come out of CSV and JSON Lines.
func TestBothFormsHoldTheSame(t *testing.T) {
	text := rapid.StringMatching(`[a-z<",\n ]{1,8}[a-z]`)
	rapid.Check(t, func(t *rapid.T) {
		var rows bytes.Buffer
		table := csv.NewWriter(&rows)
		lines := json.NewEncoder(&rows)
		var sheet, list strings.Builder
		_ = table.Write([]string{"url", "x", "method"})
		for range rapid.IntRange(0, 5).Draw(t, "n") {
			url, x := "http://a.example/"+rapid.StringMatching(`[a-z]{0,4}`).Draw(t, "path"), text.Draw(t, "x")
			method := rapid.SampledFrom([]string{"", "get", "POST"}).Draw(t, "method")
			_ = table.Write([]string{url, x, method})
			table.Flush()
			sheet.Write(rows.Bytes())
			rows.Reset()
			_ = lines.Encode(map[string]string{"url": url, "x": x, "method": method})
			list.Write(rows.Bytes())
			rows.Reset()
		}
		table.Flush()
		sheet.Write(rows.Bytes())
		a, err := read("a.csv", sheet.String())
		if err != nil {
			t.Fatal(err)
		}
		b, err := read("a.jsonl", list.String())
		if err != nil {
			t.Fatal(err)
		}
		for i := range a { // the lines they stand in differ
			_, a[i], _ = strings.Cut(a[i], " ")
			_, b[i], _ = strings.Cut(b[i], " ")
		}
		if !slices.Equal(a, b) {
			t.Fatalf("csv %q\njsonl %q", a, b)
		}
	})
}

// endless yields n copies of a line.
type endless struct {
	line []byte
	n    int
	rest []byte
}

func (e *endless) Read(p []byte) (int, error) {
	if len(e.rest) == 0 {
		if e.n == 0 {
			return 0, io.EOF
		}
		e.n--
		e.rest = e.line
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

func TestMemoryDoesNotGrowWithTheFile(t *testing.T) {
	for file, line := range map[string]string{"a.txt": "http://a.example/some/page\n", "a.csv": "url,x\nhttp://a.example/some/page,1\n", "a.jsonl": "{\"url\":\"http://a.example/some/page\",\"x\":1}\n"} {
		most := int64(0)
		n := 0
		look := func(int, Seed) error {
			if n++; n%50_000 == 0 {
				most = max(most, memorytest.LiveHeap())
			}
			return nil
		}
		before := memorytest.LiveHeap()
		if err := Each(t.Context(), file, &endless{line: []byte(line), n: 200_000}, Taker{Seed: look, Bad: func(int, string, string) error { return nil }}); err != nil {
			t.Fatal(err)
		}
		if grown := most - before; n < 200_000 || grown > 8<<20 {
			t.Errorf("%s: %d seeds, %d bytes more held", file, n, grown)
		}
	}
}

func FuzzEach(f *testing.F) {
	for _, text := range []string{"http://a.example/\n", "url,x\nhttp://a.example/,1\n", "url\n\"x", `{"url":"x","headers":{"a":["b"]},"body":{},"c":1e5}`, "\ufeffurl,headers\nx,\"[[\"\"a\"\",\"\"b\"\"]]\"\n"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, name := range []string{"a.txt", "a.csv", "a.jsonl"} {
			last := 0
			after := func(line int) {
				if line < last || line > 1+strings.Count(text, "\n")+strings.Count(text, "\r") {
					t.Errorf("%s: line %d after line %d", name, line, last)
				}
				last = line
			}
			_ = Each(t.Context(), name, strings.NewReader(text), Taker{
				Seed: func(line int, s Seed) error {
					after(line)
					if s.URL == "" || s.Method == "" || s.Carry != "" && !json.Valid([]byte(s.Carry)) {
						t.Errorf("%s: seed %+v", name, s)
					}
					return nil
				},
				Bad: func(line int, text, _ string) error {
					after(line)
					if !utf8.ValidString(text) {
						t.Errorf("%s: text %q is not UTF-8", name, text)
					}
					return nil
				}})
		}
	})
}
