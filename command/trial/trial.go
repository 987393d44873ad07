// Package trial takes one URL through a whole job and stores nothing: what
// `harrow try` shows. It asks as a run would: robots.txt first, each host's
// delay between two starts, every hop of a redirect held against scope and
// robots.txt again, after a login where the job has one. It asks once; nothing is repeated.
package trial

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/internal/cookies"
	"github.com/harrowdata/harrow/internal/expr"
	"github.com/harrowdata/harrow/internal/httpfetch"
	"github.com/harrowdata/harrow/internal/jobfile"
	"github.com/harrowdata/harrow/internal/memory"
	"github.com/harrowdata/harrow/internal/polite"
	"github.com/harrowdata/harrow/internal/robots"
	"github.com/harrowdata/harrow/internal/rules"
	"github.com/harrowdata/harrow/internal/seen"
	"github.com/harrowdata/harrow/internal/session"
)

// ErrURL: what was given is no URL that could be asked for.
var ErrURL = errors.New("not a URL to try")

// Config says which job a URL is tried with.
type Config struct {
	Job   harrow.Job // with defaults
	Types []harrow.RecordType
	Hosts []string                                   // scope's hosts where the job names none: the seeds'
	Env   jobfile.Env                                // secrets of fetch
	Sleep func(context.Context, time.Duration) error // nil: waits
	Wait  func(key string, d time.Duration)          // is told of waits over a second; may be nil
	Links int                                        // how many of the links found a report names; 0: 10
	// Seeds hands out the canonical URLs of all seeds, those of files too; it is
	// asked once there is a URL that the scope leaves out. nil: the job file's
	// list is all there is.
	Seeds func(context.Context, func(canon.URL)) error
	// Lookups are the columns of lookup files, by the name the job file has, and
	// Beside says where such a file is.
	Lookups map[string][]expr.Column
	Beside  func(name string) string
	// File stands for the answer of the URL; nothing is asked then. nil: the
	// URL is fetched.
	File *File
}

// File is a body that is at hand.
type File struct {
	Name        string
	ContentType string // as of the header
	Size        int64
	Body        []byte               // nil where it is larger than limits.document
	Open        func() io.ReadCloser // the whole of it, from its first byte
}

// Verdict is a decision and the rule it goes back to.
type Verdict struct {
	OK  bool   `json:"ok"`
	Why string `json:"why"`
}

// Hop is one address on the way to the answer.
type Hop struct {
	URL       string   `json:"url"`
	Scope     Verdict  `json:"scope"`
	Robots    *Verdict `json:"robots"` // null: not asked
	Status    int      `json:"status,omitempty"`
	Location  string   `json:"location,omitempty"`
	ElapsedMS int64    `json:"elapsed_ms,omitempty"`
	Error     string   `json:"error,omitempty"`
}

// Report is what became of a URL.
type Report struct {
	Given       string         `json:"given"`
	URL         string         `json:"url"` // canonical
	ID          harrow.ID      `json:"id"`
	Politeness  Politeness     `json:"politeness"`
	File        string         `json:"file,omitempty"` // that stood for the answer
	Hops        []Hop          `json:"hops"`
	Login       *Verdict       `json:"login,omitempty"` // of fetch.login; null: none was wanted
	Outcome     harrow.Outcome `json:"outcome"`
	Class       harrow.Class   `json:"class,omitempty"`
	Code        string         `json:"code,omitempty"`
	Status      int32          `json:"status"`
	FinalURL    string         `json:"final_url"`
	ContentType string         `json:"content_type"`
	Charset     string         `json:"charset,omitempty"`      // that the body is read in
	CharsetFrom string         `json:"charset_from,omitempty"` // what told it
	BodyBytes   int64          `json:"body_bytes"`
	Digest      string         `json:"digest"`
	Truncated   bool           `json:"truncated"`
	RemoteAddr  string         `json:"remote_addr"`
	ElapsedMS   int64          `json:"elapsed_ms"` // of the last exchange
	Records     []Record       `json:"records"`
	Rules       []Rule         `json:"rules"`
	Fields      []Field        `json:"fields"`
	Refined     []Refined      `json:"refined"` // rows of records with an entry under refine
	Rejects     []Reject       `json:"rejects"`
	Links       *Links         `json:"links"` // null: the page is not looked into for links
}

