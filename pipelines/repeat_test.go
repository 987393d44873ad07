package pipelines

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/harrowdata/harrow/internal/demosite"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/runners"
)

// A graph that is run again, as a cluster may do after a lost machine, finds
// every stage committed.
func TestAWholeGraphRunTwiceDoesNothingTheSecondTime(t *testing.T) {
	t.Parallel()
	meaning(t)
	eachRunner(t, func(t *testing.T, runnerName string) {
		b := newShop(t, demosite.Options{Products: 40}, exact...)
		run := b.must(runner(runnerName))
		tables, before := b.tables(run), files(t, b.dir)
		b.log.Reset()

		job, err := ReadJob(b.request.JobFile, b.request.Params)
		if err != nil {
			t.Fatal(err)
		}
		p, err := plan(b.request, b.dir, decision{run: run}, job)
		if err != nil {
			t.Fatal(err)
		}
		pipeline, root := beam.NewPipelineWithRoot()
		Harvest(root, p)
		if _, err := runners.Execute(t.Context(), runnerName, pipeline, runners.Options{}); err != nil {
			t.Fatal(err)
		}
		untouched(t, before, files(t, b.dir))
		if n := len(b.log.Requests()); n > 0 {
			t.Errorf("%d requests were sent", n)
		}

		// The same through Run, as after a process that died before its last word.
		if _, err := lakeio.ChangeRun(t.Context(), b.lake("").Store, run.Job, run.ID, func(r *lakeio.Run) error {
			r.State = lakeio.Active
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		res, err := b.run(runner(runnerName))
		if err != nil || !res.Resumed || res.Run.ID != run.ID || res.Run.State != lakeio.Done {
			t.Fatalf("resumed %v run %s, %s, %v; want %s, done", res.Resumed, res.Run.ID, res.Run.State, err, run.ID)
		}
		untouched(t, before, files(t, b.dir), "run.json", "lock", "/status/")
		if n := len(b.log.Requests()); n > 0 {
			t.Errorf("the resumed run sent %d requests", n)
		}
		same(t, "second time", tables, b.tables(res.Run))
	})
}

// untouched fails the test where a file came, went or changed; files whose
// names have one of the texts may, and SQLite's own beside the database, which
// come and go with its readers.
func untouched(t *testing.T, before, after map[string]string, but ...string) {
	t.Helper()
	but = append(but, ".db-wal", ".db-shm")
	all := maps.Clone(before)
	maps.Copy(all, after)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if before[name] != after[name] && !slices.ContainsFunc(but, func(part string) bool { return strings.Contains(name, part) }) {
			t.Errorf("%s was %q, is %q", name, before[name], after[name])
		}
	}
}
