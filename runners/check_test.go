package runners

import (
	"slices"
	"strings"
	"testing"
)

func TestCheckNamesTheWrongFlag(t *testing.T) {
	t.Parallel()
	flinkAt := Options{FlinkMaster: "jm:8081"}
	for name, c := range map[string]struct {
		runner string
		o      Options
		want   string // part of the error; empty: none
	}{
		"direct":                      {"direct", Options{}, ""},
		"direct and a cluster":        {"direct", flinkAt, "--runner direct: --flink-master jm:8081 is not for this runner"},
		"direct and Beam's flags":     {"direct", Options{Beam: []string{"--parallelism=2"}}, "-- --parallelism: this runner takes no flags of Beam's"},
		"prism":                       {"prism", Options{}, ""},
		"prism and a job server":      {"prism", Options{Endpoint: "h:1"}, "--endpoint h:1 is not for this runner"},
		"prism, pool":                 {"prism", Options{Beam: []string{"--environment_config=localhost:50000"}}, ""},
		"prism, no pool":              {"prism", Options{Beam: []string{"--environment_type=EXTERNAL"}}, "want --environment_config=HOST:PORT too"},
		"prism, loopback and pool":    {"prism", Options{Beam: []string{"--environment_type=loopback", "--environment_config=h:1"}}, "--environment_config=h:1 is not for --environment_type=LOOPBACK"},
		"prism, containers":           {"prism", Options{Beam: []string{"--environment_type", "DOCKER"}}, "--environment_type=DOCKER: want LOOPBACK or EXTERNAL"},
		"prism, pool without port":    {"prism", Options{Beam: []string{"--environment_config=localhost"}}, "--environment_config=localhost: want HOST:PORT"},
		"flink":                       {"flink", flinkAt, ""},
		"flink, local":                {"flink", Options{FlinkMaster: "local"}, ""},
		"flink, job server alone":     {"flink", Options{Endpoint: "localhost:8099"}, "--endpoint localhost:8099 alone: want --flink-master HOST:PORT too"},
		"flink, job server, loopback": {"flink", Options{Endpoint: "localhost:8099", Beam: []string{"--environment_type=loopback"}}, ""},
		"flink, job server, local":    {"flink", Options{Endpoint: "localhost:8099", FlinkMaster: "local"}, ""},
		"flink nowhere":               {"flink", Options{}, "--runner flink: want --flink-master HOST:PORT"},
		"flink, no port":              {"flink", Options{FlinkMaster: "jm"}, "--flink-master jm: want HOST:PORT"},
		"flink, port out of range":    {"flink", Options{FlinkMaster: "jm:70000"}, "--flink-master jm:70000: want HOST:PORT"},
		"flink, bad job server":       {"flink", Options{FlinkMaster: "jm:1", Endpoint: ":8099"}, "--endpoint :8099: want HOST:PORT"},
		"flink, parallelism of none":  {"flink", Options{FlinkMaster: "jm:1", Beam: []string{"--parallelism=0"}}, "--parallelism=0: want a whole number > 0"},
		"flink, parallelism in text":  {"flink", Options{FlinkMaster: "jm:1", Beam: []string{"--parallelism=two"}}, "--parallelism=two: want a whole number > 0"},
		"flink, mode":                 {"flink", Options{FlinkMaster: "jm:1", Beam: []string{"--execution_mode_for_batch", "FAST"}}, "--execution_mode_for_batch=FAST: want one of [PIPELINED"},
		"flink, retries":              {"flink", Options{FlinkMaster: "jm:1", Beam: []string{"--number_of_execution_retries=-2"}}, "--number_of_execution_retries=-2: want 0 or more"},
		"flink, retries elsewhere":    {"flink", Options{Endpoint: "jm:1", Beam: []string{"--execution_retry_delay=5"}}, "--execution_retry_delay goes by the configuration of the job server"},
		"a switch":                    {"flink", Options{FlinkMaster: "jm:1", Beam: []string{"-object_reuse", "--parallelism", "3"}}, ""},
		"a switch that is no bool":    {"flink", Options{FlinkMaster: "jm:1", Beam: []string{"--object_reuse=yes"}}, "--object_reuse=yes: want true or false"},
		"no value":                    {"flink", Options{FlinkMaster: "jm:1", Beam: []string{"--parallelism"}}, "--parallelism: want a value: a whole number"},
		"twice":                       {"flink", Options{FlinkMaster: "jm:1", Beam: []string{"--parallelism=1", "-parallelism=1"}}, "--parallelism is given twice"},
		"no flag":                     {"flink", Options{FlinkMaster: "jm:1", Beam: []string{"job.yaml"}}, "-- job.yaml: want a flag of Beam's"},
		"two hyphens alone":           {"flink", Options{FlinkMaster: "jm:1", Beam: []string{"--"}}, "-- --: want a flag of Beam's"},
		"unknown":                     {"flink", Options{FlinkMaster: "jm:1", Beam: []string{"--max_bundle_size=3"}}, "--max_bundle_size is not known; want one of --environment_config, "},
		"set by Harrow":               {"flink", Options{FlinkMaster: "jm:1", Beam: []string{"--job_name=x"}}, "--job_name: the job is named after its run"},
		"which stands before the --":  {"flink", Options{FlinkMaster: "jm:1", Beam: []string{"--runner=spark"}}, "--runner: want --runner before the --"},
		"no such runner":              {"spark", Options{}, "--runner spark is not built; want one of direct, prism, flink"},
	} {
		err := Check(c.runner, c.o)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
	}
}

