package normal

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// directive is one piece of a format: a letter, or text that must stand there.
type directive struct {
	letter byte // 0: text; ' ': white space
	text   string
}

func (d directive) String() string {
	switch d.letter {
	case 0:
		return strings.ReplaceAll(d.text, "%", "%%")
	case ' ':
		return " "
	}
	return "%" + string(d.letter)
}

// compound directives stand for others.
var compound = map[byte]string{'F': "%Y-%m-%d", 'T': "%H:%M:%S", 'R': "%H:%M", 'D': "%m/%d/%y"}

// sameAs are directives that read the same.
var sameAs = map[byte]byte{'e': 'd', 'b': 'B', 'h': 'B', 'a': 'A', 'n': ' ', 't': ' '}

const knownDirectives = "YymdHIMSfpBAzZsQ "

func compileFormat(format string) ([]directive, error) {
	var list []directive
	for rest := format; rest != ""; {
		if i := strings.IndexByte(rest, '%'); i != 0 {
			if i < 0 {
				i = len(rest)
			}
			list = appendText(list, rest[:i])
			rest = rest[i:]
			continue
		}
		if len(rest) == 1 {
			return nil, errors.New("a % without a letter behind it")
		}
		letter := rest[1]
		rest = rest[2:]
		switch same := sameAs[letter]; {
		case letter == '%':
			list = append(list, directive{text: "%"})
		case compound[letter] != "":
			rest = compound[letter] + rest
		case same != 0:
			list = append(list, directive{letter: same})
		case strings.IndexByte(knownDirectives, letter) >= 0 && letter != ' ':
			list = append(list, directive{letter: letter})
		default:
			return nil, fmt.Errorf("%%%c is not known; want one of %%Y %%y %%m %%d %%e %%H %%I %%p %%M %%S %%f %%B %%b %%h %%A %%a %%z %%Z %%s %%Q %%F %%T %%R %%D %%%%", letter)
		}
	}
	return list, checkDirectives(list)
}

// appendText cuts text at its white space.
func appendText(list []directive, text string) []directive {
	for text != "" {
		i := strings.IndexAny(text, " \t\r\n")
		switch {
		case i < 0:
			return append(list, directive{text: text})
		case i > 0:
			list = append(list, directive{text: text[:i]})
		}
		list = append(list, directive{letter: ' '})
		text = strings.TrimLeft(text[i:], " \t\r\n")
	}
	return list
}

// checkDirectives wants a format that tells a day in one way.
func checkDirectives(list []directive) error {
	has := map[byte]bool{}
	for _, d := range list {
		if d.letter == 0 || d.letter == ' ' {
			continue
		}
		if has[d.letter] {
			return fmt.Errorf("%%%c comes twice", d.letter)
		}
		has[d.letter] = true
	}
	epoch := has['s'] || has['Q']
	switch {
	case epoch && len(has) > 1:
		return errors.New("%s and %Q stand alone")
	case epoch:
		return nil
	case has['Y'] == has['y']:
		return errors.New("want one of %Y and %y")
	case has['m'] == has['B']:
		return errors.New("want one of %m and %B (or %b)")
	case !has['d']:
		return errors.New("want %d")
	case has['H'] && has['I']:
		return errors.New("want one of %H and %I")
	case has['I'] != has['p']:
		return errors.New("want %I and %p together")
	case has['z'] && has['Z']:
		return errors.New("want one of %z and %Z")
	case has['M'] && !has['H'] && !has['I'], has['S'] && !has['M'], has['f'] && !has['S']:
		return errors.New("want hours before minutes, minutes before seconds and seconds before their fraction")
	}
	return nil
}

