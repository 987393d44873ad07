package jobfile

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/suites"
)

// contract reads the job file that is the contract, beside the repository.
func contract(t *testing.T) string {
	t.Helper()
	return string(suites.Read(t, "..", "job.example.yaml"))
}

// enable takes the comment signs off the keys that the contract shows in
// comments.
func enable(t *testing.T, text string) string {
	t.Helper()
	commented := regexp.MustCompile(`(?m)^( {0,6})# (- use: |  with: |[a-z_]+: )`)
	var keys []string
	for _, m := range commented.FindAllStringSubmatch(text, -1) {
		keys = append(keys, strings.Trim(m[2], " -:"))
	}
	want := "max_bundle_time resolve login auth use with operators postgres parquet"
	if got := strings.Join(keys, " "); got != want {
		t.Errorf("commented keys of the contract: %s; want %s", got, want)
	}
	return commented.ReplaceAllString(text, "$1$2")
}

var anyHooks = Options{
	CheckSelector:    func(kind, expr string) error { return nil },
	CheckGlob:        func(string) error { return nil },
	KnownSink:        func(string) error { return nil },
	ExtractorRecords: func(string, json.RawMessage) ([]harrow.RecordType, error) { return nil, nil },
}

func TestContractReads(t *testing.T) {
	text := contract(t)
	for name, text := range map[string]string{"as it is": text, "with all commented keys": enable(t, text)} {
		t.Run(name, func(t *testing.T) {
			job, source, errs := parse("job.example.yaml", []byte(text), nil, anyHooks)
			if len(errs) > 0 {
				t.Fatal(errs)
			}
			if name != "as it is" {
				if want := harrow.Duration(10 * time.Minute); job.Fetch.MaxBundleTime != want {
					t.Errorf("max_bundle_time is %v, want %v", job.Fetch.MaxBundleTime, want)
				}
				if job.Fetch.Resolve["*.example"] != "127.0.0.1:8090" || len(source.secrets) != 5 {
					t.Errorf("resolve %v, secrets %v", job.Fetch.Resolve, source.secrets)
				}
			}
			book := job.Parse[0]
			var names []string
			for _, c := range Columns(book) {
				names = append(names, c.Name+":"+c.Type.String())
			}
			want := "url:text upc:text title:text price_amount:decimal(38,9) price_currency:text stock:int rating:int image:text tags:list brand:text listed:timestamp"
			if got := strings.Join(names, " "); got != want {
				t.Errorf("columns\n got %s\nwant %s", got, want)
			}
			if to, ok := book.Fields[5].Map.Lookup("star-rating Two"); !ok || to != "2" {
				t.Errorf("map: %v %v", to, ok)
			}
			if r := job.Refine["book"]; r.Key[0] != "upc" || *r.Thresholds.MaxRejectRate != 0.05 || r.Check[1].In[4] != "5" || r.Enrich[0].Add[0].Name != "price_eur" {
				t.Errorf("refine: %+v", r)
			}
		})
	}
}

// The contract says which values are the defaults: reading them changes
// nothing.
func TestContractDefaultsAreTheDefaults(t *testing.T) {
	written, _, _ := parse("job.example.yaml", []byte(contract(t)), nil, anyHooks)
	var d harrow.Job
	d.SetDefaults()
	w := *written
	w.SetDefaults()
	for what, pair := range map[string][2]any{
		"limits":      {w.Limits, d.Limits},
		"timeout":     {w.Fetch.Timeout, d.Fetch.Timeout},
		"max_body":    {w.Fetch.MaxBody, d.Fetch.MaxBody},
		"redirects":   {*w.Fetch.MaxRedirects, *d.Fetch.MaxRedirects},
		"max_time":    {w.Fetch.MaxTime, d.Fetch.MaxTime},
		"in_flight":   {w.Fetch.InFlight, d.Fetch.InFlight},
		"retry":       {w.Fetch.Retry, d.Fetch.Retry},
		"breaker":     {w.Fetch.Breaker, d.Fetch.Breaker},
		"roll":        {w.Fetch.Roll, d.Fetch.Roll},
		"conditional": {*w.Fetch.Conditional, *d.Fetch.Conditional},
		"key":         {w.Fetch.Politeness.Key, d.Fetch.Politeness.Key},
		"robots":      {w.Fetch.Politeness.Robots, d.Fetch.Politeness.Robots},
		"adaptive":    {*w.Fetch.Politeness.Adaptive, *d.Fetch.Politeness.Adaptive},
		"pace":        {w.Fetch.Politeness.Default.Interval(), d.Fetch.Politeness.Default.Interval()},
		"concurrency": {w.Fetch.Politeness.Default.Concurrency, d.Fetch.Politeness.Default.Concurrency},
		"rounds":      {w.Discover.Rounds, d.Discover.Rounds},
		"strip":       {strings.Join(w.Discover.Canonical.Strip, " "), strings.Join(d.Discover.Canonical.Strip, " ")},
		"keep":        {w.Refine["book"].Keep, harrow.Keep{Policy: harrow.KeepLatest}},
		"load":        {string(w.Load["sqlite"]), string(d.Load["sqlite"])},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s: the contract says %v, the default is %v", what, pair[0], pair[1])
		}
	}
}

// What people copy is read by what they copy it for.
func TestTheJobOfTheManifestsReads(t *testing.T) {
	job, source, err := Read("../../deploy/kubernetes/job.yaml", nil, anyHooks)
	if err != nil {
		t.Fatal(err)
	}
	if names := source.SecretNames(); job.Name != "bookshop" || len(names) != 1 || names[0] != "DATABASE_URL" {
		t.Errorf("job %s with the secrets %v; the manifests have bookshop and DATABASE_URL", job.Name, names)
	}
}

func TestDemoReads(t *testing.T) {
	job, _, err := Read("../../testdata/demo/shop.yaml", map[string]string{"site": "127.0.0.1:8090"}, anyHooks)
	if err != nil {
		t.Fatal(err)
	}
	if job.Fetch.Resolve["books.example"] != "127.0.0.1:8090" {
		t.Errorf("resolve: %v", job.Fetch.Resolve)
	}
}
