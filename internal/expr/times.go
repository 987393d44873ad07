package expr

import (
	"fmt"
	"time"
)

// ParseDate reads YYYY-MM-DD as days since 1970-01-01.
func ParseDate(s string) (int64, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil || t.Year() < 1 {
		return 0, fmt.Errorf("%.60q is no date; expected YYYY-MM-DD", s)
	}
	return t.Unix() / secondsOfDay, nil
}

// zoned are the forms of a timestamp with a zone, those after them of one
// without: it is UTC then.
var stampLayouts = []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999", "2006-01-02T15:04", "2006-01-02 15:04", time.DateOnly}

// ParseTimestamp reads ISO 8601 as microseconds since 1970-01-01 UTC; without
// a zone it is UTC, a date alone its midnight. More digits than microseconds
// are an error.
func ParseTimestamp(s string) (int64, error) {
	for _, layout := range stampLayouts {
		t, err := time.Parse(layout, s)
		if err != nil {
			continue
		}
		if y := t.UTC().Year(); y < 1 || y > 9999 || t.Nanosecond()%1000 != 0 {
			break
		}
		return t.UnixMicro(), nil
	}
	return 0, fmt.Errorf("%.60q is no timestamp; expected one like 2024-05-01T12:00:00Z", s)
}

const microsOfDay = secondsOfDay * 1_000_000

// dayOf is the day of a timestamp.
func dayOf(micros int64) int64 {
	d := micros / microsOfDay
	if micros%microsOfDay < 0 {
		d--
	}
	return d
}
