package rules

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
	"pgregory.net/rapid"

	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/suites"
)

func TestTextIsDecoded(t *testing.T) {
	for _, tt := range []struct{ name, contentType, body, want string }{
		{"nothing said, UTF-8", "text/html", "Café", "Café"},
		{"header", "text/html; charset=ISO-8859-1", "Caf\xe9", "Café"},
		{"header wins over meta", "text/html; charset=iso-8859-15", "<meta charset=utf-8>\xa4", "<meta charset=utf-8>€"},
		{"meta", "text/html", "<meta charset=windows-1252>\x80", "<meta charset=windows-1252>€"},
		{"meta in its long form", "text/html", `<meta http-equiv=content-type content="text/html; charset=koi8-r">` + "\xc1", `<meta http-equiv=content-type content="text/html; charset=koi8-r">а`},
		{"XML declaration", "text/xml", "<?xml version='1.0' encoding='windows-1251'?><a>\xcf\xf0", "<?xml version='1.0' encoding='windows-1251'?><a>Пр"},
		{"XML declaration of valid UTF-8", "application/rss+xml", `<?xml version="1.0" encoding="koi8-r"?><a>` + "\xc3\xa9", `<?xml version="1.0" encoding="koi8-r"?><a>ц╘`},
		{"XML declaration in HTML", "text/html", `<?xml version="1.0" encoding = "euc-kr" ?><p>` + "\xb0\xa1", `<?xml version="1.0" encoding = "euc-kr" ?><p>가`},
		{"header wins over an XML declaration", "text/xml; charset=iso-8859-15", `<?xml encoding="koi8-r"?>` + "\xa4", `<?xml encoding="koi8-r"?>€`},
		{"meta wins over an XML declaration in HTML", "application/xhtml+xml", `<?xml encoding="koi8-r"?><meta charset=iso-8859-15>` + "\xa4", `<?xml encoding="koi8-r"?><meta charset=iso-8859-15>€`},
		{"but not in XML", "text/xml", `<?xml encoding="iso-8859-15"?><meta charset="koi8-r"/>` + "\xa4", `<?xml encoding="iso-8859-15"?><meta charset="koi8-r"/>€`},
		{"XML declaration as templates have it", "text/xml", `<?xml version="1.0" encoding="ISO-8859-1"?><a>é`, `<?xml version="1.0" encoding="ISO-8859-1"?><a>é`},
		{"meta as templates have it", "text/html", "<meta charset=iso-8859-1>é", "<meta charset=iso-8859-1>é"},
		{"XML declaration of Latin 1", "text/xml", `<?xml version="1.0" encoding="ISO-8859-1"?><a>` + "\xe9", `<?xml version="1.0" encoding="ISO-8859-1"?><a>é`},
		{"XML declaration that can't be", "text/xml", `<?xml encoding="UTF-16"?><a>é`, `<?xml encoding="UTF-16"?><a>é`},
		{"XML declaration of no encoding", "text/xml", `<?xml encoding="klingon"?><a>é`, `<?xml encoding="klingon"?><a>é`},
		{"encoding behind the XML declaration", "text/xml", `<?xml version="1.0"?><a encoding="koi8-r">é`, `<?xml version="1.0"?><a encoding="koi8-r">é`},
		{"UTF-16 by its XML declaration", "text/xml", "<\x00?\x00x\x00m\x00l\x00?\x00>\x00\xe9\x00", "<?xml?>é"},
		{"late meta, and one whose bytes could be UTF-8", "text/html", "<!--" + strings.Repeat(" ", 2000) + "--><meta name=x content='\xc3\xa9'><meta charset=koi8-r>\xff", "<!--" + strings.Repeat(" ", 2000) + "--><meta name=x content='ц╘'><meta charset=koi8-r>Ъ"},
		{"byte order mark wins", "text/html; charset=koi8-r", "\xef\xbb\xbfCafé", "Café"},
		{"UTF-16 by its mark", "text/html", "\xff\xfeC\x00\xe9\x00", "Cé"},
		{"UTF-16 by the header", "text/html; charset=utf-16be", "\x00C\x00\xe9", "Cé"},
		{"ISO-2022-JP is no ASCII", "text/html; charset=iso-2022-jp", "\x1b$B$\"\x1b(B", "あ"},
		{"UTF-8 past the first 1,024 bytes", "text/html", strings.Repeat(" ", 2000) + "é", strings.Repeat(" ", 2000) + "é"},
		{"broken UTF-8", "text/html; charset=utf-8", "a\xffb", "a\uFFFDb"},
		{"an encoding that is none", "text/html; charset=klingon", "Café", "Café"},
		{"guessed", "text/html", strings.Repeat("\xcf\xf0\xe8\xe2\xe5\xf2, \xea\xe0\xea \xe4\xe5\xeb\xe0? \xdd\xf2\xee \xf0\xf3\xf1\xf1\xea\xe8\xe9 \xf2\xe5\xea\xf1\xf2. ", 20), strings.Repeat("Привет, как дела? Это русский текст. ", 20)},
	} {
		if got := string(decode([]byte(tt.body), tt.contentType)); got != tt.want {
			t.Errorf("%s: got %q; want %q", tt.name, got, tt.want)
		}
	}
}

