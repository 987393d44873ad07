package xpath

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// tokenKind is what a token is, by itself and by what stands before it
// (section 3.7).
type tokenKind int

const (
	endToken      tokenKind = iota
	symbolToken             // ( ) [ ] . .. @ , :: / //
	operatorToken           // and or mod div * | + - = != < <= > >=
	nameToken               // NCName, QName, *, NCName:*
	literalToken
	numberToken
)

type token struct {
	kind   tokenKind
	text   string
	number float64
	at     int // byte offset
}

// lex cuts an expression into tokens, the last of which is the end.
func lex(text string) ([]token, error) {
	var tokens []token
	for at := 0; ; {
		for at < len(text) && strings.IndexByte(" \t\r\n", text[at]) >= 0 {
			at++
		}
		if at == len(text) {
			return append(tokens, token{kind: endToken, at: at}), nil
		}
		t, n, err := lexOne(text[at:], operatorMayFollow(tokens))
		if err != nil {
			return nil, fmt.Errorf("at byte %d: %w", at, err)
		}
		t.at = at
		tokens = append(tokens, t)
		at += n
	}
}

// operatorMayFollow: "If there is a preceding token and the preceding token is
// not one of @, ::, (, [, , or an Operator, then a * must be recognized as a
// MultiplyOperator and an NCName must be recognized as an OperatorName."
func operatorMayFollow(tokens []token) bool {
	if len(tokens) == 0 {
		return false
	}
	switch last := tokens[len(tokens)-1]; last.kind {
	case operatorToken:
		return false
	case symbolToken:
		return last.text == ")" || last.text == "]" || last.text == "." || last.text == ".."
	}
	return true
}

func lexOne(rest string, operator bool) (token, int, error) {
	c := rest[0]
	switch {
	case c == '"' || c == '\'':
		end := strings.IndexByte(rest[1:], c)
		if end < 0 {
			return token{}, 0, fmt.Errorf("a text without its closing %c", c)
		}
		return token{kind: literalToken, text: rest[1 : 1+end]}, end + 2, nil
	case '0' <= c && c <= '9' || c == '.' && len(rest) > 1 && '0' <= rest[1] && rest[1] <= '9':
		return lexNumber(rest)
	case c == '*':
		if operator {
			return token{kind: operatorToken, text: "*"}, 1, nil
		}
		return token{kind: nameToken, text: "*"}, 1, nil
	}
	for _, s := range []string{"//", "..", "::", "/", ".", "@", ",", "(", ")", "[", "]"} {
		if strings.HasPrefix(rest, s) {
			return token{kind: symbolToken, text: s}, len(s), nil
		}
	}
	for _, s := range []string{"!=", "<=", ">=", "=", "<", ">", "|", "+", "-"} {
		if strings.HasPrefix(rest, s) {
			return token{kind: operatorToken, text: s}, len(s), nil
		}
	}
	n := ncName(rest)
	switch {
	case c == '$':
		return token{}, 0, fmt.Errorf("variables are not supported")
	case n == 0:
		r, _ := utf8.DecodeRuneInString(rest)
		return token{}, 0, fmt.Errorf("unexpected %q", r)
	case operator:
		switch name := rest[:n]; name {
		case "and", "or", "mod", "div":
			return token{kind: operatorToken, text: name}, n, nil
		}
		return token{}, 0, fmt.Errorf("got %.40q; want an operator", rest[:n])
	}
	if n < len(rest) && rest[n] == ':' && !strings.HasPrefix(rest[n:], "::") {
		if strings.HasPrefix(rest[n:], ":*") {
			return token{kind: nameToken, text: rest[:n+2]}, n + 2, nil
		}
		local := ncName(rest[n+1:])
		if local == 0 {
			return token{}, 0, fmt.Errorf("a prefix without a name: %.40q", rest[:n+1])
		}
		n += 1 + local
	}
	return token{kind: nameToken, text: rest[:n]}, n, nil
}

// lexNumber: Digits ('.' Digits?)? | '.' Digits.
func lexNumber(rest string) (token, int, error) {
	n, points := 0, 0
	for n < len(rest) && ('0' <= rest[n] && rest[n] <= '9' || rest[n] == '.' && points == 0) {
		if rest[n] == '.' {
			points++
		}
		n++
	}
	f, err := strconv.ParseFloat(rest[:n], 64)
	if err != nil && f == 0 { // too large is infinite
		return token{}, 0, fmt.Errorf("number %.40q: %w", rest[:n], err)
	}
	return token{kind: numberToken, text: rest[:n], number: f}, n, nil
}

// ncName is the length of the name without colon that rest begins with.
func ncName(rest string) int {
	for i, r := range rest {
		switch {
		case r == '_' || unicode.IsLetter(r):
		case i > 0 && (r == '-' || r == '.' || r == '\u00B7' || unicode.IsDigit(r) || unicode.Is(unicode.M, r)):
		default:
			return i
		}
	}
	return len(rest)
}
