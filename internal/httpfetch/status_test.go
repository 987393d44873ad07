package httpfetch

import (
	"testing"
	"time"

	"github.com/harrowdata/harrow"
)

func TestClassify(t *testing.T) {
	for _, test := range []struct {
		status  int
		outcome harrow.Outcome
		class   harrow.Class
		code    string
	}{
		{200, harrow.Fetched, "", ""}, {204, harrow.Fetched, "", ""}, {299, harrow.Fetched, "", ""},
		{304, harrow.NotModified, "", ""},
		{301, harrow.Redirected, "", ""}, {308, harrow.Redirected, "", ""},
		{404, harrow.Gone, harrow.Permanent, "http_404"}, {410, harrow.Gone, harrow.Permanent, "http_410"},
		{400, harrow.Failed, harrow.Permanent, "http_400"}, {403, harrow.Failed, harrow.Permanent, "http_403"}, {451, harrow.Failed, harrow.Permanent, "http_451"},
		{408, harrow.Failed, harrow.Transient, "http_408"}, {425, harrow.Failed, harrow.Transient, "http_425"},
		{429, harrow.Failed, harrow.Transient, "http_429"}, {500, harrow.Failed, harrow.Transient, "http_500"}, {599, harrow.Failed, harrow.Transient, "http_599"},
		{0, harrow.Failed, harrow.DataFault, "protocol"}, {101, harrow.Failed, harrow.DataFault, "protocol"}, {600, harrow.Failed, harrow.DataFault, "protocol"},
	} {
		outcome, class, code := Classify(test.status)
		if outcome != test.outcome || class != test.class || code != test.code {
			t.Errorf("%d: %s %s %s; want %s %s %s", test.status, outcome, class, code, test.outcome, test.class, test.code)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"0": 0, "120": 2 * time.Minute, " 5 ": 5 * time.Second, "86401": MaxRetryAfter, "99999999999999999999999": MaxRetryAfter,
		"Sun, 01 Mar 2026 12:01:00 GMT":  time.Minute,
		"Sunday, 01-Mar-26 12:01:00 GMT": time.Minute,
		"Sun Mar  1 12:01:00 2026":       time.Minute,
		"Sun, 01 Mar 2026 11:00:00 GMT":  0,
		"Fri, 31 Dec 9999 23:59:59 GMT":  MaxRetryAfter,
		"":                               -1, "-1": -1, "1.5": -1, "soon": -1, "5s": -1, "+5": -1,
	} {
		got, ok := RetryAfter(value, now)
		if ok != (want >= 0) || ok && got != want {
			t.Errorf("RetryAfter(%q) is %v, %v; want %v", value, got, ok, want)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{"120", "0", "99999999999999999999", "-1", "Sun, 01 Mar 2026 12:01:00 GMT", "Sunday, 01-Mar-26 12:01:00 GMT", "Sun Mar  1 12:01:00 2026", "", "soon"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		// Before, about and behind what the dates say.
		for _, now := range []time.Time{time.Unix(0, 0), time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)} {
			wait, ok := RetryAfter(value, now)
			if wait < 0 || wait > MaxRetryAfter || !ok && wait != 0 {
				t.Errorf("%q gave %v, %v at %v", value, wait, ok, now)
			}
		}
	})
}
