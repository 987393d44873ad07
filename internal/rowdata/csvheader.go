package rowdata

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// delimiters are tried in this order.
const delimiters = ",;\t"

// readHeader reads the first line. What is wrong with it ends the file.
func (c *CSV) readHeader() error {
	tried := delimiters
	if c.tabs {
		tried = "\t"
	}
	for {
		best, err := c.bestHeader(tried)
		if err != nil {
			return err
		}
		if delim, ok := saidDelimiter(best.raw); ok && c.line == 1 {
			c.accept(best)
			c.advance()
			tried = string(delim)
			continue
		}
		return c.useHeader(best)
	}
}

// candidate is the first line by one delimiter.
type candidate struct {
	delim byte
	names []string
	raw   []byte
	text  int // as of scanner
	size  int
	count int
	fault error // why it is none
}

// bestHeader reads the first line by each delimiter and returns the best.
func (c *CSV) bestHeader(tried string) (best candidate, err error) {
	for i := range len(tried) {
		one, err := c.headerBy(tried[i])
		if err != nil {
			return best, err
		}
		if i == 0 || len(one.names) > len(best.names) {
			best = one
		}
		if one.fault == nil && len(c.wanted) > 0 && len(c.lacking(one.names)) == 0 {
			best = one
			break
		}
	}
	// What was scanned last need not be the best.
	c.scanner.setDelimiter(best.delim)
	best.raw = c.w.bytes()[:best.text]
	return best, best.fault
}

// maxHeader bounds the first line: by a wrong delimiter it may seem to go on
// for ever.
const maxHeader = 1 << 20

// headerBy reads the first line that is not empty. An error is one of the
// source.
func (c *CSV) headerBy(delim byte) (candidate, error) {
	s, most := &c.scanner, min(maxHeader, c.limits.Row)
	tooLong := func() (candidate, error) {
		return candidate{delim: delim, fault: c.headFault(CodeColumns, "the first line is longer than %d bytes", most)}, nil
	}
	s.setDelimiter(delim)
	for {
		s.reset()
		for !s.scan(c.w.bytes(), c.w.err == io.EOF) {
			if len(c.w.bytes()) > most+1 { // 1: perhaps of CRLF
				return tooLong()
			}
			if !c.w.more() && c.w.err != io.EOF {
				return candidate{}, c.w.err
			}
		}
		switch {
		case s.text > most:
			return tooLong()
		case s.size == 0:
			return candidate{delim: delim, fault: c.headFault(CodeColumns, "%w", errNoHeader)}, nil
		case s.blank():
			c.used, c.usedLF = s.size, 1
			c.advance()
			continue
		case s.open:
			return candidate{delim: delim, fault: c.headFault(CodeColumns, "a quote in the first line is not closed")}, nil
		}
		one := candidate{delim: delim, text: s.text, size: s.size, count: s.count}
		for _, name := range s.texts(nil, c.w.bytes()[:s.text]) {
			one.names = append(one.names, strings.TrimSpace(name))
		}
		return one, nil
	}
}

func (c *CSV) headFault(code, format string, args ...any) error {
	b := c.w.bytes()
	text, _, _ := lineEnd(b[:min(len(b), maxHead(c.limits.Row))])
	f := c.fault(faultf(code, format, args...), b[:text])
	f.End = true
	return f
}

// saidDelimiter reads "sep=;".
func saidDelimiter(line []byte) (byte, bool) {
	if len(line) == 5 && strings.EqualFold(string(line[:4]), "sep=") {
		return line[4], line[4] != '"' && line[4] < utf8.RuneSelf
	}
	return 0, false
}

// accept notes that the line is used up.
func (c *CSV) accept(one candidate) {
	c.used, c.usedLF = one.size, lines(c.w.bytes()[:one.size])
}

// useHeader makes the candidate the header, if it will do.
func (c *CSV) useHeader(one candidate) error {
	switch {
	case one.count > c.limits.Columns:
		return c.headFault(CodeRowSize, "the first line names %d columns; at most %d are read", one.count, c.limits.Columns)
	case !utf8.Valid(one.raw):
		return c.headFault(CodeEncoding, "the first line: %w", notUTF8(one.raw))
	}
	// Columns without a name at the end are a delimiter too many.
	for len(one.names) > 1 && one.names[len(one.names)-1] == "" {
		one.names = one.names[:len(one.names)-1]
	}
	if lacking := c.lacking(one.names); len(lacking) > 0 {
		return c.headFault(CodeColumns, "the first line has no column %s; it has %s", quoted(lacking), quoted(one.names))
	}
	h := &header{names: one.names, index: make(map[string]int, len(one.names))}
	for i, name := range one.names {
		if _, twice := h.index[name]; !twice {
			h.index[name] = i
		} else if slices.Contains(c.wanted, name) {
			return c.headFault(CodeColumns, "the first line has the column %q twice", name)
		}
	}
	c.header = h
	c.accept(one)
	return nil
}

// lacking are the columns asked for that are not among the names.
func (c *CSV) lacking(names []string) (lacking []string) {
	for _, want := range c.wanted {
		if !slices.Contains(names, want) {
			lacking = append(lacking, want)
		}
	}
	return lacking
}

// maxNamed is how many columns a fault names.
const maxNamed = 50

func quoted(names []string) string {
	var b strings.Builder
	for i, name := range names {
		if i == maxNamed {
			fmt.Fprintf(&b, " and %d more", len(names)-i)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%.100q", name)
	}
	return b.String()
}
