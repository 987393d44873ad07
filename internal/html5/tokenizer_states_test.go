package html5

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/harrowdata/harrow/internal/dom"
)

// What follows are the standard's states as it words them, a character at a
// time, to compare with what the tokenizer does in leaps.

// commentOf is the data of the comment that <!-- and in make (13.2.5.43 to 52),
// and what of in is left behind it.
func commentOf(in string) (data, rest string) {
	state, b := "start", strings.Builder{}
	for i := 0; i < len(in); i++ {
		c := in[i]
	again:
		switch state {
		case "start":
			switch c {
			case '-':
				state = "start dash"
			case '>':
				return b.String(), in[i+1:]
			default:
				state = "comment"
				goto again
			}
		case "start dash":
			switch c {
			case '-':
				state = "end"
			case '>':
				return b.String(), in[i+1:]
			default:
				b.WriteByte('-')
				state = "comment"
				goto again
			}
		case "comment":
			switch c {
			case '<':
				b.WriteByte(c)
				state = "less-than"
			case '-':
				state = "end dash"
			default:
				b.WriteByte(c)
			}
		case "less-than":
			switch c {
			case '!':
				b.WriteByte(c)
				state = "less-than bang"
			case '<':
				b.WriteByte(c)
			default:
				state = "comment"
				goto again
			}
		case "less-than bang":
			if c == '-' {
				state = "less-than bang dash"
				continue
			}
			state = "comment"
			goto again
		case "less-than bang dash":
			if c == '-' {
				state = "less-than bang dash dash"
				continue
			}
			state = "end dash"
			goto again
		case "less-than bang dash dash":
			state = "end"
			goto again
		case "end dash":
			if c == '-' {
				state = "end"
				continue
			}
			b.WriteByte('-')
			state = "comment"
			goto again
		case "end":
			switch c {
			case '>':
				return b.String(), in[i+1:]
			case '!':
				state = "end bang"
			case '-':
				b.WriteByte('-')
			default:
				b.WriteString("--")
				state = "comment"
				goto again
			}
		case "end bang":
			switch c {
			case '-':
				b.WriteString("--!")
				state = "end dash"
			case '>':
				return b.String(), in[i+1:]
			default:
				b.WriteString("--!")
				state = "comment"
				goto again
			}
		}
	}
	return b.String(), ""
}

func TestCommentsEndWhereTheStandardsStatesDo(t *testing.T) {
	parts := rapid.SampledFrom([]string{"-", "-", "-", ">", "!", "<", "x", "<!--", "-->"})
	var tree dom.Tree
	var z tokenizer
	rapid.Check(t, func(t *rapid.T) {
		for range 20 {
			in := strings.Join(rapid.SliceOfN(parts, 0, 12).Draw(t, "comment"), "")
			data, rest := commentOf(in)
			z.reset(&tree, []byte("<!--"+in))
			var tok token
			z.next(&tok)
			if got := string(tree.Source[tok.a:tok.b]); got != data || string(z.src[z.pos:]) != rest {
				t.Fatalf("<!--%s: got %q and %q left, want %q and %q", in, got, z.src[z.pos:], data, rest)
			}
		}
	})
}

// scriptOf is what is text of a script (13.2.5.4 and 15 to 31): all before the
// end tag that ends it.
func scriptOf(in string) string {
	state, word, tag := "data", "", 0
	for i := 0; i < len(in); i++ {
		c := in[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		ends := strings.IndexByte("\t\n\f />", c) >= 0
	again:
		switch state {
		case "data":
			if c == '<' {
				state, tag = "less-than", i
			}
		case "less-than":
			switch c {
			case '/':
				state, word = "end tag open", ""
			case '!':
				state = "escape start"
			default:
				state = "data"
				goto again
			}
		case "end tag open", "end tag name", "escaped end tag open", "escaped end tag name":
			before, isEscaped := strings.CutPrefix(state, "escaped ")
			switch {
			case letter:
				word += string(c | 0x20)
				state = strings.Replace(state, "open", "name", 1)
			case before == "end tag name" && ends && word == "script":
				return in[:tag]
			case isEscaped:
				state = "escaped"
				goto again
			default:
				state = "data"
				goto again
			}
		case "escape start", "escape start dash":
			switch {
			case c != '-':
				state = "data"
				goto again
			case state == "escape start":
				state = "escape start dash"
			default:
				state = "escaped dash dash"
			}
		case "escaped", "escaped dash", "escaped dash dash":
			switch {
			case c == '-' && state == "escaped":
				state = "escaped dash"
			case c == '-':
				state = "escaped dash dash"
			case c == '<':
				state, tag = "escaped less-than", i
			case c == '>' && state == "escaped dash dash":
				state = "data"
			default:
				state = "escaped"
			}
		case "escaped less-than":
			word = ""
			switch {
			case c == '/':
				state = "escaped end tag open"
			case letter:
				state = "double escape start"
				goto again
			default:
				state = "escaped"
				goto again
			}
		case "double escape start", "double escape end":
			inside, outside := "double escaped", "escaped"
			if state == "double escape end" {
				inside, outside = outside, inside
			}
			switch {
			case ends && word == "script":
				state = inside
			case ends:
				state = outside
			case letter:
				word += string(c | 0x20)
			default:
				state = outside
				goto again
			}
		case "double escaped", "double escaped dash", "double escaped dash dash":
			switch {
			case c == '-' && state == "double escaped":
				state = "double escaped dash"
			case c == '-':
				state = "double escaped dash dash"
			case c == '<':
				state = "double escaped less-than"
			case c == '>' && state == "double escaped dash dash":
				state = "data"
			default:
				state = "double escaped"
			}
		case "double escaped less-than":
			if c == '/' {
				state, word = "double escape end", ""
				continue
			}
			state = "double escaped"
			goto again
		}
	}
	return in
}

func TestScriptsEndWhereTheStandardsStatesDo(t *testing.T) {
	parts := rapid.SampledFrom([]string{"<!--", "<!--", "<script", "<script ", "<SCRIPT>", "</script", "</script>", "-->", "-", ">", "!", "<", "/", "x"})
	var tree dom.Tree
	var z tokenizer
	rapid.Check(t, func(t *rapid.T) {
		for range 20 {
			in := strings.Join(rapid.SliceOfN(parts, 0, 20).Draw(t, "script"), "")
			z.reset(&tree, []byte("<script>"+in))
			var tok token
			z.next(&tok)
			z.follow(&tok)
			z.next(&tok)
			got := ""
			if tok.kind == textToken {
				got = string(tree.Source[tok.a:tok.b])
			}
			if want := scriptOf(in); got != want {
				t.Fatalf("%q: got %q, want %q", in, got, want)
			}
		}
	})
}