// Politeness is the pace that a key is kept to.
type Politeness struct {
	Key         string `json:"key"`
	Concurrency int    `json:"concurrency"`
	DelayMS     int64  `json:"delay_ms"`       // between starts, robots.txt's crawl-delay included
	CrawlMS     int64  `json:"crawl_delay_ms"` // that robots.txt asks for; 0: none
	From        string `json:"from"`           // the key of the job file that says so
}

// Rule is what became of a parse rule.
type Rule struct {
	Rule    string `json:"rule"`
	Record  string `json:"record,omitempty"`
	Matched bool   `json:"matched"` // it was applied
	Rows    int    `json:"rows"`
	Rejects int    `json:"rejects"` // of its record
	Note    string `json:"note,omitempty"`
}

// Record is one row that a rule got out of the page.
type Record struct {
	Record  string          `json:"record"`
	Rule    string          `json:"rule"`
	Ordinal int64           `json:"ordinal"`
	Values  json.RawMessage `json:"values"` // its data columns, as cat writes them
}

// Field is what a field of a row came to; see [rules.FieldTrace].
type Field struct {
	Record   string `json:"record"`
	Rule     string `json:"rule"`
	Row      int    `json:"row"`
	Field    string `json:"field"`
	Selector string `json:"selector"`
	Raw      any    `json:"raw"`
	Value    any    `json:"value"`
	Note     string `json:"note"`
	// Tried are the alternatives of `any`, up to the one that selected.
	Tried []Tried `json:"tried,omitempty"`
}

// Tried is one alternative of a field; see [rules.Tried].
type Tried struct {
	Selector string `json:"selector"`
	Raw      any    `json:"raw"`
	Note     string `json:"note,omitempty"`
}

// Reject is a dead letter that a run would write.
type Reject struct {
	Class  harrow.Class `json:"class"`
	Code   string       `json:"code"`
	Reason string       `json:"reason"`
	Record string       `json:"record,omitempty"`
	Field  string       `json:"field,omitempty"`
	Value  string       `json:"value,omitempty"`
}

// Links is what the follow rules found.
type Links struct {
	Rules    []string       `json:"rules"`     // discover.follow[i] that look into the page
	Taken    int            `json:"taken"`     // different ones, in scope
	NotTaken map[string]int `json:"not_taken"` // by reason
	First    []Link         `json:"first"`     // of those taken
	Problem  string         `json:"problem,omitempty"`
}

// Link is one link that a run would go after.
type Link struct {
	URL   string          `json:"url"`
	Text  string          `json:"text"`
	Carry json.RawMessage `json:"carry,omitempty"` // handed on to the linked page's records
}

// firstLinks is how many links a report names by default.
const firstLinks = 10

// trier holds what trying needs.
type trier struct {
	cfg      Config
	canon    *canon.Canonicalizer
	scope    *canon.Scope
	seeds    map[canon.URL]bool // of the job file
	filed    *seen.Set          // seeds of files too; nil until somebody asks
	client   *httpfetch.Client
	sent     *session.Sent
	jar      *cookies.Jar
	entered  bool // fetch.login's session is open
	pace     *polite.Table
	product  string
	body     *httpfetch.Body          // of the page; nil before there is one, and with a file
	policies map[string]*policy       // by origin
	starts   map[string]time.Time     // of the last exchange, by key
	delays   map[string]time.Duration // what robots.txt asks for, by key
}

