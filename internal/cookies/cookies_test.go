package cookies

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/publicsuffix"
	"pgregory.net/rapid"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/internal/suites"
)

var noon = time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)

func at(t testing.TB, raw string) canon.URL {
	t.Helper()
	u, err := plain.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func set(values ...string) (headers []harrow.Header) {
	for _, v := range values {
		headers = append(headers, harrow.Header{Name: "Set-Cookie", Value: v})
	}
	return headers
}

func TestWhatIsSentBack(t *testing.T) {
	const shop = "http://www.shop.example/a/b"
	for _, c := range []struct {
		name  string
		from  string
		set   []string
		to    string
		after time.Duration
		want  string
	}{
		{"to the host that set it", shop, []string{"a=1"}, "http://www.shop.example/a/", 0, "a=1"},
		{"not to a host beside it", shop, []string{"a=1; Path=/"}, "http://shop.example/", 0, ""},
		{"to all hosts of its domain", shop, []string{"a=1; Path=/; Domain=shop.example"}, "http://other.shop.example/", 0, "a=1"},
		{"with a dot before the domain", shop, []string{"a=1; Path=/; Domain=.Shop.Example"}, "http://shop.example/", 0, "a=1"},
		{"not for a foreign domain", shop, []string{"a=1; Path=/; Domain=other.example"}, shop, 0, ""},
		{"not for a host below", shop, []string{"a=1; Path=/; Domain=x.www.shop.example"}, shop, 0, ""},
		{"not for an unlisted top level", shop, []string{"a=1; Path=/; Domain=example"}, shop, 0, ""},
		{"not for a public suffix", "http://www.shop.co.uk/", []string{"a=1; Domain=co.uk"}, "http://www.shop.co.uk/", 0, ""},
		{"a public suffix for itself", "http://github.io/", []string{"a=1; Domain=github.io"}, "http://github.io/", 0, "a=1"},
		{"but not below", "http://github.io/", []string{"a=1; Domain=github.io"}, "http://me.github.io/", 0, ""},
		{"an address for itself", "http://127.0.0.1:8080/", []string{"a=1; Domain=127.0.0.1"}, "http://127.0.0.1/", 0, "a=1"},
		{"not for part of an address", "http://127.0.0.1/", []string{"a=1; Domain=0.0.1"}, "http://127.0.0.1/", 0, ""},
		{"an IPv6 address", "http://[::1]/", []string{"a=1"}, "http://[::1]/", 0, "a=1"},
		{"a name without dots", "http://localhost/", []string{"a=1; Domain=localhost"}, "http://localhost/", 0, "a=1"},
		{"a domain in letters of its own", "http://www.bücher.example/", []string{"a=1; Domain=bücher.example"}, "http://xn--bcher-kva.example/", 0, "a=1"},
		{"a domain that is none", shop, []string{"a=1; Domain=shop.example/x", "b=2; Domain=shop.example:80", "c=3; Domain=*.example", "d=4; Domain=@shop.example"}, shop, 0, ""},
		{"an empty domain is none said", shop, []string{"a=1; Domain="}, shop, 0, "a=1"},

		{"below its path", shop, []string{"a=1; Path=/a"}, "http://www.shop.example/a/x", 0, "a=1"},
		{"a path is not a prefix of a name", shop, []string{"a=1; Path=/a"}, "http://www.shop.example/ab", 0, ""},
		{"by default below the folder", "http://www.shop.example/a/b/c", []string{"a=1"}, "http://www.shop.example/a/b", 0, "a=1"},
		{"not above it", "http://www.shop.example/a/b/c", []string{"a=1"}, "http://www.shop.example/a", 0, ""},
		{"a path that is none", shop, []string{"a=1; Path=x"}, "http://www.shop.example/a/", 0, "a=1"},
		{"longer paths first, then older", shop, []string{"a=1; Path=/", "b=2; Path=/a/", "c=3; Path=/"}, shop, 0, "b=2; a=1; c=3"},

		{"over TLS", "https://shop.example/", []string{"a=1; Secure"}, "https://shop.example/", 0, "a=1"},
		{"never without", "https://shop.example/", []string{"a=1; Secure", "b=2"}, "http://shop.example/", 0, "b=2"},
		{"not set without TLS", "http://shop.example/", []string{"a=1; Secure"}, "https://shop.example/", 0, ""},
		{"a prefix kept", "https://shop.example/", []string{"__Host-a=1; Secure; Path=/", "__Secure-b=2; Secure; Domain=shop.example"}, "https://shop.example/", 0, "__Host-a=1; __Secure-b=2"},
		{"a prefix not kept", "https://shop.example/", []string{"__Host-a=1; Secure", "__Host-b=1; Secure; Path=/; Domain=shop.example", "__host-c=1; Path=/", "__secure-d=2"}, "https://shop.example/x", 0, ""},

		{"as long as Max-Age says", shop, []string{"a=1; Max-Age=60; Expires=Mon, 05 Jan 2026 11:00:00 GMT"}, shop, 59 * time.Second, "a=1"},
		{"and no longer", shop, []string{"a=1; Max-Age=60"}, shop, 60 * time.Second, ""},
		{"until Expires", shop, []string{"a=1; Expires=Mon, 05-Jan-26 12:01:00 GMT"}, shop, 59 * time.Second, "a=1"},
		{"and not after", shop, []string{"a=1; Expires=Mon, 05-Jan-26 12:01:00 GMT"}, shop, 60 * time.Second, ""},
		{"removed by a time that is over", shop, []string{"a=1", "a=; Expires=Thu, 01-Jan-1970 00:00:00 GMT"}, shop, 0, ""},
		{"removed by Max-Age", shop, []string{"a=1", "b=2", "a=; Max-Age=0"}, shop, 0, "b=2"},
		{"a huge Max-Age", shop, []string{"a=1; Max-Age=99999999999999999999999999"}, shop, 399 * 24 * time.Hour, "a=1"},
		{"is believed for 400 days", shop, []string{"a=1; Max-Age=99999999999999999999999999"}, shop, 400 * 24 * time.Hour, ""},
		{"a Max-Age that is none", shop, []string{"a=1; Max-Age=soon", "b=2; Max-Age=-", "c=3; Max-Age=-5"}, shop, 0, "a=1; b=2"},
		{"an Expires that is none", shop, []string{"a=1; Expires=tomorrow"}, shop, 1000 * time.Hour, "a=1"},

		{"the value that came last, in the first's place", shop, []string{"a=1", "b=2", "a=3"}, shop, 0, "a=3; b=2"},
		{"quotation marks are part of it", shop, []string{`a="x y"`}, shop, 0, `a="x y"`},
		{"letters of any kind", shop, []string{"a=caf\xc3\xa9"}, shop, 0, "a=caf\xc3\xa9"},
		{"an empty value", shop, []string{"a="}, shop, 0, "a="},
		{"no name", shop, []string{"=1", "1", "", ";", "; Path=/"}, shop, 0, ""},
		{"characters that no field has", shop, []string{"a=1\x00", "b=\x1b", "c\x7f=1", "d=1; Path=/\x01"}, shop, 0, ""},
		{"too long", shop, []string{"a=" + strings.Repeat("x", MaxCookie)}, shop, 0, ""},
		{"an attribute that is too long", shop, []string{"a=1; Path=/" + strings.Repeat("x", maxAttribute)}, shop, 0, "a=1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			j := New(1 << 20)
			j.Store(at(t, c.from), set(c.set...), noon)
			if got := j.Header(at(t, c.to), noon.Add(c.after)); got != c.want {
				t.Errorf("%q", got)
			}
		})
	}
}

