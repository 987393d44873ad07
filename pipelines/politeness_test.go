package pipelines

import (
	"context"
	"os"

	"github.com/harrowdata/harrow/internal/serverlog"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/soak/judges"
)

// checkPoliteness hears both judges of what the site was asked by all runs of
// the workspace.
func (b *bench) checkPoliteness() {
	b.t.Helper()
	promised := func(key string) (serverlog.Limits, bool) {
		l, ok := b.limits[key]
		return serverlog.Limits{Concurrency: l.concurrency, Delay: l.delay}, ok
	}
	c := judges.Case{Log: b.log, Promised: promised, Whole: b.whole && !b.t.Failed(), Busy: true} // other packages' tests run beside
	if _, err := os.Stat(b.dir); err == nil {
		if c.Store, err = lakeio.Open(b.dir); err != nil {
			b.t.Fatal(err)
		}
	}
	v, err := c.Judge(context.Background())
	if err != nil {
		b.t.Fatal(err)
	}
	for _, problem := range v.Problems() {
		b.t.Error(problem)
	}
}
