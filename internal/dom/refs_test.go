package dom_test

import (
	"html"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/harrowdata/harrow/internal/dom"
)

func TestReferencesAreDecodedAsTheStandardSays(t *testing.T) {
	for _, c := range []struct{ in, text, attribute string }{
		{"", "", ""},
		{"&", "&", "&"},
		{"&&amp;&", "&&&", "&&&"},
		{"&amp;amp;", "&amp;", "&amp;"},
		{"a &lt b", "a < b", "a < b"},
		{"&notit;", "¬it;", "&notit;"},
		{"&notin;", "∉", "∉"},
		{"&not=1", "¬=1", "&not=1"},
		{"&not;=1", "¬=1", "¬=1"},
		{"?a=1&copy=2", "?a=1©=2", "?a=1&copy=2"},
		{"?a=1&copy", "?a=1©", "?a=1©"},
		{"&copy&reg", "©®", "©®"},
		{"&ampamp;", "&amp;", "&ampamp;"},
		{"&nosuch;", "&nosuch;", "&nosuch;"},
		{"&Nosuch", "&Nosuch", "&Nosuch"},
		{"&nGt;", "≫⃒", "≫⃒"},
		{"&CounterClockwiseContourIntegral;", "∳", "∳"},
		{"&CounterClockwiseContourIntegralx;", "&CounterClockwiseContourIntegralx;", "&CounterClockwiseContourIntegralx;"},
		{"&ThickSpace;", "\u205F\u200A", "\u205F\u200A"},
		{"&frac12x", "½x", "&frac12x"},
		{"& amp;", "& amp;", "& amp;"},
		{"&é;", "&é;", "&é;"},
		{"&#", "&#", "&#"},
		{"&#;", "&#;", "&#;"},
		{"&#x", "&#x", "&#x"},
		{"&#X;", "&#X;", "&#X;"},
		{"&#xg;", "&#xg;", "&#xg;"},
		{"&#65", "A", "A"},
		{"&#9", "\t", "\t"},
		{"&#0&#x9x", "\uFFFD\tx", "\uFFFD\tx"},
		{"&#65b", "Ab", "Ab"},
		{"&#x41g", "Ag", "Ag"},
		{"&#065;&#X41;&#x0041;", "AAA", "AAA"},
		{"&#0;", "\uFFFD", "\uFFFD"},
		{"&#13;", "\r", "\r"},
		{"&#x80;&#150;", "€–", "€–"},
		{"&#x81;", "\u0081", "\u0081"},
		{"&#xD800;&#xDFFF;", "\uFFFD\uFFFD", "\uFFFD\uFFFD"},
		{"&#x10FFFF;", "\U0010FFFF", "\U0010FFFF"},
		{"&#x110000;", "\uFFFD", "\uFFFD"},
		{"&#99999999999999999999;", "\uFFFD", "\uFFFD"},
		{"&#x100000041;", "\uFFFD", "\uFFFD"},
		{"&#xFFFF;", "\uFFFF", "\uFFFF"},
	} {
		if got := string(dom.AppendDecoded([]byte("-"), []byte(c.in), false)); got != "-"+c.text {
			t.Errorf("%q as text: %q, want %q", c.in, got, c.text)
		}
		if got := string(dom.AppendDecoded(nil, []byte(c.in), true)); got != c.attribute {
			t.Errorf("%q as attribute: %q, want %q", c.in, got, c.attribute)
		}
	}
}

// pieces make texts that are full of what is nearly a reference.
var pieces = rapid.SampledFrom([]string{
	"&", "&", "#", "x", "X", ";", ";", "=", "amp", "AMP", "lt", "not", "notin", "in", "copy", "sub", "sube", "sup1", "nGt", "frac34", "nbsp",
	"CounterClockwiseContourIntegral", "0", "65", "41", "80", "9f", "D800", "1F600", "110000", "999999999", " ", "é", "\n", "<", "z",
})

// misread are references that html.UnescapeString reads otherwise than the
// standard: numbers of one digit without a semicolon, hexadecimal ones of no
// digit with one, those that are too large for it (13.2.5.75 to 80), and the two
// names for what is longer than they are.
var misread = regexp.MustCompile(`&#[0-9]([^0-9;]|$)|&#[xX];|&#[xX]?[0-9a-fA-F]{8}|&n[GL]t;`)

func TestTextIsDecodedAsGoDecodesIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := strings.Join(rapid.SliceOf(pieces).Draw(t, "pieces"), "")
		if misread.MatchString(in) {
			return
		}
		if got, want := string(dom.AppendDecoded(nil, []byte(in), false)), html.UnescapeString(in); got != want {
			t.Fatalf("%q: got %q, want %q", in, got, want)
		}
	})
}

func FuzzAppendDecoded(f *testing.F) {
	f.Add("&amp;&#x80;&notit;&#0;&nGt", true)
	f.Add("&#99999999999;&CounterClockwiseContourIntegral;&&#x;", false)
	f.Fuzz(func(t *testing.T, in string, attribute bool) {
		got := dom.AppendDecoded(nil, []byte(in), attribute)
		if utf8.ValidString(in) && !utf8.Valid(got) {
			t.Errorf("%q gives %q", in, got)
		}
		if 5*len(got) > 6*len(in) {
			t.Errorf("%d bytes of %d", len(got), len(in))
		}
		if again := dom.AppendDecoded([]byte("x"), []byte(in), attribute); string(again[1:]) != string(got) {
			t.Errorf("%q behind something gives %q, else %q", in, again[1:], got)
		}
	})
}

const references = `Fish &amp; chips, 3&nbsp;&euro; &ndash; &quot;today&quot; &lt;only&gt; it&#39;s good &#8211; really &eacute;t&eacute; and then a longer piece of text without any. `

func BenchmarkReferences(b *testing.B) {
	in := strings.Repeat(references, 20)
	b.Run("dom", func(b *testing.B) {
		raw, dst := []byte(in), []byte(nil)
		b.SetBytes(int64(len(in)))
		for b.Loop() {
			dst = dom.AppendDecoded(dst[:0], raw, false)
		}
	})
	b.Run("html.UnescapeString", func(b *testing.B) {
		b.SetBytes(int64(len(in)))
		for b.Loop() {
			html.UnescapeString(in)
		}
	})
}
