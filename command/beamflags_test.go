package command

import (
	"slices"
	"strings"
	"testing"
)

func TestBeamsFlagsStandLast(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{ // "own | Beam's"
		"run job.yaml -- --parallelism=4":           "run job.yaml | --parallelism=4",
		"run --runner flink job.yaml -- --a 1 -- x": "run --runner flink job.yaml | --a 1 -- x",
		"rejects replay -- --a":                     "rejects replay | --a",
		"demo --":                                   "demo | ",
		"run job.yaml":                              "run job.yaml | ",
		"cat -- table":                              "cat -- table | ", // the parser's own
		"rejects show -- x":                         "rejects show -- x | ",
		"-- run":                                    "-- run | ",
	} {
		own, beam := cutBeam(strings.Fields(line))
		if got := strings.Join(own, " ") + " | " + strings.Join(beam, " "); got != want {
			t.Errorf("%s: %s, want %s", line, got, want)
		}
	}
}

func TestWrongFlagsOfARunnerAreMisuse(t *testing.T) {
	dir := t.TempDir()
	for line, want := range map[string]string{
		"run x.yaml --runner spark":                                             "--runner spark is not built; want one of direct, prism, flink",
		"run x.yaml --runner flink":                                             "--runner flink: want --flink-master HOST:PORT",
		"run x.yaml --flink-master local":                                       "--runner direct: --flink-master local is not for this runner",
		"run x.yaml --runner flink --flink-master local -- --max_bundle_size=1": "-- --max_bundle_size is not known",
		"run x.yaml --parallelism=4":                                            "unknown flag --parallelism; a flag of Beam's stands after --",
		"run x.yaml -- x":                                                       "-- x: want a flag of Beam's",
		"demo --runner prism --endpoint localhost:1":                            "--endpoint localhost:1 is not for this runner",
	} {
		args := strings.Fields(line)
		end := slices.Index(append(args, "--"), "--")
		var out, errs strings.Builder
		code := Run(t.Context(), slices.Insert(slices.Clone(args), end, "--workspace", dir), &out, &errs)
		if code != exitUsage || !strings.Contains(errs.String(), want) {
			t.Errorf("%s: exit %d, %q; want %q", line, code, errs.String(), want)
		}
	}
}