// URL tries one URL. The error is [ErrURL], one of the job's, or ctx's; what
// goes wrong with the URL is in the report.
func URL(ctx context.Context, cfg Config, raw string) (_ *Report, err error) {
	t, err := newTrier(cfg)
	if err != nil {
		return nil, err
	}
	defer t.client.Close()
	defer func() {
		if t.filed != nil {
			err = errors.Join(err, t.filed.Close())
		}
	}()
	u, err := t.canon.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %q: %w", ErrURL, raw, err)
	}
	r := &Report{Given: raw, URL: u.String(), ID: canon.ID("GET", u.String(), nil, nil),
		Records: []Record{}, Rules: []Rule{}, Fields: []Field{}, Refined: []Refined{}, Rejects: []Reject{}}
	page, err := t.page(ctx, u, r)
	r.Politeness = t.politeness(u)
	if err != nil || page == nil {
		return r, err
	}
	if page.Body != nil {
		r.Charset, r.CharsetFrom = rules.Charset(page.Body, page.Capture.ContentType)
	}
	err = t.read(ctx, *page, r)
	if t.body != nil {
		err = errors.Join(err, t.body.Close())
	}
	return r, err
}

// page is the answer, from the network or at hand.
func (t *trier) page(ctx context.Context, u canon.URL, r *Report) (*rules.Page, error) {
	f := t.cfg.File
	if f == nil {
		return t.fetch(ctx, u, r)
	}
	scope, err := t.inScope(ctx, u)
	if err != nil {
		return nil, err
	}
	r.Hops = []Hop{{URL: u.String(), Scope: scope}}
	r.File, r.FinalURL, r.Status, r.Outcome, r.ContentType, r.BodyBytes = f.Name, u.String(), 200, harrow.Fetched, f.ContentType, f.Size
	sum, in := sha256.New(), f.Open()
	if _, err := io.Copy(sum, in); err != nil {
		return nil, errors.Join(err, in.Close())
	}
	if err := in.Close(); err != nil {
		return nil, err
	}
	r.Digest = hex.EncodeToString(sum.Sum(nil))
	c := harrow.Capture{ID: r.ID, URL: r.URL, FinalURL: r.FinalURL, Method: "GET", Kind: harrow.KindPage, Key: t.key(u), Status: r.Status,
		Outcome: r.Outcome, ContentType: r.ContentType, Headers: []harrow.Header{{Name: "Content-Type", Value: r.ContentType}}, Digest: r.Digest, BodyBytes: r.BodyBytes}
	return &rules.Page{Capture: c, Body: f.Body, Open: f.Open}, nil
}

// politeness is the pace of a URL's key, as far as it is known by now.
func (t *trier) politeness(u canon.URL) Politeness {
	key := t.key(u)
	limits, pattern := t.pace.For(key)
	p := Politeness{Key: key, Concurrency: limits.Concurrency, DelayMS: max(limits.Delay, t.delays[key]).Milliseconds(),
		CrawlMS: t.delays[key].Milliseconds(), From: "fetch.politeness.default"}
	if pattern != "" {
		p.From = fmt.Sprintf("fetch.politeness.overrides %q", pattern)
	}
	return p
}

func newTrier(cfg Config) (*trier, error) {
	d, f := cfg.Job.Discover, cfg.Job.Fetch
	t := &trier{cfg: cfg, seeds: map[canon.URL]bool{}, policies: map[string]*policy{}, starts: map[string]time.Time{},
		delays: map[string]time.Duration{}, product: robots.ProductToken(f.UserAgent)}
	if t.cfg.Sleep == nil {
		t.cfg.Sleep = sleep
	}
	var err error
	if t.canon, err = canon.New(canon.Policy{Strip: d.Canonical.Strip, SortQuery: d.Canonical.SortQuery}); err != nil {
		return nil, err
	}
	for _, text := range d.Seeds.URLs {
		if u, err := t.canon.Parse(text); err == nil {
			t.seeds[u] = true
		}
	}
	hosts := d.Scope.Hosts
	if len(hosts) == 0 {
		hosts = cfg.Hosts
	}
	if t.scope, err = canon.NewScope(canon.ScopeConfig{Hosts: hosts, Include: d.Scope.Include, Exclude: d.Scope.Exclude}); err != nil {
		return nil, err
	}
	if t.pace, err = polite.NewTable(f.Politeness); err != nil {
		return nil, err
	}
	t.sent, err = session.New(session.Config{Fetch: f, Own: t.scope.HasHost, Plain: session.Plain(d, f), Env: cfg.Env})
	if err != nil {
		return nil, err
	}
	t.jar = cookies.New(jarMemory)
	t.client, err = newClient(cfg, t.sent.Everywhere())
	return t, err
}

