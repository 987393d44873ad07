package view

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/internal/polite"
	"github.com/harrowdata/harrow/internal/rules"
	"github.com/harrowdata/harrow/io/lakeio"
)

// Forecast is what a run of a job will ask for and how long that takes at
// least, as far as it can be known without asking anybody: by the last run
// that is done, else by the seeds alone.
type Forecast struct {
	Job       string      `json:"job"`
	Run       string      `json:"run,omitempty"` // that it is reckoned from; empty: the seeds
	At        *time.Time  `json:"at"`            // when that run began
	Seeds     int64       `json:"seeds"`
	Requests  int64       `json:"requests"`
	Deferred  int64       `json:"deferred"` // of the last run, asked first
	Keys      []KeyPlan   `json:"keys"`     // the one that takes longest first
	Domains   int         `json:"domains"`  // registered domains
	Bound     int64       `json:"bound_ms"` // least time of fetch
	InFlight  float64     `json:"in_flight"`
	Workers   int         `json:"workers"` // processes that are of use to fetch
	Shards    int         `json:"fetch_shards"`
	Workspace int64       `json:"workspace_bytes"` // that the last run took; 0: not known
	Bundles   *BundlePlan `json:"bundles"`         // null: bundles have no end
	Cluster   ClusterPlan `json:"cluster"`
	Assumed   []string    `json:"assumed"`
	Warnings  []string    `json:"warnings"`
}

// KeyPlan is what one politeness key is in for.
type KeyPlan struct {
	Key         string `json:"key"`
	Seeds       int64  `json:"seeds"`
	Requests    int64  `json:"requests"`
	Exchanges   int64  `json:"exchanges"` // robots.txt, hops and retries too
	Concurrency int    `json:"concurrency"`
	Delay       int64  `json:"delay_ms"` // a crawl-delay that the last run met included
	Latency     int64  `json:"latency_ms"`
	Bound       int64  `json:"bound_ms"`

	stats    polite.Stats
	domain   string // registered domain
	deferred int64  // requests that the last run left: not among its exchanges
}

// planner gathers what a Forecast is made of.
type planner struct {
	f       Forecast
	job     harrow.Job
	pace    *polite.Table
	canon   *canon.Canonicalizer
	keys    map[string]*KeyPlan
	domains map[string]bool
	compute int64 // ms that parse, refine and load took in the last run
}

// Plan forecasts a run of a job. seeds hands out the canonical URL of every
// seed; store may be nil: there is no workspace yet.
func Plan(ctx context.Context, store lakeio.Store, job harrow.Job, types []harrow.RecordType, seeds func(func(canon.URL)) error) (Forecast, error) {
	p := &planner{job: job, keys: map[string]*KeyPlan{}, domains: map[string]bool{}}
	p.f = Forecast{Job: job.Name, Keys: []KeyPlan{}, Assumed: []string{}, Warnings: []string{}}
	var err error
	if p.pace, err = polite.NewTable(job.Fetch.Politeness); err != nil {
		return p.f, err
	}
	if p.canon, err = canon.New(canon.Policy{Strip: job.Discover.Canonical.Strip, SortQuery: job.Discover.Canonical.SortQuery}); err != nil {
		return p.f, err
	}
	w, err := newSeedWarner(job)
	if err != nil {
		return p.f, err
	}
	err = seeds(func(u canon.URL) {
		p.f.Seeds++
		p.key(u).Seeds++
		w.seed(u)
	})
	if err != nil {
		return p.f, err
	}
	p.f.Warnings = append(p.f.Warnings, w.warnings(job)...)
	last, found, err := lastDone(ctx, store, job.Name)
	if err == nil && found {
		err = p.fromRun(ctx, last, types)
	} else if err == nil {
		p.fromSeeds()
	}
	p.sum()
	return p.f, err
}

// keyKind is how keys are told apart; addresses aren't known beforehand.
func (p *planner) keyKind() string {
	if p.job.Fetch.Politeness.Key == harrow.KeyIP {
		return harrow.KeyHost
	}
	return p.job.Fetch.Politeness.Key
}

