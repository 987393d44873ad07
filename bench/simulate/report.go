package main

import (
	"fmt"
	"io"
	"runtime"
	"time"
)

// heading says what was simulated and opens the table.
func heading(out io.Writer, p plan) error {
	day := time.Duration(p.crowd.sizes[0]+1) * max(p.limits.Delay, (p.least+p.most)/2/time.Duration(p.limits.Concurrency))
	_, err := fmt.Fprintf(out, `# A day's crawl, simulated

Made by `+"`make simulate`"+`, %d cores, %s/%s, %s. The scheduler is the one that fetch runs (package
internal/polite), on a virtual clock; everything else of a crawl is left out.

- **Pages**: %d, and a robots.txt for each of %d hosts. Each exchange takes %v to %v, evenly distributed.
- **Hosts**: sizes by a power law: the host of rank r, from 0, has %d · (1 + r/%.0f)^-%.1f pages, at least 1: %d the
  largest, %d the median, %d the smallest. The largest takes %.1f hours at its limits, whoever crawls.
- **Limits** of each host: concurrency %d, delay %v, adaptive. Every start is held against them by the host.
- **Workers** are processes of in_flight %d. A host's fetch shard is the hash of its registered domain modulo four times
  the workers; each worker has four shards. A runner that gives some workers more shards than others is as slow as more
  pages per worker make it.
- **Bound** is the least time in which it can be done: the most, over all workers, of what the limits of a worker's
  slowest host allow and of all its exchanges' time ÷ in_flight. Efficiency is bound ÷ wall. 16 hours are what systems
  that crawl this much are held to.
- **Order**: of the hosts that may be asked, the one with the most time left first, as in the product; or by arrival:
  requests come mixed, each host's spread over the whole, and the oldest goes first.
- **Memory** is that of the scheduler of one worker, the one with the most hosts. **CPU** is the whole simulation's, per
  request: Next, Start, Finish and Pending of the scheduler, the virtual server and the judge.

| workers | in flight | order | wall, hours | within 16 h | bound, hours | efficiency | hosts a worker | scheduler a worker | CPU a request |
|---:|---:|---|---:|---|---:|---:|---:|---:|---:|
`, runtime.GOMAXPROCS(0), runtime.GOOS, runtime.GOARCH, runtime.Version(),
		p.crowd.total, len(p.crowd.sizes), p.least, p.most,
		p.crowd.sizes[0], p.crowd.q, exponent, p.crowd.sizes[0], p.crowd.sizes[len(p.crowd.sizes)/2], p.crowd.sizes[len(p.crowd.sizes)-1], day.Hours(),
		p.limits.Concurrency, p.limits.Delay, p.inFlight)
	return err
}

// row writes one simulation as a row of the table.
func (r result) row(out io.Writer) error {
	order, within := "most time left", "no"
	if r.arrival {
		order = "arrival"
	}
	if r.wall <= 16*time.Hour {
		within = "yes"
	}
	_, err := fmt.Fprintf(out, "| %d | %d | %s | %.2f | %s | %.2f | %.3f | %d | %.1f MiB | %d ns |\n", r.workers, r.workers*r.inFlight, order, r.wall.Hours(), within,
		r.bound.Hours(), r.efficiency(), r.keys, float64(r.memory)/(1<<20), (r.cpu / time.Duration(r.requests)).Nanoseconds())
	return err
}

func (r result) efficiency() float64 { return float64(r.bound) / float64(r.wall) }
