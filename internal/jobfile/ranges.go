package jobfile

import (
	"fmt"
	"net/netip"
	"reflect"
	"regexp"
	"strings"

	"github.com/harrowdata/harrow"
)

// check says what was expected of a value that is out of range, or "". Where
// d.words is set it checks nothing: what JSON Schema has words for it puts
// there, and docs/job.schema.json is made of it.
type check func(d *decoder, v reflect.Value) string

// words are keywords of JSON Schema with their values.
type words map[string]any

// say reports whether the schema is asked for, and answers.
func (d *decoder) say(keyword string, value any) bool {
	if d.words != nil {
		d.words[keyword] = value
	}
	return d.words != nil
}

const (
	jobNameForm    = "[a-z][a-z0-9-]{0,62}"
	columnNameForm = "[A-Za-z][A-Za-z0-9_]{0,62}"
)

var (
	jobName    = regexp.MustCompile("^" + jobNameForm + "$")
	columnName = regexp.MustCompile("^" + columnNameForm + "$")
	currency   = regexp.MustCompile("^[A-Z]{3}$")
	mediaType  = regexp.MustCompile(`^[a-z0-9][a-z0-9!#$&^_.+-]*/(\*|[a-z0-9][a-z0-9!#$&^_.+-]*)$`)
	hostForm   = regexp.MustCompile(`^(\*|(\*\.)?[^\s*/:?#@\[\]]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$`)
)

// ranges are the rules for single values, by type and key; [] is an item of
// a list. What spans several values is in semantics.go.
var ranges = map[string]check{
	"Job.version": between(1, 1),
	"Job.job":     form(jobName, jobNameForm),

	"Limits.memory":   atLeast(64 * harrow.MiB),
	"Limits.spill":    nonEmpty,
	"Limits.document": atLeast(harrow.ByteSize(1)),

	"Seeds.urls[]":                 nonEmpty,
	"Seeds.files[]":                nonEmpty,
	"Discover.rounds":              between(1, 100),
	"Scope.hosts[]":                hostPattern,
	"Scope.include[]":              glob,
	"Scope.exclude[]":              glob,
	"Scope.max_depth":              between(0, 1<<20),
	"Scope.max_pages":              between(0, 1<<62),
	"Follow.within[]":              glob,
	"Follow.css":                   selector("css"),
	"Follow.xpath":                 selector("xpath"),
	"Follow.jsonpath":              selector("jsonpath"),
	"Follow.regex":                 anyRegex,
	"Canonical.strip[]":            nonEmpty,
	"Fetch.user_agent":             headerValue,
	"Fetch.headers.*":              headerValue,
	"Fetch.host_headers.*.*":       headerValue,
	"Fetch.timeout":                overZero("0s"),
	"Fetch.max_body":               overZero("0B"),
	"Fetch.max_redirects":          between(0, 100),
	"Fetch.in_flight":              between(1, 65536),
	"Fetch.resolve.*":              address,
	"Retry.attempts":               between(1, 100),
	"Retry.base":                   overZero("0s"),
	"Retry.cap":                    overZero("0s"),
	"Breaker.failures":             between(1, 1<<20),
	"Breaker.cool_down":            overZero("0s"),
	"Roll.every":                   overZero("0s"),
	"Roll.bytes":                   overZero("0B"),
	"Fetch.proxies[]":              nonEmpty,
	"Login.url":                    nonEmpty,
	"Login.form":                   elements,
	"Login.success":                textOrRegex,
	"Auth.basic":                   nonEmpty,
	"Auth.headers.*":               headerValue,
	"Politeness.key":               among(harrow.KeyHost, harrow.KeyRegisteredDomain, harrow.KeyIP),
	"Politeness.robots":            among(harrow.RobotsObey, harrow.RobotsIgnore),
	"Rule.record":                  form(columnName, columnNameForm),
	"Rule.match[]":                 glob,
	"Rule.content_type[]":          form(mediaType, "a media type in lower case: text/html"),
	"Rule.each":                    elements,
	"Rule.use":                     nonEmpty,
	"Field.css":                    selector("css"),
	"Field.xpath":                  selector("xpath"),
	"Field.jsonpath":               selector("jsonpath"),
	"Field.jsonld":                 selector("jsonld"),
	"Field.column":                 nonEmpty,
	"Field.from":                   source,
	"Field.list":                   among(harrow.ListAll),
	"Field.regex":                  anyRegex,
	"Field.type":                   fieldType,
	"Field.currency":               form(currency, "three capital letters (ISO 4217): GBP"),
	"Field.decimal":                among(",", "."),
	"Field.format":                 told(formatForm),
	"Field.zone":                   told(zoneForm),
	"Check.pattern":                anyRegex,
	"Check.expr":                   nonEmpty,
	"Length.min":                   between(0, 1<<31-1),
	"Length.max":                   between(0, 1<<31-1),
	"Lookup.file":                  nonEmpty,
	"Addition.expr":                nonEmpty,
	"Addition.type":                columnType,
	"OperatorUse.use":              nonEmpty,
	"Thresholds.min_rows":          between(0, 1<<62),
	"Thresholds.coverage.*":        fraction,
	"Thresholds.max_reject_rate":   fraction,
	"PolitenessLimits.concurrency": between(1, 1024),
}

