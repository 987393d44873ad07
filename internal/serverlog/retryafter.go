package serverlog

import (
	"math"
	"strings"
	"time"
)

// asksForRest reports whether a Retry-After of an answer with this status asks
// the client to leave the host alone: it failed, and not for good.
func asksForRest(status int) bool {
	return status == 408 || status == 425 || status == 429 || status >= 500 && status <= 599
}

// dates are the forms of an HTTP date (RFC 9110, 5.6.7).
var dates = []string{"Mon, 02 Jan 2006 15:04:05 GMT", "Monday, 02-Jan-06 15:04:05 GMT", "Mon Jan _2 15:04:05 2006"}

// restUntil reads a Retry-After field (RFC 9110, 10.2.3), by a reading of its
// own: one that it shared with the client would hide a fault in both. It is
// zero where the field asks for nothing, or can't be read.
func restUntil(field string, now time.Time) time.Time {
	field = strings.TrimSpace(field)
	if field == "" {
		return time.Time{}
	}
	seconds, number := int64(0), true
	for _, c := range []byte(field) {
		if c < '0' || c > '9' {
			number = false
			break
		}
		if seconds = seconds*10 + int64(c-'0'); seconds > math.MaxInt32 {
			seconds = math.MaxInt32 // longer than anybody watches
		}
	}
	if number {
		if seconds == 0 {
			return time.Time{}
		}
		return now.Add(time.Duration(seconds) * time.Second)
	}
	for _, form := range dates {
		if at, err := time.Parse(form, field); err == nil {
			if at.After(now) {
				return at
			}
			break
		}
	}
	return time.Time{}
}
