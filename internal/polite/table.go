package polite

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
)

// Table holds the configured limits of every politeness key.
type Table struct {
	standard harrow.PolitenessLimits
	patterns []string
	limits   []harrow.PolitenessLimits // by pattern
	hosts    *canon.HostGlobs
}

// NewTable compiles the limits of a job, defaults filled in.
func NewTable(p harrow.Politeness) (*Table, error) {
	t := &Table{standard: p.Default, patterns: slices.Sorted(maps.Keys(p.Overrides))}
	var err error
	if t.hosts, err = canon.CompileHostGlobs(t.patterns); err != nil {
		return nil, fmt.Errorf("fetch.politeness.overrides: %w", err)
	}
	for _, pattern := range t.patterns {
		l := p.Overrides[pattern]
		if l.Concurrency == 0 {
			l.Concurrency = p.Default.Concurrency
		}
		if l.Delay == nil && l.Rate.IsZero() {
			l.Delay, l.Rate = p.Default.Delay, p.Default.Rate
		}
		t.limits = append(t.limits, l)
	}
	return t, nil
}

// For returns the limits of a key, an authority (host or host:port), and the
// pattern of the override that says so, empty for the default.
func (t *Table) For(key string) (l Limits, pattern string) {
	own := t.standard
	host, port := splitKey(key)
	if i := t.hosts.Longest(host, port); i >= 0 {
		own, pattern = t.limits[i], t.patterns[i]
	}
	return Limits{Concurrency: max(1, own.Concurrency), Delay: own.Interval()}, pattern
}

// splitKey takes a politeness key apart.
func splitKey(name string) (host string, port int) {
	if h, p, err := net.SplitHostPort(name); err == nil {
		if n, err := strconv.Atoi(p); err == nil {
			return h, n
		}
	}
	return strings.Trim(name, "[]"), 0
}
