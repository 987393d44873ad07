package robots

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestAllowed(t *testing.T) {
	for _, c := range []struct {
		rules, path, rule string
		want              bool
	}{
		{"Disallow: /a", "/ab", "Disallow: /a", false},
		{"Disallow: /a$", "/ab", "", true},
		{"Disallow: /a$", "/a", "Disallow: /a$", false},
		{"Disallow: /a$b", "/a$bc", "Disallow: /a$b", false},
		{"Disallow: /*.php$", "/x.php", "Disallow: /*.php$", false},
		{"Disallow: /*.php$", "/x.php?a", "", true},
		{"Disallow: /*.php$", "/x.phpx.php", "Disallow: /*.php$", false},
		{"Disallow: *", "/x", "Disallow: *", false},
		{"Disallow: /a**b*", "/axb", "Disallow: /a**b*", false},
		{"Disallow: /a*$", "/abc", "Disallow: /a*$", false},
		{"Disallow: /ab*b$", "/ab", "", true},
		{"Disallow: /\nAllow: /", "/x", "Allow: /", true},
		{"Disallow: /\nAllow: /x", "/x", "Allow: /x", true},
		{"Disallow:", "/x", "", true},
		{"Disallow: x", "/x", "", true},
		{"Disallow: /", "/robots.txt", "", true},
		{"Disallow: /", "/robots.txt?x", "", true},
		{"Disallow: /", "", "Disallow: /", false},
		// the table of RFC 9309 2.2.2
		{"Disallow: /foo/bar?baz=quz", "/foo/bar?baz=quz", "Disallow: /foo/bar?baz=quz", false},
		{"Disallow: /foo/bar?baz=https%3A%2F%2Ffoo.bar", "/foo/bar?baz=https://foo.bar", "Disallow: /foo/bar?baz=https%3A%2F%2Ffoo.bar", false},
		{"Disallow: /foo/bar/ツ", "/foo/bar/%E3%83%84", "Disallow: /foo/bar/ツ", false},
		{"Disallow: /foo/bar/%e3%83%84", "/foo/bar/%E3%83%84", "Disallow: /foo/bar/%e3%83%84", false},
		{"Disallow: /foo/bar/%62%61%7A", "/foo/bar/baz", "Disallow: /foo/bar/%62%61%7A", false},
		// and of 2.2.3
		{"Disallow: /path/file-with-a-%2A.html", "/path/file-with-a-*.html", "Disallow: /path/file-with-a-%2A.html", false},
		{"Disallow: /path/file-with-a-%2A.html", "/path/file-with-a-x.html", "", true},
		{"Disallow: /path/foo-%24", "/path/foo-$", "Disallow: /path/foo-%24", false},
		// equal in spelling, equal in weight
		{"Disallow: /%E3%83%84\nAllow: /ツ", "/%E3%83%84", "Allow: /ツ", true},
		{"Disallow: /100%", "/100%25", "Disallow: /100%", false},
	} {
		ok, rule := Parse([]byte("User-agent: *\n" + c.rules)).Group("x").Allowed(c.path)
		if ok != c.want || rule != c.rule {
			t.Errorf("%q on %q: %v by %q, want %v by %q", c.rules, c.path, ok, rule, c.want, c.rule)
		}
	}
}

func TestLinesAndGroups(t *testing.T) {
	for name, c := range map[string]struct {
		file, product, path string
		want                bool
	}{
		"byte order mark":                     {"\xef\xbb\xbfUser-agent: *\nDisallow: /", "a", "/", false},
		"half a byte order mark":              {"\xef\xbbUser-agent: *\nDisallow: /", "a", "/", false},
		"CR":                                  {"User-agent: *\rDisallow: /\r", "a", "/", false},
		"CRLF":                                {"User-agent: *\r\nDisallow: /\r\n", "a", "/", false},
		"comments and white space":            {" \tUser-Agent \t: * # all\n\n  Disallow :\t/ # x", "a", "/", false},
		"an unknown line does not end agents": {"User-agent: a\nfoo: b\nUser-agent: b\nDisallow: /", "a", "/", false},
		"an empty rule ends agents":           {"User-agent: a\nDisallow:\nUser-agent: b\nDisallow: /", "a", "/", true},
		"a delay does not end agents":         {"User-agent: a\nCrawl-delay: 1\nUser-agent: b\nDisallow: /", "a", "/", false},
		"groups merge":                        {"User-agent: a\nDisallow: /x\nUser-agent: *\nDisallow: /\nUser-agent: A\nDisallow: /y", "a", "/y", false},
		"a named group hides the one for all": {"User-agent: a\nDisallow: /x\nUser-agent: *\nDisallow: /", "a", "/y", true},
		"a name is compared whole":            {"User-agent: a\nDisallow: /", "ab", "/y", true},
		"a version is not part of a name":     {"User-agent: bot1/2.0\nDisallow: /", "bot1", "/y", false},
		"digits are part of a name":           {"User-agent: bot1\nDisallow: /", "bot2", "/y", true},
		"no name is everyone":                 {"User-agent: *\nDisallow: /", "", "/y", false},
		"an HTML page has no rules":           {"<!DOCTYPE html><html><body>Disallow: /</body></html>", "a", "/y", true},
	} {
		if ok, _ := Parse([]byte(c.file)).Group(c.product).Allowed(c.path); ok != c.want {
			t.Errorf("%s: allowed %v, want %v", name, ok, c.want)
		}
	}
}

