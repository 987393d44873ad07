package html5

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/net/html"
	"pgregory.net/rapid"

	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/dom/name"
	"github.com/harrowdata/harrow/internal/html5/pages"
)

// models are the states in which the content of elements of HTML is read.
var models = map[dom.Name]contentModel{
	name.Title: rcdataState, name.Textarea: rcdataState, name.Style: rawtextState, name.Xmp: rawtextState, name.Iframe: rawtextState,
	name.Noembed: rawtextState, name.Noframes: rawtextState, name.Noscript: rawtextState, name.Script: scriptDataState, name.Plaintext: plaintextState,
}

// follow does what tree construction does behind a token.
func (z *tokenizer) follow(tok *token) {
	if tok.kind == startTag {
		if m, ok := models[tok.name]; ok {
			z.state, z.last = m, tok.name
		}
	}
}

// all reads a whole page and sees that its tokens are in order.
func (z *tokenizer) all(t failer) (texts []string) {
	var tok token
	for end := 0; ; {
		before := z.pos
		if z.next(&tok); tok.kind == eofToken {
			if z.pos != len(z.src) {
				t.Fatalf("ends at %d of %d", z.pos, len(z.src))
			}
			return texts
		}
		if z.pos <= before {
			t.Fatalf("a token of kind %d from %d to %d", tok.kind, before, z.pos)
		}
		if tok.flags&dom.InExtra == 0 {
			if int(tok.a) < end || tok.b < tok.a || int(tok.b) > z.pos {
				t.Fatalf("a token of kind %d has %d:%d, read from %d to %d, behind one to %d", tok.kind, tok.a, tok.b, before, z.pos, end)
			}
			end = int(tok.b)
		}
		if tok.kind == textToken {
			texts = append(texts, read(z.tree, tok.a, tok.b, tok.flags, false))
			if tok.a == tok.b {
				t.Fatalf("an empty text at %d", before)
			}
		}
		z.follow(&tok)
	}
}

type failer interface {
	Fatalf(format string, args ...any)
}

func TestTokensSayWhatTreeConstructionAsks(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{" \n\t", "text"},
		{" &#32;", "text refs"},
		{" \x00", "text nul"},
		{"a\x00&amp;<b>", "text refs nul, start b"},
		{"a &amp; b<b>c", "text refs, start b, text"},
		{"<title>a\x00</title>\x00", "start title, text extra, end title, text nul"},
		{"<title>&amp;</titlE >", "start title, text refs, end title"},
		{"<style>&amp;</style>", "start style, text, end style"},
		{"<style> </style>", "start style, text, end style"},
		{"<plaintext></plaintext>", "start plaintext, text"},
		{"<script></script><x>", "start script, end script, start x"},
		{"</title><title></script></title>", "end title, start title, text, end title"},
		{"a</>b", "text, text"},
		{"a<b", "text"},
		{"a<b c='", "text"},
		{"a</b c=", "text"},
		{"a<", "text"},
		{"a</", "text"},
		{"a<!", "text, comment"},
		{"a<?b\x00", "text, comment extra"},
		{"<!-- &amp; -->", "comment"},
		{"<B\x00>", "start b\uFFFD"},
		{"<viewBox><VIEWBOX>", "start viewbox, start viewbox"},
		{"<![CDATA[x]]>", "comment"},
		{"<br/ ><br / ><br/><br a=/><br/a=b/>", "start br, start br, start br self-closing, start br, start br"},
		{"</p/><p/>", "end p self-closing, start p self-closing"},
	} {
		var tree dom.Tree
		var z tokenizer
		z.reset(&tree, []byte(c.in))
		var got []string
		for {
			var tok token
			if z.next(&tok); tok.kind == eofToken {
				break
			}
			z.follow(&tok)
			got = append(got, describe(&tree, &tok))
		}
		if got := strings.Join(got, ", "); got != c.want {
			t.Errorf("%q: got %s, want %s", c.in, got, c.want)
		}
	}
}

func describe(tree *dom.Tree, tok *token) string {
	s := map[tokenKind]string{textToken: "text", startTag: "start ", endTag: "end ", commentToken: "comment", doctypeToken: "doctype"}[tok.kind]
	if tok.kind == startTag || tok.kind == endTag {
		s += tree.NameOf(tok.name)
	}
	for _, is := range []struct {
		bool
		string
	}{
		{tok.flags&dom.Refs != 0, "refs"}, {tok.flags&dom.InExtra != 0, "extra"}, {tok.nul, "nul"},
		{tok.selfClosing, "self-closing"}, {tok.quirks, "quirks"},
	} {
		if is.bool {
			s += " " + is.string
		}
	}
	return s
}

