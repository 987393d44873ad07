package soak

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/internal/rules"
	"github.com/harrowdata/harrow/soak/rig"
)

// selectorRules is what both sides select on every page.
const selectorRules = "testdata/selectors.json"

// selectorProgram is a rule with a list for each selector.
func selectorProgram(t *testing.T) (program *rules.Program, names []string) {
	t.Helper()
	text, err := os.ReadFile(selectorRules)
	if err != nil {
		t.Fatal(err)
	}
	var selectors []struct{ CSS, XPath string }
	if err := json.Unmarshal(text, &selectors); err != nil {
		t.Fatal(err)
	}
	rule := harrow.Rule{Record: "page"}
	record := harrow.RecordType{Name: "page"}
	for i, s := range selectors {
		f := harrow.NamedField{Name: fmt.Sprint("f", i), Field: harrow.Field{CSS: s.CSS, XPath: s.XPath, List: harrow.ListAll}}
		rule.Fields = append(rule.Fields, f)
		record.Columns = append(record.Columns, f.Columns(f.Name)...)
		names = append(names, s.CSS+s.XPath)
	}
	program, err = rules.Compile([]harrow.Rule{rule}, []harrow.RecordType{record})
	if err != nil {
		t.Fatal(err)
	}
	return program, names
}

// selected is what the selectors select on a page.
func selected(t *testing.T, program *rules.Program, c *canon.Canonicalizer, body []byte) (values []any) {
	t.Helper()
	page := rules.Page{Capture: harrow.Capture{URL: "http://docs.example/", ContentType: "text/html; charset=utf-8"}, Body: body}
	err := program.Apply(context.Background(), rules.NewDocument(page, c, rules.Limits{}), func(row rules.Row) error {
		values = append([]any(nil), row.Values...)
		return nil
	}, func(r harrow.Reject) error { return fmt.Errorf("%s: %s", r.Code, r.Reason) })
	if err != nil {
		t.Fatal(err)
	}
	return values
}

// listJSON is a list of texts, null for none, as Python's json writes it.
func listJSON(t *testing.T, v any) []byte {
	t.Helper()
	if v == nil {
		return []byte("[]")
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func TestSelectorsFindOnRealPagesWhatLxmlFinds(t *testing.T) {
	if _, err := os.Stat(docsFolder); err != nil {
		rig.Missing(t, "%s is not there: apt-get install postgresql-doc-15", docsFolder)
	}
	var want map[string][]string
	python(t, &want, "selected.py", docsFolder, selectorRules)
	c, err := canon.New(canon.Policy{})
	if err != nil {
		t.Fatal(err)
	}
	program, names := selectorProgram(t)
	equal, texts, differing := 0, make([]int, len(names)), 0
	for page, digests := range want {
		body, err := os.ReadFile(filepath.Join(docsFolder, page))
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range selected(t, program, c, body) {
			list, _ := v.([]string)
			texts[i] += len(list)
			digest := sha256.Sum256(listJSON(t, v))
			if hex.EncodeToString(digest[:]) == digests[i] {
				equal++
				continue
			}
			if differing++; differing <= 5 {
				var theirs []string
				python(t, &theirs, "selected.py", docsFolder, selectorRules, page, strconv.Itoa(i))
				t.Errorf("%s: %s selects\n%.1000q, lxml\n%.1000q", page, names[i], list, theirs)
			}
		}
	}
	for i, n := range texts {
		if n == 0 {
			t.Errorf("%s selects nothing on any page", names[i])
		}
	}
	t.Logf("%d selectors on %d pages: %d of %d results are equal; texts selected: %s", len(names), len(want), equal, len(want)*len(names), strings.Trim(fmt.Sprint(texts), "[]"))
	if equal < len(want)*len(names) || len(want) < 1000 {
		t.Errorf("%d differ", differing)
	}
}