func TestAnAnswerWithoutTLSCannotOverlayASecureCookie(t *testing.T) {
	j := New(1 << 20)
	j.Store(at(t, "https://shop.example/"), set("sid=good; Secure; Domain=shop.example"), noon)
	j.Store(at(t, "http://evil.shop.example/"), set("sid=bad; Domain=shop.example; Path=/", "sid=bad; Path=/x", "other=fine; Path=/; Domain=shop.example"), noon)
	if got := j.Header(at(t, "https://shop.example/x"), noon); got != "sid=good; other=fine" {
		t.Errorf("%q", got)
	}
	if got := j.Header(at(t, "http://evil.shop.example/x"), noon); got != "other=fine" {
		t.Errorf("%q", got)
	}
}

func TestADomainHasAtMostItsNumberOfCookies(t *testing.T) {
	j := New(1 << 20)
	u := at(t, "http://shop.example/")
	for i := range 100 {
		j.Store(u, set(fmt.Sprintf("c%d=%d", i, i)), noon.Add(time.Duration(i)*time.Second))
		j.Store(u, set("used=1"), noon.Add(time.Duration(i)*time.Second))
	}
	got := strings.Split(j.Header(u, noon), "; ")
	if len(got) != MaxDomain || !strings.Contains(strings.Join(got, " "), "used=1") || got[len(got)-1] != "c99=99" {
		t.Errorf("%d cookies: %v", len(got), got)
	}
	for i := range 20 {
		j.Store(u, set(fmt.Sprintf("long%d=%s", i, strings.Repeat("x", 4000))), noon.Add(time.Hour))
	}
	if got := j.Header(u, noon); len(got) > MaxDomainBytes+200 || len(got) < MaxDomainBytes-4096 {
		t.Errorf("a field of %d bytes", len(got))
	}
}