// jarMemory is what cookies may take.
const jarMemory = 1 << 20

func newClient(cfg Config, headers []harrow.Header) (*httpfetch.Client, error) {
	f := cfg.Job.Fetch
	proxies, err := jobfile.Proxies(f.Proxies, cfg.Env)
	if err != nil {
		return nil, err
	}
	return httpfetch.New(httpfetch.Config{UserAgent: f.UserAgent, Timeout: time.Duration(f.Timeout), MaxBody: int64(f.MaxBody), Headers: headers,
		Resolve: f.Resolve, AllowPrivate: f.AllowPrivateNetworks, InFlight: 1, SpillDir: cfg.Job.Limits.Spill, Proxies: proxies},
		memory.NewShare("try", 16<<20))
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

func (t *trier) key(u canon.URL) string {
	kind := t.cfg.Job.Fetch.Politeness.Key
	if kind == harrow.KeyIP {
		kind = harrow.KeyHost // one exchange at a time: nothing depends on it
	}
	return canon.Key(kind, u)
}

// inScope says whether a run would go to a URL, and why.
func (t *trier) inScope(ctx context.Context, u canon.URL) (Verdict, error) {
	if t.seeds[u] {
		return Verdict{true, "a seed: always in scope"}, nil
	}
	d := t.scope.Decide(u)
	if d.Reason == "" {
		if d.Include != "" {
			return Verdict{true, fmt.Sprintf("hosts %q and include %q take it in", d.Host, d.Include)}, nil
		}
		return Verdict{true, fmt.Sprintf("hosts %q takes it in", d.Host)}, nil
	}
	if seed, err := t.isSeed(ctx, u); err != nil || seed {
		return Verdict{true, "a seed of discover.seeds.files: always in scope"}, err
	}
	switch d.Reason {
	case canon.ReasonHost:
		return Verdict{false, "no pattern of hosts matches"}, nil
	case canon.ReasonExclude:
		return Verdict{false, fmt.Sprintf("exclude %q leaves it out", d.Exclude)}, nil
	}
	return Verdict{false, "no pattern of include matches"}, nil
}

// isSeed reports whether a URL is a seed, of files too: they are read the
// first time that it matters.
func (t *trier) isSeed(ctx context.Context, u canon.URL) (bool, error) {
	if t.seeds[u] || t.cfg.Seeds == nil {
		return t.seeds[u], nil
	}
	if t.filed == nil {
		t.filed = seen.New(memory.NewShare("seeds", seedsMemory), t.cfg.Job.Limits.Spill)
		var failed error
		err := t.cfg.Seeds(ctx, func(u canon.URL) {
			if failed == nil {
				_, failed = t.filed.Add(seedID(u))
			}
		})
		if err = errors.Join(err, failed); err != nil {
			return false, err
		}
	}
	return t.filed.Has(seedID(u))
}

// seedsMemory is what the set of seeds takes before it goes to disk.
const seedsMemory = 64 << 20

func seedID(u canon.URL) harrow.ID { return canon.ID("GET", u.String(), nil, nil) }

// newFollower compiles the follow rules; nil where there are none.
func (t *trier) newFollower() (*rules.Follower, error) {
	if len(t.cfg.Job.Discover.Follow) == 0 {
		return nil, nil
	}
	return rules.CompileFollow(t.cfg.Job.Discover.Follow)
}
