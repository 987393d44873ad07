package html5

// next reads the next token.
func (z *tokenizer) next(tok *token) {
	*tok = token{kind: eofToken}
}
