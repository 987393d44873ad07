package jobfile

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
)

func TestParametersAreFilledInBeforeTyping(t *testing.T) {
	text := strings.NewReplacer(`"http://a.example/"`, `"http://${param.host}/${param.day}"`).Replace(valid) +
		"fetch:\n  in_flight: ${param.n}\n  max_redirects: \"${param.n}\"\n  timeout: ${param.n}s\n  user_agent: ${param.n}\n  headers: {X-Day: \"${param.day} $${x} ${TOKEN}\"}\n"
	job, source, err := Parse("f", []byte(text), map[string]string{"host": "a.example", "day": "$${1}${2}", "n": "7"}, strict)
	if err != nil {
		t.Fatal(err)
	}
	if got := job.Discover.Seeds.URLs[0]; got != "http://a.example/$${1}${2}" {
		t.Errorf("seed: %s", got)
	}
	f := job.Fetch
	if f.InFlight != 7 || *f.MaxRedirects != 7 || time.Duration(f.Timeout) != 7*time.Second || f.UserAgent != "7" {
		t.Errorf("fetch: %+v", f)
	}
	env := func(name string) (string, bool) { return "se${cret}", name == "TOKEN" }
	got, err := Resolve(f.Headers["X-Day"], env)
	if want := "$${1}${2} ${x} se${cret}"; err != nil || got != want {
		t.Errorf("header %q became %q, %v; want %q", f.Headers["X-Day"], got, err, want)
	}
	if len(source.secrets) != 1 || source.secrets[0].ref != "TOKEN" {
		t.Errorf("secrets: %v", source.secrets)
	}
}

func TestInterpolationProblems(t *testing.T) {
	for _, test := range []struct {
		name, more, want string
		params           map[string]string
	}{
		{"no value", "limits: {spill: \"/tmp/${param.day}\"}", `11:17: limits.spill: ${param.day} has no value; expected --param day=VALUE`, nil},
		{"not used", "", ` --param day is not used; expected ${param.day} in the file`, map[string]string{"day": "1"}},
		{"of the wrong type", "fetch:\n  in_flight: ${param.n}", `12:14: fetch.in_flight: got "x"; expected a whole number`, map[string]string{"n": "x"}},
		{"secret elsewhere", "limits: {spill: \"${HOME}/x\"}", `11:17: limits.spill: the secret ${HOME} may not stand here; expected it in fetch.headers, fetch.host_headers, fetch.login, fetch.auth, fetch.proxies or load`, nil},
		{"not closed", "limits: {spill: \"${HOME\"}", `11:17: limits.spill: ${ without }; expected ${NAME}, ${file:/path} or ${param.NAME}; $${ stands for ${ itself`, nil},
		{"no name", "fetch: {headers: {A: \"${1-2}\"}}", `11:22: fetch.headers.A: ${1-2}; expected ${NAME}, ${file:/path} or ${param.NAME}; $${ stands for ${ itself`, nil},
		{"relative file", "fetch: {headers: {A: \"${file:x}\"}}", `11:22: fetch.headers.A: ${file:x}; expected an absolute path: ${file:/path}`, nil},
		{"a dollar before a secret", "fetch: {headers: {A: \"${param.a}${X}\"}}", `11:22: fetch.headers.A: a $ before ${X}; expected another character`, map[string]string{"a": "$"}},
	} {
		if got := problems(t, valid+test.more+"\n", test.params); got != test.want {
			t.Errorf("%s\n got %s\nwant %s", test.name, got, test.want)
		}
	}
}

