package canon

import "fmt"

// ScopeConfig bounds which URLs become requests. It holds job file values with
// the defaults filled in.
type ScopeConfig struct {
	// Hosts are host patterns, see HostGlobs. Empty: no host is in scope; the
	// default, the seeds' hosts, is the caller's to fill in.
	Hosts []string `json:"hosts,omitempty"`
	// Include are patterns as of Glob; empty: all.
	Include []string `json:"include,omitempty"`
	// Exclude are patterns as of Glob; they win over Include.
	Exclude []string `json:"exclude,omitempty"`
	// MaxDepth is the number of links from a seed; 0: only seeds.
	MaxDepth int `json:"max_depth,omitempty"`
	// MaxPages is the number of requests per politeness key; 0: no limit.
	MaxPages int `json:"max_pages,omitempty"`
}

// Why a URL is not in scope.
const (
	ReasonHost    = "host"    // no host pattern matches
	ReasonInclude = "include" // no include pattern matches
	ReasonExclude = "exclude" // an exclude pattern matches
)

// Scope is a compiled ScopeConfig. It is immutable.
type Scope struct {
	config           ScopeConfig
	hosts            *HostGlobs
	include, exclude []*Glob
}

// NewScope compiles a scope; errors name the key and the pattern.
func NewScope(config ScopeConfig) (*Scope, error) {
	s := &Scope{config: config}
	var err error
	if s.hosts, err = CompileHostGlobs(config.Hosts); err != nil {
		return nil, fmt.Errorf("scope.hosts: %w", err)
	}
	if s.include, err = CompileGlobs(config.Include); err != nil {
		return nil, fmt.Errorf("scope.include: %w", err)
	}
	if s.exclude, err = CompileGlobs(config.Exclude); err != nil {
		return nil, fmt.Errorf("scope.exclude: %w", err)
	}
	if config.MaxDepth < 0 || config.MaxPages < 0 {
		return nil, fmt.Errorf("scope: max_depth %d and max_pages %d must not be negative", config.MaxDepth, config.MaxPages)
	}
	return s, nil
}

// CompileGlobs compiles a list of patterns.
func CompileGlobs(patterns []string) ([]*Glob, error) {
	globs := make([]*Glob, 0, len(patterns))
	for _, pattern := range patterns {
		g, err := CompileGlob(pattern)
		if err != nil {
			return nil, err
		}
		globs = append(globs, g)
	}
	return globs, nil
}

// Check reports whether the URL is in scope by its host and path. If it isn't,
// reason is ReasonHost, ReasonExclude or ReasonInclude, the first that applies.
// rule is the pattern that decided: the exclude, include or host pattern that
// matched, empty when the reason is that none did. Depth and number of pages
// are the caller's to count; so is that seeds are always in scope.
func (s *Scope) Check(u URL) (ok bool, reason, rule string) {
	d := s.Decide(u)
	switch {
	case d.Reason == ReasonExclude:
		return false, d.Reason, d.Exclude
	case d.Reason != "":
		return false, d.Reason, ""
	case d.Include != "":
		return true, "", d.Include
	}
	return true, "", d.Host
}

// Decision is a verdict on a URL with every pattern that had a part in it; one
// that none of its kind matched is empty.
type Decision struct {
	Reason                 string // as of Check; empty: in scope
	Host, Include, Exclude string
}

// Decide is Check with all patterns that had a part in it.
func (s *Scope) Decide(u URL) (d Decision) {
	host := s.host(u)
	if host < 0 {
		d.Reason = ReasonHost
		return d
	}
	d.Host = s.config.Hosts[host]
	if g := anyMatch(s.exclude, u); g != nil {
		d.Reason, d.Exclude = ReasonExclude, g.pattern
		return d
	}
	if g := anyMatch(s.include, u); g != nil {
		d.Include = g.pattern
	} else if len(s.include) > 0 {
		d.Reason = ReasonInclude
	}
	return d
}

// HasHost reports whether the URL's host is in scope, whatever its path.
func (s *Scope) HasHost(u URL) bool { return s.host(u) >= 0 }

// host is the index of the pattern that the URL's host matches, or -1.
func (s *Scope) host(u URL) int {
	if u.IsZero() {
		return -1
	}
	return s.hosts.Longest(u.Host(), u.Port())
}

// MaxDepth is the greatest number of links from a seed.
func (s *Scope) MaxDepth() int { return s.config.MaxDepth }
