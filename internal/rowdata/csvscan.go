package rowdata

import (
	"bytes"
	"slices"
	"strings"
)

// scanner finds the cells of one CSV record. It may be given the record piece
// by piece: it then goes on where the piece before made it stop.
type scanner struct {
	special [256]bool // delimiter, CR, LF
	delim   byte
	columns int // more cells are counted, not kept

	pos     int // next byte to look at
	state   scanState
	start   int // of the cell
	escaped bool
	cells   []span
	count   int // cells, also those not kept
	size    int // of the record with its line end, once it is found
	text    int // of the record without it
	open    bool
	quoted  bool // a cell is in quotes, so line ends may be
}

// span is a cell in its record, without its quotes.
type span struct {
	from, to int
	escaped  bool // holds doubled quotes
}

type scanState int

const (
	atStart scanState = iota
	inPlain
	inQuotes
)

func (s *scanner) setDelimiter(delim byte) {
	s.delim = delim
	s.special = [256]bool{'\r': true, '\n': true}
	s.special[delim] = true
}

func (s *scanner) reset() {
	s.pos, s.state, s.cells, s.count, s.open = 0, atStart, s.cells[:0], 0, false
	s.quoted = false
}

// moved tells that n bytes in front of what is scanned are gone.
func (s *scanner) moved(n int) { s.pos, s.start = s.pos-n, 0 }

// scan looks at b, whose beginning is the record's; final: nothing follows it.
// It reports whether the record's end is found: then size, text and cells say
// where; with open, it ends within quotes.
func (s *scanner) scan(b []byte, final bool) bool {
	for s.pos < len(b) {
		switch s.state {
		case atStart:
			if s.start, s.state = s.pos, inPlain; b[s.pos] == '"' {
				s.state, s.escaped, s.quoted = inQuotes, false, true
				s.pos++
				s.start = s.pos
			}
		case inPlain:
			i := s.pos
			for i < len(b) && !s.special[b[i]] {
				i++
			}
			if s.pos = i; i == len(b) {
				break
			}
			if done, more := s.cellEnd(b, i, i, final); done || more {
				return done
			}
		case inQuotes:
			i := bytes.IndexByte(b[s.pos:], '"')
			if i < 0 {
				s.pos = len(b)
				break
			}
			i += s.pos
			if s.pos = i; i+1 == len(b) {
				if !final {
					return false // what follows decides what the quote means
				}
				s.add(i)
				return s.ended(len(b), len(b))
			}
			switch {
			case b[i+1] == '"':
				s.escaped = true
				s.pos = i + 2
			case s.special[b[i+1]]:
				if done, more := s.cellEnd(b, i, i+1, final); done || more {
					return done
				}
			default: // a quote that was not doubled
				s.pos = i + 1
			}
		}
	}
	if !final {
		return false
	}
	if s.state == atStart {
		s.start = len(b)
	}
	s.open = s.state == inQuotes
	s.add(len(b))
	return s.ended(len(b), len(b))
}

// cellEnd ends a cell before to, at the delimiter or line end at `at`. more: what
// follows has to be seen first.
func (s *scanner) cellEnd(b []byte, to, at int, final bool) (done, more bool) {
	c := b[at]
	if c == '\r' && at+1 == len(b) && !final {
		return false, true // perhaps CRLF
	}
	s.add(to)
	switch {
	case c == s.delim:
		s.pos, s.state = at+1, atStart
		return false, false
	case c == '\r' && at+1 < len(b) && b[at+1] == '\n':
		return s.ended(at, at+2), false
	}
	return s.ended(at, at+1), false
}

func (s *scanner) add(to int) {
	if s.count++; s.count <= s.columns {
		s.cells = append(s.cells, span{s.start, to, s.state == inQuotes && s.escaped})
	}
}

func (s *scanner) ended(text, size int) bool {
	s.text, s.size = text, size
	return true
}

// blank reports whether the record is an empty line.
func (s *scanner) blank() bool { return s.text == 0 }

// texts appends the cells of a record to dst. They share one copy of it.
func (s *scanner) texts(dst []string, record []byte) []string {
	text := string(record)
	dst = slices.Grow(dst, len(s.cells))
	for _, c := range s.cells {
		cell := text[c.from:c.to]
		if c.escaped {
			cell = strings.ReplaceAll(cell, `""`, `"`)
		}
		dst = append(dst, cell)
	}
	return dst
}

// lineEnd returns the length of the first line of b with its end; false: b
// has none.
func lineEnd(b []byte) (text, size int, ok bool) {
	i := bytes.IndexAny(b, "\r\n")
	switch {
	case i < 0:
		return len(b), len(b), false
	case b[i] == '\r' && i+1 < len(b) && b[i+1] == '\n':
		return i, i + 2, true
	}
	return i, i + 1, true
}

// lines counts the line ends in b.
func lines(b []byte) (n int64) {
	n = int64(bytes.Count(b, []byte{'\n'}))
	for i := 0; i < len(b); i++ {
		j := bytes.IndexByte(b[i:], '\r')
		if j < 0 {
			break
		}
		if i += j; i+1 == len(b) || b[i+1] != '\n' {
			n++
		}
	}
	return n
}
