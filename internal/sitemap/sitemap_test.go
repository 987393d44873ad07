package sitemap

import (
	"bytes"
	"compress/gzip"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/unicode"
	"pgregory.net/rapid"

	"github.com/harrowdata/harrow/internal/memory/memorytest"
)

// list is what a sitemap lists, entries of an index with a mark.
func list(r io.Reader) (got []string, s Stats, err error) {
	s, err = Read(r, func(e Entry) error {
		if e.Sitemap {
			e.URL = "index " + e.URL
		}
		got = append(got, e.URL)
		return nil
	})
	return got, s, err
}

func urlset(urls ...string) string {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?><urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">`)
	for _, u := range urls {
		b.WriteString("<url><loc>")
		_ = xml.EscapeText(&b, []byte(u))
		b.WriteString("</loc><lastmod>2024-01-01</lastmod></url>\n")
	}
	return b.String() + "</urlset>"
}

func zipped(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write([]byte(text))
	_ = z.Close()
	return b.String()
}

func encoded(t *testing.T, text string, e interface {
	String(string) (string, error)
}) string {
	t.Helper()
	s, err := e.String(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const a, b = "http://a.example/?x=1&y=2", "https://b.example/ä"

func TestSitemapsOfEveryKind(t *testing.T) {
	both := []string{a, b}
	le := unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewEncoder()
	be := unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM).NewEncoder()
	for _, c := range []struct {
		name, text string
		want       []string
		stats      Stats  // Entries are as many as want
		fault      string // "": none
	}{
		{"a urlset", urlset(a, b), both, Stats{}, ""},
		{"an empty urlset", urlset(), nil, Stats{}, ""},
		{"an index", `<sitemapindex xmlns="x"><sitemap><loc> http://a.example/1.xml.gz
			</loc><lastmod>x</lastmod></sitemap></sitemapindex>`, []string{"index http://a.example/1.xml.gz"}, Stats{}, ""},
		{"gzipped", zipped(urlset(a, b)), both, Stats{}, ""},
		{"gzipped twice", zipped(zipped(urlset(a, b))), both, Stats{}, ""},
		{"in two members of gzip", zipped(urlset(a, b)[:80]) + zipped(urlset(a, b)[80:]), both, Stats{}, ""},
		{"a prefix", `<s:urlset xmlns:s="x"><s:url><s:loc>http://a.example/</s:loc></s:url></s:urlset>`, []string{"http://a.example/"}, Stats{}, ""},
		{"the wrong namespace", `<urlset xmlns="http://www.google.com/schemas/sitemap/0.84"><url><loc>http://a.example/</loc></url></urlset>`, []string{"http://a.example/"}, Stats{}, ""},
		{"images and translations are no pages", `<urlset><url><loc>http://a.example/</loc><image:image><image:loc>http://a.example/i.png</image:loc></image:image>
			<xhtml:link rel="alternate" href="http://a.example/de"/></url></urlset>`, []string{"http://a.example/"}, Stats{}, ""},
		{"CDATA, comments and entities", `<urlset><url><loc><![CDATA[http://a.example/?x=1&y]]><!-- no --><?no no?>=2</loc></url><url><loc>http://a.example/&#x61;&quot;</loc></url></urlset>`,
			[]string{a, `http://a.example/a"`}, Stats{}, ""},
		{"a bare ampersand", `<urlset><url><loc>http://a.example/?x=1&y=2</loc></url></urlset>`, []string{a}, Stats{}, ""},
		{"entries without URL", `<urlset><url><loc> </loc></url><url></url><url><loc>http://a.example/</loc></url></urlset>`, []string{"http://a.example/"}, Stats{Invalid: 1}, ""},
		{"a URL that is too long", urlset("http://a.example/"+strings.Repeat("x", MaxURL), a, strings.Repeat("x", 5*MaxURL)), []string{a}, Stats{Invalid: 2}, ""},

		{"UTF-8 with a byte order mark", "\ufeff\n" + urlset(a, b), both, Stats{}, ""},
		{"UTF-16, little end first, with its mark", encoded(t, urlset(a, b), le), both, Stats{}, ""},
		{"UTF-16, big end first, without", encoded(t, urlset(a, b), be), both, Stats{}, ""},
		{"Latin-1, as declared", strings.Replace(encoded(t, urlset(a, b), charmap.ISO8859_1.NewEncoder()), "UTF-8", "iso-8859-1", 1), both, Stats{}, ""},
		{"UTF-16 that is only declared", strings.Replace(urlset(a, b), "UTF-8", "UTF-16", 1), both, Stats{}, ""},
		{"an encoding nobody knows", strings.Replace(urlset(a, b), "UTF-8", "x-mine", 1), both, Stats{}, ""},
		{"invalid UTF-8", "<urlset><url><loc>http://a.example/\xff</loc></url></urlset>", []string{"http://a.example/\ufffd"}, Stats{}, ""},
		{"control characters", "<urlset><url><loc>http://a.example/\x00\x0b</loc></url></urlset>", []string{"http://a.example/"}, Stats{}, ""},

		{"plain text", "\ufeff" + a + "\r\n\n  " + b + "  ", both, Stats{}, ""},
		{"plain text, gzipped", zipped(a + "\n" + b + "\n"), both, Stats{}, ""},
		{"plain text with a line without end", a + "\n" + strings.Repeat("x", 3*bufferBytes) + "\n" + b, both, Stats{Invalid: 1}, ""},
		{"plain text with a line that is no URL", a + "\nfoo\n", []string{a, "foo"}, Stats{}, ""}, // told by who resolves it
		{"RSS", `<rss version="2.0"><channel><link>http://a.example/</link><item><title>x</title><link>http://a.example/1</link><guid>http://a.example/g</guid></item></channel></rss>`,
			[]string{"http://a.example/1"}, Stats{}, ""},
		{"RSS 1.0", `<rdf:RDF xmlns="x"><channel><link>http://a.example/</link></channel><item><link>http://a.example/1</link></item></rdf:RDF>`, []string{"http://a.example/1"}, Stats{}, ""},
		{"Atom", `<feed><link href="http://a.example/"/><entry><link rel="self" href="http://a.example/self"/><link href="http://a.example/1?x=1&amp;y"/>
			<link rel="alternate" href="http://a.example/2"></link></entry></feed>`, []string{"http://a.example/1?x=1&y", "http://a.example/2"}, Stats{}, ""},

		{"nothing", "", nil, Stats{}, "it is empty"},
		{"white space", " \n", nil, Stats{}, "it is empty"},
		{"nothing, gzipped", zipped(""), nil, Stats{}, "it is empty"},
		{"a page", "<!doctype html><html><title>x</title></html>", nil, Stats{}, `line 1: it is no sitemap: neither an XML sitemap or feed nor a list of URLs (its root is "html")`},
		{"JSON", `{"urls": ["http://a.example/"]}`, nil, Stats{}, "it is no sitemap: neither an XML sitemap or feed nor a list of URLs"},
		{"XML that breaks", "<urlset><url><loc>http://a.example/</loc></url>\n<url><loc>http://a.example/2</url></urlset>", []string{"http://a.example/"}, Stats{}, "line 2: </url> closes nothing"},
		{"XML that ends too soon", "<urlset><url><loc>http://a.example/</loc></url>\n<url><loc>http://a.exa", []string{"http://a.example/"}, Stats{}, "line 2: it ends within an element"},
		{"XML with something behind it", "<urlset/><urlset/>", nil, Stats{}, `line 1: it is no sitemap`},
		{"gzip that ends too soon", zipped(urlset(slices.Repeat([]string{a}, 1000)...))[:200], nil, Stats{}, "unexpected EOF"},
		{"gzip that is none", "\x1f\x8bxxxxxxxxxxxxxx", nil, Stats{}, "bytes of text: gzip: invalid header"},
		{"deep nesting", "<urlset>" + strings.Repeat("<a>", 1_000_000), nil, Stats{}, "line 1: more than 64 elements lie within each other"},
		{"a tag without end", "<urlset><url " + strings.Repeat("a='1' ", 1_000_000), nil, Stats{}, "line 1: a tag or a text is longer than 262144 bytes"},
		{"one line of 10 MB", "<urlset><url><loc>http://a.example/</loc></url><url><loc>" + strings.Repeat("x", 10<<20), []string{"http://a.example/"}, Stats{}, "a tag or a text is longer than 262144 bytes"},
		{"entities that would explode", `<!DOCTYPE u [<!ENTITY a "xxxxxxxxxx"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><urlset><url><loc>http://a.example/&b;</loc></url></urlset>`,
			[]string{"http://a.example/&b;"}, Stats{}, ""},
		{"an entity that would read a file", `<!DOCTYPE u [<!ENTITY f SYSTEM "file:///etc/passwd">]><urlset><url><loc>http://a.example/&f;</loc></url></urlset>`,
			[]string{"http://a.example/&f;"}, Stats{}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(c.text), iotestOneByte(c.text)} {
				got, stats, err := list(r)
				var fault *Fault
				if c.fault == "" && err != nil || c.fault != "" && (!errors.As(err, &fault) || !strings.Contains(err.Error(), c.fault)) {
					t.Errorf("error %v; want %q", err, c.fault)
				}
				if c.name == "gzip that ends too soon" {
					return // how much comes out is gzip's to say
				}
				c.stats.Entries = int64(len(c.want))
				if !slices.Equal(got, c.want) || stats != c.stats {
					t.Errorf("got %.300q, %+v; want %q, %+v", got, stats, c.want, c.stats)
				}
			}
		})
	}
}

