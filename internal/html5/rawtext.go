package html5

import (
	"bytes"

	"github.com/harrowdata/harrow/internal/dom"
)

// special reads a token of a state other than the data state; false: what it
// read makes none.
func (z *tokenizer) special(tok *token) bool {
	i, end := z.pos, len(z.src)
	switch z.state {
	case scriptDataState:
		end = z.scriptEnd(i)
	case rcdataState, rawtextState:
		end = z.rawEnd(i)
	}
	if end == i {
		z.state = dataState
		return z.endTag(tok, i)
	}
	*tok = token{kind: textToken}
	if z.state == rcdataState && z.hasRef(i, end) {
		tok.flags = dom.Refs
	}
	a, b, in := z.replaced(i, end)
	tok.a, tok.b, tok.flags = a, b, tok.flags|in
	z.pos = end
	return true
}

// rawEnd is where the end tag is that ends a text from i on, or the page.
func (z *tokenizer) rawEnd(i int) int {
	for {
		if i = indexFrom(z.src, i, '<'); i == len(z.src) || z.isEnd(i) {
			return i
		}
		i++
	}
}

// isEnd reports whether the < at i begins an appropriate end tag, which tree
// construction waits for.
func (z *tokenizer) isEnd(i int) bool {
	rest := z.src[i+1:]
	if len(rest) == 0 || rest[0] != '/' || z.last == noName {
		return false
	}
	return isWord(rest[1:], z.tree.NameOf(z.last))
}

// isWord reports whether text begins with a word of letters, in capitals or not,
// and goes on as behind a tag's name.
func isWord(text []byte, word string) bool {
	if !hasPrefixFold(text, word) || len(text) == len(word) || class[text[len(word)]]&endsTag == 0 {
		return false
	}
	for _, c := range text[:len(word)] {
		if class[c]&isLetter == 0 {
			return false
		}
	}
	return true
}

// scriptEnd is rawEnd for a script, where </script> is text between <script and
// </script in what <!-- begins (13.2.5.15 and on).
func (z *tokenizer) scriptEnd(i int) int {
	src := z.src
	escaped, double := false, false
	for {
		next := indexFrom(src, i, '<')
		if escaped {
			// i-2 is no earlier than the dashes of <!--, which may be those of -->.
			if k := bytes.Index(src[i-2:next], []byte("-->")); k >= 0 {
				escaped, double = false, false
				i += k + 1
				continue
			}
		}
		if next == len(src) {
			return next
		}
		i = next + 1
		switch rest := src[i:]; {
		case !escaped:
			if z.isEnd(next) {
				return next
			}
			if escaped = bytes.HasPrefix(rest, []byte("!--")); escaped {
				i += len("!--")
			}
		case double:
			double = !(len(rest) > 0 && rest[0] == '/' && isWord(rest[1:], "script"))
		case z.isEnd(next):
			return next
		default:
			double = isWord(rest, "script")
		}
	}
}
