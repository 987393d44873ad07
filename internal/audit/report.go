package audit

import (
	"cmp"
	"slices"
	"time"
)

// Report is what all keys were subjected to.
type Report struct {
	Exchanges int64     // sent
	Broken    int       // keys with a limit that did not hold
	Keys      []Key     // those first, then the ones with most exchanges
	Window    int       // most rows held at once
	From      time.Time // first start
	Until     time.Time // last end
}

// Key is what one politeness key was subjected to.
type Key struct {
	Key         string           `json:"key"`
	Exchanges   int64            `json:"exchanges"`
	Kinds       map[string]int64 `json:"kinds"`           // of exchanges: page, sitemap, robots, login
	MostAtOnce  int              `json:"most_at_once"`    //
	SmallestGap *time.Duration   `json:"smallest_gap_ns"` // between two starts; null where there are no two
	RetryAfter  Rest             `json:"retry_after"`
	Limits      Promise          `json:"limits"`
	Held        bool             `json:"held"`       // every limit
	Violations  []Violation      `json:"violations"` // one a rule: the first time that it was broken
}

// Rest is what answers asked for by Retry-After, and what came of that.
type Rest struct {
	Asked   int64         `json:"asked"` // answers that asked for some
	Longest time.Duration `json:"longest_ns"`
	Begun   int64         `json:"begun"` // exchanges that began while one held
}

// Promise is what limits there were.
type Promise struct {
	Concurrency int           `json:"concurrency"`
	Delay       time.Duration `json:"delay_ns"`
	Override    string        `json:"override"`       // pattern of the override that says so; empty: the default
	CrawlDelay  time.Duration `json:"crawl_delay_ns"` // what robots.txt asked for beyond that; 0: nothing
}

// Violation is a limit that did not hold.
type Violation struct {
	Rule   string `json:"rule"` // concurrency, delay, crawl-delay, retry-after
	Text   string `json:"text"`
	Times  int64  `json:"times"`
	First  Sent   `json:"first"`
	Second Sent   `json:"second"`
}

// Sent is one exchange.
type Sent struct {
	URL       string    `json:"url"`
	StartedAt time.Time `json:"started_at"`
	EndedAt   time.Time `json:"ended_at"`
	Earlier   bool      `json:"earlier,omitempty"` // of the run before
}

// Report ends the audit. Keys that only the run before asked are not in it.
func (a *Auditor) Report() (Report, error) {
	if err := a.Flush(); err != nil {
		return Report{}, err
	}
	r := Report{Window: a.most, From: a.from, Until: a.until, Keys: []Key{}}
	for _, k := range a.keys {
		if k.exchange == 0 {
			continue
		}
		r.Exchanges += k.exchange
		if len(k.broken) > 0 {
			r.Broken++
		}
		r.Keys = append(r.Keys, k.report())
	}
	slices.SortFunc(r.Keys, func(a, b Key) int {
		if a.Held != b.Held {
			if b.Held {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(b.Exchanges, a.Exchanges), cmp.Compare(a.Key, b.Key))
	})
	return r, nil
}

func (k *key) report() Key {
	out := Key{Key: k.name, Exchanges: k.exchange, Kinds: map[string]int64{}, MostAtOnce: k.most, Held: len(k.broken) == 0,
		RetryAfter: Rest{k.asked, k.longest, k.held}, Violations: k.broken,
		Limits: Promise(k.limits)}
	for i, n := range k.counts {
		if n > 0 {
			out.Kinds[kinds[i]] = n
		}
	}
	if k.gaps {
		out.SmallestGap = &k.gap
	}
	if out.Violations == nil {
		out.Violations = []Violation{}
	}
	return out
}
