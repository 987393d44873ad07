package round

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/internal/polite"
	"github.com/harrowdata/harrow/internal/serverlog"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/soak/judges"
)

// describe writes the run.json that the rounds of a bench belong to.
func (b *bench) describe() {
	b.t.Helper()
	job := harrow.Job{Name: b.cfg.Env.Job, Fetch: b.cfg.Fetch}
	spec, err := json.Marshal(job)
	if err != nil {
		b.t.Fatal(err)
	}
	err = lakeio.CreateRun(b.t.Context(), b.lake.Store, lakeio.Run{ID: b.lake.Run, Job: job.Name, Spec: spec, Rounds: 1, FetchShards: 1, CreatedAt: time.Now(), State: lakeio.Active})
	if err != nil {
		b.t.Fatal(err)
	}
}

// judged is what both judges say of what the bench has asked.
func (b *bench) judged(promised func(key string) serverlog.Limits) judges.Verdict {
	b.t.Helper()
	c := judges.Case{Store: b.lake.Store, Log: &b.log.Log, Whole: true, Busy: true,
		Promised: func(key string) (serverlog.Limits, bool) { return promised(key), true }}
	v, err := c.Judge(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

// numbered are the pages 0 to n-1 of hosts.
func numbered(n int, hosts ...string) (urls []string) {
	for i := range n {
		for _, host := range hosts {
			urls = append(urls, fmt.Sprintf("http://%s/%d", host, i))
		}
	}
	return urls
}

func milliseconds(n int) *harrow.Duration {
	return new(harrow.Duration(time.Duration(n) * time.Millisecond))
}

// once is a handler's memory of what it was asked before.
type once struct {
	mu   sync.Mutex
	seen map[string]bool
}

func (o *once) first(r *http.Request) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.seen == nil {
		o.seen = map[string]bool{}
	}
	url := r.Host + r.URL.Path
	was := o.seen[url]
	o.seen[url] = true
	return !was
}

// What hosts were subjected to is within their limits whatever happens, and
// the server's log and harrow audit say so alike.
func TestBothJudgesFindEveryHarvestPolite(t *testing.T) {
	pages := func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(10 * time.Millisecond)
		_, _ = io.WriteString(w, "page "+r.URL.Path)
	}
	limits := func(concurrency, delay int) harrow.PolitenessLimits {
		return harrow.PolitenessLimits{Concurrency: concurrency, Delay: milliseconds(delay)}
	}
	for _, c := range []struct {
		name     string
		handler  func(o *once) http.HandlerFunc
		job      func(f *harrow.Fetch)
		urls     []string
		promised func(key string) serverlog.Limits
		atLeast  int // requests
	}{
		{
			name: "a server slower than the client's patience",
			handler: func(*once) http.HandlerFunc {
				return func(w http.ResponseWriter, r *http.Request) {
					if strings.HasSuffix(r.URL.Path, "1") {
						time.Sleep(time.Second)
					}
					pages(w, r)
				}
			},
			job: func(f *harrow.Fetch) {
				f.Timeout, f.Retry.Attempts, f.Breaker.Failures = *milliseconds(400), 2, 100
				f.Politeness.Default = limits(3, 0)
			},
			urls:     numbered(22, "one.example"),
			promised: func(string) serverlog.Limits { return serverlog.Limits{Concurrency: 3} },
			atLeast:  26,
		},
		{
			name: "Retry-After in seconds and as a date",
			handler: func(o *once) http.HandlerFunc {
				return func(w http.ResponseWriter, r *http.Request) {
					if strings.HasSuffix(r.URL.Path, "2") && o.first(r) {
						w.Header().Set("Retry-After", "1")
						if r.Host == "two.example" {
							w.Header().Set("Retry-After", time.Now().Add(2*time.Second).UTC().Format(http.TimeFormat))
						}
						w.WriteHeader(http.StatusServiceUnavailable)
						return
					}
					pages(w, r)
				}
			},
			job:      func(f *harrow.Fetch) { f.Politeness.Default = limits(2, 5) },
			urls:     numbered(6, "one.example", "two.example"),
			promised: func(string) serverlog.Limits { return serverlog.Limits{Concurrency: 2, Delay: 5 * time.Millisecond} },
			atLeast:  16,
		},
		{
			name: "crawl-delay",
			handler: func(*once) http.HandlerFunc {
				return func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/robots.txt" {
						_, _ = io.WriteString(w, "User-agent: *\nCrawl-delay: 0.2\n")
						return
					}
					pages(w, r)
				}
			},
			job:      func(f *harrow.Fetch) { f.Politeness.Default = limits(2, 5) },
			urls:     numbered(5, "one.example", "two.example"),
			promised: func(string) serverlog.Limits { return serverlog.Limits{Concurrency: 2, Delay: 200 * time.Millisecond} },
			atLeast:  12,
		},
		{
			name:    "overrides",
			handler: func(*once) http.HandlerFunc { return pages },
			job: func(f *harrow.Fetch) {
				f.Politeness.Default = limits(1, 40)
				f.Politeness.Overrides = map[string]harrow.PolitenessLimits{"*.example": limits(1, 80), "quick.example": limits(4, 0)}
			},
			urls: numbered(10, "quick.example", "other.example"),
			promised: func(key string) serverlog.Limits {
				if key == "quick.example" {
					return serverlog.Limits{Concurrency: 4}
				}
				return serverlog.Limits{Concurrency: 1, Delay: 80 * time.Millisecond}
			},
			atLeast: 22,
		},
		{
			name: "redirects between hosts",
			handler: func(*once) http.HandlerFunc {
				return func(w http.ResponseWriter, r *http.Request) {
					if host, ok := strings.CutPrefix(r.Host, "old."); ok && r.URL.Path != "/robots.txt" {
						http.Redirect(w, r, "http://new."+host+r.URL.Path, http.StatusFound)
						return
					}
					pages(w, r)
				}
			},
			job:      func(f *harrow.Fetch) { f.Politeness.Default = limits(1, 30) },
			urls:     slices.Concat(numbered(8, "old.one.example"), []string{"http://new.one.example/9", "http://new.one.example/10"}),
			promised: func(string) serverlog.Limits { return serverlog.Limits{Concurrency: 1, Delay: 30 * time.Millisecond} },
			atLeast:  20,
		},
		{
			name:    "registered domains",
			handler: func(*once) http.HandlerFunc { return pages },
			job: func(f *harrow.Fetch) {
				f.Politeness.Key, f.Politeness.Default = harrow.KeyRegisteredDomain, limits(2, 20)
			},
			urls:     numbered(4, "a.one.example", "b.one.example", "one.example", "two.example"),
			promised: func(string) serverlog.Limits { return serverlog.Limits{Concurrency: 2, Delay: 20 * time.Millisecond} },
			atLeast:  20,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var o serverlog.Options
			if strings.Contains(c.name, "domain") {
				o.Group = canon.Domain
			}
			b := newBenchBy(t, c.handler(&once{}), o)
			c.job(&b.cfg.Fetch)
			b.describe()
			if _, err := b.run(t.Context(), c.urls...); err != nil {
				t.Fatal(err)
			}
			for _, problem := range b.judged(c.promised).Problems() {
				t.Error(problem)
			}
			if n := len(b.log.Requests()); n < c.atLeast {
				t.Errorf("the server was asked %d times: nothing like what the test is about", n)
			}
			if t.Failed() {
				for _, e := range b.log.Requests() {
					t.Logf("%s to %s %d cut %v %s", e.Start.Format("05.000000"), e.End.Format("05.000000"), e.Status, e.Cut, e.URL)
				}
			}
		})
	}
}

