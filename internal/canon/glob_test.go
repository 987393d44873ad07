package canon

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func mustParse(t testing.TB, raw string) URL {
	t.Helper()
	u, err := canonicalizer(t, Policy{}).Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, path string
		want          bool
	}{
		{"/", "/", true},
		{"/", "/a", false},
		{"/catalogue/**", "/catalogue/", true},
		{"/catalogue/**", "/catalogue/a/b.html", true},
		{"/catalogue/**", "/catalogue", false},
		{"/catalogue/*", "/catalogue/a", true},
		{"/catalogue/*", "/catalogue/a/b", false},
		{"/catalogue/page-*.html", "/catalogue/page-12.html", true},
		{"/catalogue/page-*.html", "/catalogue/page-1/2.html", false},
		{"/catalogue/*/index.html", "/catalogue/x/index.html", true},
		{"**/login", "/login", true},
		{"**/login", "/a/b/login", true},
		{"**/login", "/a/xlogin", false},
		{"**login", "/a/xlogin", true},
		{"**.pdf", "/a/b.pdf", true},
		{"**.pdf", "/a/b.pdf.html", false},
		{"/a/**/b", "/a/b", true},
		{"/a/**/b", "/a/x/y/b", true},
		{"/a/**/b", "/a/xb", false},
		{"/a/**/*.html", "/a/x/y.html", true},
		{"/a//b", "/a//b", true},
		{"/café/*", "/caf%C3%A9/x", true},
		{"/a b", "/a%20b", true},
		{"/a", "/a?q=1", true},
		{"http://h.example/a/*", "/a/b", true},
		{"HTTP://H.example:80/a/*", "/a/b", true},
		{"https://h.example/a/*", "/a/b", false},
		{"//h.example/**", "/a/b", true},
		{"//*.example/**", "/a/b", true},
		{"*://h.example/a", "/a", true},
		{"http://h.example", "/", true},
		{"http://h.example", "/a", false},
		{"http://h.**", "/a/b", true},
		{"re:[?&]sort=", "/a?x=1&sort=2", true},
		{"re:[?&]sort=", "/a?resort=2", false},
		{"re:^http://h\\.example/a$", "/a", true},
	} {
		g, err := CompileGlob(c.pattern)
		if err != nil {
			t.Errorf("%q: %v", c.pattern, err)
			continue
		}
		if got := g.Match(mustParse(t, "http://h.example"+c.path)); got != c.want || g.String() != c.pattern {
			t.Errorf("%q on %q: %v, want %v", c.pattern, c.path, got, c.want)
		}
	}
}

func TestBadPatternsAreNamed(t *testing.T) {
	for _, pattern := range []string{"", "catalogue/*", "*.pdf", "*", "re:(", "/a?b=*", "http://bücher.example/"} {
		if _, err := CompileGlob(pattern); err == nil || pattern != "" && !strings.Contains(err.Error(), pattern) {
			t.Errorf("CompileGlob(%q): %v", pattern, err)
		}
	}
	for _, pattern := range []string{"", "a*.example", "*.", "*.*.example", "h.example/", "h.example:0", "h.example:x", "h:99999", "*.127.0.0.1", "u@h.example", "a b"} {
		if err := CheckHostGlob(pattern); err == nil || pattern != "" && !strings.Contains(err.Error(), pattern) {
			t.Errorf("CheckHostGlob(%q): %v", pattern, err)
		}
	}
}

func TestGlobEqualsItsRegularExpression(t *testing.T) {
	bit := rapid.SampledFrom([]string{"/", "a", "b", "*", "**", "/**/"})
	text := rapid.SampledFrom([]string{"/", "a", "b"})
	rapid.Check(t, func(t *rapid.T) {
		pattern := "/" + strings.Join(rapid.SliceOfN(bit, 0, 7).Draw(t, "pattern"), "")
		path := "/" + strings.Join(rapid.SliceOfN(text, 0, 12).Draw(t, "path"), "")
		p := program(pattern)
		oracle := strings.NewReplacer(string(rune(star)), "[^/]*", string(rune(deepStar)), ".*", string(rune(dirStar)), "(?:.*/)?").Replace(p)
		if got, want := run(p, path), regexp.MustCompile("^"+oracle+"$").MatchString(path); got != want {
			t.Fatalf("%q on %q: %v, want %v", pattern, path, got, want)
		}
	})
}