func TestSecretsAreCheckedAndResolvedButNeverKept(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("from file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := valid + "fetch: {headers: {A: \"Bearer ${TOKEN}\", B: \"${file:" + file + "}\", C: \"${file:/nowhere/at/all}\"}}\nload: {sqlite: {list: [\"${DSN}\"], n: 1.50}}\n"
	job, source, err := Parse("f", []byte(text), nil, strict)
	if err != nil {
		t.Fatal(err)
	}
	env := func(name string) (string, bool) { return "s3cret", name == "TOKEN" }
	err = source.CheckSecrets(env)
	want := `f:11:` // place and name of each that is missing
	var errs Errors
	if !errors.As(err, &errs) || len(errs) != 2 || !strings.HasPrefix(errs[0].Error(), want) ||
		errs[0].Path != "fetch.headers.C" || errs[1].Error() != "f:12:24: load.sqlite.list[0]: ${DSN} has no value; expected an environment variable of that name" {
		t.Errorf("got %v", err)
	}
	if got, err := Resolve(job.Fetch.Headers["B"], env); got != "from file" || err != nil {
		t.Errorf("file: %q %v", got, err)
	}
	if _, err := Resolve("${param.x}", env); err == nil {
		t.Error("a parameter was resolved as a secret")
	}
	config, err := resolveJSON(job.Load["sqlite"], func(string) (string, bool) { return `a"b`, true })
	if string(config) != `{"list":["a\"b"],"n":1.50}` || err != nil {
		t.Errorf("config: %s %v", config, err)
	}
	asJSON, err := json.Marshal(job)
	if err != nil || strings.Contains(string(asJSON), "s3cret") || !strings.Contains(string(asJSON), "${TOKEN}") {
		t.Errorf("job: %s %v", asJSON, err)
	}
}

func digest(t *testing.T, text string, params map[string]string, extra ...string) string {
	t.Helper()
	_, source, err := Parse("f", []byte(text), params, strict)
	if err != nil {
		t.Fatal(err)
	}
	return source.Digest(extra...)
}

func TestDigestIsOfWhatTheFileSays(t *testing.T) {
	a := digest(t, valid+"fetch: {max_body: 10MiB, headers: {A: x, B: \"y\"}}\n", nil)
	b := digest(t, "# a comment\n"+valid+"fetch:\n  headers:\n    B: ${param.b}\n    A: 'x'\n  max_body: 10240KiB # the same\n", map[string]string{"b": "y"})
	if a != b {
		t.Error("form, comments and parameters change the digest")
	}
	columns := strings.Replace(valid, "      tags: {css: li, type: list}\n", "", 1)
	columns = strings.Replace(columns, "fields:\n", "fields:\n      tags: {css: li, type: list}\n", 1)
	different := []string{a, digest(t, valid, nil), digest(t, valid, nil, "x"), digest(t, valid, nil, "x", ""), digest(t, valid, nil, "", "x"), digest(t, columns, nil)}
	if n := len(slices.Compact(slices.Sorted(slices.Values(different)))); n != len(different) {
		t.Errorf("%d digests are different; want %d", n, len(different))
	}
}

func TestSeedFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a[b]*") // a folder that looks like a pattern
	for _, name := range []string{"seeds/b.txt", "seeds/a.txt", "seeds/c.csv", "seeds/d.txt/e"} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	job := filepath.Join(dir, "job.yaml")
	read := func(files string) *Source {
		text := strings.Replace(valid, `urls: ["http://a.example/"]`, "files: "+files, 1)
		if err := os.WriteFile(job, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, source, err := Read(job, nil, strict)
		if err != nil {
			t.Fatal(err)
		}
		return source
	}
	got, err := read(`["seeds/*.txt", "seeds/a.*", seeds/c.csv]`).SeedFiles()
	want := []string{filepath.Join(dir, "seeds/a.txt"), filepath.Join(dir, "seeds/b.txt"), filepath.Join(dir, "seeds/c.csv")}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v %v; want %v", got, err, want)
	}
	_, err = read(`[seeds/a.txt, "nothing/*.txt"]`).SeedFiles()
	if want := job + `:3:41: discover.seeds.files[1]: "nothing/*.txt" matches no file; expected at least one in ` + dir; err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	if _, _, err := Read(filepath.Join(dir, "none.yaml"), nil, strict); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing job file: %v", err)
	}
}

func TestRecordTypesJoinTheRulesOfARecord(t *testing.T) {
	text := valid + `  - record: book
    fields: {isbn: {css: i}, title: {jsonld: $.name}, pages: {css: p, type: int}, cost: {css: c, type: "decimal(9,2)"}, all: {css: a@href, list: all, type: url}}
  - use: shelves
`
	job, source, err := Parse("f", []byte(text), nil, strict)
	if err != nil {
		t.Fatal(err)
	}
	types, err := RecordTypes(job, strict.ExtractorRecords)
	var got []string
	for _, rt := range types {
		for _, c := range rt.Columns {
			got = append(got, rt.Name+"."+c.Name+" "+c.Type.String())
		}
	}
	want := "book.title text, book.price_amount decimal(38,9), book.price_currency text, book.tags list, book.isbn text, book.pages int, book.cost decimal(9,2), book.all list, shelf.n int"
	if strings.Join(got, ", ") != want || err != nil {
		t.Errorf("got %s %v", strings.Join(got, ", "), err)
	}
	if _, err := RecordTypes(job, nil); err == nil {
		t.Error("record types of an extractor nobody knows")
	}
	if e := source.Errorf("parse[2].use", "x"); e.Error() != "f:13:5: x" {
		t.Errorf("place of a key: %v", e)
	}
}

func TestDefaultsAreFilledInAfterReading(t *testing.T) {
	job, _, err := Parse("f", []byte(valid+"fetch: {politeness: {default: {rate: 4/s}, overrides: {b.example: {delay: 0s}, c.example: {concurrency: 3}}}}\n"), nil, strict)
	if err != nil {
		t.Fatal(err)
	}
	p := job.Fetch.Politeness
	if p.Default.Interval() != 250*time.Millisecond || p.Overrides["b.example"].Interval() != 0 || p.Overrides["c.example"].Interval() != 250*time.Millisecond {
		t.Errorf("politeness: %+v", p)
	}
	if job.Fetch.UserAgent != harrow.DefaultUserAgent || *job.Discover.Scope.MaxDepth != 16 || string(job.Load["sqlite"]) != "{}" || job.Parse[0].Fields[0].Type != "text" {
		t.Errorf("job: %+v", job)
	}
}

// What comes as a job file never panics, and its problems stand in the file.
func FuzzParse(f *testing.F) {
	f.Add(valid)
	f.Add("a: {b: [1, ~, \"${x}\"]}\n? c\n")
	f.Add("version: 1\njob: &a [*a]\n<<: {x: !!str 1}\n")
	f.Add("\ufeffdiscover: |\n  a\nparse: >-\n  b\n")
	f.Add("- - - {a: [}]\n")
	f.Add("\r\r0") // a carriage return ends a line in YAML
	f.Add("parse:\n  - rows: {json: 1}\n    fields: {a: {any: [{}, ~]}}\n    use: x\nrefine: {a: {keep: {latest: 1}, check: [{}]}}\n")
	f.Fuzz(func(t *testing.T, text string) {
		_, source, err := Parse("f", []byte(text), map[string]string{"x": "1"}, strict)
		if err == nil {
			source.Digest()
			return
		}
		var errs Errors
		if !errors.As(err, &errs) {
			t.Fatalf("got %T: %v", err, err)
		}
		for _, e := range errs {
			if e.Line > strings.Count(text, "\n")+strings.Count(text, "\r")+2 || e.Line > 0 && e.Col < 1 {
				t.Errorf("%q: no such place: %v", text, e)
			}
		}
	})
}
