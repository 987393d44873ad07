package runners

import "strings"

// Pool is where the runner's machines look for a pool of workers, as they see
// it: host:port; empty where there is none, or options that Check refuses.
func Pool(name string, o Options) string {
	m, err := open(name, o)
	if err != nil {
		return ""
	}
	if p, ok := m.(interface{ pool() string }); ok {
		return p.pool()
	}
	return ""
}

// Staging is the folder that a runner takes the job's files from; empty where it
// needs none, or of options that Check refuses.
func Staging(name string, o Options) string {
	m, err := open(name, o)
	if err != nil {
		return ""
	}
	if d, ok := m.(*dataflowRunner); ok {
		return d.Options.Staging
	}
	return ""
}

// Batch reports whether a step begins only when what it takes is whole, so that
// a job does with fewer places than its parallelism. Of options that Check
// refuses it is false.
func Batch(name string, o Options) bool {
	m, err := open(name, o)
	if err != nil {
		return false
	}
	f, ok := m.(*flinkRunner)
	return ok && strings.HasPrefix(f.mode, "BATCH")
}

func (p *prismRunner) pool() string { return p.env.config }

func (f *flinkRunner) pool() string { return f.env.config }
