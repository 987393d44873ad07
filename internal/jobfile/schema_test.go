package jobfile

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "rewrite docs/job.schema.json")

const schemaFile = "../../docs/job.schema.json"

func TestSchemaIsWhatTheTypesSay(t *testing.T) {
	want := makeSchema(t)
	if *update {
		if err := os.WriteFile(schemaFile, want, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("docs/job.schema.json is not what the job's types say; run: go test ./internal/jobfile -run Schema -update")
	}
}

func TestSchemaSaysWhatTheCommentsSay(t *testing.T) {
	data, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"default 30s", "globs against the final URL", `"minimum": 1,`} {
		if !strings.Contains(string(data), part) {
			t.Errorf("no %q in the schema", part)
		}
	}
}

func compiled(t testing.TB) *jsonschema.Schema {
	t.Helper()
	data, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource("job.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("job.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// asJSON is what an editor's YAML reader makes of a job file.
func asJSON(t testing.TB, text string) any {
	t.Helper()
	root, errs := readTree("job.yaml", []byte(text))
	if err := errs.sorted(); err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(root.json()))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestSchemaAcceptsJobFilesThatAreRight(t *testing.T) {
	demo, err := os.ReadFile("../../testdata/demo/shop.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"demo": string(demo), "least": leastJob, "parameters": strings.ReplaceAll(leastJob, "rounds: 3", `rounds: "${param.n}"`)} {
		if err := compiled(t).Validate(asJSON(t, text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	text := contract(t)
	for name, text := range map[string]string{"as it is": text, "with all commented keys": enable(t, text)} {
		if err := compiled(t).Validate(asJSON(t, text)); err != nil {
			t.Errorf("the contract %s: %v", name, err)
		}
	}
}

const leastJob = `
version: 1
job: shop
discover: {seeds: {urls: ["http://books.example/"]}, rounds: 3}
fetch: {timeout: 30s, politeness: {default: {delay: 1s}}}
parse:
- record: book
  fields: {title: {css: h1}}
`

func TestSchemaRefusesJobFilesThatAreWrong(t *testing.T) {
	s := compiled(t)
	for _, c := range []struct{ name, old, new string }{
		{"an unknown key", "rounds: 3", "roundz: 3"},
		{"an unknown key of a field", "css: h1", "css: h1, xpth: x"},
		{"a wrong type", "rounds: 3", "rounds: many"},
		{"out of range", "rounds: 3", "rounds: 0"},
		{"a fraction", "rounds: 3", "rounds: 2.5"},
		{"a list that is none", `urls: ["http://books.example/"]`, `urls: "http://books.example/"`},
		{"two selectors", "css: h1", "css: h1, xpath: //h1"},
		{"no selector", "css: h1", "required: true"},
		{"a duration without unit", "timeout: 30s", "timeout: 30"},
		{"a duration of another kind", "timeout: 30s", "timeout: [30s]"},
		{"delay and rate", "delay: 1s", "delay: 1s, rate: 5/s"},
		{"another version", "version: 1", "version: 2"},
		{"a bad name", "job: shop", "job: My Shop"},
		{"no job", "job: shop", ""},
		{"no parse", "parse:", "refine: {}\nx:"},
		{"a rule without record", "- record: book\n  fields", "- fields"},
		{"use beside record", "- record: book", "- record: book\n  use: mine"},
		{"a column name that is none", "title: {css", "1st title: {css"},
		{"another key of politeness", "politeness: {default", "politeness: {key: port, default"},
	} {
		text := strings.Replace(leastJob, c.old, c.new, 1)
		if text == leastJob {
			t.Fatalf("%s: %q is not in the job", c.name, c.old)
		}
		if s.Validate(asJSON(t, text)) == nil {
			t.Errorf("%s is accepted", c.name)
		}
		if _, _, errs := parse("job.yaml", []byte(text), nil, anyHooks); len(errs) == 0 {
			t.Errorf("%s is read", c.name)
		}
	}
}

// What the schema refuses, reading refuses too: an editor never marks what
// would run.
func TestSchemaRefusesNothingThatReads(t *testing.T) {
	s, example := compiled(t), asJSON(t, enable(t, contract(t)))
	rapid.Check(t, func(t *rapid.T) {
		mutated, where := mutate(t, clone(t, example), "")
		data, err := json.Marshal(mutated)
		if err != nil {
			t.Fatal(err)
		}
		refused := s.Validate(mutated)
		if refused == nil {
			return
		}
		job, _, errs := parse("job.yaml", data, nil, anyHooks)
		if len(errs) > 0 {
			return
		}
		t.Fatalf("at %s: the schema says %v, but it reads: %+v", where, refused, job)
	})
}

func clone(t *rapid.T, v any) any {
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	out, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

var strange = []any{nil, "", "x", "auto", "1", "10MiB", "30s", "5/s", json.Number("0"), json.Number("1"), json.Number("-1"), json.Number("2.5"),
	json.Number("1e3"), json.Number("70000"), true, []any{}, []any{"x"}, []any{nil}, map[string]any{}, map[string]any{"json": "$.x"}, map[string]any{"latest": "upc"}}

// mutate changes one value, takes one key away or adds one.
func mutate(t *rapid.T, v any, at string) (any, string) {
	dig := rapid.IntRange(0, 9).Draw(t, "dig") > 0
	switch v := v.(type) {
	case map[string]any:
		keys := sortedKeysOf(v)
		if !dig || len(keys) == 0 {
			switch rapid.IntRange(0, 2).Draw(t, "how") {
			case 0:
				if len(keys) > 0 {
					k := rapid.SampledFrom(keys).Draw(t, "gone")
					delete(v, k)
					return v, join(at, k)
				}
			case 1:
				k := rapid.SampledFrom([]string{"css", "xpath", "use", "rows", "record", "regex", "delay", "rate", "any", "with", "unknown", "limits", "null"}).Draw(t, "added")
				v[k] = rapid.SampledFrom(strange).Draw(t, "value")
				return v, join(at, k)
			}
			return rapid.SampledFrom(strange).Draw(t, "value"), at
		}
		k := rapid.SampledFrom(keys).Draw(t, "key")
		var where string
		v[k], where = mutate(t, v[k], join(at, k))
		return v, where
	case []any:
		if dig && len(v) > 0 {
			i := rapid.IntRange(0, len(v)-1).Draw(t, "item")
			var where string
			v[i], where = mutate(t, v[i], fmt.Sprintf("%s[%d]", at, i))
			return v, where
		}
	}
	return rapid.SampledFrom(strange).Draw(t, "value"), at
}

func sortedKeysOf(m map[string]any) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
