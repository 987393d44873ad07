package runners

import (
	"context"
	"fmt"
	"regexp"

	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"

	"github.com/harrowdata/harrow/internal/flink"
)

// equipped reports whether the cluster has Beam's runner itself, so that the job
// need not bring it along, which takes longer than all else about a small job.
// Its JobManager says so for all of it: one that can't be asked has not said so,
// and a TaskManager that has another class path makes the job fail at once, see
// lacksClasses.
func (f *flinkRunner) equipped(ctx context.Context) bool {
	m, ok := f.jobManager()
	if !ok || f.Endpoint != "" { // that job server brings what it brings
		return false
	}
	path, err := m.ClassPath(ctx)
	if err == nil {
		err = flink.Equipped(path)
	}
	if err != nil {
		fmt.Fprintf(f.Log, "flink: the job brings Beam's runner along, 150 MB, since the cluster lacks it: %v\n", err)
	}
	return err == nil
}

// notFound is what a task says that was to be made of a class which its
// TaskManager lacks.
var notFound = regexp.MustCompile(`(ClassNotFoundException|NoClassDefFoundError): org[./]apache[./]beam[./][\w.$/]*`)

// lacksClasses reports whether a job has failed for want of Beam's runner on a
// TaskManager. What it did elsewhere is as after any restart.
func lacksClasses(j *job) bool {
	return j.state == jobpb.JobState_FAILED && notFound.MatchString(j.failure)
}

// attempts has a job run, and once more with Beam's runner brought along where
// the JobManager spoke for a TaskManager that lacks it.
func (f *flinkRunner) attempts(equipped bool, attempt func(equipped bool) (Result, *job, error)) (Result, *job, error) {
	res, j, err := attempt(equipped)
	if err == nil || !equipped || !lacksClasses(j) {
		return res, j, err
	}
	fmt.Fprintf(f.Log, "flink: a TaskManager lacks Beam's runner, which the JobManager has (%s); the job is submitted again and brings it along\n", notFound.FindString(j.failure))
	return attempt(false)
}
