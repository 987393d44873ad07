package harrow

import (
	"encoding/json"
	"slices"
	"time"
)

// DefaultUserAgent is sent when a job names none.
const DefaultUserAgent = "harrow/" + Version + " (+" + ProjectURL + ")"

// SetDefaults fills in every documented default that the job doesn't say
// itself. What depends on more than the job stays at its zero: scope.hosts
// (the seeds' hosts) and the automatic numbers of shards. Doing it twice
// changes nothing.
func (j *Job) SetDefaults() {
	setDefault(&j.Version, 1)
	j.Limits.SetDefaults()
	j.Discover.SetDefaults()
	j.Fetch.SetDefaults()
	for i := range j.Parse {
		j.Parse[i].SetDefaults()
	}
	for name, r := range j.Refine {
		setDefault(&r.Keep.Policy, KeepLatest)
		j.Refine[name] = r
	}
	if len(j.Load) == 0 {
		j.Load = map[string]json.RawMessage{"sqlite": json.RawMessage("{}")}
	}
}

// SetDefaults fills in the documented defaults.
func (l *Limits) SetDefaults() {
	setDefault(&l.Memory, 1*GiB)
	setDefault(&l.Spill, "/tmp")
	setDefault(&l.Document, 10*MiB)
}

// SetDefaults fills in the documented defaults, save scope.hosts.
func (d *Discover) SetDefaults() {
	setDefaultPointer(&d.Scope.MaxDepth, 16)
	setDefault(&d.Rounds, 3)
	if d.Canonical.Strip == nil {
		d.Canonical.Strip = slices.Clone(DefaultStrip)
	}
}

// SetDefaults fills in the documented defaults.
func (f *Fetch) SetDefaults() {
	setDefault(&f.UserAgent, DefaultUserAgent)
	setDefault(&f.Timeout, Duration(30*time.Second))
	setDefault(&f.MaxBody, 10*MiB)
	setDefaultPointer(&f.MaxRedirects, 10)
	setDefault(&f.InFlight, 256)
	setDefault(&f.Retry.Attempts, 4)
	setDefault(&f.Retry.Base, Duration(time.Second))
	setDefault(&f.Retry.Cap, Duration(5*time.Minute))
	setDefault(&f.Breaker.Failures, 8)
	setDefault(&f.Breaker.CoolDown, Duration(2*time.Minute))
	setDefault(&f.Roll.Every, Duration(30*time.Second))
	setDefault(&f.Roll.Bytes, 64*MiB)
	setDefaultPointer(&f.Conditional, true)
	setDefaultPointer(&f.Cookies, true)
	f.Politeness.SetDefaults()
}

// SetDefaults fills in the documented defaults; an override takes what it
// doesn't say from Default.
func (p *Politeness) SetDefaults() {
	setDefault(&p.Key, KeyHost)
	setDefault(&p.Robots, RobotsObey)
	setDefaultPointer(&p.Adaptive, true)
	p.Default.inherit(PolitenessLimits{Concurrency: 1, Delay: new(Duration(time.Second))})
	for pattern, l := range p.Overrides {
		l.inherit(p.Default)
		p.Overrides[pattern] = l
	}
}

func (l *PolitenessLimits) inherit(from PolitenessLimits) {
	setDefault(&l.Concurrency, from.Concurrency)
	if l.Delay != nil || !l.Rate.IsZero() {
		return
	}
	if l.Rate = from.Rate; from.Delay != nil {
		l.Delay = new(*from.Delay)
	}
}

// Interval is the least time between two starts of a key: Delay, or what Rate
// comes to, or the default of one second when neither is set.
func (l PolitenessLimits) Interval() time.Duration {
	switch {
	case l.Delay != nil:
		return time.Duration(*l.Delay)
	case !l.Rate.IsZero():
		return l.Rate.Interval()
	}
	return time.Second
}

// SetDefaults fills in the documented defaults: a field without a type is
// text.
func (r *Rule) SetDefaults() {
	for i := range r.Fields {
		setDefault(&r.Fields[i].Type, string(Text))
	}
}

func setDefault[T comparable](v *T, to T) {
	var zero T
	if *v == zero {
		*v = to
	}
}

func setDefaultPointer[T any](v **T, to T) {
	if *v == nil {
		*v = &to
	}
}
