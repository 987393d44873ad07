package rules

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/net/html/charset"

	"github.com/harrowdata/harrow/internal/suites"
	"github.com/harrowdata/harrow/internal/xpath"
)

// jsonPathPass is how many cases of the JSONPath compliance suite pass; fewer
// is a regression.
const jsonPathPass = 703

func TestJSONPathCompliance(t *testing.T) {
	var suite struct {
		Tests []struct {
			Name, Selector string
			Document       json.RawMessage
			Result         []any
			Results        [][]any
			Invalid        bool `json:"invalid_selector"`
		}
	}
	dec := json.NewDecoder(bytes.NewReader(suites.Read(t, "jsonpath-cts", "cts.json")))
	dec.UseNumber()
	if err := dec.Decode(&suite); err != nil {
		t.Fatal(err)
	}
	passed := 0
	for _, c := range suite.Tests {
		got, err := selectAll(c.Selector, c.Document)
		ok := err != nil
		if !c.Invalid {
			ok = err == nil && slices.ContainsFunc(append(c.Results, c.Result), func(want []any) bool { return sameNodes(got, want) })
		}
		if ok {
			passed++
			continue
		}
		t.Errorf("%s: %s on %s: %v, %v", c.Name, c.Selector, c.Document, got, err)
	}
	t.Logf("%d of %d cases pass", passed, len(suite.Tests))
	if passed < jsonPathPass {
		t.Errorf("%d cases pass, want at least %d", passed, jsonPathPass)
	}
}

func selectAll(selector string, document []byte) (nodes []any, err error) {
	path, err := compileJSONPath("jsonpath", selector)
	if err != nil {
		return nil, err
	}
	d := NewDocument(shopPage(string(document)), canonical, Limits{})
	value, fault := d.JSON()
	if fault != nil {
		return nil, fault
	}
	budget := &xpath.Budget{Left: 1e6}
	if !path.each(value, budget, func(v any) bool { nodes = append(nodes, v); return true }) {
		return nil, xpath.ErrBudget
	}
	return nodes, nil
}

func sameNodes(got, want []any) bool {
	return len(got) == 0 && want != nil && len(want) == 0 || reflect.DeepEqual(got, want)
}

// linkedPass is how many of extruct's JSON-LD samples give the same values.
const linkedPass = 8

