package html5

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/suites"
)

// tokenizerCases is how many cases html5lib's tokenizer suite has, each initial
// state counted: a suite that shrinks unseen would be no proof.
const tokenizerCases = 7036

// otherwise are the cases whose expected tokens aren't the standard's, by
// description.
var otherwise = map[string]string{
	"Non-XML character":        "the file asks for names and texts coerced to XML's (HTML 13.2.9), which is an option of the standard's: U+FFFF is kept",
	"Non-XML space":            "as above: a form feed is kept",
	"Double hyphen in comment": "as above: -- is kept in a comment",
}

type tokenizerCase struct {
	Description   string
	Input         string
	Output        [][]any
	InitialStates []string
	LastStartTag  string
	DoubleEscaped bool
}

var initialStates = map[string]contentModel{
	"Data state": dataState, "RCDATA state": rcdataState, "RAWTEXT state": rawtextState,
	"Script data state": scriptDataState, "PLAINTEXT state": plaintextState, "CDATA section state": dataState,
}

func TestTokensAreThoseOfHTML5Lib(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(suites.Path(t, "html5lib-tests", "tokenizer"), "*.test"))
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, file := range files {
		var suite struct{ Tests, XMLViolationTests []tokenizerCase }
		if err := json.Unmarshal(suites.Read(t, "html5lib-tests", "tokenizer", filepath.Base(file)), &suite); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for _, c := range slices.Concat(suite.Tests, suite.XMLViolationTests) {
			if len(c.InitialStates) == 0 {
				c.InitialStates = []string{"Data state"}
			}
			want := expected(t, c)
			for _, state := range c.InitialStates {
				count++
				got := tokensOf(t, c, state)
				if why := otherwise[c.Description]; (why == "") != slices.Equal(got, want) {
					t.Errorf("%s: %s (%s) on %q\n got %q\nwant %q\nbut %q", filepath.Base(file), c.Description, state, c.Input, got, want, why)
				}
			}
		}
	}
	if count != tokenizerCases {
		t.Errorf("%d cases, of %d", count, tokenizerCases)
	}
	t.Logf("%d cases, %d of them with other tokens than the standard's", count, len(otherwise))
}

// expected are a case's tokens, a line each as tokensOf has them.
func expected(t *testing.T, c tokenizerCase) []string {
	var w tokenWriter
	text := func(v any) string {
		s, ok := v.(string)
		switch {
		case !ok:
			return "none"
		case c.DoubleEscaped:
			s = unescape(s)
		}
		return strconv.Quote(s)
	}
	for _, o := range c.Output {
		switch o[0] {
		case "Character":
			s, err := strconv.Unquote(text(o[1]))
			if err != nil {
				t.Fatal(err)
			}
			w.text += s
		case "Comment":
			w.add("comment %s", text(o[1]))
		case "EndTag":
			w.add("end %s", text(o[1]))
		case "StartTag":
			attrs := []string{}
			for k, v := range o[2].(map[string]any) {
				attrs = append(attrs, text(k)+"="+text(v))
			}
			slices.Sort(attrs)
			w.add("start %s %s %v", text(o[1]), attrs, len(o) > 3)
		case "DOCTYPE":
			w.add("doctype %s %s %s %v", text(o[1]), text(o[2]), text(o[3]), o[4])
		}
	}
	return w.end()
}

// tokensOf are the tokens of a case's input.
func tokensOf(t *testing.T, c tokenizerCase, state string) []string {
	in := c.Input
	if c.DoubleEscaped {
		in = unescape(in)
	}
	if state == "CDATA section state" {
		in = "<![CDATA[" + in
	}
	model, ok := initialStates[state]
	if !ok {
		t.Fatalf("unknown state %q", state)
	}
	var tree dom.Tree
	var z tokenizer
	z.reset(&tree, []byte(in))
	z.state, z.cdata = model, state == "CDATA section state"
	if c.LastStartTag != "" {
		tree.Extra = append(tree.Extra, c.LastStartTag...)
		z.last = tree.Intern(0, uint32(len(tree.Extra)), dom.InExtra)
	}
	var w tokenWriter
	for {
		var tok token
		z.next(&tok)
		z.cdata = false
		switch tok.kind {
		case eofToken:
			return w.end()
		case textToken:
			w.text += read(&tree, tok.a, tok.b, tok.flags, false)
		case commentToken:
			w.add("comment %q", read(&tree, tok.a, tok.b, tok.flags, false))
		case endTag:
			w.add("end %q", tree.NameOf(tok.name))
		case startTag:
			attrs := []string{}
			for _, a := range tree.Attrs[tok.attrs:] {
				attrs = append(attrs, strconv.Quote(tree.NameOf(a.Name))+"="+strconv.Quote(tree.Value(&a)))
			}
			slices.Sort(attrs)
			w.add("start %q %s %v", tree.NameOf(tok.name), attrs, tok.selfClosing)
		case doctypeToken:
			ids := [3]any{"none", "none", "none"}
			for i, a := range tree.Attrs[tok.attrs:] {
				if a.Mark == 0 {
					ids[i] = strconv.Quote(tree.Value(&a))
				}
			}
			w.add("doctype %s %s %s %v", ids[0], ids[1], ids[2], !tok.quirks)
		}
	}
}

// read is the text of a token.
func read(tree *dom.Tree, a, b uint32, flags dom.Flags, attribute bool) string {
	from := tree.Source
	if flags&dom.InExtra != 0 {
		from = tree.Extra
	}
	if flags&dom.Refs != 0 {
		return string(dom.AppendDecoded(nil, from[a:b], attribute))
	}
	return string(from[a:b])
}

// tokenWriter writes tokens a line each, texts in a row as one.
type tokenWriter struct {
	lines []string
	text  string
}

func (w *tokenWriter) add(format string, args ...any) {
	if w.text != "" {
		w.lines = append(w.lines, fmt.Sprintf("text %q", w.text))
		w.text = ""
	}
	if format != "" {
		w.lines = append(w.lines, fmt.Sprintf(format, args...))
	}
}

func (w *tokenWriter) end() []string {
	w.add("")
	return w.lines
}

var escaped = regexp.MustCompile(`(\\u[0-9a-fA-F]{4})+`)

// unescape resolves \uHHHH; a surrogate that lacks its other half is written in
// three bytes as if it were a character, which the tokenizer is to pass on.
func unescape(s string) string {
	return escaped.ReplaceAllStringFunc(s, func(run string) string {
		units := []uint16{}
		for hex := range strings.SplitSeq(run[2:], `\u`) {
			n, _ := strconv.ParseUint(hex, 16, 16)
			units = append(units, uint16(n))
		}
		b := []byte{}
		for i := 0; i < len(units); i++ {
			r := rune(units[i])
			if i+1 < len(units) && utf16.IsSurrogate(r) {
				if full := utf16.DecodeRune(r, rune(units[i+1])); full != 0xFFFD {
					b, i = append(b, string(full)...), i+1
					continue
				}
			}
			if utf16.IsSurrogate(r) {
				b = append(b, 0xE0|byte(r>>12), 0x80|byte(r>>6&0x3F), 0x80|byte(r&0x3F))
				continue
			}
			b = append(b, string(r)...)
		}
		return string(b)
	})
}