func TestCDATASectionsAreTextWhereTheyAreRead(t *testing.T) {
	for in, want := range map[string]string{
		"<![CDATA[x&amp;]]>y": `["x&amp;" "y"]`, "<![CDATA[]]>y": `["y"]`, "<![CDATA[x]]": `["x]]"]`, "<![CDATA[": `[]`, "<![CDATA[\x00]]>": `["\x00"]`,
		"<![cdata[x]]>y": `["y"]`, "<![CDATA[]]]]>": `["]]"]`,
	} {
		var tree dom.Tree
		z := tokenizer{}
		z.reset(&tree, []byte(in))
		z.cdata = true
		if got := fmt.Sprintf("%q", z.all(t)); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

func TestLineEndsBecomeLF(t *testing.T) {
	var tree dom.Tree
	var z tokenizer
	for in, want := range map[string]string{"a\r\nb\rc\n\rd\r\r\ne\r": "a\nb\nc\n\nd\n\ne\n", "a\nb": "a\nb", "\r": "\n"} {
		z.reset(&tree, []byte(in))
		if got := string(tree.Source); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestOfAttributesOfOneNameTheFirstCounts(t *testing.T) {
	many := 1_000_000
	if testing.Short() {
		many = 50_000
	}
	var page bytes.Buffer
	page.WriteString("<a")
	for i := range many {
		fmt.Fprintf(&page, " a%d=%d", i%(many/2), i)
	}
	page.WriteString("><b a1=2 A1=3>")
	var tree dom.Tree
	var z tokenizer
	var tok token
	z.reset(&tree, page.Bytes())
	z.next(&tok)
	if len(tree.Attrs) != many/2 {
		t.Errorf("%d attributes", len(tree.Attrs))
	}
	for i, a := range tree.Attrs {
		if value := tree.Value(&a); value != fmt.Sprint(i) || tree.NameOf(a.Name) != "a"+value {
			t.Fatalf("attribute %d is %s=%s", i, tree.NameOf(a.Name), value)
		}
	}
	z.next(&tok)
	if own := tree.Attrs[tok.attrs:]; len(own) != 1 || tree.Value(&own[0]) != "2" {
		t.Errorf("the second tag has %+v", own)
	}
	z.reset(&tree, page.Bytes())
	z.maxAttrs = 1000
	z.next(&tok)
	if len(tree.Attrs) != 1001 {
		t.Errorf("%d attributes with a bound of %d", len(tree.Attrs), z.maxAttrs)
	}
	if z.reset(&tree, nil); len(z.seen) > maxSeen {
		t.Errorf("memory for %d names is kept", len(z.seen))
	}
}

func TestHostilePagesMakeNoMoreThanTheirSize(t *testing.T) {
	var tree dom.Tree
	var z tokenizer
	for _, h := range pages.Hostiles {
		page := h.Make(1 << 20)
		z.reset(&tree, page)
		z.all(t)
		if len(tree.Attrs) > len(page)/2 || len(tree.Extra) > 3*len(page) {
			t.Errorf("%s: %d attributes and %d bytes", h.Name, len(tree.Attrs), len(tree.Extra))
		}
	}
}

func TestAWarmTokenizerAllocatesNothing(t *testing.T) {
	page := pages.Make(pages.Product, 30<<10, 1).HTML
	var tree dom.Tree
	var z tokenizer
	run := func() {
		var tok token
		for z.reset(&tree, page); ; z.follow(&tok) {
			if z.next(&tok); tok.kind == eofToken {
				return
			}
		}
	}
	run()
	if n := testing.AllocsPerRun(10, run); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// markup makes pages full of what the tokenizer has states for.
var markup = rapid.SampledFrom([]string{
	"<", "<", ">", ">", "/", "!", "-", "-", "--", "?", "<!--", "-->", "--!>", "<script", "</script", "script", "<title>", "</title", "<style>", "</style>", " ", "\t", "=", "'", `"`,
	"a", "B", "é", "\x00", "\r", "\n", "\r\n", "&amp", ";", "&#65", "<!doctype", " public", " system", "<![CDATA[", "]]>", "</", "<a href=", "<plaintext>", "<textarea",
})

func page(t *rapid.T) string { return strings.Join(rapid.SliceOf(markup).Draw(t, "page"), "") }

func TestTokensAreInOrder(t *testing.T) {
	var tree dom.Tree
	var z tokenizer
	rapid.Check(t, func(t *rapid.T) {
		z.reset(&tree, []byte(page(t)))
		z.cdata = rapid.Bool().Draw(t, "CDATA sections are read")
		z.all(t)
	})
}

func FuzzTokenizer(f *testing.F) {
	f.Add("<!DOCTYPE html PUBLIC '' \"\"><p a=1 A=2 b c='&lt'>x</p/><!--a--!>", false)
	f.Add("<script><!--<script></script>--></script><title>&amp;\x00</title\r\n>", false)
	f.Add("<![CDATA[x]]]>\x00</><?x><!x></1>", true)
	var tree dom.Tree
	var z tokenizer
	f.Fuzz(func(t *testing.T, in string, cdata bool) {
		z.reset(&tree, []byte(in))
		z.cdata = cdata
		z.all(t)
		if len(tree.Attrs) > len(in) || len(tree.Extra) > 3*len(in) {
			t.Errorf("%d attributes and %d bytes of %d", len(tree.Attrs), len(tree.Extra), len(in))
		}
	})
}

func BenchmarkTokenizer(b *testing.B) {
	for _, kind := range pages.Kinds {
		page := pages.Make(kind, 30<<10, 1).HTML
		b.Run(kind.String()+"/html5", func(b *testing.B) {
			b.SetBytes(int64(len(page)))
			b.ReportAllocs()
			var tree dom.Tree
			var z tokenizer
			var tok token
			for b.Loop() {
				for z.reset(&tree, page); ; z.follow(&tok) {
					if z.next(&tok); tok.kind == eofToken {
						break
					}
				}
			}
		})
		b.Run(kind.String()+"/net", func(b *testing.B) {
			b.SetBytes(int64(len(page)))
			b.ReportAllocs()
			for b.Loop() {
				netTokens(page)
			}
		})
	}
}

// netTokens reads a page with golang.org/x/net/html's tokenizer, in the way that
// allocates least.
func netTokens(page []byte) {
	z := html.NewTokenizer(bytes.NewReader(page))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return
		case html.TextToken, html.CommentToken:
			z.Raw()
		case html.StartTagToken, html.SelfClosingTagToken:
			for _, more := z.TagName(); more; {
				_, _, more = z.TagAttr()
			}
		case html.EndTagToken:
			z.TagName()
		}
	}
}
