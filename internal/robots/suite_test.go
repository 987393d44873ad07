package robots

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/harrowdata/harrow/internal/suites"
)

// googleCase is a case of Google's robots.txt suite.
type googleCase struct {
	Test       string
	GoogleOnly bool `json:"google_only"`
	Robots     string
	Agent      string
	URL        string
	Allowed    bool
}

// googlePass is how many of the suite's cases that don't go beyond RFC 9309
// pass; fewer is a regression.
const googlePass = 69

// deviations are the cases we answer otherwise, with the reason. In all of
// them Google's matcher is held to what its caller has to do before: it does
// not encode the URL, nor decode unreserved characters.
var deviations = map[string]string{
	"Allow: /foo/bar/ツ http://foo.bar/foo/bar/ツ":           "RFC 9309 2.2.2: octets outside ASCII are percent-encoded in URI and rule before they are compared",
	"Allow: /foo/bar/%E3%83%84 http://foo.bar/foo/bar/ツ":   "RFC 9309 2.2.2: as above",
	"Allow: /foo/bar/%62%61%7A http://foo.bar/foo/bar/baz": "RFC 9309 2.2.2, table: %62%61%7A is compared as baz",
}

func TestGooglesSuite(t *testing.T) {
	var cases []googleCase
	if err := json.Unmarshal(suites.Read(t, "google-robotstxt", "allowed_cases.json"), &cases); err != nil {
		t.Fatal(err)
	}
	passed, total := 0, 0
	for _, c := range cases {
		if c.GoogleOnly {
			continue
		}
		total++
		ok, rule := Parse([]byte(c.Robots)).Group(c.Agent).Allowed(pathQuery(c.URL))
		if ok == c.Allowed {
			passed++
			continue
		}
		lines := strings.Split(strings.TrimSpace(c.Robots), "\n")
		reason := deviations[lines[len(lines)-1]+" "+c.URL]
		t.Logf("%s: %q for %s on %s: allowed %v by %q, the suite wants %v: %s", c.Test, c.Robots, c.Agent, c.URL, ok, rule, c.Allowed, reason)
		if reason == "" {
			t.Error("which is no known deviation")
		}
	}
	t.Logf("%d of %d cases pass", passed, total)
	if passed < googlePass {
		t.Errorf("%d cases pass, want at least %d", passed, googlePass)
	}
}

// pathQuery cuts a case's URL by hand: a canonical one would hide what the
// case is about.
func pathQuery(url string) string {
	_, rest, _ := strings.Cut(url, "//")
	at := strings.IndexAny(rest, "/?")
	if at < 0 {
		return "/"
	}
	return rest[at:]
}