// keyRanges are the rules for the names in mappings.
var keyRanges = map[string]func(d *decoder, name string) string{
	"Fetch.headers":        headerKey,
	"Fetch.host_headers":   originKey,
	"Fetch.host_headers.*": headerKey,
	"Auth.headers":         headerKey,
	"Fetch.resolve":        hostKey,
	"Politeness.overrides": hostKey,
}

// settled follows a pointer.
func settled(v reflect.Value) reflect.Value {
	if v.Kind() == reflect.Pointer {
		return v.Elem()
	}
	return v
}

func between(lo, hi int64) check {
	return func(d *decoder, v reflect.Value) string {
		if d.say("minimum", lo) {
			if hi < 1<<20 {
				d.say("maximum", hi)
			}
			return ""
		}
		switch n := settled(v).Int(); {
		case n >= lo && n <= hi:
			return ""
		case lo == hi:
			return fmt.Sprint(lo)
		case hi >= 1<<20:
			return fmt.Sprintf("at least %d", lo)
		}
		return fmt.Sprintf("%d to %d", lo, hi)
	}
}

func atLeast(lo harrow.ByteSize) check {
	return func(_ *decoder, v reflect.Value) string {
		if v.Int() >= int64(lo) {
			return ""
		}
		return "at least " + lo.String()
	}
}

func overZero(zero string) check {
	return func(_ *decoder, v reflect.Value) string {
		if v.Int() > 0 {
			return ""
		}
		return "more than " + zero
	}
}

func fraction(d *decoder, v reflect.Value) string {
	if d.say("minimum", 0) && d.say("maximum", 1) {
		return ""
	}
	if f := settled(v).Float(); f >= 0 && f <= 1 {
		return ""
	}
	return "0 to 1"
}

func nonEmpty(d *decoder, v reflect.Value) string {
	if d.say("minLength", 1) {
		return ""
	}
	if strings.TrimSpace(v.String()) != "" {
		return ""
	}
	return "a text that is not empty"
}

// told is for texts that something else reads.
func told(expected func(string) string) check {
	return func(d *decoder, v reflect.Value) string {
		if msg := nonEmpty(d, v); msg != "" {
			return msg
		}
		return expected(v.String())
	}
}

func form(re *regexp.Regexp, expected string) check {
	return func(d *decoder, v reflect.Value) string {
		if d.say("pattern", re.String()) {
			return ""
		}
		if re.MatchString(v.String()) {
			return ""
		}
		return expected
	}
}

func among(known ...string) check {
	return func(d *decoder, v reflect.Value) string {
		if d.say("enum", known) {
			return ""
		}
		for _, k := range known {
			if v.String() == k {
				return ""
			}
		}
		return oneOf(known)
	}
}

// selector asks the hook; kinds are css, xpath, jsonpath and jsonld.
func selector(kind string) check {
	return func(d *decoder, v reflect.Value) string {
		if msg := nonEmpty(d, v); msg != "" || d.words != nil || d.opts.CheckSelector == nil {
			return msg
		}
		if err := d.opts.CheckSelector(kind, v.String()); err != nil {
			return fmt.Sprintf("a selector (%s): %v", kind, err)
		}
		return ""
	}
}

var attributeSuffix = regexp.MustCompile(`@[A-Za-z_:][-A-Za-z0-9_:.]*\s*$`)

