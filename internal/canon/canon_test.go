package canon

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// canonicalizer compiles a policy that a test knows to be right.
func canonicalizer(t testing.TB, p Policy) *Canonicalizer {
	t.Helper()
	c, err := New(p)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var tracking = Policy{Strip: []string{"utm_*", "gclid"}}

func TestParseGivesTheCanonicalForm(t *testing.T) {
	c := canonicalizer(t, tracking)
	for raw, want := range map[string]string{
		"http://books.example":                     "http://books.example/",
		"HTTP://Books.EXAMPLE:80/A":                "http://books.example/A",
		"https://books.example:443/":               "https://books.example/",
		"https://books.example:80/":                "https://books.example:80/",
		"http://books.example:0080/":               "http://books.example/",
		"http://books.example:/":                   "http://books.example/",
		"http://books.example./x":                  "http://books.example/x",
		"  http://books.example/a b \t":            "http://books.example/a%20b",
		"ht\ntp://books.example/a\tb":              "http://books.example/ab",
		"http:\\\\books.example\\a":                "http://books.example/a",
		"http:books.example/a":                     "http://books.example/a",
		"http://books.example/#top":                "http://books.example/",
		"http://books.example/a/./b/../c":          "http://books.example/a/c",
		"http://books.example/a/%2e%2E/c/%2e":      "http://books.example/c/",
		"http://books.example/../..":               "http://books.example/",
		"http://books.example//a//../b":            "http://books.example//a/b",
		"http://books.example/%7euser/%2f%c3%a9":   "http://books.example/~user/%2F%C3%A9",
		"http://books.example/é":                   "http://books.example/%C3%A9",
		"http://books.example/100%":                "http://books.example/100%25",
		"http://books.example/%%32e":               "http://books.example/%252e",
		"http://books.example/a\xff":               "http://books.example/a%EF%BF%BD",
		"http://books.example/a|b^c[d]":            "http://books.example/a%7Cb%5Ec[d]",
		"http://books.example/?":                   "http://books.example/",
		"http://books.example?a=1":                 "http://books.example/?a=1",
		"http://books.example/?q='a'&x={1}":        "http://books.example/?q=%27a%27&x=%7B1%7D",
		"http://books.example/?utm_source=x":       "http://books.example/",
		"http://books.example/?a=1&utm_source=x":   "http://books.example/?a=1",
		"http://books.example/?gclid&b&utm_=&a=1":  "http://books.example/?b&a=1",
		"http://books.example/?%75tm_source=x&b=2": "http://books.example/?b=2",
		"http://books.example/?gclid2=x&UTM_x=2":   "http://books.example/?gclid2=x&UTM_x=2",
		"http://books.example/?a=1&&b=2&":          "http://books.example/?a=1&&b=2&",
		"http://BÜCHER.example/":                   "http://xn--bcher-kva.example/",
		"http://0x7f.1/":                           "http://127.0.0.1/",
		"http://[2001:DB8:0:0::1]:8080/":           "http://[2001:db8::1]:8080/",
		"http://a_b.example/":                      "http://a_b.example/",
		"http://@books.example/":                   "http://books.example/",
	} {
		u, err := c.Parse(raw)
		if err != nil || u.String() != want {
			t.Errorf("Parse(%q) = %q, %v; want %q", raw, u, err, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	c := canonicalizer(t, tracking)
	for raw, want := range map[string]error{
		"":                                    ErrSyntax,
		"/relative":                           ErrSyntax,
		"http://":                             ErrSyntax,
		"http://a..b/":                        ErrSyntax,
		"http://.a/":                          ErrSyntax,
		"http://a../":                         ErrSyntax,
		"http://./":                           ErrSyntax,
		"http://a b/":                         ErrSyntax,
		"http://" + strings.Repeat("@", 8000): ErrSyntax,
		"http://é.example" + strings.Repeat("/", 8000):      ErrSyntax,
		"http://books.example:x":                            ErrSyntax,
		"http://h:65536/":                                   ErrSyntax,
		"http://[::1/":                                      ErrSyntax,
		"http://1.2.3.4.5/":                                 ErrSyntax,
		"ftp://books.example/":                              ErrScheme,
		"mailto:a@books.example":                            ErrScheme,
		"java\nscript:void(0)":                              ErrScheme,
		"data:text/plain," + strings.Repeat("x", 1<<20):     ErrScheme,
		"http://me:secret@books.example/":                   ErrUserinfo,
		"http://me@books.example/":                          ErrUserinfo,
		"http:me:secret@books.example/":                     ErrUserinfo,
		"http://me:secret@ bad":                             ErrSyntax,
		"http://h.example/" + strings.Repeat("x", MaxBytes): ErrTooLong,
		"http://h.example/" + strings.Repeat("é", 3000):     ErrTooLong,
		"http://" + strings.Repeat("a.", 127) + "a/":        ErrSyntax,
	} {
		u, err := c.Parse(raw)
		if !errors.Is(err, want) {
			t.Errorf("Parse(%.40q) = %.40q, %v; want %v", raw, u, err, want)
		}
		if err != nil && (strings.Contains(err.Error(), "secret") || len(err.Error()) > 1000) {
			t.Errorf("Parse(%.40q): error %.400q repeats too much", raw, err)
		}
	}
}

func TestResolve(t *testing.T) {
	c := canonicalizer(t, tracking)
	base, err := c.Parse("https://books.example:8443/catalogue/page-1.html?sort=1")
	if err != nil {
		t.Fatal(err)
	}
	for ref, want := range map[string]string{
		"":                       "https://books.example:8443/catalogue/page-1.html?sort=1",
		"#x":                     "https://books.example:8443/catalogue/page-1.html?sort=1",
		"?":                      "https://books.example:8443/catalogue/page-1.html",
		"?a=1":                   "https://books.example:8443/catalogue/page-1.html?a=1",
		"page-2.html":            "https://books.example:8443/catalogue/page-2.html",
		"../media/x.jpg":         "https://books.example:8443/media/x.jpg",
		"../../../../x":          "https://books.example:8443/x",
		"..":                     "https://books.example:8443/",
		".":                      "https://books.example:8443/catalogue/",
		"/x?utm_medium=a":        "https://books.example:8443/x",
		"//other.example/x":      "https://other.example/x",
		"\\\\other.example\\x":   "https://other.example/x",
		"http://other.example":   "http://other.example/",
		"https:next":             "https://books.example:8443/catalogue/next",
		"a/b:c":                  "https://books.example:8443/catalogue/a/b:c",
		"1:2":                    "https://books.example:8443/catalogue/1:2",
		"x?u=http://h/../y#frag": "https://books.example:8443/catalogue/x?u=http://h/../y",
	} {
		u, err := c.Resolve(base, ref)
		if err != nil || u.String() != want {
			t.Errorf("Resolve(%q) = %q, %v; want %q", ref, u, err, want)
		}
	}
}

func TestPartsOfURL(t *testing.T) {
	c := canonicalizer(t, Policy{})
	for raw, want := range map[string][7]string{
		"http://h.example/":             {"http", "h.example", "h.example", "/", "", "/"},
		"https://h.example:8443/a/b?c=": {"https", "h.example", "h.example:8443", "/a/b", "c=", "/a/b?c="},
		"http://[::1]:8080/?q":          {"http", "::1", "[::1]:8080", "/", "q", "/?q"},
	} {
		u, err := c.Parse(raw)
		got := [7]string{u.Scheme(), u.Host(), u.Authority(), u.Path(), u.Query(), u.PathQuery()}
		if err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", raw, got, err, want)
		}
	}
	var zero URL
	if s := zero.Scheme() + zero.Host() + zero.Authority() + zero.Path() + zero.Query() + zero.PathQuery() + zero.String(); s != "" || zero.Port() != 0 || !zero.IsZero() {
		t.Errorf("zero URL: %q, port %d", s, zero.Port())
	}
}

func TestSortQueryIsStable(t *testing.T) {
	c := canonicalizer(t, Policy{SortQuery: true})
	u, err := c.Parse("http://h.example/?b=2&a=z&b=1&a=y&&a")
	if want := "http://h.example/?&a=z&a=y&a&b=2&b=1"; err != nil || u.String() != want {
		t.Errorf("got %q, %v; want %q", u, err, want)
	}
}

func TestNewNamesABadPattern(t *testing.T) {
	for _, pattern := range []string{"", "a&b", "a=b"} {
		if _, err := New(Policy{Strip: []string{"ok", pattern}}); err == nil || !strings.Contains(err.Error(), "strip[1]") {
			t.Errorf("New(%q): %v", pattern, err)
		}
	}
}

// references draws URLs and relative references dense in corner cases.
func references() *rapid.Generator[string] {
	piece := rapid.SampledFrom([]string{
		"http://", "https://", "HTTP:", "//", "/", "\\", ".", "..", "%2e", "%2E", "%", "%4", "%41", "%2f", "%c3%a9", "?", "&", "=", "#", ":", ":80", ":443", "@",
		"a", "B", "1", "0x1", "xn--bcher-kva", "é", "ß", "host.example", "EXAMPLE.com", "_", "-", "~", "'", "|", "[::1]", "[", "]", " ", "\t", "\n", "utm_a=1", "gclid", "\xff", "\u00a0", "*", "{", "+", ";",
	})
	label := rapid.SampledFrom([]string{"a", "B", "1", "255", "0x1", "08", "xn--bcher-kva", "xn--a", "é", "_", "-", "a_b", "1a", "", "%61", "a b"})
	return rapid.Custom(func(t *rapid.T) string {
		if rapid.Bool().Draw(t, "odd host") {
			host := strings.Join(rapid.SliceOfN(label, 1, 5).Draw(t, "labels"), ".")
			return "http://" + host + rapid.SampledFrom([]string{"", ".", "/", ":80", ":081", ":99999", "?q", "\\x"}).Draw(t, "end")
		}
		head := rapid.SampledFrom([]string{"", "http://h.example", "https://H.example:8080", "/", "http://"}).Draw(t, "head")
		return head + strings.Join(rapid.SliceOfN(piece, 0, 12).Draw(t, "pieces"), "")
	})
}

func TestFastPathEqualsTheStandard(t *testing.T) {
	c := canonicalizer(t, tracking)
	base, _ := c.Parse("http://books.example/a/b?c")
	rapid.Check(t, func(t *rapid.T) { checkFast(t, c, base, references().Draw(t, "ref")) })
}

type fataler interface{ Fatalf(string, ...any) }

// checkFast holds the fast path to the whole parser.
func checkFast(t fataler, c *Canonicalizer, base URL, ref string) {
	ref = clean(strings.TrimFunc(ref, func(r rune) bool { return r <= ' ' }))
	fast, ok := c.fast(nil, base, ref)
	if !ok {
		return
	}
	standard, err := c.standard(base, ref)
	if errors.Is(err, ErrSyntax) && strings.Contains(err.Error(), "slashes") {
		return // only the slow way has this limit
	}
	if err != nil || string(standard.b) != string(fast.b) || standard.hostEnd != fast.hostEnd || standard.path != fast.path || standard.pathEnd != fast.pathEnd {
		t.Fatalf("base %s ref %q: fast %q, standard %q, %v", base, ref, fast.b, standard.b, err)
	}
}

func TestCanonicalFormIsIdempotent(t *testing.T) {
	policies := []*Canonicalizer{canonicalizer(t, tracking), canonicalizer(t, Policy{SortQuery: true, Strip: []string{"*"}}), canonicalizer(t, Policy{SortQuery: true})}
	rapid.Check(t, func(t *rapid.T) {
		c := rapid.SampledFrom(policies).Draw(t, "policy")
		checkIdempotent(t, c, references().Draw(t, "ref"))
	})
}

func checkIdempotent(t fataler, c *Canonicalizer, ref string) {
	base, _ := c.Parse("https://books.example/a/b?c")
	u, err := c.Resolve(base, ref)
	if err != nil {
		return
	}
	again, err := c.Parse(u.String())
	if err != nil || again != u {
		t.Fatalf("%q: %q, again %q, %v", ref, u, again, err)
	}
	if u.Path() == "" || u.Path()[0] != '/' || u.Scheme()+"://"+u.Authority()+u.PathQuery() != u.String() {
		t.Fatalf("%q: parts of %q don't add up", ref, u)
	}
}

func FuzzResolve(f *testing.F) {
	for _, seed := range []string{"http://h.example/a?b#c", "../x", "//h:80/%2e%2e/\\", "http://[::ffff:1.2.3.4]/", "http://xn--a/", "https:?q", "http://%68/"} {
		f.Add(seed)
	}
	c := canonicalizer(f, tracking)
	base, _ := c.Parse("http://books.example/a/b?c")
	f.Fuzz(func(t *testing.T, ref string) {
		if len(ref) > MaxBytes {
			return
		}
		checkFast(t, c, base, ref)
		checkIdempotent(t, c, ref)
	})
}

func BenchmarkParse(b *testing.B) {
	c := canonicalizer(b, tracking)
	base, _ := c.Parse("http://books.example/catalogue/page-1.html")
	for name, ref := range map[string]string{
		"absolute": "https://www.books.example/catalogue/a-light-in-the-attic_1000/index.html?page=2&utm_source=x",
		"relative": "../../media/cache/2c/da/2cdad67c44b002e7ead0cc35693c0e8b.jpg",
		"idna":     "http://bücher.example/a",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Resolve(base, ref); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("standard", func(b *testing.B) {
		for b.Loop() {
			if _, err := c.standard(base, "https://www.books.example/catalogue/a-light-in-the-attic_1000/index.html?page=2"); err != nil {
				b.Fatal(err)
			}
		}
	})
}
