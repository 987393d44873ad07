package harrow_test

import (
	"fmt"
	"go/ast"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// layers says which folder may import which: a statement of policy, to be read
// from the ground up. A folder that isn't in it fails, and so does a line
// whose folder is gone. A change here is a change of the architecture: make it
// on purpose, never to get a build through.
//
//	room < rooms it may import       (itself only if it says so)
//		its folders                  (… for whatever lies below)
//
// Test files are free to import more: a test may stand a whole pipeline up to
// look at one stage of it. Only the folder they are in counts.
const layers = `
# The vocabulary that everything shares: what a plug-in's author sees.
root < NOTHING
	.

# Logic: no Beam, no Arrow, nothing of the machinery above it.
logic < root logic
	internal/audit internal/build internal/canon internal/carry internal/cookies internal/demosite internal/dnscache internal/frontier internal/gunzip internal/httpfetch internal/httpheader
	internal/idfile internal/jobfile internal/memory internal/normal internal/polite internal/robots internal/robots/policies internal/rowdata
	internal/rules internal/seedfile internal/seen internal/serverlog internal/session internal/sitemap internal/xpath
	internal/expr internal/refine internal/scratch
	internal/dom internal/dom/name internal/dom/domtest internal/html5 internal/html5/pages internal/css internal/xmltree

# What tests share: where the public suites lie, a name server, a look at the heap.
suites < NOTHING
	internal/suites internal/dnscache/dnstest internal/memory/memorytest

# Keeps what listens on all addresses to this machine.
loopback < NOTHING
	internal/loopback

# Flink as child processes: jars, job server, a small cluster. Knows no Beam.
flink < logic loopback
	internal/flink

# Tables, parts, manifests: the files that outlive a process.
lake < root logic
	io/lakeio

# What of the lake nobody needs any more.
collect < root lake
	io/lakeio/collect

# Stores that hold a workspace, what holds a store to its interface, and what
# fills one for tests.
stores < root lake
	io/gcsio io/lakeio/storetest io/lakeio/laketest

# Stores that take records. They stand beside the transforms and know none.
sinks < root logic lake
	io/parquetio io/pgio io/sqlio

# Worker processes, and what starts them.
workers < root logic workers
	runners/worker runners/workerpool

# What is asked of clusters that needs no Beam.
jobmanager < root
	runners/jobmanager
dataflow < root
	runners/dataflow

# How a pipeline reaches a machine. It knows what runs no better than a
# machine does.
runners < root loopback flink workers dataflow jobmanager
	runners

# The engine room and a round of fetching: all that a DoFn does but being one.
# Apart from their DoFns so that they can be built and tested without Beam.
engine < root logic lake
	transforms/parts/engine
round < root logic lake engine
	transforms/fetch/round

# The files that rows are joined with, apart from the join so that trying a job
# needs no Beam.
lookup < root logic lake
	transforms/enrich/lookup

# What every verb is composed of.
parts < root logic lake engine
	transforms/parts

# The verbs. None knows another: pipelines puts them in order.
verbs < root logic lake engine round lookup parts
	transforms/check transforms/dedup transforms/discover transforms/enrich transforms/fetch transforms/operate
	transforms/parse transforms/replay transforms/upsert

# What a worker sees of the world that a job needs, and having workers look.
# Apart, so that what they saw is judged without Beam.
look < root logic lake
	transforms/probe/look
probe < look
	transforms/probe

# Whole jobs.
pipelines < root logic lake engine round lookup parts verbs look probe runners
	pipelines

# The job file's schema, embedded.
docs < NOTHING
	docs

# The demo's job file, embedded.
demo < NOTHING
	testdata/demo

# The command line: what shows a run (view), what compares two (compare: it
# sorts as a shuffle does), what tries a page (trial), what judges a cluster
# (doctor), all of it (command). The only place that knows which sinks there
# are.
view < root logic lake collect
	command/view
compare < root logic lake engine view
	command/compare
trial < root logic lake lookup view
	command/trial
doctor < look view jobmanager
	command/doctor
command < root logic flink lake collect stores sinks workers runners engine round parts verbs look pipelines demo docs view compare trial doctor
	command

cmd < command
	cmd/harrow

# What the tests of a plug-in call: conformance suites. They see what a plug-in
# sees, and the tables.
conformance < root lake verbs conformance
	harrowtest/...

# Measurements and long tests: nobody imports them, so they import what they
# measure.
workshop < root logic flink lake collect stores sinks workers runners engine round parts lookup verbs pipelines demo docs view compare trial command workshop
	bench/... soak/...
`

// guests says where packages from outside may be imported: a package and
// whatever lies below it, then each folder that may, and why. Everything else
// is go.mod's business.
const guests = `
# A build of anything with Beam in it takes minutes on a new machine, so what
# can live without it does. An operator is a plain object.
github.com/apache/beam/sdks
	transforms/parts         maps, shuffles and commits
	transforms/dedup         composes parts
	transforms/discover      composes parts
	transforms/enrich        composes parts
	transforms/fetch         composes parts; one DoFn
	transforms/parse         composes parts
	transforms/replay        composes parts
	transforms/upsert        composes parts; two DoFns
	transforms/probe         one DoFn
	pipelines                composes the verbs
	runners                  runs pipelines
	runners/worker           works for a runner
	runners/workerpool       starts workers for a runner
	command                  beam.Init, and a worker's start
	bench/...                measures
	soak/...                 measures

# DoFns are the one thing that is hard to test and easy to get wrong: five
# packages have them, the verbs register operators instead.
github.com/apache/beam/sdks/v2/go/pkg/beam/register
	transforms/parts         map, slices, merge, commit
	transforms/fetch         a round
	transforms/upsert        keys and loads
	transforms/probe         looks at a worker without a workspace, which parts are in
	io/lakeio                Read and Write, once they are built

# v17's successor has another import path, so each of these will be edited
# then. Where rows are only handed on, harrow.Batch does.
github.com/apache/arrow
	.                        Batch is our view of an Arrow record; Arrow() leaves it
	io/lakeio                reads and writes the files
	harrowtest/...           makes and reads batches
	io/parquetio             writes columns to Parquet
	io/pgio                  turns columns into PostgreSQL's binary form
	io/sqlio                 turns columns into SQL values
	transforms/parts/engine  sorts, spills and merges rows by their columns
	transforms/dedup         compares columns of two rows
	transforms/parse         reads the columns of captures and bodies
	transforms/enrich        adds columns
	transforms/enrich/lookup reads Arrow and Parquet files
	transforms/operate       turns columns into structs and back
	command/view             shows, sorts and filters values of any column
	command/compare          compares values of any column
	bench/...                measures
	soak/...                 measures

# Only fetch touches the network, and only through its scheduler.
net/http
	internal/httpfetch       the client
	internal/demosite        the server of the demo and of tests
	internal/serverlog       what a server was asked, and whether that was polite
	io/gcsio                 names the statuses that Cloud Storage answers with
	runners/jobmanager       Flink's REST API
	runners/dataflow         Dataflow's API and Secret Manager are HTTP
	bench/...                serves what it measures
	soak/...                 serves what it measures
github.com/harrowdata/harrow/internal/httpfetch
	transforms/fetch/round   the scheduler decides when an exchange starts
	command/trial            harrow try: one page, after its robots.txt
	bench/...                measures
	soak/...                 measures

# It comes with gRPC: what can live without it builds faster.
cloud.google.com/go
	io/gcsio                 workspaces on Cloud Storage
	runners/dataflow         stages the worker's program and the pipeline

# One store, one package.
database/sql
	io/sqlio                 SQLite
	bench/...                looks at results
	soak/...                 looks at results
github.com/jackc/pgx
	io/pgio                  PostgreSQL
	bench/...                looks at results
	soak/...                 looks at results

# Flags and their help are the command's alone.
github.com/alecthomas/kong
	command                  the grammar
flag
	command                  Beam's workers take their flags from the global set
	runners                  reads Beam's own flags from a set of its own
	runners/dataflow         defines its part of them
	bench/...                programs of their own
	soak/...                 programs of their own

# Products don't test.
testing
	harrowtest/...           suites for the tests of others
	internal/suites          only tests import it
	internal/dnscache/dnstest only tests import it
	io/lakeio/storetest      is called by tests
	bench/...                measures
	soak/...                 measures
`

// clocks says which packages of logic may ask for the time or wait, and why.
// The others are handed it: that is what lets their tests run in no time.
const clocks = `
internal/flink           waits for the processes that it starts
internal/httpfetch       the deadline of an exchange; dates come from its Clock
internal/demosite        is a server: some of its pages are slow
internal/serverlog       a server's log says when it was asked
`

func TestImportsFollowTheLayers(t *testing.T) {
	for _, problem := range checkLayers(parseLayers(t, layers), imports(goFiles(t, product))) {
		t.Error(problem)
	}
}

func TestEveryFolderHasItsPlaceInTheLayers(t *testing.T) {
	listed := map[string]bool{}
	for _, room := range parseLayers(t, layers) {
		for _, folder := range room.folders {
			listed[folder] = true
		}
	}
	for _, problem := range checkListed(listed, folders(goFiles(t, all))) {
		t.Error(problem)
	}
}

func TestPackagesFromOutsideStayWhereTheyAreLetIn(t *testing.T) {
	for _, problem := range checkGuests(parseGuests(t, guests), imports(goFiles(t, product))) {
		t.Error(problem)
	}
}

func TestDoFnsAreRegisteredOnlyWhereTheyLive(t *testing.T) {
	// What the package register offers is held by guests; Beam itself has the
	// same by other names.
	for _, f := range goFiles(t, product) {
		for _, call := range f.calls("github.com/apache/beam/sdks/v2/go/pkg/beam") {
			if strings.HasPrefix(call.name, "RegisterDoFn") || strings.HasPrefix(call.name, "RegisterFunction") {
				t.Errorf("%s:%d: beam.%s: DoFns are registered by package register, in transforms/parts, transforms/fetch and transforms/upsert; a step over rows is an operator", f.path, call.line, call.name)
			}
		}
	}
}

func TestLogicReadsNoClock(t *testing.T) {
	may := map[string]bool{}
	for line := range strings.Lines(clocks) {
		if fields := strings.Fields(line); len(fields) > 0 {
			may[fields[0]] = true
		}
	}
	waits := []string{"After", "AfterFunc", "NewTicker", "NewTimer", "Now", "Since", "Sleep", "Tick", "Until"}
	for _, f := range goFiles(t, product) {
		if !strings.HasPrefix(f.folder, "internal/") || may[f.folder] {
			continue
		}
		for _, call := range f.calls("time") {
			if slices.Contains(waits, call.name) {
				t.Errorf("%s:%d: time.%s: logic is handed the time", f.path, call.line, call.name)
			}
		}
	}
}

// TestThePolicyCatches sends wrong imports through the checks: a check that
// lets everything pass looks like a tidy tree.
func TestThePolicyCatches(t *testing.T) {
	rooms, list := parseLayers(t, layers), parseGuests(t, guests)
	for _, c := range []struct{ name, from, imports, want string }{
		{"upwards", "internal/canon", module + "io/lakeio", "internal/canon imports io/lakeio"},
		{"a sink from a verb", "transforms/dedup", module + "io/sqlio", "transforms/dedup imports io/sqlio"},
		{"a verb from a sink", "io/sqlio", module + "transforms/dedup", "io/sqlio imports transforms/dedup"},
		{"a verb from a verb", "transforms/dedup", module + "transforms/parse", "transforms/dedup imports transforms/parse"},
		{"a verb from runners", "runners", module + "transforms/parse", "runners imports transforms/parse"},
		{"a sink from pipelines", "pipelines", module + "io/sqlio", "pipelines imports io/sqlio"},
		{"a workshop from command", "command", module + "bench/harvest", "command imports bench/harvest"},
		{"anything of ours from root", ".", module + "internal/canon", ". imports internal/canon"},
		{"Beam in root", ".", "github.com/apache/beam/sdks/v2/go/pkg/beam", ". imports github.com/apache/beam"},
		{"Beam in logic", "internal/canon", "github.com/apache/beam/sdks/v2/go/pkg/beam", "internal/canon imports github.com/apache/beam"},
		{"Beam in the engine", "transforms/parts/engine", "github.com/apache/beam/sdks/v2/go/pkg/beam", "transforms/parts/engine imports github.com/apache/beam"},
		{"Beam in a round", "transforms/fetch/round", "github.com/apache/beam/sdks/v2/go/pkg/beam", "transforms/fetch/round imports github.com/apache/beam"},
		{"a DoFn in a verb", "transforms/dedup", "github.com/apache/beam/sdks/v2/go/pkg/beam/register", "transforms/dedup imports github.com/apache/beam"},
		{"Arrow in logic", "internal/rules", "github.com/apache/arrow/go/v17/arrow", "internal/rules imports github.com/apache/arrow"},
		{"the network from a verb", "transforms/parse", "net/http", "transforms/parse imports net/http"},
		{"allowed", "transforms/dedup", module + "io/lakeio", ""},
		{"allowed from outside", "io/lakeio", "github.com/apache/arrow/go/v17/arrow", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			made := map[string]map[string]string{c.from: {c.imports: c.from + "/file.go"}}
			got := strings.Join(append(checkLayers(rooms, made), checkGuests(list, made)...), "\n")
			if c.want == "" && got != "" || c.want != "" && !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q in it", got, c.want)
			}
		})
	}
	listed := map[string]bool{"a": true, "b": true, "c/...": true}
	if got := checkListed(listed, []string{"a", "c", "c/d", "e"}); len(got) != 2 || !strings.HasPrefix(got[0], "e:") || !strings.HasPrefix(got[1], "b:") {
		t.Errorf("folders: got %q, want a word on e and one on b", got)
	}
}