func TestTextThatIsUTF8IsNotCopied(t *testing.T) {
	body := []byte("<p>Café")
	if got := decode(body, "text/html; charset=utf-8"); &got[0] != &body[0] {
		t.Error("copied")
	}
	ascii := []byte("<p>Cafe")
	if got := decode(ascii, "text/html; charset=iso-8859-1"); &got[0] != &ascii[0] {
		t.Error("ASCII copied")
	}
}

func TestLinkedDataIsMended(t *testing.T) {
	for text, want := range map[string]string{
		`{"a":1}`:                         `[{"a":1}]`,
		"<!-- x -->{\"a\":1}":             `[{"a":1}]`,
		"<!--\n{\"a\":1}\n-->":            ``, // a comment, whatever is in it
		"//<![CDATA[\n{\"a\":1}\n//]]>":   `[{"a":1}]`,
		"/*<![CDATA[*/{\"a\":1}/*]]>*/":   `[{"a":1}]`,
		"<![CDATA[{\"a\":\"]]>\"}]]>":     `[{"a":"]]>"}]`,
		"{\"a\":\"x\ny\tz\"}":             `[{"a":"x\ny\tz"}]`,
		`{"a":"http://x/*y*/ <!--z-->",}`: `[{"a":"http://x/*y*/ <!--z-->"}]`,
		`{"a":[1,2,],"b":"\","};`:         `[{"a":[1,2],"b":"\","}]`,
		"\uFEFF{\"a\":1}":                 `[{"a":1}]`,
		`{"a":1}{"b":2}`:                  `[{"a":1},{"b":2}]`,
		`{"a":`:                           ``,
		`{"a":"`:                          ``,
		strings.Repeat(`[`, 64) + strings.Repeat(`]`, 64): "[" + strings.Repeat(`[`, 64) + strings.Repeat(`]`, 64) + "]",
		strings.Repeat(`[`, 65) + strings.Repeat(`]`, 65): ``,
		strings.Repeat(`{"a":`, 1e5):                      ``,
		`function(){}`:                                    ``,
		strings.Repeat(" ", maxLinked) + "{}":             ``,
	} {
		got := ""
		if values := linkedValues(text); values != nil {
			b, err := json.Marshal(values)
			if err != nil {
				t.Fatal(err)
			}
			got = strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(string(b))
		}
		if got != want {
			t.Errorf("%.60q: got %s; want %s", text, got, want)
		}
	}
}

