package pipelines

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/runners"
	"github.com/harrowdata/harrow/runners/jobmanager"
)

// far is a workspace that is on no machine of ours.
type far struct{ lakeio.Store }

func (far) Local() string { return "" }

// A mistyped address is no reason to begin a run, and what a runner refuses is
// said before anything of a run that is there.
func TestNothingIsBegunForAClusterThatIsNot(t *testing.T) {
	t.Parallel()
	b := newBench(t, smallSite(), strings.Replace(fmt.Sprintf(smallJob, `{urls: ["http://a.example/"]}`, "/**"), "parse:", "load: {parquet: {path: out}}\nparse:", 1))
	cluster := func(r *Request) { r.Runner, r.Options = "flink", runners.Options{FlinkMaster: "127.0.0.1:1"} }
	_, err := b.run(cluster)
	if !errors.Is(err, jobmanager.ErrUnavailable) || !strings.Contains(err.Error(), "--flink-master 127.0.0.1:1") {
		t.Errorf("%v", err)
	}
	store, err := lakeio.Open(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	if run, err := lakeio.LastRun(t.Context(), store, "small"); !errors.Is(err, lakeio.ErrNotFound) {
		t.Errorf("run %s was begun, %v", run.ID, err)
	}
}

func TestWhatWorkersElsewhereCantShareIsRefused(t *testing.T) {
	t.Parallel()
	here, err := lakeio.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cluster := runners.Options{FlinkMaster: "jm:8081"}
	const valid = "version: 1\njob: x\ndiscover: {seeds: {urls: [\"http://x.example/\"]}}\nparse: [{record: a, match: [\"/**\"], fields: {t: {css: h1}}}]\n"
	for name, c := range map[string]struct {
		more    string
		runner  string
		options runners.Options
		store   lakeio.Store
		want    string
	}{
		"SQLite":                     {"load: {sqlite: {}}\n", "flink", cluster, here, "load.sqlite: a SQLite file is written by one process, and the workers of --runner flink are other processes; want postgres or parquet"},
		"SQLite by default":          {"", "flink", cluster, here, "want postgres or parquet"},
		"SQLite in this process":     {"", "direct", runners.Options{}, here, ""},
		"SQLite, workers in it":      {"", "flink", runners.Options{FlinkMaster: "local"}, here, ""},
		"SQLite, Prism with a pool":  {"", "prism", runners.Options{Beam: []string{"--environment_config=h:1"}}, here, "want postgres or parquet"},
		"addresses":                  {"load: {parquet: {path: out}}\nfetch: {politeness: {key: ip}}\n", "flink", cluster, here, "fetch.politeness.key: ip holds within one process"},
		"Parquet on a shared folder": {"load: {parquet: {path: out}}\n", "flink", cluster, here, ""},
		"Parquet on this machine":    {"load: {parquet: {path: out}}\n", "flink", cluster, far{here}, "load.parquet.path: the workers of --runner flink are other processes, and may not see this machine's folder out"},
		"Parquet in a bucket":        {"load: {parquet: {path: \"gs://b/out\"}}\n", "flink", cluster, far{here}, ""},
	} {
		file := filepath.Join(t.TempDir(), "x.yaml")
		if err := os.WriteFile(file, []byte(valid+c.more), 0o666); err != nil {
			t.Fatal(err)
		}
		job, err := ReadJob(file, nil)
		if err != nil {
			t.Fatal(err)
		}
		err = checkRemote(Request{Runner: c.runner, Options: c.options}, job, c.store)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
	}
}

// Workers elsewhere miss a secret of load before the first request, unless the
// run never gets to load.
func TestWorkersElsewhereNeedTheSecretsOfWhatTheRunWillDo(t *testing.T) {
	t.Setenv("OUT", t.TempDir())
	b := newBench(t, smallSite(), fmt.Sprintf(smallJob, `{urls: ["http://one.example/"]}`, "/**")+"load:\n  parquet: {path: \"${OUT}\"}\n")
	elsewhere := runners.Options{Beam: []string{"--environment_config=127.0.0.1:1"}}
	for _, c := range []struct {
		runner, until string
		options       runners.Options
		want          []string
	}{
		{"direct", "", runners.Options{}, nil},
		{"prism", "", runners.Options{}, nil},
		{"prism", "", elsewhere, []string{"OUT"}},
		{"prism", "load", elsewhere, []string{"OUT"}},
		{"prism", "parse", elsewhere, nil},
	} {
		b.request.Runner, b.request.Options, b.request.Until = c.runner, c.options, c.until
		if p := b.plan(); !slices.Equal(p.Secrets, c.want) {
			t.Errorf("%s %v until %q: the workers need %q; want %q", c.runner, c.options.Beam, c.until, p.Secrets, c.want)
		}
	}
}