func TestWhereTheWorkersAreAndHowMany(t *testing.T) {
	t.Parallel()
	external := []string{"--environment_type=EXTERNAL", "--environment_config=h:1"}
	for name, c := range map[string]struct {
		runner      string
		o           Options
		remote      bool
		parallelism int
	}{
		"direct":          {"direct", Options{}, false, 1},
		"prism":           {"prism", Options{}, false, 1},
		"prism, a pool":   {"prism", Options{Beam: external}, true, 1},
		"flink":           {"flink", Options{FlinkMaster: "jm:1", Beam: []string{"--parallelism=4"}}, true, 4},
		"flink, local":    {"flink", Options{FlinkMaster: "local", Beam: []string{"--parallelism=4"}}, false, 1},
		"local, a pool":   {"flink", Options{FlinkMaster: "local", Beam: slices.Concat(external, []string{"--parallelism=4"})}, true, 4},
		"flink, loopback": {"flink", Options{FlinkMaster: "jm:1", Beam: []string{"--environment_type=LOOPBACK"}}, false, 1},
		"wrong":           {"flink", Options{}, false, 1},
	} {
		if r, n := Remote(c.runner, c.o), Parallelism(c.runner, c.o); r != c.remote || n != c.parallelism {
			t.Errorf("%s: remote %t, parallelism %d; want %t, %d", name, r, n, c.remote, c.parallelism)
		}
	}
}

func TestWorkersBesideTaskManagersUnlessToldOtherwise(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		o    Options
		want environment
	}{
		"a cluster":    {Options{FlinkMaster: "jm:1"}, environment{envExternal, "localhost:50000"}},
		"local":        {Options{FlinkMaster: "local"}, environment{envLoopback, ""}},
		"a job server": {Options{FlinkMaster: "jm:1", Endpoint: "js:1"}, environment{envExternal, "localhost:50000"}},
		"a pool":       {Options{FlinkMaster: "local", Beam: []string{"--environment_config=h:9"}}, environment{envExternal, "h:9"}},
	} {
		m, err := openFlink(c.o)
		if err != nil || m.(*flinkRunner).env != c.want {
			t.Errorf("%s: %+v, %v; want %+v", name, m, err, c.want)
		}
	}
}