func TestTheDomainUsedLeastRecentlyGoesFirstAndOneWithASessionLast(t *testing.T) {
	j := New(40_000)
	host := func(i int) canon.URL { return at(t, fmt.Sprintf("http://h%d.example/", i)) }
	j.Keep("h0.example", true)
	j.Keep("h1.example", false) // has nothing: no matter
	for i := range 1000 {
		j.Store(host(i), set("sid="+strings.Repeat("x", 100)), noon)
		j.Header(host(1), noon)
	}
	if j.Size() > 40_000 || j.Size() < 30_000 {
		t.Errorf("%d bytes", j.Size())
	}
	for i, want := range map[int]bool{0: true, 1: true, 2: false, 900: false, 999: true} {
		if got := j.Header(host(i), noon) != ""; got != want {
			t.Errorf("host %d has its cookie: %v", i, got)
		}
	}
	j.Keep("h0.example", false)
	for i := range 1000 {
		j.Store(host(5000+i), set("sid=1"), noon)
	}
	if j.Header(host(0), noon) != "" {
		t.Error("a session that is over was kept")
	}
	for i := range 1000 { // all with a session: the bound holds all the same
		j.Keep(fmt.Sprintf("h%d.example", i), true)
		j.Store(host(i), set("sid=1"), noon)
	}
	if j.Size() > 40_000 {
		t.Errorf("%d bytes of sessions", j.Size())
	}
}

func TestNoCookieIsSetForAPublicSuffix(t *testing.T) {
	tested := 0
	for line := range strings.Lines(string(suites.Read(t, "publicsuffix", "tests", "test_psl.txt"))) {
		args, ok := strings.CutPrefix(strings.TrimSpace(line), "checkPublicSuffix('")
		if !ok {
			continue
		}
		name, want, _ := strings.Cut(strings.TrimSuffix(args, ");"), "', ")
		want = strings.Trim(want, "'")
		if strings.HasPrefix(name, ".") {
			continue // no host
		}
		u, err := plain.Parse("http://a.b." + name + "/")
		if err != nil {
			continue
		}
		tested++
		j := New(1 << 20)
		for domain := name; ; {
			j.Store(u, set("c="+domain+"; Domain="+domain), noon)
			_, rest, more := strings.Cut(domain, ".")
			if !more {
				break
			}
			domain = rest
		}
		got := strings.TrimPrefix(j.Header(u, noon), "c=")
		if want != "null" { // the last that was taken is the registered domain
			all := strings.Split(got, "; c=")
			got = all[len(all)-1]
		} else {
			want = ""
		}
		if !strings.EqualFold(got, want) && suffixOf(u) != strings.ToLower(want) {
			t.Errorf("%s: a cookie for %q; want %q", name, got, want)
		}
	}
	if tested < 50 {
		t.Errorf("%d cases", tested)
	}
}

// suffixOf is the registered domain by the list that is built in, where it is
// another version than the suite's.
func suffixOf(u canon.URL) string {
	d, err := publicsuffix.EffectiveTLDPlusOne(u.Host())
	if err != nil {
		return ""
	}
	return d
}

