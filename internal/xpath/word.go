package xpath

import (
	"strconv"
	"strings"
)

// hasWord is how XPath 1.0 asks for a class:
//
//	contains(concat(' ', normalize-space(@class), ' '), ' name ')
//
// which looks for the word without putting a text together. It is the same
// without normalize-space, but for other white space than spaces.
type hasWord struct {
	of     expr
	word   string
	spaces string // what is between words
}

// newHasWord returns false if the arguments of contains aren't those.
func newHasWord(args []expr) (*hasWord, bool) {
	const space = literal(" ")
	around, ok := args[0].(*call)
	needle, ok2 := args[1].(literal)
	if !ok || !ok2 || around.name != "concat" || len(around.args) != 3 || around.args[0] != space || around.args[2] != space {
		return nil, false
	}
	word, ok := strings.CutPrefix(string(needle), " ")
	word, ok2 = strings.CutSuffix(word, " ")
	if !ok || !ok2 || word == "" || strings.ContainsAny(word, xmlSpace) {
		return nil, false
	}
	w := &hasWord{around.args[1], word, " "}
	if normal, ok := w.of.(*call); ok && normal.name == "normalize-space" {
		w.of, w.spaces = normal.args[0], xmlSpace
	}
	return w, true
}

func (w *hasWord) kind() kind               { return boolKind }
func (w *hasWord) positional() bool         { return w.of.positional() }
func (w *hasWord) text(c context) string    { return strconv.FormatBool(w.truth(c)) }
func (w *hasWord) number(c context) float64 { return oneIf(w.truth(c)) }

func (w *hasWord) truth(c context) bool {
	m := c.run.mark()
	s := w.of.text(c)
	c.run.spend(1 + len(s)/64)
	found := false
	for at := 0; !found; {
		i := strings.Index(s[at:], w.word)
		if i < 0 {
			break
		}
		begin := at + i
		at = begin + len(w.word)
		found = (begin == 0 || strings.IndexByte(w.spaces, s[begin-1]) >= 0) && (at == len(s) || strings.IndexByte(w.spaces, s[at]) >= 0)
	}
	c.run.cut(m)
	return found
}
