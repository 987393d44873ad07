package command

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/harrowdata/harrow/command/doctor"
	"github.com/harrowdata/harrow/internal/flink"
	"github.com/harrowdata/harrow/runners"
	"github.com/harrowdata/harrow/runners/workerpool"
	"github.com/harrowdata/harrow/transforms/probe/look"
)

// there looks, from here, at the runner.
func (v *visit) there(ctx context.Context) {
	if v.Runner == "flink" {
		v.flink(ctx)
	}
	v.pool(ctx)
	if staging := runners.Staging(v.Runner, v.options); staging != "" {
		v.staging(ctx, staging)
	}
}

// staging looks at the folder in which Dataflow finds the worker's program,
// which is static and for its machines, or there would be no runner.
func (v *visit) staging(ctx context.Context, folder string) {
	if err := look.Writable(ctx, folder); err != nil {
		v.report.Add(doctor.Failed("staging", "name a folder of a bucket in the job's region, and credentials that may write there (gcloud auth application-default login)", err))
		return
	}
	v.report.Add(doctor.Fine("staging", folder+" can be written from here"))
	v.report.Add(doctor.Unsure("region", "whether the workspace's bucket is in the job's region can't be known from here",
		"look it up (gcloud storage buckets describe): what crosses regions is slow, and paid for"))
}

// pool looks at the worker pool from here. Where it is said to be on localhost
// and the cluster is elsewhere it is each TaskManager's own: the probe tells.
func (v *visit) pool(ctx context.Context) {
	address := runners.Pool(v.Runner, v.options)
	here := v.Runner != "flink" || ofThisMachine(v.FlinkMaster)
	if address == "" || ofThisMachine(address) && !here {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, poolPatience)
	defer cancel()
	name, err := workerpool.Ping(ctx, address)
	v.report.Add(doctor.Pool(address, name, v.build, here, err))
}

// endpoint looks whether a job server that is said to run does.
func (v *visit) endpoint(ctx context.Context) {
	d := net.Dialer{Timeout: poolPatience}
	conn, err := d.DialContext(ctx, "tcp", v.Endpoint)
	if err == nil {
		err = conn.Close()
	}
	if err != nil {
		v.report.Add(doctor.Failed("job server", "start it, or leave --endpoint out and Harrow starts one", err))
		return
	}
	v.report.Add(doctor.Fine("job server", "something listens at "+v.Endpoint))
}

// poolPatience is for one answer of a pool.
const poolPatience = 5 * time.Second

// ofThisMachine reports whether host:port is on the loopback.
func ofThisMachine(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

func (v *visit) flink(ctx context.Context) {
	if v.Endpoint != "" {
		v.endpoint(ctx)
	} else if jars, err := flink.Find(ctx, flink.Config{}); err != nil {
		v.report.Add(doctor.Failed("job server", "without them no pipeline becomes a Flink job; or name a job server that runs with --endpoint", err))
	} else {
		v.report.Add(doctor.Fine("job server", fmt.Sprintf("jars of Flink %s and Beam %s in %s, Java at %s", flink.Version, flink.BeamVersion, jars.Dir, jars.Java)))
	}
	if v.FlinkMaster == "" || v.FlinkMaster == "local" {
		return
	}
	minor := flink.Version[:strings.LastIndexByte(flink.Version, '.')]
	cluster, checks := doctor.Flink(ctx, v.FlinkMaster, doctor.FlinkJob{Version: minor,
		Parallelism: runners.Parallelism(v.Runner, v.options), Batch: runners.Batch(v.Runner, v.options), Equipped: flink.Equipped})
	v.report.Add(checks...)
	v.machines = cluster.TaskManagers
}
