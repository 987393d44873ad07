package view

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/polite"
)

// BundlePlan is what fetch.max_bundle_time makes of a Forecast: a key that one
// bundle has not the time for is asked in several rounds, and those are bounded.
type BundlePlan struct {
	MaxBundleTime int64  `json:"max_bundle_time_ms"`
	Key           string `json:"key"`            // that needs most rounds
	Rounds        int64  `json:"rounds"`         // that it needs; 0: a bundle is too short to ask anything of it
	PerRun        int64  `json:"rounds_per_run"` // discover.rounds
	Runs          int64  `json:"runs"`           // submissions, one after the other; 0: any number is too few
}

// ClusterPlan is what a cluster would be of use.
type ClusterPlan struct {
	Workers int        `json:"workers"`      // processes; the parallelism
	Shards  int        `json:"fetch_shards"` // four for each worker: a shard is the unit that workers share
	Memory  int64      `json:"memory_bytes"` // of a worker process
	Compute int64      `json:"compute_ms"`   // of parse, refine and load in the last run; 0: not known
	Largest *DomainUse `json:"largest_domain"`
	Notes   []string   `json:"notes"`
}

// DomainUse is what a registered domain has of a Forecast's exchanges.
type DomainUse struct {
	Domain string  `json:"domain"`
	Share  float64 `json:"share"`
}

// besideLimit is what a worker takes beyond limits.memory, measured (bench
// fetch).
const besideLimit = 256 << 20

// dataflowBundle is a bundle time that Dataflow bears; longBundle is what may
// be too long for it (see harrow.Fetch.MaxBundleTime).
const (
	dataflowBundle = 10 * time.Minute
	longBundle     = 30 * time.Minute
)

// bundlesOf reckons how many rounds and runs the slowest key needs where bundles
// end after most.
func (p *planner) bundlesOf(most time.Duration) *BundlePlan {
	b := &BundlePlan{MaxBundleTime: most.Milliseconds(), PerRun: int64(p.job.Discover.Rounds), Rounds: 1, Runs: 1}
	for i, k := range p.f.Keys { // those that take longest first
		n := roundsFor(k.stats, most)
		if i == 0 || n == 0 || n > b.Rounds {
			b.Key, b.Rounds = k.Key, n
		}
		if n == 0 {
			break
		}
	}
	b.Runs = (b.Rounds + b.PerRun - 1) / max(1, b.PerRun)
	return b
}

// roundsFor is how many bundles of a length a key's exchanges take; 0: it never
// ends. A bundle after the first may run in another process: it waits the key's
// delay and asks for robots.txt again before it goes on.
func roundsFor(st polite.Stats, most time.Duration) int64 {
	pages := st.Exchanges - 1
	if pages <= 0 {
		return 1
	}
	latency := st.Latency / time.Duration(st.Exchanges)
	robots := max(latency, st.Limits.Delay)
	pages -= startsIn(st, latency, most-robots)
	if pages <= 0 {
		return 1
	}
	later := startsIn(st, latency, most-st.Limits.Delay-robots)
	if later == 0 {
		return 0
	}
	return 1 + (pages+later-1)/later
}

// startsIn is how many exchanges of a key may start within a time.
func startsIn(st polite.Stats, latency, within time.Duration) int64 {
	if within < 0 {
		return 0
	}
	starts := int64(1 << 40)
	if st.Limits.Delay > 0 {
		starts = int64(within/st.Limits.Delay) + 1
	}
	if latency > 0 {
		starts = min(starts, int64(max(1, st.Limits.Concurrency))*(int64(within/latency)+1))
	}
	return starts
}

