package view

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
)

// seedWarner holds seeds against the scope.
type seedWarner struct {
	scope                 *canon.Scope
	hosts, include        bool // the job says so
	seeds, inHosts, inAll int64
}

func newSeedWarner(job harrow.Job) (*seedWarner, error) {
	s := job.Discover.Scope
	w := &seedWarner{hosts: len(s.Hosts) > 0, include: len(s.Include) > 0}
	hosts := s.Hosts
	if !w.hosts {
		hosts = []string{"*"} // the seeds' own
	}
	var err error
	w.scope, err = canon.NewScope(canon.ScopeConfig{Hosts: hosts, Include: s.Include, Exclude: s.Exclude})
	return w, err
}

func (w *seedWarner) seed(u canon.URL) {
	w.seeds++
	d := w.scope.Decide(u)
	if d.Reason != canon.ReasonHost {
		w.inHosts++
	}
	if d.Reason != canon.ReasonHost && d.Reason != canon.ReasonInclude {
		w.inAll++
	}
}

// warnings are what is certain of a job before it runs.
func (w *seedWarner) warnings(job harrow.Job) (all []string) {
	d, ua := job.Discover, job.Fetch.UserAgent
	warn := func(yes bool, format string, args ...any) {
		if yes {
			all = append(all, fmt.Sprintf(format, args...))
		}
	}
	links := len(d.Follow) > 0 || !d.Seeds.Sitemaps.IsZero()
	warn(w.seeds == 0 && d.Seeds.Sitemaps.IsZero(), "no seed is a URL that can be asked for")
	warn(w.hosts && w.seeds > 0 && w.inHosts == 0, "discover.scope.hosts has no seed's host: seeds are asked, but no link within their own sites is gone after")
	warn(w.include && w.inHosts > 0 && w.inAll == 0, "discover.scope.include matches no seed: seeds are asked anyway, links only if a pattern matches")
	warn(len(d.Follow) > 0 && d.Scope.MaxDepth != nil && *d.Scope.MaxDepth == 0, "discover.scope.max_depth is 0: no link is gone after, whatever discover.follow says")
	warn(!links && (len(d.Scope.Include) > 0 || len(d.Scope.Exclude) > 0), "discover.scope has patterns, but without discover.follow or sitemaps there are only seeds, which are always in scope")
	switch {
	case strings.Contains(ua, harrow.ProjectURL):
		warn(true, "fetch.user_agent is Harrow's own: name yourself and where you can be reached, or sites can only block you")
	default:
		warn(!strings.Contains(ua, "http") && !strings.Contains(ua, "@"), "fetch.user_agent %q names no address where you can be reached", ua)
	}
	warn(job.Fetch.Politeness.Robots == harrow.RobotsIgnore, "fetch.politeness.robots is ignore: what sites ask for is not heeded")
	return all
}

// WriteText writes the forecast for people; most is how many keys are named.
func (f Forecast) WriteText(out io.Writer, most, width int) error {
	b := bufio.NewWriter(out)
	line := func(label, format string, args ...any) {
		fmt.Fprintf(b, "%-9s %s\n", label, Printable(fmt.Sprintf(format, args...)))
	}
	if f.Run != "" {
		line("plan", "by run %s, begun %s", f.Run, clock(*f.At))
	} else {
		line("plan", "by the seeds")
	}
	for _, text := range f.Assumed {
		line("assumed", "%s", text)
	}
	text := fmt.Sprintf("%s, %s of %s", plural(f.Requests, "request"), plural(int64(len(f.Keys)), "politeness key"), plural(int64(f.Domains), "registered domain"))
	if f.Deferred > 0 {
		text += fmt.Sprintf("; %s deferred by the last run come first", Count(f.Deferred))
	}
	line("asked", "%s", text)
	if err := f.writeKeys(b, most, width); err != nil {
		return err
	}
	if len(f.Keys) > 0 {
		line("at least", "%s for fetch; %s decides", tookMS(f.Bound), f.Keys[0].Key)
		line("workers", "%d, fetch_shards %d: about %.1f exchanges are in flight at once", f.Workers, f.Shards, f.InFlight)
	}
	if f.Bundles != nil {
		line("bundles", "of %s at most: %s", tookMS(f.Bundles.MaxBundleTime), f.Bundles.text())
	}
	for _, l := range f.Cluster.lines(f.Domains) {
		line(l[0], "%s", l[1])
	}
	if f.Workspace > 0 {
		line("workspace", "about %s more, as the last run took", Bytes(f.Workspace))
	}
	for _, text := range f.Warnings {
		line("warning", "%s", text)
	}
	return b.Flush()
}

func tookMS(ms int64) string { return Took(time.Duration(ms) * time.Millisecond) }

func (f Forecast) writeKeys(b *bufio.Writer, most, width int) error {
	keys := f.Keys[:min(len(f.Keys), max(0, most))]
	if len(keys) == 0 {
		return nil
	}
	t := NewTextTable(b, width > 0, width, "  key", "seeds", "requests", "exchanges", "delay", "at once", "latency", "at least")
	for i := 1; i <= 3; i++ {
		t.Right(i)
	}
	for _, k := range keys {
		latency := "-"
		if k.Latency > 0 {
			latency = tookMS(k.Latency)
		}
		err := t.Row("  "+k.Key, Count(k.Seeds), Count(k.Requests), Count(k.Exchanges), tookMS(k.Delay), fmt.Sprint(k.Concurrency), latency, tookMS(k.Bound))
		if err != nil {
			return err
		}
	}
	if err := t.End(); err != nil {
		return err
	}
	if left := len(f.Keys) - len(keys); left > 0 {
		fmt.Fprintf(b, "  … %d more\n", left)
	}
	return nil
}