// module is how imports of ours begin.
const module = "github.com/harrowdata/harrow/"

// room is a few folders that may import the same.
type room struct {
	name    string
	may     []string
	folders []string
}

func parseLayers(t *testing.T, policy string) (rooms []room) {
	t.Helper()
	names := map[string]bool{}
	for line := range strings.Lines(policy) {
		text := strings.TrimSpace(line)
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		if strings.HasPrefix(line, "\t") {
			if len(rooms) == 0 {
				t.Fatalf("layers: folders before the first room: %s", text)
			}
			last := &rooms[len(rooms)-1]
			last.folders = append(last.folders, strings.Fields(text)...)
			continue
		}
		name, may, ok := strings.Cut(text, " < ")
		if !ok || names[name] {
			t.Fatalf("layers: %q: want `room < rooms`, each room once", text)
		}
		names[name] = true
		r := room{name: name}
		if may != "NOTHING" {
			r.may = strings.Fields(may)
		}
		for _, m := range r.may {
			if !names[m] {
				t.Fatalf("layers: room %s may import %s, which is not below it", name, m)
			}
		}
		rooms = append(rooms, r)
	}
	return rooms
}

// guest is a package from outside and the folders that may import it.
type guest struct {
	prefix  string
	folders []string
}

func parseGuests(t *testing.T, policy string) (list []guest) {
	t.Helper()
	for line := range strings.Lines(policy) {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0 || fields[0] == "#":
		case !strings.HasPrefix(line, "\t"):
			list = append(list, guest{prefix: fields[0]})
		case len(list) == 0 || len(fields) < 2:
			t.Fatalf("guests: %q: want a package, then folders with a reason each", line)
		default:
			last := &list[len(list)-1]
			last.folders = append(last.folders, fields[0])
		}
	}
	return list
}

