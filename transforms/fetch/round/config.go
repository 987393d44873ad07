package round

import (
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/internal/polite"
	"github.com/harrowdata/harrow/internal/rules"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/transforms/parts/engine"
)

// ErrStopped: the run was paused, interrupted or lost its permit. What was
// fetched is appended; the round cannot commit; a resume goes on.
var ErrStopped = errors.New("fetch was stopped before its round was done")

// Config is what a round goes by; it travels to the worker as JSON. The job's
// parts have their defaults filled in.
type Config struct {
	Env       engine.Env          `json:"env"`                // Stage is fetch-<Round>
	Round     int                 `json:"round"`              // from 0
	Rounds    int                 `json:"rounds"`             // rounds that ask; in round Rounds everything is deferred
	Scope     harrow.Scope        `json:"scope"`              // hosts filled in
	Sitemaps  bool                `json:"sitemaps"`           // those that the robots.txt of a seed's origin names are asked for
	Follow    []harrow.Follow     `json:"follow"`             // which links are gone after
	Canonical harrow.Canonical    `json:"canonical"`          // how URLs are written
	Fetch     harrow.Fetch        `json:"fetch"`              // how to ask
	Document  int64               `json:"document"`           // largest body looked into for links, bytes
	Parse     []harrow.Rule       `json:"parse,omitempty"`    // rules that a sample of the pages is parsed with; none: no sample
	Types     []harrow.RecordType `json:"types,omitempty"`    // records that these can make
	Limit     int64               `json:"limit"`              // requests per politeness key; 0: no limit
	Pages     string              `json:"pages"`              // run whose version of pages is known; empty: none
	Asked     []lakeio.StageOf    `json:"asked,omitempty"`    // of a replay: rounds of earlier runs; what was asked there and is linked to is not asked again
	Deferred  []lakeio.StageOf    `json:"deferred,omitempty"` // of a replay: where what it leaves deferred lies; hosts rest as long as that says
	Variant   string              `json:"variant"`            // of what is sent along with every request: answers got with another are not asked for conditionally
	Plain     []string            `json:"plain,omitempty"`    // hosts that secrets may go to over http: see session.Plain
	LastEnd   time.Time           `json:"last_end"`           // when the job's run before this one ended
	Died      bool                `json:"died,omitempty"`     // the job's process before this one did, and may have left requests at their hosts
	Remote    bool                `json:"remote,omitempty"`   // workers are other processes than the command's: each holds a permit of its own
	Secrets   []string            `json:"secrets,omitempty"`  // names of those that a worker must have, also for the stages after fetch
	Process   string              `json:"process,omitempty"`  // who submitted the round, as run.json has it; when that names another, starts end
	Status    time.Duration       `json:"status"`             // how often the status file is rewritten; 0: 5 s
	DNS       string              `json:"dns,omitempty"`      // ip:port of the name server, for tests; empty: the system's
	Roots     *x509.CertPool      `json:"-"`                  // certificate authorities, for tests; nil: the system's

	fault fault // none, but in tests of those who judge politeness
}

// Validate names the first field that makes no sense.
func (c Config) Validate() error {
	switch {
	case c.Env.Workspace == "" || c.Env.Job == "" || c.Env.Run == "" || c.Env.Stage == "":
		return fmt.Errorf("fetch: Env must name workspace, job, run and stage; got %+v", c.Env)
	case c.Round < 0 || c.Rounds < 1 || c.Round > c.Rounds:
		return fmt.Errorf("fetch: Round must be within 0 and Rounds ≥ 1; got %d of %d", c.Round, c.Rounds)
	case c.Fetch.InFlight < 1 || c.Fetch.Timeout <= 0 || c.Fetch.Retry.Attempts < 1 || c.Fetch.Roll.Every <= 0 || c.Fetch.Roll.Bytes <= 0:
		return fmt.Errorf("fetch: InFlight, Timeout, Retry.Attempts and Roll must be > 0: defaults are not filled in")
	case c.Fetch.Politeness.Key == harrow.KeyIP && len(c.Fetch.Proxies) > 0:
		return errors.New("fetch: politeness key ip with proxies: behind a proxy nobody sees a host's address")
	}
	return nil
}

// site is what is compiled from a Config once per process: everything that
// says where a URL belongs and what may be asked of it.
type site struct {
	canon    *canon.Canonicalizer
	scope    *canon.Scope
	follower *rules.Follower
	pages    rules.Pages
	limits   *polite.Table
	cfg      Config
}

func newSite(cfg Config) (*site, error) {
	s := &site{cfg: cfg}
	var err error
	if s.canon, err = canon.New(canon.Policy{Strip: cfg.Canonical.Strip, SortQuery: cfg.Canonical.SortQuery}); err != nil {
		return nil, err
	}
	depth := 0
	if cfg.Scope.MaxDepth != nil {
		depth = *cfg.Scope.MaxDepth
	}
	s.scope, err = canon.NewScope(canon.ScopeConfig{Hosts: cfg.Scope.Hosts, Include: cfg.Scope.Include,
		Exclude: cfg.Scope.Exclude, MaxDepth: depth, MaxPages: int(cfg.Scope.MaxPages)})
	if err != nil {
		return nil, err
	}
	if s.follower, err = rules.CompileFollow(cfg.Follow); err != nil {
		return nil, err
	}
	s.limits, err = polite.NewTable(cfg.Fetch.Politeness)
	return s, err
}

// key is the politeness key of a URL; with key ip that of its host while its
// address is not known, see [addresses].
func (s *site) key(u canon.URL) string { return canon.Key(s.cfg.Fetch.Politeness.Key, u) }

// maxPages is how many requests a politeness key may have, and which cap says
// so; 0: any number.
func (s *site) maxPages() (int64, string) {
	limit, reason := s.cfg.Scope.MaxPages, "max_pages"
	if l := s.cfg.Limit; l > 0 && (limit == 0 || l < limit) {
		limit, reason = l, "limit"
	}
	return limit, reason
}

// mostParked is how many requests a key takes out of the frontier to wait for
// their robots.txt before it starts nothing else. A key that stands for one
// origin needs one; where several share a key, one whose robots.txt is slow
// must not hold the others up.
func (s *site) mostParked() int {
	if k := s.cfg.Fetch.Politeness.Key; k == harrow.KeyIP || k == harrow.KeyRegisteredDomain {
		return 16
	}
	return 1
}