var (
	months = []string{"january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december"}
	days   = []string{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"}
)

// scanner goes through a text.
type scanner struct{ rest string }

// number takes between least and most digits.
func (s *scanner) number(least, most int) (int, error) {
	n := 0
	for n < len(s.rest) && n < most && '0' <= s.rest[n] && s.rest[n] <= '9' {
		n++
	}
	if n < least {
		return 0, fmt.Errorf("at %.20q: want %d digits", s.rest, least)
	}
	v, err := strconv.Atoi(s.rest[:n])
	s.rest = s.rest[n:]
	return v, err
}

// name takes one of the names, or its first three letters, and returns its
// index.
func (s *scanner) name(names []string, what string) (int, error) {
	n := 0
	for n < len(s.rest) && 'a' <= s.rest[n]|0x20 && s.rest[n]|0x20 <= 'z' {
		n++
	}
	word := strings.ToLower(s.rest[:n])
	i := slices.IndexFunc(names, func(name string) bool { return word == name || word == name[:3] })
	if i < 0 {
		return 0, fmt.Errorf("at %.20q: want the English name of a %s", s.rest, what)
	}
	s.rest = s.rest[n:]
	return i, nil
}

func (s *scanner) cut(prefix string) bool {
	rest, ok := strings.CutPrefix(s.rest, prefix)
	s.rest = rest
	return ok
}

// offset takes Z, ±hh:mm, ±hhmm or ±hh.
func (s *scanner) offset() (seconds int, err error) {
	if s.cut("Z") || s.cut("z") {
		return 0, nil
	}
	negative := s.cut("-") || s.cut("\u2212")
	if !negative && !s.cut("+") {
		return 0, fmt.Errorf("at %.20q: want Z or an offset such as +02:00", s.rest)
	}
	hours, err := s.number(2, 2)
	if err != nil {
		return 0, err
	}
	minutes := 0
	if s.cut(":") || s.rest != "" && '0' <= s.rest[0] && s.rest[0] <= '9' {
		if minutes, err = s.number(2, 2); err != nil {
			return 0, err
		}
	}
	if minutes > 59 {
		return 0, fmt.Errorf("an offset of %d minutes", minutes)
	}
	seconds = hours*3600 + minutes*60
	if negative {
		seconds = -seconds
	}
	return seconds, nil
}

// fraction takes the digits behind the point of a second.
func (s *scanner) fraction() (nanos int, err error) {
	before := len(s.rest)
	nanos, err = s.number(1, 9)
	for range 9 - (before - len(s.rest)) {
		nanos *= 10
	}
	return nanos, err
}

// parseFormat reads a text by a format.
func parseFormat(format []directive, text string) (m moment, err error) {
	s := &scanner{text}
	weekday, half, twelve := -1, "", false
	for _, d := range format {
		switch d.letter {
		case 0:
			if !s.cut(d.text) {
				err = fmt.Errorf("at %.20q: want %q", s.rest, d.text)
			}
		case ' ':
			s.cut(" ")
		case 'A':
			weekday, err = s.name(days, "day")
		case 'p':
			if len(s.rest) >= 2 {
				half, s.rest = strings.ToUpper(s.rest[:2]), s.rest[2:]
			}
			if half != "AM" && half != "PM" {
				err = errors.New("want AM or PM")
			}
		case 's', 'Q':
			m.epoch = true
			m.unix, err = s.epoch(d.letter)
		default:
			twelve = twelve || d.letter == 'I'
			err = m.scan(d.letter, s)
		}
		if err != nil {
			return m, err
		}
	}
	if s.rest != "" {
		return m, fmt.Errorf("%.20q is left over", s.rest)
	}
	if twelve {
		if m.hour < 1 || m.hour > 12 {
			return m, fmt.Errorf("hour %d %s", m.hour, half)
		}
		m.hour %= 12
		if half == "PM" {
			m.hour += 12
		}
	}
	if weekday >= 0 && m.check() == nil {
		if is := time.Date(m.year, time.Month(m.month), m.day, 0, 0, 0, 0, time.UTC).Weekday(); int(is) != weekday {
			return m, fmt.Errorf("the day is a %s", is)
		}
	}
	return m, nil
}

// scan reads what sets one field.
func (m *moment) scan(letter byte, s *scanner) (err error) {
	switch letter {
	case 'Y':
		m.year, err = s.number(4, 4)
	case 'y':
		if m.year, err = s.number(2, 2); m.year < 69 {
			m.year += 100
		}
		m.year += 1900
	case 'm':
		m.month, err = s.number(1, 2)
	case 'B':
		m.month, err = s.name(months, "month")
		m.month++
	case 'd':
		m.day, err = s.number(1, 2)
	case 'H', 'I':
		m.hour, err = s.number(1, 2)
	case 'M':
		m.minute, err = s.number(1, 2)
	case 'S':
		m.second, err = s.number(1, 2)
	case 'f':
		m.nanos, err = s.fraction()
	case 'z':
		m.offset, err = s.offset()
		m.zoned = true
	case 'Z':
		m.zoned = true
		if !s.cut("UTC") && !s.cut("GMT") && !s.cut("Z") {
			err = fmt.Errorf("at %.20q: want UTC, GMT or Z", s.rest)
		}
	}
	return err
}

// epoch takes seconds (s) or milliseconds (Q) since 1970.
func (s *scanner) epoch(unit byte) (time.Time, error) {
	text := s.rest
	s.rest = ""
	unsigned := strings.TrimPrefix(text, "-")
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || !digits(unsigned) {
		return time.Time{}, fmt.Errorf("at %.20q: want a whole number", text)
	}
	if unit == 'Q' {
		return time.UnixMilli(n).UTC(), nil
	}
	if n < -1e12 || n > 1e12 { // beyond any year here, and of what time.Unix takes
		return time.Time{}, fmt.Errorf("%d seconds since 1970", n)
	}
	return time.Unix(n, 0).UTC(), nil
}

// parseISO reads the forms of ISO 8601 that Timestamp names.
func parseISO(text string) (m moment, err error) {
	s := &scanner{text}
	if m.year, err = s.number(4, 4); err != nil {
		return m, err
	}
	extended := s.cut("-")
	if m.month, err = s.number(2, 2); err != nil {
		return m, err
	}
	if extended && !s.cut("-") {
		return m, fmt.Errorf("at %.20q: want -", s.rest)
	}
	if m.day, err = s.number(2, 2); err != nil || s.rest == "" {
		return m, err
	}
	if !s.cut("T") && !s.cut("t") && !s.cut(" ") {
		return m, fmt.Errorf("%.20q is left over", s.rest)
	}
	if err = m.isoTime(s); err != nil {
		return m, err
	}
	s.cut(" ")
	if s.rest != "" {
		m.zoned = true
		m.offset, err = s.offset()
	}
	if err == nil && s.rest != "" {
		err = fmt.Errorf("%.20q is left over", s.rest)
	}
	return m, err
}

func (m *moment) isoTime(s *scanner) (err error) {
	if m.hour, err = s.number(2, 2); err != nil {
		return err
	}
	colon := s.cut(":")
	if m.minute, err = s.number(2, 2); err != nil {
		return err
	}
	if colon && !s.cut(":") || !colon && (s.rest == "" || s.rest[0] < '0' || s.rest[0] > '9') {
		return nil
	}
	if m.second, err = s.number(2, 2); err != nil {
		return err
	}
	if s.cut(".") || s.cut(",") {
		m.nanos, err = s.fraction()
		for s.rest != "" && '0' <= s.rest[0] && s.rest[0] <= '9' { // finer than ns
			s.rest = s.rest[1:]
		}
	}
	return err
}
