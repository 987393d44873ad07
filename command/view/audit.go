package view

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/audit"
	"github.com/harrowdata/harrow/internal/polite"
	"github.com/harrowdata/harrow/io/lakeio"
)

// Audit is what the hosts of a run were subjected to, and whether its limits
// held. As JSON, durations are numbers of nanoseconds and times RFC 3339, like
// those of ls --why.
type Audit struct {
	Job       string      `json:"job"`
	Run       string      `json:"run"`
	Fetched   string      `json:"fetched"`   // run that sent the exchanges: another one where --from took its pages over
	Earlier   string      `json:"earlier"`   // run before that one, which it had to keep its distance from; empty: there is none
	Complete  bool        `json:"complete"`  // all rounds of fetch have committed; else this is what the rolls say that have closed
	Exchanges int64       `json:"exchanges"` //
	From      *time.Time  `json:"from"`      // first start; null where nothing was sent
	Until     *time.Time  `json:"until"`     // last end
	Held      bool        `json:"held"`      // every limit of every key
	Broken    int         `json:"broken"`    // keys of which one didn't
	Keys      []audit.Key `json:"keys"`      // those first, then the ones with most exchanges
}

// Audit reckons from table exchanges of a run what each politeness key was
// subjected to: of all rounds, those that have not committed as far as their
// rolls have closed. It goes through the rows as they lie; what it holds is told
// by package audit.
func (r Run) Audit(ctx context.Context) (Audit, error) {
	out := Audit{Job: r.Run.Job, Run: r.ID, Fetched: r.Source("fetch")}
	if out.Fetched != r.ID {
		owner, err := FindRun(ctx, r.Store, r.Run.Job, out.Fetched)
		if err != nil {
			return out, fmt.Errorf("fetch of run %s: %w", r.ID, err)
		}
		r = owner
	}
	now, err := r.asked(ctx, time.Time{})
	if err != nil {
		return out, err
	}
	before, err := r.before(ctx)
	if err != nil {
		return out, err
	}
	if out.Earlier = before.run; before.run == "" {
		before.rounds = nil
	}
	if out.Complete, err = r.Owner("fetch").Committed(ctx, lakeio.FetchStage(r.Rounds-1)); err != nil {
		return out, err
	}
	limits, err := r.promised(now.delays)
	if err != nil {
		return out, err
	}
	report, err := now.audit(ctx, r, before, limits)
	if err != nil {
		return out, err
	}
	out.Exchanges, out.Broken, out.Held, out.Keys = report.Exchanges, report.Broken, report.Broken == 0, report.Keys
	if report.Exchanges > 0 {
		out.From, out.Until = &report.From, &report.Until
	}
	return out, nil
}

// promised are the limits of the run's job, and what robots.txt asked for
// beyond them.
func (r Run) promised(delays map[string]time.Duration) (func(key string) audit.Limits, error) {
	table, err := polite.NewTable(r.Job.Fetch.Politeness)
	if err != nil {
		return nil, err
	}
	return func(key string) audit.Limits {
		l, pattern := table.For(key)
		out := audit.Limits{Concurrency: l.Concurrency, Delay: l.Delay, Override: pattern}
		if d := delays[key]; d > l.Delay {
			out.CrawlDelay = d
		}
		return out
	}, nil
}

// asked is where the exchanges of a run lie.
type asked struct {
	run    string
	until  time.Time         // rows that begin later are not looked at; zero: all are
	rounds [][][]harrow.Part // by round, by shard, in the order they were written
	delays map[string]time.Duration
}

// asked finds them: shard records say which rolls count, whether their round
// has committed or not.
func (r Run) asked(ctx context.Context, until time.Time) (asked, error) {
	a := asked{run: r.ID, until: until, delays: map[string]time.Duration{}}
	for round := range r.Rounds {
		shards := make([][]harrow.Part, r.FetchShards)
		for n := range shards {
			at := lakeio.FetchShard{Lake: lakeio.Lake{Store: r.Store, Job: r.Run.Job, Run: r.ID}, Round: round, Shard: n}
			rec, err := at.Read(ctx)
			if err != nil {
				return a, err
			}
			for key, d := range rec.Delays {
				a.delays[key] = max(a.delays[key], d)
			}
			// By name is by owner, then by time: rolls that were adopted are listed last.
			slices.SortStableFunc(rec.Rolls, func(x, y lakeio.Roll) int { return strings.Compare(x.Name, y.Name) })
			for _, roll := range rec.Rolls {
				for _, p := range roll.Parts {
					if p.Table == lakeio.Exchanges.Name() {
						shards[n] = append(shards[n], p)
					}
				}
			}
		}
		a.rounds = append(a.rounds, shards)
	}
	return a, nil
}

