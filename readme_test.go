package harrow_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/internal/jobfile"
	"github.com/harrowdata/harrow/internal/rules"
)

// documents are what a newcomer follows to the letter.
var documents = []string{"README.md", "CONTRIBUTING.md", "docs/measurements/README.md",
	"docs/restart.md", "docs/politeness.md", "docs/stores.md", "docs/clusters.md", "docs/dataflow.md", "docs/html.md"}

func TestREADMEJobFilesAreValid(t *testing.T) {
	jobs := parseJobs(t, blocks(t, "README.md", "yaml"))
	if len(jobs) < 2 {
		t.Fatalf("got %d job files in README.md, want the demo's and the extension's", len(jobs))
	}
}

func TestREADMEShortensTheDemoWithoutChangingIt(t *testing.T) {
	text, err := os.ReadFile("testdata/demo/shop.yaml")
	if err != nil {
		t.Fatal(err)
	}
	demo := parseJobs(t, []string{string(text)})[0]
	short := parseJobs(t, blocks(t, "README.md", "yaml")[:1])[0]
	if short.Name != demo.Name || !reflect.DeepEqual(short.Discover, demo.Discover) || !reflect.DeepEqual(short.Fetch.Politeness, demo.Fetch.Politeness) {
		t.Errorf("job, discover and politeness are not testdata/demo/shop.yaml's:\n got %+v %+v\nwant %+v %+v", short.Discover, short.Fetch.Politeness, demo.Discover, demo.Fetch.Politeness)
	}
	for i, rule := range short.Parse {
		whole := slices.IndexFunc(demo.Parse, func(r harrow.Rule) bool { return r.Record == rule.Record && reflect.DeepEqual(r.Match, rule.Match) })
		if whole < 0 || rule.Rows != demo.Parse[whole].Rows {
			t.Errorf("parse[%d]: testdata/demo/shop.yaml has no such rule", i)
			continue
		}
		for name, field := range fieldsOf(t, rule) {
			if want := fieldsOf(t, demo.Parse[whole])[name]; field != want {
				t.Errorf("parse[%d] field %s: got %s, want %s", i, name, field, want)
			}
		}
	}
}

// fieldsOf is a rule's fields by name, each as JSON.
func fieldsOf(t *testing.T, rule harrow.Rule) map[string]string {
	t.Helper()
	data, err := json.Marshal(rule)
	if err != nil {
		t.Fatal(err)
	}
	var has struct {
		Fields map[string]json.RawMessage `json:"fields"`
	}
	if err := json.Unmarshal(data, &has); err != nil || len(has.Fields) == 0 {
		t.Fatalf("rule %s: %d fields, error %v", rule.Record, len(has.Fields), err)
	}
	fields := map[string]string{}
	for name, f := range has.Fields {
		fields[name] = string(f)
	}
	return fields
}

func parseJobs(t *testing.T, texts []string) (jobs []*harrow.Job) {
	t.Helper()
	opts := jobfile.Options{
		CheckSelector: rules.CheckSelector,
		CheckGlob:     func(p string) error { _, err := canon.CompileGlob(p); return err },
		CheckHost:     canon.CheckHostGlob,
	}
	for i, text := range texts {
		params := map[string]string{}
		if strings.Contains(text, "${param.site}") {
			params["site"] = "127.0.0.1:8090"
		}
		job, _, err := jobfile.Parse(fmt.Sprintf("block-%d.yaml", i+1), []byte(text), params, opts)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		jobs = append(jobs, job)
	}
	return jobs
}

// extension is where the module lies that the README shows.
const extension = "testdata/extension/"