func TestLinkedNodesAreFlattened(t *testing.T) {
	d := shopDocument(`<script type="application/ld+json">[{"a":1},[{"b":2}],3]</script><script type="text/x">{"no":1}</script>
<script type="Application/LD+JSON; charset=utf-8">{"@graph":[{"c":3},{"@graph":{"d":4}}]}</script><script type="application/ld+json">broken</script>`)
	nodes, fault := d.Linked()
	if fault != nil {
		t.Fatal(fault)
	}
	got, _ := json.Marshal(nodes)
	if want := `[{"a":1},{"b":2},{"@graph":[{"c":3},{"@graph":{"d":4}}]},{"c":3},{"@graph":{"d":4}},{"d":4}]`; string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestSuiteOfExtruct holds JSON-LD against the samples of the extruct project.
func TestSuiteOfExtruct(t *testing.T) {
	root := suites.Path(t, "extruct", "tests", "samples")
	for _, folder := range []string{"schema.org", "schema.org.invalid", "custom.invalid"} {
		pages, err := filepath.Glob(filepath.Join(root, folder, "*.jsonld"))
		if err != nil || len(pages) == 0 {
			t.Fatalf("%s: %v, %d samples", folder, err, len(pages))
		}
		for _, name := range pages {
			body, err := os.ReadFile(strings.TrimSuffix(name, ".jsonld") + ".html")
			if err != nil {
				t.Fatal(err)
			}
			d := shopDocument(string(body))
			nodes, fault := d.Linked()
			if fault != nil {
				t.Fatal(fault)
			}
			wantText, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			var want []any
			dec := json.NewDecoder(bytes.NewReader(wantText))
			dec.UseNumber()
			if err := dec.Decode(&want); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(nodes, want) {
				t.Errorf("%s/%s: got %v; want %v", folder, filepath.Base(name), nodes, want)
			}
		}
	}
}

func TestBase(t *testing.T) {
	for page, want := range map[string]string{
		`<p>`:                                  "http://books.example/catalogue/tilth_1/index.html",
		`<base href="../x/"><base href="/y/">`: "http://books.example/catalogue/x/",
		`<base target=_top><base href="/y/">`:  "http://books.example/y/",
		`<template><p><base href="/t/"></template><base href="/y/">`: "http://books.example/y/",
		`<base href="mailto:x">`:                                     "http://books.example/catalogue/tilth_1/index.html",
		`<base href="//media.books.example/a">`:                      "http://media.books.example/a",
	} {
		got, fault := shopDocument(page).Base()
		if fault != nil || got.String() != want {
			t.Errorf("%s: got %s, %v; want %s", page, got, fault, want)
		}
	}
}

func TestBodyIsReadAgainByEachCaller(t *testing.T) {
	d := shopDocument("abc")
	for range 2 {
		got, err := io.ReadAll(d.Body())
		if err != nil || string(got) != "abc" {
			t.Errorf("got %q, %v", got, err)
		}
	}
}

func TestTextOfIsTheWholeTextContent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`(<b>|</b>|<p>|x| |é|&lt;|<!--y-->){0,40}`).Draw(t, "text")
		root, err := html.Parse(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		want := ""
		for n := range root.Descendants() {
			if n.Type == html.TextNode {
				want += n.Data
			}
		}
		d := shopDocument(text)
		if _, fault := d.Tree(); fault != nil {
			t.Fatal(fault)
		}
		if got, fault := d.textOf(dom.Root, 0); got != want || fault != nil {
			t.Fatalf("got %q, %v; want %q", got, fault, want)
		}
	})
}

func FuzzDocument(f *testing.F) {
	f.Add([]byte(shopHTML), "text/html; charset=utf-8")
	f.Add([]byte(listing), "text/html")
	f.Add([]byte("\xff\xfe<\x00p\x00>\x00"), "")
	f.Add(formattingBomb(50), "text/html; charset=shift_jis")
	f.Add([]byte(`<script type="application/ld+json">//<![CDATA[`+"\n"+`{"@graph":[{"a":"x`+"\n"+`"},],}//]]></script>`), "text/html")
	p := fuzzProgram(f)
	follow := fuzzFollower(f)
	f.Fuzz(func(t *testing.T, body []byte, contentType string) {
		page := shopPage(string(body))
		page.Capture.ContentType = contentType
		limits := Limits{Document: 1 << 20, Rows: 1000, Elements: 100_000}
		first := apply(t, p, NewDocument(page, canonical, limits))
		d := NewDocument(page, canonical, limits)
		if again := apply(t, p, d); !reflect.DeepEqual(first, again) {
			t.Fatalf("got %+v; before %+v", again, first)
		}
		for _, r := range first.rejects {
			if r.Payload != "" && !json.Valid([]byte(r.Payload)) {
				t.Fatalf("payload %q", r.Payload)
			}
		}
		p.Explain(d)
		_ = follow.Links(d, func(l Link) error {
			if len(l.Text) > MaxLinkText {
				t.Fatalf("text of %d bytes", len(l.Text))
			}
			return nil
		})
	})
}

func FuzzCheckSelector(f *testing.F) {
	for _, s := range []string{"a@href", "th:contains('UPC') + td", "$.a[?@.b]", "p:nth-child(2n+1)", "[a|=b]:not(:has(c))"} {
		f.Add(s)
	}
	d := shopDocument(shopHTML)
	if _, fault := d.Tree(); fault != nil {
		f.Fatal(fault)
	}
	f.Fuzz(func(t *testing.T, expr string) {
		_ = CheckSelector("jsonld", expr)
		if s, err := compileCSS(expr); err == nil {
			all := newSelectors()
			list := all.add(nil, s, true)
			found := all.of(d, slices.Values([][]wanted{list}))
			d.nextRow()
			s.pick(view{doc: d, css: found}, nil, true)
			found.close()
		}
	})
}

func TestAPageTooLargeForATreeIsRejected(t *testing.T) {
	was := maxTree
	maxTree = 16
	defer func() { maxTree = was }()
	for body, code := range map[string]string{"<p>15 bytes</p>": "", "<p>of 16 bytes.</p>": CodeDocument} {
		got := ""
		if _, fault := shopDocument(body).Tree(); fault != nil {
			got = fault.Code
		}
		if got != code {
			t.Errorf("%d bytes: code %q, want %q", len(body), got, code)
		}
	}
}