func TestNothingAllowsEverything(t *testing.T) {
	var none *Robots
	for _, g := range []*Group{none.Group("a"), new(Robots).Group("a"), {}} {
		if ok, rule := g.Allowed("/"); !ok || rule != "" {
			t.Errorf("not allowed by %q", rule)
		}
	}
	if none.Sitemaps() != nil {
		t.Error("sitemaps of nothing")
	}
}

func TestOnlyTheFirst500KiBCount(t *testing.T) {
	head := "User-agent: *\nDisallow: /first\n"
	pad := strings.Repeat("#", MaxBytes-len(head)-len("\nDisallow: /c"))
	g := Parse([]byte(head + pad + "\nDisallow: /cut-off-here")).Group("a")
	for path, want := range map[string]bool{"/first": false, "/c": true, "/cut-off-here": true} {
		if ok, rule := g.Allowed(path); ok != want {
			t.Errorf("%s: %v by %q, want %v", path, ok, rule, want)
		}
	}
}

func TestCrawlDelay(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"10": 10 * time.Second, "0": 0, "1.5": 1500 * time.Millisecond, ".25": 250 * time.Millisecond, "2.": 2 * time.Second, "3600": time.Hour, "99999999999999999999": time.Hour,
		"0.0000000000001": 0, "1\nCrawl-delay: 3\nCrawl-delay: 2": 3 * time.Second,
		"": -1, ".": -1, "-1": -1, "NaN": -1, "inf": -1, "1e3": -1, "1s": -1, "0x10": -1, "1.2.3": -1, "1,5": -1,
	} {
		delay, ok := Parse([]byte("User-agent: *\nCrawl-delay: " + value)).Group("a").CrawlDelay()
		if ok != (want >= 0) || ok && delay != want {
			t.Errorf("Crawl-delay %q: %v, %v; want %v", value, delay, ok, want)
		}
	}
}

func TestSitemaps(t *testing.T) {
	r := Parse([]byte("sitemap: http://a.example/1.xml\nUser-agent: *\nSiteMap:http://a.example/2.xml # x\nSitemap:\nDisallow: /"))
	if got := strings.Join(r.Sitemaps(), " "); got != "http://a.example/1.xml http://a.example/2.xml" {
		t.Errorf("sitemaps %q", got)
	}
}

func TestProductToken(t *testing.T) {
	for agent, want := range map[string]string{
		"bookshop-harvest/1.0 (+http://example.org/bot)": "bookshop-harvest",
		"harrow": "harrow", "": "", " a_b c": "a_b", "(x)": "",
		"Mozilla/5.0 (compatible; ExampleBot/0.1; https://www.example.com/bot.html)": "ExampleBot",
		"Mozilla/5.0 (X11; Linux x86_64)":                                            "Mozilla",
	} {
		if got := ProductToken(agent); got != want {
			t.Errorf("ProductToken(%q) = %q, want %q", agent, got, want)
		}
	}
}

func TestStatus(t *testing.T) {
	for code, want := range map[int]Verdict{200: ParseBody, 204: ParseBody, 301: AllowAll, 401: AllowAll, 403: AllowAll, 404: AllowAll, 410: AllowAll, 429: Defer, 500: Defer, 503: Defer, 0: Defer, 100: Defer, 600: Defer} {
		if got := Status(code); got != want {
			t.Errorf("Status(%d) = %v, want %v", code, got, want)
		}
	}
}

func TestMatchEqualsItsRegularExpression(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern := "/" + strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "*", "/", "$"}), 0, 8).Draw(t, "pattern"), "")
		path := "/" + strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "/", "$"}), 0, 10).Draw(t, "path"), "")
		body, anchored := strings.CutSuffix(pattern, "$")
		oracle := "^" + strings.ReplaceAll(regexp.QuoteMeta(body), `\*`, ".*")
		if anchored {
			oracle += "$"
		}
		r := compile(line{path: pattern})
		if got, want := r.match(path), regexp.MustCompile(oracle).MatchString(path); got != want {
			t.Fatalf("%q on %q: %v, want %v", pattern, path, got, want)
		}
	})
}

func TestManyStarsStayFast(t *testing.T) {
	file := "User-agent: *\n" + strings.Repeat("Disallow: /"+strings.Repeat("*a", 500)+"b\n", 100)
	g := Parse([]byte(file)).Group("a")
	if ok, _ := g.Allowed("/" + strings.Repeat("a", 8000)); !ok { // with backtracking this would not return
		t.Error("matched")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("User-agent: *\nDisallow: /a*b$\nAllow: /%2a\nCrawl-delay: 1.5\nSitemap: x"), "/a%62?c")
	f.Add([]byte("\xef\xbb\xbfuser-agent a\rdisallow /\r"), "")
	f.Fuzz(func(t *testing.T, body []byte, path string) {
		r := Parse(body)
		for _, product := range []string{"a", "", "*"} {
			g := r.Group(product)
			ok, rule := g.Allowed(path)
			if !ok && !strings.HasPrefix(rule, "Disallow: ") {
				t.Fatalf("denied by %q", rule)
			}
			if ok, _ := g.Allowed("/robots.txt"); !ok {
				t.Fatal("/robots.txt denied")
			}
			if d, ok := g.CrawlDelay(); d < 0 || d > MaxCrawlDelay || !ok && d != 0 {
				t.Fatalf("delay %v", d)
			}
		}
	})
}

func BenchmarkAllowed(b *testing.B) {
	g := Parse([]byte("User-agent: *\nDisallow: /private\nDisallow: /*.pdf$\nDisallow: /*?sort=\nAllow: /catalogue/")).Group("a")
	for b.Loop() {
		g.Allowed("/catalogue/a-light-in-the-attic_1000/index.html")
	}
}