// key is that of a URL.
func (p *planner) key(u canon.URL) *KeyPlan {
	name := canon.Key(p.keyKind(), u)
	k := p.keys[name]
	if k == nil {
		limits, _ := p.pace.For(name)
		k = &KeyPlan{Key: name, stats: polite.Stats{Limits: limits}, domain: canon.Domain(u.Host())}
		p.domains[k.domain] = true
		p.keys[name] = k
	}
	return k
}

// lastDone is the newest run that is done and fetched itself.
func lastDone(ctx context.Context, store lakeio.Store, job string) (Run, bool, error) {
	if store == nil {
		return Run{}, false, nil
	}
	for r, err := range lakeio.NewestRuns(ctx, store, job) {
		if err != nil {
			return Run{}, false, err
		}
		if r.State == lakeio.Done && r.Source("fetch") == r.ID && r.Replay == nil { // which asks for a few only
			run, err := OpenRun(store, r)
			return run, err == nil, err
		}
	}
	return Run{}, false, nil
}

// fromSeeds reckons with one request a seed.
func (p *planner) fromSeeds() {
	for _, k := range p.keys {
		k.Requests, k.stats.Exchanges = k.Seeds, k.Seeds+1
	}
	p.f.Assumed = append(p.f.Assumed, "no run of the job is done yet: only the seeds are counted; what links and sitemaps lead to is not known",
		"answers take no time, nothing is tried again, no robots.txt asks for a crawl-delay")
}

// fromRun reckons with what the last run asked for.
func (p *planner) fromRun(ctx context.Context, r Run, types []harrow.RecordType) error {
	p.f.Run, p.f.At = r.ID, new(r.CreatedAt)
	p.f.Assumed = append(p.f.Assumed, "the next run finds what the last one found, and answers take as long")
	if r.Limit > 0 {
		p.f.Assumed = append(p.f.Assumed, fmt.Sprintf("the last run had --limit %d, which bounds what it says of one without", r.Limit))
	}
	if err := p.exchanges(ctx, r); err != nil {
		return err
	}
	if err := p.captures(ctx, r, types); err != nil {
		return err
	}
	if err := p.delays(ctx, r); err != nil {
		return err
	}
	for _, stage := range []string{"parse", "refine", "load"} {
		p.compute += r.Elapsed[stage]
	}
	for _, stage := range r.StageNames() {
		m, ok, err := r.Manifest(ctx, stage)
		if err != nil {
			return err
		}
		if !ok || r.Source(lakeio.BaseStage(stage)) != r.ID {
			continue
		}
		for _, t := range m.Tables {
			p.f.Workspace += t.Bytes
		}
	}
	return nil
}

func eachOf[R any](ctx context.Context, r Run, table *lakeio.Table[R], do func(R)) error {
	t, err := r.find(ctx, table.Name(), "")
	if missing := (errNotYet{}); errors.As(err, &missing) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, part := range t.parts {
		for row, err := range lakeio.ReadRows(ctx, r.Store, table, part) {
			if err != nil {
				return err
			}
			do(row)
		}
	}
	return nil
}

func (p *planner) exchanges(ctx context.Context, r Run) error {
	return eachOf(ctx, r, lakeio.Exchanges, func(e harrow.Exchange) {
		u, err := p.canon.Parse(e.URL)
		if err != nil {
			return
		}
		k := p.key(u)
		k.stats.Exchanges++
		k.stats.Latency += e.EndedAt.Sub(e.StartedAt)
	})
}

// captures counts requests, and which rules their pages match.
func (p *planner) captures(ctx context.Context, r Run, types []harrow.RecordType) error {
	program, err := rules.Compile(p.job.Parse, types)
	if err != nil {
		return err
	}
	matched, pages := make([]int64, len(p.job.Parse)), int64(0)
	err = eachOf(ctx, r, lakeio.Captures, func(c harrow.Capture) {
		if c.Readmitted() {
			return
		}
		if c.Outcome == harrow.Deferred {
			p.f.Deferred++
		}
		if u, err := p.canon.Parse(c.URL); err == nil {
			k := p.key(u)
			if k.Requests++; c.Outcome == harrow.Deferred {
				k.deferred++
			}
		}
		if c.Kind == harrow.KindPage && (c.Outcome == harrow.Fetched || c.Outcome == harrow.NotModified) {
			pages++
			for _, i := range program.Matching(rules.NewDocument(rules.Page{Capture: c}, p.canon, rules.Limits{})) {
				matched[i]++
			}
		}
	})
	if err != nil {
		return err
	}
	for i, n := range matched {
		if n == 0 && pages > 0 {
			p.warn("parse[%d] matches none of the %s that the last run fetched", i, plural(pages, "page"))
		}
	}
	return p.rejects(ctx, r)
}