// A scheduler that breaks its promise is found out by either judge alone, and
// both name the host.
func TestBothJudgesNoticeABrokenPromise(t *testing.T) {
	for _, c := range []struct {
		name  string
		fault fault
		rule  string
	}{
		{"twice as many at once", fault{concurrency: 2}, "concurrency"},
		{"half the delay", fault{delay: 2}, "delay"},
		{"deaf to Retry-After", fault{deaf: true}, "retry-after"},
		{"none", fault{}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := &once{}
			b := newBench(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/3" && o.first(r) {
					w.Header().Set("Retry-After", "1")
					w.WriteHeader(http.StatusServiceUnavailable)
					return
				}
				time.Sleep(250 * time.Millisecond)
			}))
			b.cfg.Fetch.Politeness.Default = harrow.PolitenessLimits{Concurrency: 2, Delay: milliseconds(80)}
			b.cfg.fault = c.fault
			b.describe()
			if _, err := b.run(t.Context(), numbered(10, "one.example")...); err != nil {
				t.Fatal(err)
			}
			promised := func(string) serverlog.Limits { return serverlog.Limits{Concurrency: 2, Delay: 80 * time.Millisecond} }
			v := b.judged(promised)
			if got := rulesOf(b.log.Judge(promised)); c.rule != "" && !slices.Contains(got, "one.example "+c.rule) {
				t.Errorf("the server alone found %q broken, want %q", got, c.rule)
			}
			for judge, rules := range map[string][]string{"the server beside the client's log": rulesOf(v.Server), "audit": auditRules(v)} {
				if want := "one.example " + c.rule; c.rule != "" && !slices.Contains(rules, want) || c.rule == "" && len(rules) > 0 {
					t.Errorf("%s found %q broken, want %q", judge, rules, want)
				}
			}
			if len(v.Disagree) > 0 {
				t.Errorf("the judges disagree: %q", v.Disagree)
			}
		})
	}
}