// TestREADMEExtensionIsTheTestedModule holds each block of code to the file
// that is linked before it. Lines `// …` stand for what is left out.
func TestREADMEExtensionIsTheTestedModule(t *testing.T) {
	_, section, _ := strings.Cut(document(t, "README.md"), "\n## Extend it in Go\n")
	section, _, _ = strings.Cut(section, "\n## ")
	block := regexp.MustCompile("(?s)\\(" + extension + "([a-z/_]+\\.[a-z]+)\\)\\):\n\n```[a-z]+\n(.*?)\n```\n")
	shown := map[string]bool{}
	for _, m := range block.FindAllStringSubmatch(section, -1) {
		shown[m[1]] = true
		rest := document(t, extension+m[1])
		for _, piece := range strings.Split(m[2], "\n\n// …\n\n") {
			_, after, ok := strings.Cut(rest, piece+"\n")
			if !ok {
				t.Errorf("%s%s doesn't have, or not in this order:\n%s", extension, m[1], piece)
			}
			rest = after
		}
	}
	if n := len(regexp.MustCompile("(?m)^```(go|yaml)$").FindAllString(section, -1)); n != len(shown) {
		t.Errorf("%d blocks of code, %d of them after a link to their file", n, len(shown))
	}
	for _, name := range []string{"extras/feed.go", "extras/readingtime.go", "extras/mask.go", "extras/jsonl.go", "extras/extras_test.go", "cmd/myharrow/main.go", "job.yaml"} {
		if !shown[name] {
			t.Errorf("README.md doesn't show %s", name)
		}
	}
}

func TestREADMECommandsExist(t *testing.T) {
	targets := makeTargets(t)
	commands := grammar(t)
	if len(commands["run"]) == 0 || len(commands["rejects show"]) == 0 {
		t.Fatalf("could not read the grammar in command/: %v", commands)
	}
	used := 0
	for _, name := range documents {
		for _, line := range commandLines(t, name) {
			words := strings.Fields(line)
			switch words[0] {
			case "make":
				used++
				if !targets[words[1]] {
					t.Errorf("%s: `%s`: Makefile has no target %s", name, line, words[1])
				}
			case "go":
				used++
				if problem := checkGoTest(t, words); problem != "" {
					t.Errorf("%s: `%s`: %s", name, line, problem)
				}
			case "harrow", "myharrow":
				used++
				if problem := checkCommand(commands, words[1:]); problem != "" {
					t.Errorf("%s: `%s`: %s", name, line, problem)
				}
			}
		}
	}
	if used < 10 {
		t.Errorf("found %d commands in %v: is the pattern still right?", used, documents)
	}
	for _, line := range []string{"fly", "run --wings", "rejects fly"} {
		if checkCommand(commands, strings.Fields(line)) == "" {
			t.Errorf("harrow %s: passed for a command that exists", line)
		}
	}
}

func TestREADMELinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)\)`)
	for _, name := range documents {
		for _, found := range link.FindAllStringSubmatch(document(t, name), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(name), found[1])); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func document(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// blocks returns a document's fenced blocks of one language.
func blocks(t *testing.T, name, language string) (found []string) {
	t.Helper()
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(document(t, name), -1) {
		found = append(found, m[1])
	}
	if len(found) == 0 {
		t.Fatalf("%s has no block of %s", name, language)
	}
	return found
}

// commandLines returns what a document tells its reader to type: lines of
// shell blocks, and code in the text that begins with make or harrow.
func commandLines(t *testing.T, name string) (lines []string) {
	t.Helper()
	text := document(t, name)
	var candidates []string
	for _, m := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		candidates = append(candidates, strings.Split(m[1], "\n")...)
	}
	for _, m := range regexp.MustCompile("(?s)`((?:\\./)?(?:make|harrow) [^`]+)`").FindAllStringSubmatch(text, -1) {
		candidates = append(candidates, strings.Join(strings.Fields(m[1]), " "))
	}
	for _, line := range candidates {
		line, _, _ = strings.Cut(line, " #")
		line = strings.TrimPrefix(strings.TrimPrefix(strings.TrimSpace(line), "go run ./cmd/"), "./")
		for words := strings.Fields(line); len(words) > 0 && strings.Contains(words[0], "="); words = words[1:] {
			line = strings.Join(words[1:], " ")
		}
		if len(strings.Fields(line)) > 1 {
			lines = append(lines, line)
		}
	}
	return lines
}

