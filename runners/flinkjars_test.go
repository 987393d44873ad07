package runners

import (
	"errors"
	"slices"
	"strings"
	"testing"

	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"
)

// TestAJobThatLacksItsRunnerBringsItAlong: the JobManager speaks for all of a
// cluster, and may be wrong.
func TestAJobThatLacksItsRunnerBringsItAlong(t *testing.T) {
	const lacks = "java.lang.Exception: x\nCaused by: java.lang.ClassNotFoundException: org.apache.beam.runners.flink.translation.functions.FlinkExecutableStageFunction\n\tat java.base"
	for _, c := range []struct {
		name     string
		equipped bool
		state    jobpb.JobState_Enum
		failure  string // of the first attempt; empty: none
		want     []bool // what each attempt was told
	}{
		{"well", true, jobpb.JobState_DONE, "", []bool{true}},
		{"lacking", true, jobpb.JobState_FAILED, lacks, []bool{true, false}},
		{"lacking what a class leans on", true, jobpb.JobState_FAILED, "java.lang.NoClassDefFoundError: org/apache/beam/sdk/coders/Coder", []bool{true, false}},
		{"lacking though it was brought", false, jobpb.JobState_FAILED, lacks, []bool{false}},
		{"lacking something else", true, jobpb.JobState_FAILED, "java.lang.ClassNotFoundException: com.example.X", []bool{true}},
		{"cancelled meanwhile", true, jobpb.JobState_CANCELLED, lacks, []bool{true}},
	} {
		var told []bool
		var log strings.Builder
		_, _, err := (&flinkRunner{Options: Options{Log: &log}}).attempts(c.equipped, func(equipped bool) (Result, *job, error) {
			told = append(told, equipped)
			if c.failure == "" || len(told) > 1 {
				return Result{}, &job{state: jobpb.JobState_DONE}, nil
			}
			return Result{}, &job{state: c.state, failure: c.failure}, errors.New(c.failure)
		})
		if !slices.Equal(told, c.want) || (err == nil) != (c.failure == "" || len(c.want) > 1) {
			t.Errorf("%s: attempts %v, %v; want %v", c.name, told, err, c.want)
		}
		if again := strings.Contains(log.String(), "is submitted again"); again != (len(c.want) > 1) {
			t.Errorf("%s: said %q", c.name, log.String())
		}
	}
}