// iotestOneByte reads a short text byte by byte.
func iotestOneByte(text string) io.Reader {
	if len(text) > 1<<20 {
		return strings.NewReader(text)
	}
	return &oneByte{strings.NewReader(text)}
}

type oneByte struct{ r io.Reader }

func (o *oneByte) Read(p []byte) (int, error) { return o.r.Read(p[:min(1, len(p))]) }

var errDisk = errors.New("the disk")

type breaks struct{ r io.Reader }

func (b breaks) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err == io.EOF {
		err = errDisk
	}
	return n, err
}

func TestOtherPeoplesErrorsAreNoFaults(t *testing.T) {
	var fault *Fault
	for _, text := range []string{urlset(a, b)[:150], a + "\n" + b, "", zipped(urlset(a, b))[:40]} {
		if _, _, err := list(breaks{strings.NewReader(text)}); !errors.Is(err, errDisk) || errors.As(err, &fault) {
			t.Errorf("%.20q: reading ended with %v; want the disk's error", text, err)
		}
	}
	enough := errors.New("enough")
	for _, text := range []string{urlset(a, b), a + "\n" + b, `<feed><entry><link href="x"/></entry></feed>`} {
		n := 0
		s, err := Read(strings.NewReader(text), func(Entry) error { n++; return enough })
		if !errors.Is(err, enough) || errors.As(err, &fault) || n != 1 || s.Entries != 0 {
			t.Errorf("%d entries, %+v, %v; want one and the taker's error", n, s, err)
		}
	}
}

