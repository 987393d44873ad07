package pipelines

import (
	"encoding/json"
	"strings"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/runners"
)

// checkRemote refuses, for a runner whose workers are other processes, what
// they can't share: they may be on other machines.
func checkRemote(req Request, job *Job, store lakeio.Store) error {
	if !runners.Remote(req.Runner, req.Options) {
		return nil
	}
	if req.Runner == runners.Dataflow && store.Local() != "" {
		return usagef("--workspace %s: workers on Dataflow see no folder of this machine; want gs://BUCKET or gs://BUCKET/FOLDER", req.Workspace)
	}
	elsewhere := "the workers of --runner " + req.Runner + " are other processes"
	if job.Fetch.Politeness.Key == harrow.KeyIP {
		return usage{job.Source.Errorf("fetch.politeness.key", "fetch.politeness.key: ip holds within one process, and %s; want host or registered_domain", elsewhere)}
	}
	if _, ok := job.Load["sqlite"]; ok {
		return usage{job.Source.Errorf("load.sqlite", "load.sqlite: a SQLite file is written by one process, and %s; want postgres or parquet", elsewhere)}
	}
	if path := parquetPath(job); path != "" && !strings.Contains(path, "://") && store.Local() == "" {
		return usage{job.Source.Errorf("load.parquet.path", "load.parquet.path: %s, and may not see this machine's folder %s; want a gs:// address, as the workspace has", elsewhere, path)}
	}
	return nil
}

// parquetPath is where the sink parquet writes; empty: nowhere, or the sink
// itself says what is wrong with its config.
func parquetPath(job *Job) string {
	var config struct {
		Path string `json:"path"`
	}
	if err := json.Unmarshal(job.Load["parquet"], &config); err != nil {
		return ""
	}
	return config.Path
}
