package canon

import (
	"encoding/json"
	"testing"

	whatwg "github.com/nlnwa/whatwg-url/url"

	"github.com/harrowdata/harrow/internal/suites"
)

// wptPass is how many of web-platform-tests' URL cases the parsing library
// passes; fewer is a regression.
const wptPass = 876

// wptCase is a case of urltestdata.json; fields we don't compare are left out.
type wptCase struct {
	Input    string
	Base     *string
	Failure  bool
	Href     string
	Protocol string
	Username string
	Password string
	Host     string
	Hostname string
	Port     string
	Pathname string
	Search   string
	Hash     string
}

func wptCases(t *testing.T) []wptCase {
	var raw []json.RawMessage
	if err := json.Unmarshal(suites.Read(t, "wpt-url", "tests", "wpt", "urltestdata.json"), &raw); err != nil {
		t.Fatal(err)
	}
	var cases []wptCase
	for _, r := range raw {
		if r[0] == '"' {
			continue // a comment
		}
		var c wptCase
		if err := json.Unmarshal(r, &c); err != nil {
			t.Fatal(err)
		}
		cases = append(cases, c)
	}
	return cases
}

func TestLibraryPassesTheWebPlatformTests(t *testing.T) {
	cases := wptCases(t)
	passed := 0
	for _, c := range cases {
		if wptPasses(c) {
			passed++
		} else {
			t.Logf("fails: %+q", c.Input)
		}
	}
	t.Logf("%d of %d cases pass", passed, len(cases))
	if passed < wptPass {
		t.Errorf("%d of %d cases pass, want at least %d", passed, len(cases), wptPass)
	}
}

func wptPasses(c wptCase) (ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	var u *whatwg.Url
	var err error
	if c.Base != nil {
		u, err = whatwg.ParseRef(*c.Base, c.Input)
	} else {
		u, err = whatwg.Parse(c.Input)
	}
	if c.Failure || err != nil {
		return c.Failure && err != nil
	}
	return u.Href(false) == c.Href && u.Protocol() == c.Protocol && u.Username() == c.Username && u.Password() == c.Password && u.Host() == c.Host &&
		u.Hostname() == c.Hostname && u.Port() == c.Port && u.Pathname() == c.Pathname && u.Search() == c.Search && u.Hash() == c.Hash
}

// What the library makes of a case, canonicalised, is what we make of it.
func TestCanonicalFormAgreesWithTheWebPlatformTests(t *testing.T) {
	c := canonicalizer(t, Policy{})
	compared := 0
	for _, w := range wptCases(t) {
		var base URL
		if w.Base != nil {
			b, err := c.Parse(*w.Base)
			if err != nil {
				continue
			}
			base = b
		}
		checkFast(t, c, base, w.Input)
		got, err := c.Resolve(base, w.Input)
		if err == nil && w.Failure {
			t.Errorf("%+q: accepted as %s", w.Input, got)
		}
		if err != nil || !wptPasses(w) {
			continue
		}
		want, err := c.Parse(w.Href)
		if err != nil || got != want {
			t.Errorf("%+q: %s, want %s, %v", w.Input, got, want, err)
		}
		compared++
	}
	if compared < 200 {
		t.Errorf("compared only %d cases", compared)
	}
}
