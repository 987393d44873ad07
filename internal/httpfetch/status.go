package httpfetch

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/harrowdata/harrow"
)

// MaxRetryAfter is the longest that a Retry-After is believed.
const MaxRetryAfter = 24 * time.Hour

// Classify says what a status means by itself: outcome, class and code
// ("http_404"; empty where nothing is wrong). What it can't know is its
// caller's: that a 304 was asked for, that a 3xx has a Location and where that
// leads, how many attempts a transient status (Failed, until they are used up)
// has left.
func Classify(status int) (harrow.Outcome, harrow.Class, string) {
	code := "http_" + strconv.Itoa(status)
	switch {
	case status >= 200 && status < 300:
		return harrow.Fetched, "", ""
	case status == http.StatusNotModified:
		return harrow.NotModified, "", ""
	case status >= 300 && status < 400:
		return harrow.Redirected, "", ""
	case status == http.StatusNotFound, status == http.StatusGone:
		return harrow.Gone, harrow.Permanent, code
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusTooManyRequests,
		status >= 500 && status < 600:
		return harrow.Failed, harrow.Transient, code
	case status >= 400 && status < 500:
		return harrow.Failed, harrow.Permanent, code
	}
	return harrow.Failed, harrow.DataFault, "protocol"
}

// RetryAfter reads a Retry-After field (RFC 9110, 10.2.3): seconds or an HTTP
// date, which is taken relative to now. What is past is 0, what is more than
// [MaxRetryAfter] is that; ok is false for what is neither.
func RetryAfter(value string, now time.Time) (wait time.Duration, ok bool) {
	value = strings.Trim(value, " \t")
	if value != "" && strings.Trim(value, "0123456789") == "" {
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil || n > int64(MaxRetryAfter/time.Second) {
			return MaxRetryAfter, true
		}
		return time.Duration(n) * time.Second, true
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	return min(max(at.Sub(now), 0), MaxRetryAfter), true
}
