package audit

import (
	"strings"
	"time"
)

// MaxRest is the longest that a Retry-After is believed.
const MaxRest = 24 * time.Hour

// AsksForRest reports whether a Retry-After of an answer with this status asks
// its client to leave the host alone. RFC 9110 gives the field a meaning with
// 503 and 3xx, RFC 6585 with 429; it is taken to be meant wherever the answer is
// none.
func AsksForRest(status int) bool { return status >= 300 && status <= 599 }

// dates are the forms of an HTTP date (RFC 9110, 5.6.7).
var dates = []string{"Mon, 02 Jan 2006 15:04:05 GMT", "Monday, 02-Jan-06 15:04:05 GMT", "Mon Jan _2 15:04:05 2006"}

// RestUntil reads a Retry-After field (RFC 9110, 10.2.3) of an answer that
// ended at a time; zero where the field asks for nothing, or can't be read.
//
// It shares nothing with what the client reads the field with: one fault would
// hide in both.
func RestUntil(field string, at time.Time) time.Time {
	field = strings.TrimSpace(field)
	if field == "" {
		return time.Time{}
	}
	until, number := seconds(field, at)
	if !number {
		for _, form := range dates {
			if t, err := time.Parse(form, field); err == nil {
				until = t
				break
			}
		}
	}
	switch longest := at.Add(MaxRest); {
	case !until.After(at):
		return time.Time{}
	case until.After(longest):
		return longest
	}
	return until
}

// seconds reads a number of seconds after at; what is longer than MaxRest may
// be any such.
func seconds(field string, at time.Time) (until time.Time, ok bool) {
	n := time.Duration(0)
	for _, c := range []byte(field) {
		if c < '0' || c > '9' {
			return time.Time{}, false
		}
		n = min(n*10+time.Duration(c-'0'), 2*MaxRest/time.Second)
	}
	return at.Add(n * time.Second), true
}