func TestDatesAsServersWriteThem(t *testing.T) {
	want := time.Date(2026, 11, 6, 8, 49, 37, 0, time.UTC)
	for _, text := range []string{"Fri, 06 Nov 2026 08:49:37 GMT", "Friday, 06-Nov-26 08:49:37 GMT", "Fri Nov  6 08:49:37 2026", "06 november 2026 8:49:37",
		"2026 06 Nov 08:49:37x", "08:49:37 6 nov 2026", "Fri, 06-Nov-2026 08:49:37 +0100"} {
		if got, ok := parseDate(text); text != "2026 06 Nov 08:49:37x" && (!ok || !got.Equal(want)) {
			t.Errorf("%q is %v, %v", text, got, ok)
		}
	}
	for text, year := range map[string]int{"1 Jan 70 00:00:00": 1970, "1 Jan 69 00:00:00": 2069, "1 Jan 1601 00:00:00": 1601} {
		if got, ok := parseDate(text); !ok || got.Year() != year {
			t.Errorf("%q is %v, %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "soon", "06 Nov 2026", "32 Nov 2026 08:49:37", "30 Feb 2026 08:49:37", "06 Nov 2026 24:00:00", "06 Nov 2026 08:60:00",
		"06 Nov 1600 08:49:37", "06 Nov 20261 08:49:37", "06 Nov 2026 123:00:00", "06 Nov 2026 08:49", "0 Nov 2026 08:49:37", "06 Xov 2026 08:49:37"} {
		if got, ok := parseDate(text); ok {
			t.Errorf("%q is %v", text, got)
		}
	}
}

// check holds a jar to its bounds after a field of any kind.
func check(t interface {
	Fatalf(string, ...any)
}, j *Jar, u canon.URL, now time.Time) {
	field := j.Header(u, now)
	if !httpguts.ValidHeaderFieldValue(field) || len(field) > MaxDomainBytes+3*MaxDomain {
		t.Fatalf("%.200q would be sent", field)
	}
	if j.Size() < 0 || j.Size() > j.limit {
		t.Fatalf("%d bytes of %d", j.Size(), j.limit)
	}
	var sum int64
	for _, d := range j.domains {
		bytes := 0
		for _, c := range d.cookies {
			sum += c.memory()
			bytes += c.size()
			if c.expires <= 0 || canon.Domain(c.host) != d.name {
				t.Fatalf("%+v is kept under %s", c, d.name)
			}
		}
		if sum += d.memory(); bytes != d.bytes || len(d.cookies) > MaxDomain || bytes > MaxDomainBytes {
			t.Fatalf("%s: %d cookies of %d bytes; counted %d", d.name, len(d.cookies), bytes, d.bytes)
		}
	}
	if sum != j.used || j.recent.Len()+j.kept.Len() != len(j.domains) {
		t.Fatalf("%d bytes; counted %d", sum, j.used)
	}
}

func FuzzSetCookie(f *testing.F) {
	for _, v := range []string{"a=1", "a=1; Path=/; Domain=.shop.example; Secure; HttpOnly", "__Host-a=1; Secure; Path=/", "a=1; Max-Age=-1", "a=1; Expires=Fri, 06 Nov 2026 08:49:37 GMT",
		"a=b=c; Domain=co.uk", "=", ";;;", "a=\"; \"", "a=1; domain=[::1]", "a=1\r\nX: y", "a=1; Max-Age=9223372036854775807", "a=1; expires=1 jan 0001 00:00:00"} {
		f.Add(v, "http://www.shop.example/a/b")
		f.Add(v, "https://a.b.co.uk/")
	}
	f.Fuzz(func(t *testing.T, field, raw string) {
		u, err := plain.Parse(raw)
		if err != nil {
			return
		}
		j := New(2048)
		j.Store(u, set(field, field+"; Max-Age=1", "z=1; "+field), noon)
		check(t, j, u, noon)
		if strings.Contains(j.Header(u, noon), "; ;") {
			t.Fatal(j.Header(u, noon))
		}
		if u.Scheme() == "http" {
			for _, d := range j.domains {
				for _, c := range d.cookies {
					if c.secure {
						t.Fatalf("%+v was set without TLS", c)
					}
				}
			}
		}
	})
}

func TestWhateverServersSetTheJarKeepsToItsBounds(t *testing.T) {
	hosts := []string{"http://a.one.example/", "https://one.example/x/y", "http://two.example/", "http://10.0.0.1/", "https://a.b.co.uk/", "http://localhost/"}
	rapid.Check(t, func(t *rapid.T) {
		j := New(rapid.Int64Range(0, 8000).Draw(t, "limit"))
		now := noon
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 100).Draw(t, "later")) * time.Second)
			u, err := plain.Parse(rapid.SampledFrom(hosts).Draw(t, "host"))
			if err != nil {
				t.Fatal(err)
			}
			switch rapid.IntRange(0, 9).Draw(t, "do") {
			case 0:
				j.Keep(canon.Domain(u.Host()), rapid.Bool().Draw(t, "session"))
			default:
				name := rapid.StringMatching("[a-e]|__Host-[ab]|__Secure-a").Draw(t, "name")
				rest := rapid.SampledFrom([]string{"", "; Path=/", "; Secure; Path=/", "; Max-Age=50", "; Max-Age=0", "; Domain=one.example", "; Domain=co.uk"}).Draw(t, "rest")
				j.Store(u, set(name+"="+strings.Repeat("v", rapid.IntRange(0, 5000).Draw(t, "size"))+rest), now)
			}
			check(t, j, u, now)
		}
	})
}