// elements is a CSS selector of elements, not of an attribute.
func elements(d *decoder, v reflect.Value) string {
	if attributeSuffix.MatchString(v.String()) {
		return "a selector of elements, without @attribute"
	}
	return selector("css")(d, v)
}

func glob(d *decoder, v reflect.Value) string {
	if msg := nonEmpty(d, v); msg != "" || d.words != nil {
		return msg
	}
	if expr, ok := strings.CutPrefix(v.String(), "re:"); ok {
		if _, err := regexp.Compile(expr); err != nil {
			return fmt.Sprintf("RE2 after re:, but %v", err)
		}
	}
	if d.opts.CheckGlob == nil {
		return ""
	}
	if err := d.opts.CheckGlob(v.String()); err != nil {
		return fmt.Sprintf("a glob, or re: and RE2: %v", err)
	}
	return ""
}

func anyRegex(_ *decoder, v reflect.Value) string {
	if _, err := regexp.Compile(v.String()); err != nil {
		return fmt.Sprintf("RE2, but %v", err)
	}
	return ""
}

func textOrRegex(d *decoder, v reflect.Value) string {
	if expr, ok := strings.CutPrefix(v.String(), "re:"); ok {
		if _, err := regexp.Compile(expr); err != nil {
			return fmt.Sprintf("RE2 after re:, but %v", err)
		}
	}
	return nonEmpty(d, v)
}

func columnType(_ *decoder, v reflect.Value) string {
	if _, err := harrow.ParseType(v.String()); err != nil {
		_, expected, _ := strings.Cut(err.Error(), "want ")
		if unclosed := v.String(); strings.Contains(unclosed, "(") && !strings.Contains(unclosed, ")") {
			expected += `; within {…} a comma ends the value: write type: "decimal(18,2)", with the quotes`
		}
		return expected
	}
	return ""
}

func fieldType(d *decoder, v reflect.Value) string {
	if s := v.String(); s == harrow.TypeMoney || s == harrow.TypeURL {
		return ""
	}
	expected := columnType(d, v)
	if strings.HasPrefix(expected, "text") {
		return "money, url, " + expected
	}
	return expected
}

// sources are what `from` may name.
var sources = []string{"url", "request_url", "host", "path", "status", "fetched_at"}

func source(_ *decoder, v reflect.Value) string {
	for _, s := range sources {
		if v.String() == s {
			return ""
		}
	}
	if name, ok := strings.CutPrefix(v.String(), "header:"); ok && headerName(name) == "" {
		return ""
	}
	if name, ok := strings.CutPrefix(v.String(), "carry:"); ok && columnName.MatchString(name) {
		return ""
	}
	return strings.Join(sources, ", ") + ", header:NAME or carry:NAME"
}

func hostKey(d *decoder, pattern string) string {
	if !hostForm.MatchString(pattern) {
		return "a host or *.host, without scheme and path"
	}
	if d.opts.CheckHost == nil {
		return ""
	}
	if err := d.opts.CheckHost(pattern); err != nil {
		return fmt.Sprintf("a host or *.host: %v", err)
	}
	return ""
}

// originKey is a host pattern, with a scheme before it perhaps.
func originKey(d *decoder, pattern string) string {
	if scheme, host, ok := strings.Cut(pattern, "://"); ok && (scheme == "http" || scheme == "https") {
		pattern = host
	}
	if msg := hostKey(d, pattern); msg != "" {
		return "a host or *.host, with http:// or https:// before it or not, without path"
	}
	return ""
}

func headerKey(_ *decoder, name string) string { return headerName(name) }

func hostPattern(d *decoder, v reflect.Value) string { return hostKey(d, v.String()) }

func address(_ *decoder, v reflect.Value) string {
	if _, err := netip.ParseAddrPort(v.String()); err == nil {
		return ""
	}
	if _, err := netip.ParseAddr(v.String()); err == nil {
		return ""
	}
	return "IP or IP:PORT"
}

var headerToken = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$") // RFC 9110 5.6.2

func headerName(name string) string {
	if headerToken.MatchString(name) {
		return ""
	}
	return "the name of an HTTP header"
}

func headerValue(d *decoder, v reflect.Value) string {
	if strings.ContainsAny(v.String(), "\r\n\x00") {
		return "one line"
	}
	return nonEmpty(d, v)
}