// rejects warns of required fields for which every row of the last run was
// rejected.
func (p *planner) rejects(ctx context.Context, r Run) error {
	missing := map[[2]string]int64{}
	err := eachOf(ctx, r, lakeio.Rejects, func(rej harrow.Reject) {
		if rej.Stage == "parse" && rej.Code == rules.CodeRequired {
			missing[[2]string{rej.Record, rej.Field}]++
		}
	})
	if err != nil {
		return err
	}
	m, ok, err := r.Manifest(ctx, "parse")
	if err != nil || !ok {
		return err
	}
	for _, rule := range p.job.Parse {
		for _, f := range rule.Fields {
			n := missing[[2]string{rule.Record, f.Name}]
			if f.Required && n > 0 && m.Tables[lakeio.RecordsPrefix+rule.Record].Rows == 0 {
				p.warn("record %s had no row in the last run: the required field %s was missing in %s", rule.Record, f.Name, plural(n, "row"))
			}
		}
	}
	return nil
}

// delays raises what robots.txt asked for in the last run.
func (p *planner) delays(ctx context.Context, r Run) error {
	for n := range r.Rounds {
		for shard := range r.FetchShards {
			at := lakeio.FetchShard{Lake: lakeio.Lake{Store: r.Store, Job: r.Run.Job, Run: r.ID}, Round: n, Shard: shard}
			rec, err := at.Read(ctx)
			if errors.Is(err, lakeio.ErrNotFound) {
				continue
			}
			if err != nil {
				return err
			}
			for key, delay := range rec.Delays {
				if k := p.keys[key]; k != nil {
					k.stats.Limits.Delay = max(k.stats.Limits.Delay, delay)
				}
			}
		}
	}
	return nil
}

func (p *planner) warn(format string, args ...any) {
	p.f.Warnings = append(p.f.Warnings, fmt.Sprintf(format, args...))
}

// sum makes the forecast of what was gathered.
func (p *planner) sum() {
	var bound, busy time.Duration
	for _, k := range p.keys {
		if k.stats.Exchanges == 0 { // a seed that the last run didn't have, or a key that it left
			k.Requests = max(k.Requests, k.Seeds)
			k.stats.Exchanges = k.Requests + 1
		} else {
			k.stats.Latency += k.stats.Latency / time.Duration(k.stats.Exchanges) * time.Duration(k.deferred)
			k.stats.Exchanges += k.deferred
		}
		st := k.stats
		least := st.Bound()
		k.Exchanges, k.Concurrency, k.Delay = st.Exchanges, st.Limits.Concurrency, st.Limits.Delay.Milliseconds()
		k.Latency, k.Bound = (st.Latency / time.Duration(st.Exchanges)).Milliseconds(), least.Milliseconds()
		bound, busy = max(bound, least), busy+st.Latency
		p.f.Requests += k.Requests
		p.f.Keys = append(p.f.Keys, *k)
	}
	byBound(p.f.Keys)
	p.f.Bound, p.f.Domains, p.f.Workers, p.f.Shards = bound.Milliseconds(), len(p.domains), 1, 1
	if bound > 0 {
		p.f.InFlight = busy.Seconds() / bound.Seconds()
	}
	if most := p.job.Fetch.InFlight; most > 0 {
		p.f.Workers = max(1, min(int(p.f.InFlight/float64(most))+1, p.f.Domains))
	}
	if p.f.Workers > 1 {
		p.f.Shards = min(4*p.f.Workers, p.f.Domains)
	}
	p.cluster()
	p.unknown()
}
