package jobfile

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/harrowdata/harrow"
)

// checker looks at what spans several values of a job that is read: what is
// missing, what excludes what, and names that must exist elsewhere.
type checker struct {
	*decoder
	job *harrow.Job
}

// report places a problem at the value of that path, or of the nearest one
// above it that is in the file.
func (c *checker) report(path, format string, args ...any) {
	at := path
	for {
		if pos, ok := c.at[at]; ok {
			c.fail(pos, path, format, args...)
			return
		}
		at = at[:max(0, strings.LastIndexAny(at, ".["))]
	}
}

// reportKey places a problem at the key of that path.
func (c *checker) reportKey(path, format string, args ...any) {
	if pos, ok := c.keys[path]; ok {
		c.fail(pos, path, format, args...)
		return
	}
	c.report(path, format, args...)
}

// require reports a key that has no value, unless what it has, or
// where it belongs, is wrong.
func (c *checker) require(path string, missing bool, expected string) {
	if missing && !c.errs.under(path) && !c.errs.above(path) {
		c.report(path, "%s is missing; expected %s", path, expected)
	}
}

func (c *checker) check() {
	job := c.job
	c.require("version", job.Version == 0, "version: 1")
	c.require("job", job.Name == "", "the job's name, "+jobNameForm)
	s := job.Discover.Seeds
	c.require("discover.seeds", len(s.URLs) == 0 && len(s.Files) == 0 && s.Sitemaps.IsZero(), "urls, files or sitemaps with at least one entry")
	if s.Sitemaps.Auto {
		c.checkAuto()
	}
	c.require("parse", len(job.Parse) == 0, "at least one rule")
	c.checkFollow()
	c.checkFetch()
	for i, rule := range job.Parse {
		c.checkRule(fmt.Sprintf("parse[%d]", i), rule)
	}
	c.checkRecords()
	if c.opts.KnownSink == nil {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(job.Load)) {
		path := join("load", name)
		if err := c.opts.KnownSink(name); err != nil {
			c.reportKey(path, "%s: %v", path, err)
		}
	}
}

// checkAuto says where there would be no robots.txt to read sitemaps from.
func (c *checker) checkAuto() {
	const at = "discover.seeds.sitemaps"
	if s := c.job.Discover.Seeds; len(s.URLs) == 0 && len(s.Files) == 0 {
		c.report(at, "%s: auto reads the robots.txt of the seeds' hosts; expected urls or files beside it, or a list of URLs", at)
	}
	if c.job.Fetch.Politeness.Robots == harrow.RobotsIgnore {
		c.report(at, "%s: auto reads robots.txt, which fetch.politeness.robots: ignore leaves out; expected a list of URLs", at)
	}
}

func (c *checker) checkFollow() {
	if h := c.job.Discover.Scope.Hosts; h != nil && len(h) == 0 {
		c.report("discover.scope.hosts", "discover.scope.hosts: got an empty list; expected at least one host, or no such key for the seeds' hosts")
	}
	for i, f := range c.job.Discover.Follow {
		path := fmt.Sprintf("discover.follow[%d]", i)
		c.oneSelector(path, []string{"css", "xpath", "jsonpath"}, f.Regex != "")
		for _, field := range f.Carry {
			c.checkCarry(path+".carry."+field.Name, field)
		}
	}
}

func (c *checker) checkFetch() {
	f := c.job.Fetch
	if f.Retry.Base > 0 && f.Retry.Cap > 0 && f.Retry.Cap < f.Retry.Base {
		c.report("fetch.retry.cap", "fetch.retry.cap: got %s; expected at least base, %s", f.Retry.Cap, f.Retry.Base)
	}
	c.checkProxies(f.Proxies)
	if f.Politeness.Key == harrow.KeyIP && len(f.Proxies) > 0 {
		c.report("fetch.politeness.key", "fetch.politeness.key: ip does not go with fetch.proxies: behind a proxy nobody sees a host's address; expected host or registered_domain")
	}
	c.oneOfPace("fetch.politeness.default", f.Politeness.Default)
	for _, pattern := range slices.Sorted(maps.Keys(f.Politeness.Overrides)) {
		c.oneOfPace("fetch.politeness.overrides."+pattern, f.Politeness.Overrides[pattern])
	}
	c.checkSent()
}