func makeTargets(t *testing.T) map[string]bool {
	t.Helper()
	targets := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^([a-z][a-z-]*):`).FindAllStringSubmatch(document(t, "Makefile"), -1) {
		targets[m[1]] = true
	}
	return targets
}

// checkCommand says what is wrong with a command line of harrow's, as far as
// names of commands and flags go.
func checkCommand(commands map[string][]string, words []string) string {
	if strings.HasPrefix(words[0], "-") {
		words = append([]string{""}, words...)
	}
	path, rest := words[0], words[1:]
	if len(rest) > 0 {
		if _, ok := commands[path+" "+rest[0]]; ok {
			path, rest = path+" "+rest[0], rest[1:]
		} else if len(commands[path+" "]) > 0 && !strings.HasPrefix(rest[0], "-") {
			return "no command " + path + " " + rest[0]
		}
	}
	flags, ok := commands[path]
	if !ok {
		return "no command " + path
	}
	for _, w := range rest {
		name, long := strings.CutPrefix(w, "--")
		if long && name == "" {
			break // what follows are Beam's
		}
		name, _, _ = strings.Cut(strings.TrimRight(name, ",.;:"), "=")
		if long && name != "help" && !slices.Contains(flags, name) {
			return fmt.Sprintf("%s has no flag --%s", path, name)
		}
	}
	return ""
}

// checkGoTest says what is wrong with a go test command: a folder or a test
// that is not there. Environment variables before it are left to the reader.
// In the extension's module a folder will do, and so it does for go build.
func checkGoTest(t *testing.T, words []string) string {
	t.Helper()
	folder, pattern := "", ""
	for i, w := range words {
		switch {
		case strings.HasPrefix(w, "./"):
			folder = strings.TrimPrefix(w, "./")
		case (w == "-run" || w == "-fuzz") && i+1 < len(words):
			pattern, _, _ = strings.Cut(strings.Trim(words[i+1], "'"), "/")
		}
	}
	if words[1] == "mod" {
		return ""
	}
	if _, err := os.Stat(extension + folder); err == nil && folder != "" && pattern == "" {
		return ""
	}
	if words[1] != "test" || folder == "" {
		return "want go test and a folder"
	}
	for _, f := range goFiles(t, all) {
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && f.folder == folder && regexp.MustCompile(pattern).MatchString(fn.Name.Name) {
				return ""
			}
		}
	}
	return "no test in " + folder + " matches " + pattern
}

// grammar reads from the source of package command which commands there are,
// each with its flags; "rejects " has the names of what is below rejects. To
// import the package would bring Beam into this test.
func grammar(t *testing.T) map[string][]string {
	t.Helper()
	structs := map[string]*ast.StructType{}
	for _, f := range goFiles(t, product) {
		if f.folder != "command" {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok {
				if s, ok := spec.Type.(*ast.StructType); ok {
					structs[spec.Name.Name] = s
				}
			}
			return true
		})
	}
	commands := map[string][]string{}
	var walk func(path string, s *ast.StructType)
	walk = func(path string, s *ast.StructType) {
		commands[path] = append(commands[path], "help")
		for _, field := range s.Fields.List {
			of, _ := field.Type.(*ast.Ident)
			if len(field.Names) == 0 {
				if of != nil && structs[of.Name] != nil {
					walk(path, structs[of.Name])
				}
				continue
			}
			tag := reflect.StructTag("")
			if field.Tag != nil {
				if text, err := strconv.Unquote(field.Tag.Value); err == nil {
					tag = reflect.StructTag(text)
				}
			}
			name := tag.Get("name")
			if name == "" {
				name = kebab(field.Names[0].Name)
			}
			if _, ok := tag.Lookup("cmd"); ok && of != nil && structs[of.Name] != nil {
				if path != "" {
					commands[path+" "] = append(commands[path+" "], name)
				}
				walk(strings.TrimSpace(path+" "+name), structs[of.Name])
			} else if _, ok := tag.Lookup("arg"); !ok {
				commands[path] = append(commands[path], name)
			}
		}
	}
	if top := structs["grammar"]; top != nil {
		walk("", top)
	}
	return commands
}

// kebab writes a field's name as a flag's: NoWait is no-wait.
func kebab(name string) string {
	var b strings.Builder
	for i, r := range name {
		if i > 0 && r >= 'A' && r <= 'Z' {
			b.WriteByte('-')
		}
		b.WriteRune(r)
	}
	return strings.ToLower(b.String())
}