// TestLinkedDataOfExtruct reads the pages of extruct's tests of JSON-LD and
// compares the blocks with what extruct makes of them.
func TestLinkedDataOfExtruct(t *testing.T) {
	passed, total := 0, 0
	folder := suites.Path(t, "extruct", "tests", "samples")
	err := filepath.WalkDir(folder, func(file string, entry os.DirEntry, err error) error {
		if err != nil || filepath.Ext(file) != ".jsonld" {
			return err
		}
		total++
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		page, err := os.ReadFile(strings.TrimSuffix(file, ".jsonld") + ".html")
		if err != nil {
			return err
		}
		var want []any
		dec := json.NewDecoder(bytes.NewReader(text))
		dec.UseNumber()
		if err := dec.Decode(&want); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		got, fault := NewDocument(shopPage(string(page)), canonical, Limits{}).Linked()
		if fault != nil {
			return fault
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %v\nwant %v", filepath.Base(file), got, want)
			return nil
		}
		passed++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d of %d samples pass", passed, total)
	if passed < linkedPass {
		t.Errorf("%d samples pass, want at least %d", passed, linkedPass)
	}
}

// encodingPass is how many lines are decoded as encoding_rs does, all encodings
// together; fewer is a regression.
const encodingPass = 91_809

// encodingDeviation is why golang.org/x/text decodes a line of encoding_rs's
// data otherwise; empty where that is not known. No byte is taken for another
// character: what differs is U+FFFD.
func encodingDeviation(file, got, want string) string {
	r, _ := utf8.DecodeRuneInString(want)
	switch {
	case got != "\uFFFD":
		return ""
	case len(want) == 4 && want[:3] == "\uFFFD" && want[3] < utf8.RuneSelf:
		return "the ASCII byte behind an invalid lead byte goes with it"
	case 0xE000 <= r && r <= 0xF8FF:
		return "private use characters are not in the tables"
	case file == "gb18030":
		return "the tables are those of GB 18030-2000, before it moved 19 characters out of private use"
	}
	return ""
}

// TestEncodingsOfTheWHATWG decodes every sequence of the encodings' indexes,
// as encoding_rs has them.
func TestEncodingsOfTheWHATWG(t *testing.T) {
	passed, total := 0, 0
	for file, label := range map[string]string{"big5": "big5", "euc_kr": "euc-kr", "gb18030": "gb18030", "jis0208": "euc-jp", "shift_jis": "shift_jis", "iso_2022_jp": "iso-2022-jp"} {
		in := suites.Read(t, "encoding_rs", "tests", "test_data", file+"_in.txt")
		want := bytes.Split(suites.Read(t, "encoding_rs", "tests", "test_data", file+"_in_ref.txt"), []byte("\n"))
		got := bytes.Split(decode(in, "text/html; charset="+label), []byte("\n"))
		if len(got) != len(want) {
			t.Errorf("%s: %d lines, want %d", file, len(got), len(want))
			continue
		}
		lines, reasons := 0, map[string]int{}
		for i := range want {
			total++
			if bytes.Equal(got[i], want[i]) {
				lines++
				continue
			}
			reason := encodingDeviation(file, string(got[i]), string(want[i]))
			if reasons[reason]++; reason == "" {
				t.Errorf("%s, line %d: %q, want %q", file, i+1, got[i], want[i])
			}
		}
		t.Logf("%s: %d of %d lines; %v", file, lines, len(want), reasons)
		passed += lines
	}
	t.Logf("%d of %d lines pass", passed, total)
	if passed < encodingPass {
		t.Errorf("%d lines pass, want at least %d", passed, encodingPass)
	}
}

// sniffDeviations are html5lib's cases in which we tell another encoding, with
// the reason.
var sniffDeviations = map[string]string{
	"tests1.dat:55": "a script would write the meta tag",
	"tests1.dat:56": "the meta tag is text of a script, which a prescan doesn't know",
	"tests1.dat:57": "the meta tag is text of a style, which a prescan doesn't know",
}

// sniffPass is how many of html5lib's encodings we tell; fewer is a regression.
const sniffPass = 79

// TestEncodingsAreToldAsHTMLSays appends a byte to html5lib's pages that is no
// UTF-8, so that it matters which encoding is told.
func TestEncodingsAreToldAsHTMLSays(t *testing.T) {
	passed, total := 0, 0
	for _, file := range []string{"tests1.dat", "tests2.dat", "test-yahoo-jp.dat"} {
		for i, c := range strings.Split("\n"+string(suites.Read(t, "html5lib-tests", "encoding", file)), "\n#data\n")[1:] {
			body, want, ok := strings.Cut(c, "\n#encoding\n")
			if !ok {
				t.Fatalf("%s: case %d has no encoding", file, i)
			}
			total++
			want, _, _ = strings.Cut(want, "\n")
			_, wantName := charset.Lookup(want)
			_, got := encodingOf([]byte(body+"\xe6"), "text/html")
			name := fmt.Sprintf("%s:%d", file, i+1)
			switch reason := sniffDeviations[name]; {
			case got == wantName:
				passed++
			case reason != "":
				t.Logf("%s: %s, want %s: %s", name, got, wantName, reason)
			default:
				t.Errorf("%s: %s, want %s, of %.300q", name, got, wantName, body)
			}
		}
	}
	t.Logf("%d of %d cases pass", passed, total)
	if passed < sniffPass {
		t.Errorf("%d cases pass, want at least %d", passed, sniffPass)
	}
}