// covers reports whether a pattern of the policy stands for a folder.
func covers(pattern, folder string) bool {
	below, open := strings.CutSuffix(pattern, "/...")
	return pattern == folder || open && (folder == below || strings.HasPrefix(folder, below+"/"))
}

func roomOf(rooms []room, folder string) (room, bool) {
	for _, r := range rooms {
		if slices.ContainsFunc(r.folders, func(pattern string) bool { return covers(pattern, folder) }) {
			return r, true
		}
	}
	return room{}, false
}

// checkLayers judges imports: by folder, then by path, the file that has it.
func checkLayers(rooms []room, made map[string]map[string]string) (problems []string) {
	for _, from := range slices.Sorted(maps.Keys(made)) {
		r, ok := roomOf(rooms, from)
		if !ok {
			continue // checkListed says so
		}
		for _, path := range slices.Sorted(maps.Keys(made[from])) {
			to, ours := folderOf(path)
			if !ours {
				continue
			}
			if target, _ := roomOf(rooms, to); !slices.Contains(r.may, target.name) {
				problems = append(problems, fmt.Sprintf("%s: %s imports %s (%s); %s may import: %s",
					made[from][path], from, to, target.name, r.name, strings.Join(r.may, ", ")))
			}
		}
	}
	return problems
}

