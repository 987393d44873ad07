package cookies

import (
	"strconv"
	"strings"
	"time"
)

// parseDate reads an Expires attribute as RFC 6265, 5.1.1 has it: the first
// token that can be a time is the time, and so on for day, month and year, in
// any order and with anything between them.
func parseDate(text string) (time.Time, bool) {
	var d date
	for token := range strings.FieldsFuncSeq(text, isDelimiter) {
		d.take(token)
	}
	if d.year >= 70 && d.year <= 99 {
		d.year += 1900
	} else if d.year >= 0 && d.year <= 69 {
		d.year += 2000
	}
	if !d.hasTime || d.day < 1 || d.day > 31 || d.month == 0 || !d.hasYear || d.year < 1601 || d.hour > 23 || d.minute > 59 || d.second > 59 {
		return time.Time{}, false
	}
	t := time.Date(d.year, d.month, d.day, d.hour, d.minute, d.second, 0, time.UTC)
	return t, t.Day() == d.day
}

type date struct {
	hour, minute, second, day, year int
	month                           time.Month
	hasTime, hasYear                bool
}

// take uses a token for the first thing that is missing and that it can be.
func (d *date) take(token string) {
	switch {
	case !d.hasTime && d.time(token):
	case d.day == 0 && startNumber(token, 1, 2, &d.day):
	case d.month == 0 && d.named(token):
	case !d.hasYear && startNumber(token, 2, 4, &d.year):
		d.hasYear = true
	}
}

func (d *date) time(token string) bool {
	h, rest, ok := strings.Cut(token, ":")
	m, s, ok2 := strings.Cut(rest, ":")
	d.hasTime = ok && ok2 && wholeNumber(h, &d.hour) && wholeNumber(m, &d.minute) && startNumber(s, 1, 2, &d.second)
	return d.hasTime
}

const months = "janfebmaraprmayjunjulaugsepoctnovdec"

func (d *date) named(token string) bool {
	if len(token) < 3 {
		return false
	}
	i := strings.Index(months, strings.ToLower(token[:3]))
	if i < 0 || i%3 != 0 {
		return false
	}
	d.month = time.Month(i/3 + 1)
	return true
}

// wholeNumber reads one or two digits.
func wholeNumber(text string, to *int) bool { return len(text) <= 2 && startNumber(text, 1, 2, to) }

// startNumber reads the digits that a text begins with, if there are as many as
// they may be.
func startNumber(text string, least, most int, to *int) bool {
	n := 0
	for n < len(text) && text[n] >= '0' && text[n] <= '9' {
		n++
	}
	if n < least || n > most {
		return false
	}
	v, err := strconv.Atoi(text[:n])
	if err != nil {
		return false
	}
	*to = v
	return true
}

func isDelimiter(r rune) bool {
	return r == '\t' || r >= 0x20 && r <= 0x2f || r >= 0x3b && r <= 0x40 || r >= 0x5b && r <= 0x60 || r >= 0x7b && r <= 0x7e
}