// endless is a sitemap with n entries that is never whole in memory.
type endless struct {
	n, i int
	rest string
	head string
	line func(int) string
	foot string
}

func (e *endless) Read(p []byte) (int, error) {
	for e.rest == "" {
		switch {
		case e.i == 0:
			e.rest = e.head
		case e.i <= e.n:
			e.rest = e.line(e.i)
		case e.i == e.n+1:
			e.rest = e.foot
		default:
			return 0, io.EOF
		}
		e.i++
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

func big(n int) *endless {
	return &endless{n: n, head: "<urlset>", foot: "</urlset>", line: func(i int) string { return fmt.Sprintf("<url><loc>http://a.example/%d</loc></url>\n", i) }}
}

func TestMoreEntriesThanAllowedAreCounted(t *testing.T) {
	n := int64(0)
	s, err := Read(big(MaxEntries+123), func(Entry) error { n++; return nil })
	if err != nil || n != MaxEntries || s != (Stats{Entries: MaxEntries, Over: 123}) {
		t.Errorf("%d entries, %+v, %v", n, s, err)
	}
}

func TestASitemapIsCutAtItsSize(t *testing.T) {
	if testing.Short() {
		t.Skip("short: it is about sizes")
	}
	padded := func(i int) string {
		return fmt.Sprintf("<url><loc>http://a.example/%d</loc><x>%s</x></url>\n", i, strings.Repeat(" ", 50_000))
	}
	for name, r := range map[string]io.Reader{
		"xml":      &endless{n: 2000, head: "<urlset>", foot: "</urlset>", line: padded},
		"text":     &endless{n: 2000, line: func(i int) string { return fmt.Sprintf("http://a.example/%d%s\n", i, strings.Repeat(" ", 30_000)) }},
		"a bomb":   bomb(t, &endless{n: 40_000, head: "<urlset>", line: padded}),
		"one line": bomb(t, &endless{n: 2000, head: "<urlset>", line: func(int) string { return "<!--" + strings.Repeat("x", 200_000) + "-->" }}),
	} {
		s, err := Read(r, func(Entry) error { return nil })
		if err != nil || !s.Cut || s.Entries > 2000 {
			t.Errorf("%s: %+v, %v; want a cut", name, s, err)
		}
	}
	whole := urlset(a)
	whole += strings.Repeat("\n<!-- -->", (MaxBytes-len(whole))/9)
	whole += strings.Repeat(" ", MaxBytes-len(whole))
	if s, err := Read(strings.NewReader(whole), func(Entry) error { return nil }); s.Cut || s.Entries != 1 || err != nil {
		t.Errorf("exactly as large as allowed: %+v, %v", s, err)
	}
}

// bomb compresses on the way.
func bomb(t *testing.T, r io.Reader) io.Reader {
	in, out := io.Pipe()
	go func() {
		z := gzip.NewWriter(out)
		_, err := io.Copy(z, r)
		out.CloseWithError(errors.Join(err, z.Close()))
	}()
	t.Cleanup(func() { _ = in.Close() })
	return in
}

func TestMemoryIsTheSameForSmallAndLargeSitemaps(t *testing.T) {
	held := func(r io.Reader) int64 {
		most, before := int64(0), memorytest.LiveHeap()
		n := 0
		if _, err := Read(r, func(Entry) error {
			if n++; n%1000 == 0 {
				most = max(most, memorytest.LiveHeap())
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return most - before
	}
	for n, r := range map[int]io.Reader{1000: big(1000), 50_000: big(50_000)} {
		if got := held(r); got > 4<<20 {
			t.Errorf("%d entries hold %d bytes", n, got)
		}
	}
}

// Whatever URLs a sitemap is written with come out, however it is written.
func TestWhatIsWrittenIsRead(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		urls := rapid.SliceOf(rapid.StringMatching(`https?://[a-z]{1,5}/[a-zä&<>"'%0-9 ]{0,9}x`)).Draw(t, "urls")
		text := urlset(urls...)
		switch rapid.IntRange(0, 3).Draw(t, "form") {
		case 1:
			text = zipped(text)
		case 2:
			text = strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(text, "<loc>", "<x:loc a='1'>\n"), "</loc>", "\n</x:loc>"), "&amp;", "&#38;")
		case 3:
			s, err := unicode.UTF16(unicode.BigEndian, unicode.UseBOM).NewEncoder().String(text)
			if err != nil {
				t.Fatal(err)
			}
			text = s
		}
		got, stats, err := list(strings.NewReader(text))
		if err != nil || !slices.Equal(got, urls) || stats.Entries != int64(len(urls)) {
			t.Fatalf("got %q, %+v, %v; want %q", got, stats, err, urls)
		}
	})
}

func FuzzRead(f *testing.F) {
	for _, text := range []string{urlset(a, b), zipped(urlset(a)), a + "\n" + b, `<rss><channel><item><link>x</link></item></channel></rss>`, `<feed><entry><link href="x"/></entry></feed>`,
		"\xff\xfe<\x00u\x00", `<?xml version="1.0" encoding="windows-1252"?><urlset><url><loc>&b;</loc></url>`, "<!DOCTYPE x [<!ENTITY a 'b'>]><urlset>", "<sitemapindex><sitemap><loc>x</loc></sitemap></sitemapindex>"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		n := int64(0)
		s, err := Read(bytes.NewReader(data), func(e Entry) error {
			if n++; e.URL == "" || len(e.URL) > MaxURL || strings.TrimSpace(e.URL) != e.URL {
				t.Errorf("entry %q", e.URL)
			}
			return nil
		})
		var fault *Fault
		if n != s.Entries || err != nil && !errors.As(err, &fault) {
			t.Errorf("%d entries, %+v, %v", n, s, err)
		}
	})
}