// checkSent looks at what is sent along with requests.
func (c *checker) checkSent() {
	f := c.job.Fetch
	if f.Login != nil {
		c.require("fetch.login.url", f.Login.URL == "", "the URL of the page with the form")
		if l := f.Login; l.URL != "" && c.opts.CheckURL != nil && !HoldsSecret(l.URL) {
			if err := c.opts.CheckURL(l.URL); err != nil {
				c.report("fetch.login.url", "fetch.login.url: got %.200q; expected the URL of the page with the form: %v", l.URL, err)
			}
		}
		c.require("fetch.login.fields", len(f.Login.Fields) == 0, "the form's fields by name, with what to fill in")
		if f.Cookies != nil && !*f.Cookies {
			c.report("fetch.cookies", "fetch.cookies: got false; expected true beside login, which is a session in cookies")
		}
	}
	if f.Auth != nil {
		c.require("fetch.auth.basic", f.Auth.Basic == "" && len(f.Auth.Headers) == 0, "user:password, or headers")
		for name := range f.Auth.Headers {
			if f.Auth.Basic != "" && strings.EqualFold(name, "Authorization") {
				c.reportKey("fetch.auth.headers."+name, "fetch.auth.headers.%s: basic is given too; expected one of them", name)
			}
		}
	}
	if !slices.ContainsFunc(c.job.Discover.Scope.Hosts, anyHost) {
		return
	}
	const expected = `goes to the hosts in discover.scope.hosts, which are all; expected hosts by name there, or fetch.host_headers`
	if f.Auth != nil {
		c.report("fetch.auth", "fetch.auth: %s", expected)
	}
	for _, name := range slices.Sorted(maps.Keys(f.Headers)) {
		if HoldsSecret(f.Headers[name]) {
			c.report("fetch.headers."+name, "fetch.headers.%s: what holds a secret %s", name, expected)
		}
	}
}

// anyHost reports whether a host pattern takes all hosts in.
func anyHost(pattern string) bool { return pattern == "*" || strings.HasPrefix(pattern, "*:") }

func (c *checker) oneOfPace(path string, l harrow.PolitenessLimits) {
	if l.Delay != nil && !l.Rate.IsZero() {
		c.reportKey(path+".rate", "%s.rate: delay is given too; expected one of delay and rate", path)
	}
}

// checkRule looks at the shape of one rule.
func (c *checker) checkRule(path string, r harrow.Rule) {
	if r.Use != "" {
		c.exclude(path, "use", "record", "fields", "each", "rows")
		return
	}
	if _, named := c.keys[path+".use"]; !named {
		c.require(path+".record", r.Record == "", "the record's name, or use: EXTRACTOR")
		c.require(path+".fields", len(r.Fields) == 0, "at least one field")
	}
	c.exclude(path, "fields", "with")
	if r.Rows.Format != "" {
		c.exclude(path, "rows", "each")
	}
	if r.Rows.Format == harrow.RowsJSON && c.opts.CheckSelector != nil {
		if err := c.opts.CheckSelector("rows", r.Rows.Path); err != nil {
			c.report(path+".rows", "%s.rows: got %q; expected a selector (jsonpath): %v", path, r.Rows.Path, err)
		}
	}
	for _, f := range r.Fields {
		at := path + ".fields." + f.Name
		c.checkField(at, f.Field)
		if !c.errs.under(path + ".rows") {
			c.checkRowField(at, r.Rows.Format, f.Field)
		}
	}
}

// checkRowField looks whether a field's selectors go with the rule's rows.
func (c *checker) checkRowField(path, format string, f harrow.Field) {
	for i, one := range f.Any {
		c.checkRowField(fmt.Sprintf("%s.any[%d]", path, i), format, one)
	}
	if format == "" {
		if f.Column != "" {
			c.reportKey(path+".column", "%s.column: the rule has no rows; expected rows: csv, jsonl or json beside fields", path)
		}
		return
	}
	expected := "column, jsonpath, from or any"
	keys := []string{"css", "xpath", "jsonld"}
	if format == harrow.RowsCSV {
		expected = "column, from or any"
		keys = append(keys, "jsonpath")
	}
	for _, key := range keys {
		if _, there := c.keys[join(path, key)]; there {
			c.reportKey(join(path, key), "%s does not go with rows: %s; expected %s", join(path, key), format, expected)
		}
	}
	selected := slices.ContainsFunc(selectors, func(key string) bool { _, there := c.keys[join(path, key)]; return there })
	if f.Regex != "" && !selected {
		c.reportKey(path+".regex", "%s.regex alone does not go with rows: %s; expected %s beside it", path, format, expected)
	}
}

// exclude reports keys that may not stand beside another.
func (c *checker) exclude(path, beside string, keys ...string) {
	if _, there := c.keys[join(path, beside)]; !there {
		return
	}
	for _, key := range keys {
		at := join(path, key)
		if _, there := c.keys[at]; there {
			c.reportKey(at, "%s does not go with %s; expected one of them", at, beside)
		}
	}
}

var selectors = []string{"css", "xpath", "jsonpath", "jsonld", "column", "from", "any"}

// oneSelector reports all selectors after the first, and the lack of one.
func (c *checker) oneSelector(path string, known []string, regexAlone bool) {
	found := ""
	for _, s := range known {
		at := join(path, s)
		if _, there := c.keys[at]; !there {
			continue
		}
		if found != "" {
			c.reportKey(at, "%s: %s is given too; expected one selector, or any: [...]", at, found)
			continue
		}
		found = s
	}
	if found == "" && !regexAlone && !c.errs.under(path) {
		c.report(path, "%s selects nothing; expected %s", path, oneOf(append(slices.Clone(known), "regex")))
	}
}

// onlyFor reports a key that means something for other types only.
func (c *checker) onlyFor(path, key, kind string, kinds ...string) {
	at := join(path, key)
	if _, there := c.keys[at]; there && !slices.Contains(kinds, kind) {
		c.reportKey(at, "%s does not go with type %s; expected type %s", at, kind, oneOf(kinds))
	}
}