// before finds the exchanges of the job's run before: the newest that fetched
// itself. One that ended longer ago than any Retry-After lasts says nothing.
func (r Run) before(ctx context.Context) (asked, error) {
	for run, err := range lakeio.NewestRuns(ctx, r.Store, r.Run.Job) {
		if err != nil {
			return asked{}, err
		}
		if run.ID >= r.ID || run.Source("fetch") != run.ID {
			continue
		}
		earlier, err := OpenRun(r.Store, run)
		if err != nil {
			return asked{}, err
		}
		if earlier.State == lakeio.Done && r.CreatedAt.Sub(earlier.EndedAt) > audit.MaxRest {
			break
		}
		return earlier.asked(ctx, r.CreatedAt)
	}
	return asked{}, nil
}

// Exchanges hands out what the run sent itself, round by round and shard by
// shard, nearly in the order of ends: of rounds that have not committed as far
// as their rolls have closed. A row's text is only good until the next one.
func (r Run) Exchanges(ctx context.Context) iter.Seq2[harrow.Exchange, error] {
	return func(yield func(harrow.Exchange, error) bool) {
		a, err := r.asked(ctx, time.Time{})
		if err != nil {
			yield(harrow.Exchange{}, err)
			return
		}
		for _, shards := range a.rounds {
			for x, err := range sentRows(ctx, r.Store, slices.Concat(shards...)) {
				if !yield(x, err) || err != nil {
					return
				}
			}
		}
	}
}

// audit goes through the run before, then through the run. Rows that are
// further out of order than expected are gone through again, those of all
// shards side by side, and with a longer window.
func (a asked) audit(ctx context.Context, r Run, before asked, limits func(key string) audit.Limits) (audit.Report, error) {
	window := 2*time.Duration(r.Job.Fetch.Timeout) + 10*time.Second
	merged := r.Job.Fetch.Politeness.Key == harrow.KeyIP // whose keys are in many shards
	for {
		report, err := once(ctx, r, before, a, audit.New(limits, window), merged)
		if !errors.Is(err, audit.ErrOrder) || window > 30*24*time.Hour {
			return report, err
		}
		if merged {
			window *= 8
		}
		merged = true
	}
}

func once(ctx context.Context, r Run, before, now asked, a *audit.Auditor, merged bool) (audit.Report, error) {
	for _, from := range []asked{before, now} {
		a.Earlier(from.run != now.run)
		for _, shards := range from.rounds {
			streams := make([]iter.Seq2[harrow.Exchange, error], len(shards))
			for i, parts := range shards {
				streams[i] = sentRows(ctx, r.Store, parts)
			}
			if merged {
				streams = []iter.Seq2[harrow.Exchange, error]{side(streams)}
			}
			for _, s := range streams {
				if err := addAll(a, s, from.until); err != nil {
					return audit.Report{}, err
				}
			}
		}
	}
	return a.Report()
}

func addAll(a *audit.Auditor, rows iter.Seq2[harrow.Exchange, error], until time.Time) error {
	for x, err := range rows {
		if err == nil && (until.IsZero() || x.StartedAt.Before(until)) {
			err = a.Add(x)
		}
		if err != nil {
			return err
		}
	}
	return a.Flush()
}

// sentRows reads the exchanges of parts one after the other.
func sentRows(ctx context.Context, store lakeio.Store, parts []harrow.Part) iter.Seq2[harrow.Exchange, error] {
	return func(yield func(harrow.Exchange, error) bool) {
		for _, p := range parts {
			for x, err := range lakeio.ReadRows(ctx, store, lakeio.Exchanges, p) {
				if !yield(x, err) || err != nil {
					return
				}
			}
		}
	}
}

// side reads streams side by side, of all of them the row first that ended
// first.
func side(streams []iter.Seq2[harrow.Exchange, error]) iter.Seq2[harrow.Exchange, error] {
	return func(yield func(harrow.Exchange, error) bool) {
		type cursor struct {
			row  harrow.Exchange
			next func() (harrow.Exchange, error, bool)
		}
		var open []cursor
		for _, s := range streams {
			next, stop := iter.Pull2(s)
			defer stop()
			if x, err, ok := next(); err != nil {
				yield(x, err)
				return
			} else if ok {
				open = append(open, cursor{x, next})
			}
		}
		for len(open) > 0 {
			i := 0
			for j := range open {
				if open[j].row.EndedAt.Before(open[i].row.EndedAt) {
					i = j
				}
			}
			if !yield(open[i].row, nil) {
				return
			}
			x, err, ok := open[i].next()
			if err != nil {
				yield(x, err)
				return
			}
			if open[i].row = x; !ok {
				open = slices.Delete(open, i, i+1)
			}
		}
	}
}

// sortedKinds are the kinds of a key's exchanges, pages first.
func sortedKinds(kinds map[string]int64) []string {
	order := []string{harrow.KindPage, harrow.KindSitemap, harrow.KindRobots, harrow.KindLogin}
	names := sortedKeys(kinds)
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(slices.Index(order, a), slices.Index(order, b)) })
	return names
}