func rulesOf(broken []serverlog.Violation) (rules []string) {
	for _, v := range broken {
		rules = append(rules, v.Key+" "+v.Rule)
	}
	return rules
}

func auditRules(v judges.Verdict) (rules []string) {
	for _, a := range v.Audits {
		for _, k := range a.Keys {
			for _, b := range k.Violations {
				rules = append(rules, k.Key+" "+b.Rule)
			}
		}
	}
	return rules
}

// firstStartIn is in what time, from when the round began, a host may first be
// asked, and why it waits.
func (b *bench) firstStartIn() (why polite.Wait, wait time.Duration) {
	b.t.Helper()
	began := time.Now()
	p, err := Join(b.t.Context(), b.cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := p.Admit(b.t.Context(), 0, b.requests("http://one.example/")); err != nil {
		b.t.Error(err)
	}
	p.mu.Lock()
	why, until := p.sched.Why(p.keys["one.example"].pol, time.Now())
	p.mu.Unlock()
	if err := p.Close(); err != nil {
		b.t.Fatal(err)
	}
	return why, until.Sub(began)
}

// A delay may be longer than the minute within which a run is taken to follow
// on the last one.
func TestARunWaitsForALongDelayOfTheRunBefore(t *testing.T) {
	b := newBench(t, http.NotFoundHandler())
	b.cfg.Fetch.Politeness.Default = harrow.PolitenessLimits{Concurrency: 1, Delay: milliseconds(120_000)}
	for since, waits := range map[time.Duration]bool{90 * time.Second: true, 121 * time.Second: false} {
		b.cfg.LastEnd = time.Now().Add(-since)
		b.cfg.Env.Run = fmt.Sprintf("0198c0de-0000-7000-8000-%012d", since/time.Second)
		if _, wait := b.firstStartIn(); wait > time.Minute != waits {
			t.Errorf("begun %v after the last run: may start in %v", since, wait)
		}
	}
}

// What a process that died was asking its hosts may still be at work there, for
// hosts without a delay too.
func TestARunAfterADeadProcessIsCareful(t *testing.T) {
	b := newBench(t, http.NotFoundHandler())
	b.cfg.Fetch.Politeness.Default = harrow.PolitenessLimits{Concurrency: 2}
	b.cfg.LastEnd, b.cfg.Died = time.Now(), true
	if why, wait := b.firstStartIn(); why != polite.Cautious || wait < time.Second/2 {
		t.Errorf("may start in %v: %v", wait, why)
	}
}