func TestManyStarsStayFast(t *testing.T) {
	text := "/" + strings.Repeat("a", 2000)
	if run(program("/"+strings.Repeat("*a", 200)+"b"), text) || run(program("/"+strings.Repeat("**a", 200)+"b"), text) {
		t.Error("matched")
	}
}

func TestHostGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, url string
		want         bool
	}{
		{"books.example", "http://books.example/", true},
		{"Books.Example.", "http://books.example:8080/", true},
		{"books.example", "http://a.books.example/", false},
		{"*.books.example", "http://a.b.books.example/", true},
		{"*.books.example", "http://books.example/", false},
		{"*.books.example", "http://abooks.example/", false},
		{"books.example:80", "http://books.example/", true},
		{"books.example:80", "https://books.example/", false},
		{"books.example:8080", "http://books.example:8080/", true},
		{"*", "http://anything.example/", true},
		{"*:8080", "http://127.0.0.1:8080/", true},
		{"127.0.0.1", "http://127.0.0.1/", true},
		{"[::1]:8080", "http://[::1]:8080/", true},
		{"bücher.example", "http://xn--bcher-kva.example/", true},
	} {
		globs, err := CompileHostGlobs([]string{c.pattern})
		if err != nil {
			t.Errorf("%q: %v", c.pattern, err)
			continue
		}
		u := mustParse(t, c.url)
		if got := globs.Longest(u.Host(), u.Port()) == 0; got != c.want {
			t.Errorf("%q on %s: %v, want %v", c.pattern, c.url, got, c.want)
		}
	}
}

func TestLongestHostPatternWins(t *testing.T) {
	patterns := []string{"*", "*.example", "*.books.example", "a.books.example", "*.books.example:8080", "*.books.example"}
	globs, err := CompileHostGlobs(patterns)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		host string
		port int
		want string
	}{
		{"a.books.example", 80, "a.books.example"},
		{"a.books.example", 8080, "a.books.example"},
		{"b.books.example", 80, "*.books.example"},
		{"b.books.example", 8080, "*.books.example:8080"},
		{"books.example", 8080, "*.example"},
		{"example", 80, "*"},
		{"10.0.0.1", 80, "*"},
	} {
		if i := globs.Longest(c.host, c.port); i < 0 || patterns[i] != c.want {
			t.Errorf("%s:%d: %d, want %s", c.host, c.port, i, c.want)
		}
	}
	if none, _ := CompileHostGlobs(nil); none.Longest("a.example", 80) != -1 {
		t.Error("no patterns: want -1")
	}
}

func TestScopeSaysWhy(t *testing.T) {
	s, err := NewScope(ScopeConfig{
		Hosts:   []string{"books.example", "*.books.example"},
		Include: []string{"/catalogue/**"},
		Exclude: []string{"**/login", "re:[?&]sort="},
	})
	if err != nil {
		t.Fatal(err)
	}
	for raw, want := range map[string][2]string{
		"http://books.example/catalogue/x":        {"", "/catalogue/**"},
		"http://a.books.example/catalogue/x":      {"", "/catalogue/**"},
		"http://other.example/catalogue/x":        {"host", ""},
		"http://books.example/about":              {"include", ""},
		"http://books.example/catalogue/login":    {"exclude", "**/login"},
		"http://books.example/catalogue/?sort=up": {"exclude", "re:[?&]sort="},
	} {
		ok, reason, rule := s.Check(mustParse(t, raw))
		if ok != (want[0] == "") || reason != want[0] || rule != want[1] {
			t.Errorf("%s: %v %q %q, want %q", raw, ok, reason, rule, want)
		}
	}
	if ok, reason, _ := s.Check(URL{}); ok || reason != "host" {
		t.Error("the zero URL is in scope")
	}
	for _, bad := range []ScopeConfig{{Hosts: []string{"/"}}, {Include: []string{"x"}}, {Exclude: []string{"x"}}, {MaxDepth: -1}} {
		if _, err := NewScope(bad); err == nil {
			t.Errorf("%+v: no error", bad)
		}
	}
	for host, want := range map[string]bool{"http://books.example/x": true, "https://a.books.example/login": true, "http://other.example/catalogue/x": false} {
		if s.HasHost(mustParse(t, host)) != want {
			t.Errorf("HasHost(%s) is not %v", host, want)
		}
	}
	if s.HasHost(URL{}) {
		t.Error("no URL has a host in scope")
	}
}
