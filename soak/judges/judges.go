// Package judges holds a harvest to its politeness by two judges that share
// nothing but the clock: the log of the server that was asked, and what harrow
// audit makes of the exchanges that the client wrote down.
package judges

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/command/view"
	"github.com/harrowdata/harrow/internal/serverlog"
	"github.com/harrowdata/harrow/io/lakeio"
)

// Case is what is judged: all that a server was asked by the runs of a
// workspace.
type Case struct {
	Store lakeio.Store // nil: there is none, the server's log is all there is
	Log   *serverlog.Log
	// Promised are the limits of a key, as the test knows them; ok is false
	// for those that it has no opinion of: they are held to the job's.
	Promised func(key string) (l serverlog.Limits, ok bool)
	// Whole says that nothing that was sent was lost, and all of it reached the
	// server: then the judges have to agree about every key.
	Whole bool
	// Busy says that other tests run beside: whatever hold-up the client's log
	// says that a request had is believed.
	Busy bool
}

// Verdict is what came of it.
type Verdict struct {
	Server   []serverlog.Violation
	Audits   []view.Audit // of every run of every job
	Disagree []string     // what the judges see differently
}

// Problems are all that is wrong, a line each.
func (v Verdict) Problems() (lines []string) {
	for _, s := range v.Server {
		lines = append(lines, "the server saw: "+s.String())
	}
	for _, a := range v.Audits {
		for _, k := range a.Keys {
			for _, b := range k.Violations {
				lines = append(lines, fmt.Sprintf("audit of run %s: %s: %s: %s; %+v, %+v", a.Run, k.Key, b.Rule, b.Text, b.First, b.Second))
			}
		}
	}
	return append(lines, v.Disagree...)
}

// Judge hears both.
func (c Case) Judge(ctx context.Context) (Verdict, error) {
	var v Verdict
	sent, err := v.hear(ctx, c.Store)
	if err != nil {
		return v, err
	}
	keys := merge(v.Audits)
	v.Server = c.Log.JudgeBeside(func(key string) serverlog.Limits {
		if c.Promised != nil {
			if l, ok := c.Promised(key); ok {
				return l
			}
		}
		k, ok := keys[key]
		if !ok {
			return serverlog.Limits{Concurrency: 1 << 20} // nothing was written down: of another job, or lost
		}
		return serverlog.Limits{Concurrency: k.concurrency, Delay: k.delay}
	}, sent)
	if c.Busy {
		v.Server = slices.DeleteFunc(v.Server, func(b serverlog.Violation) bool { return b.Rule == serverlog.HoldUp })
	}
	v.Disagree = c.compare(keys, c.Log.HoldUps(sent))
	return v, nil
}

// hear has every run of a workspace audited, and returns what they sent.
func (v *Verdict) hear(ctx context.Context, store lakeio.Store) (sent []harrow.Exchange, err error) {
	if store == nil {
		return nil, nil
	}
	jobs, err := lakeio.Jobs(ctx, store)
	if err != nil {
		return nil, err
	}
	for _, job := range jobs {
		runs, err := lakeio.Runs(ctx, store, job)
		if err != nil {
			return nil, err
		}
		for _, id := range runs {
			run, err := view.FindRun(ctx, store, job, id)
			if err != nil {
				return nil, err
			}
			if run.Source("fetch") != id {
				continue // another run's
			}
			a, err := run.Audit(ctx)
			if err != nil {
				return nil, err
			}
			v.Audits = append(v.Audits, a)
			for x, err := range run.Exchanges(ctx) {
				if err != nil {
					return nil, err
				}
				x.URL, x.Key, x.Error = strings.Clone(x.URL), strings.Clone(x.Key), strings.Clone(x.Error)
				sent = append(sent, x)
			}
		}
	}
	return sent, nil
}

// heard is what all audits together say of a key.
type heard struct {
	runs        int
	exchanges   int64
	most        int
	gap         time.Duration
	concurrency int
	delay       time.Duration
}

func merge(audits []view.Audit) map[string]heard {
	keys := map[string]heard{}
	for _, a := range audits {
		for _, k := range a.Keys {
			h, ok := keys[k.Key]
			if !ok {
				h = heard{gap: math.MaxInt64, delay: math.MaxInt64}
			}
			h.runs++
			h.exchanges += k.Exchanges
			h.most = max(h.most, k.MostAtOnce)
			if k.SmallestGap != nil {
				h.gap = min(h.gap, *k.SmallestGap)
			}
			h.concurrency, h.delay = max(h.concurrency, k.Limits.Concurrency), min(h.delay, k.Limits.Delay)
			keys[k.Key] = h
		}
	}
	return keys
}

// compare holds the audits' figures against the server's. The client's view of
// an exchange begins before DNS and connect and ends when it has read the
// answer, so it never has fewer at once. Gaps differ by what busy cores held
// requests up, and by the longest that is known where that is more than
// [serverlog.Late].
func (c Case) compare(keys map[string]heard, heldUp map[string]time.Duration) (disagree []string) {
	say := func(format string, args ...any) { disagree = append(disagree, fmt.Sprintf(format, args...)) }
	if !c.Whole {
		return nil
	}
	all := c.Log.All()
	for key, f := range all {
		h, ok := keys[key]
		if !ok {
			say("%s: the server was asked %d times, audit has no such key", key, f.Requests)
			continue
		}
		if h.exchanges != f.Requests {
			say("%s: audit counts %d exchanges, the server %d requests", key, h.exchanges, f.Requests)
		}
		if h.most < f.MostAtOnce {
			say("%s: audit says %d at once, the server had %d", key, h.most, f.MostAtOnce)
		}
		off := max(serverlog.Late, heldUp[key])
		// Between two runs there is a gap that is no run's own.
		if f.SmallestGap-off > h.gap || f.SmallestGap < h.gap-off && h.runs == 1 {
			say("%s: smallest gap: audit %v, the server %v", key, h.gap, f.SmallestGap)
		}
	}
	for key, h := range keys {
		if _, ok := all[key]; !ok {
			say("%s: audit counts %d exchanges, the server was asked nothing", key, h.exchanges)
		}
	}
	return disagree
}