// cluster reckons what a cluster would be of use. What is known of fetch says
// how many processes it keeps busy; those of the other stages are as many as
// make them take no longer than fetch does at least.
func (p *planner) cluster() {
	c := ClusterPlan{Workers: p.f.Workers, Memory: int64(p.job.Limits.Memory) + besideLimit, Compute: p.compute, Largest: p.largest(), Notes: []string{}}
	if p.f.Bound > 0 {
		c.Workers = max(c.Workers, int((p.compute+p.f.Bound-1)/p.f.Bound))
	}
	c.Shards = 4 * c.Workers
	note := func(format string, args ...any) { c.Notes = append(c.Notes, fmt.Sprintf(format, args...)) }
	if p.f.Workers == 1 {
		note("one process fetches as fast as politeness allows: more are of use to parse, refine and load only")
	}
	if p.f.Run == "" {
		note("what parse, refine and load take is known after a run, of a part with --limit, too")
	}
	if _, ok := p.job.Load["sqlite"]; ok || len(p.job.Load) == 0 {
		note("load.sqlite is for one process: a cluster wants postgres or parquet")
	}
	if p.job.Fetch.Politeness.Key == harrow.KeyIP {
		note("fetch.politeness.key ip is for one process: a cluster wants host or registered_domain")
	}
	if most := time.Duration(p.job.Fetch.MaxBundleTime); most == 0 && p.f.Bound > longBundle.Milliseconds() {
		b := p.bundlesOf(dataflowBundle)
		note("on Dataflow a bundle of fetch would run for %s: set fetch.max_bundle_time; with %s %s", tookMS(p.f.Bound), harrow.Duration(dataflowBundle), b.text())
	}
	p.f.Cluster = c
	if most := time.Duration(p.job.Fetch.MaxBundleTime); most > 0 && len(p.f.Keys) > 0 {
		p.f.Bundles = p.bundlesOf(most)
	}
}

// largest is the registered domain with most exchanges.
func (p *planner) largest() *DomainUse {
	var all, most int64
	name, counts := "", map[string]int64{}
	for _, k := range p.f.Keys {
		all += k.Exchanges
		counts[k.domain] += k.Exchanges
	}
	for domain, n := range counts {
		if n > most || n == most && domain < name {
			most, name = n, domain
		}
	}
	if all == 0 {
		return nil
	}
	return &DomainUse{Domain: name, Share: float64(most) / float64(all)}
}

func (b BundlePlan) text() string {
	switch {
	case b.Rounds == 0:
		return b.Key + " is never through: in a bundle of a later round it waits its delay, asks for robots.txt, and has no time for a page"
	case b.Rounds == 1:
		return "one round has time for every key"
	case b.Runs == 1:
		return fmt.Sprintf("%s needs %d rounds; discover.rounds is %d, so one run has time for what is known", b.Key, b.Rounds, b.PerRun)
	}
	return fmt.Sprintf("%s needs %d rounds; discover.rounds is %d, so each run ends with exit 3, and after %d runs each page was asked once; one run is complete with discover.rounds %d",
		b.Key, b.Rounds, b.PerRun, b.Runs, b.Rounds)
}

// lines are what WriteText has of the plan for a cluster: label and text.
func (c ClusterPlan) lines(domains int) (lines [][2]string) {
	text := fmt.Sprintf("parallelism %d, fetch_shards %d, %s for a worker", c.Workers, c.Shards, Bytes(c.Memory))
	if c.Largest != nil && domains > 1 {
		text += fmt.Sprintf("; %s has %.0f%% of the exchanges and stays with one worker, as each registered domain", c.Largest.Domain, 100*c.Largest.Share)
	}
	lines = append(lines, [2]string{"cluster", text})
	for _, n := range c.Notes {
		lines = append(lines, [2]string{"", n})
	}
	return append(lines,
		[2]string{"flink", "--runner flink --flink-master HOST:PORT -- --parallelism=" + fmt.Sprint(c.Workers)},
		[2]string{"dataflow", "--runner dataflow -- --project=PROJECT --region=REGION --staging_location=gs://BUCKET/staging --max_num_workers=" + fmt.Sprint(c.Workers)})
}

// unknown is what no forecast can know, a text each.
func (p *planner) unknown() {
	hops := "links to other registered domains, which are asked a round later each"
	if len(p.job.Discover.Follow) == 0 && p.job.Discover.Seeds.Sitemaps.IsZero() {
		hops = "redirects to other registered domains, which are asked a round later each"
	}
	if p.f.Bundles != nil {
		p.f.Assumed = append(p.f.Assumed, "each key's requests are all known when the first bundle begins; not counted: "+hops)
	}
}

// byBound sorts keys, the one that takes longest first.
func byBound(keys []KeyPlan) {
	slices.SortFunc(keys, func(a, b KeyPlan) int { return cmp.Or(cmp.Compare(b.Bound, a.Bound), strings.Compare(a.Key, b.Key)) })
}