// folderOf turns an import path of ours into a folder.
func folderOf(path string) (folder string, ours bool) {
	if path+"/" == module {
		return ".", true
	}
	return strings.CutPrefix(path, module)
}

func checkListed(listed map[string]bool, there []string) (problems []string) {
	patterns := slices.Sorted(maps.Keys(listed))
	for _, folder := range there {
		if !slices.ContainsFunc(patterns, func(p string) bool { return covers(p, folder) }) {
			problems = append(problems, folder+": no line of layers lists this folder: say which room it is")
		}
	}
	for _, p := range patterns {
		if !strings.HasSuffix(p, "/...") && !slices.Contains(there, p) {
			problems = append(problems, p+": layers lists this folder, but it has no Go files")
		}
	}
	return problems
}

func checkGuests(list []guest, made map[string]map[string]string) (problems []string) {
	for _, from := range slices.Sorted(maps.Keys(made)) {
		for _, path := range slices.Sorted(maps.Keys(made[from])) {
			for _, g := range list {
				if path != g.prefix && !strings.HasPrefix(path, g.prefix+"/") {
					continue
				}
				if !slices.ContainsFunc(g.folders, func(p string) bool { return covers(p, from) }) {
					problems = append(problems, fmt.Sprintf("%s: %s imports %s; only %s may import %s",
						made[from][path], from, path, strings.Join(g.folders, ", "), g.prefix))
				}
			}
		}
	}
	return problems
}

// imports gathers what each folder imports, with a file that does.
func imports(files []goFile) map[string]map[string]string {
	made := map[string]map[string]string{}
	for _, f := range files {
		if made[f.folder] == nil {
			made[f.folder] = map[string]string{}
		}
		for _, spec := range f.ast.Imports {
			if path, err := strconv.Unquote(spec.Path.Value); err == nil {
				made[f.folder][path] = f.path
			}
		}
	}
	return made
}

func folders(files []goFile) []string {
	set := map[string]bool{}
	for _, f := range files {
		set[f.folder] = true
	}
	return slices.Sorted(maps.Keys(set))
}

// call is a use of another package's name.
type call struct {
	name string
	line int
}

// calls lists the names of a package that a file uses.
func (f goFile) calls(path string) (found []call) {
	local := ""
	for _, spec := range f.ast.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err != nil || p != path {
			continue
		}
		local = path[strings.LastIndex(path, "/")+1:]
		if spec.Name != nil {
			local = spec.Name.Name
		}
	}
	if local == "" {
		return nil
	}
	ast.Inspect(f.ast, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == local {
				found = append(found, call{s.Sel.Name, f.set.Position(s.Pos()).Line})
			}
		}
		return true
	})
	return found
}
