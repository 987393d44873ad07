package harrow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is a time span, written "30s", "5m" or "1h30m" (units ns, us, ms,
// s, m, h); never negative in a job file.
type Duration time.Duration

// String writes the shortest form that [Duration.UnmarshalText] reads back.
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v < 0 {
		return fmt.Errorf("%.40q is no duration; expected a number and a unit: 200ms, 30s, 5m, 1h30m", text)
	}
	*d = Duration(v)
	return nil
}

// ByteSize is a number of bytes, written "64KiB", "10MiB", "1GiB" (powers of
// 1024), "10kB", "10MB", "1GB" (powers of 1000) or plain.
type ByteSize int64

// Units of [ByteSize].
const (
	KiB ByteSize = 1 << 10
	MiB ByteSize = 1 << 20
	GiB ByteSize = 1 << 30
	TiB ByteSize = 1 << 40
)

var byteUnits = []struct {
	name string
	size ByteSize
}{
	{"TiB", TiB}, {"GiB", GiB}, {"MiB", MiB}, {"KiB", KiB},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1},
}

// String writes the size in the largest power of 1024 that leaves a whole
// number.
func (b ByteSize) String() string {
	for _, u := range byteUnits[:4] {
		if b != 0 && b%u.size == 0 {
			return strconv.FormatInt(int64(b/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10) + "B"
}

// MarshalText implements encoding.TextMarshaler.
func (b ByteSize) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *ByteSize) UnmarshalText(text []byte) error {
	number, unit := strings.TrimSpace(string(text)), ByteSize(1)
	for _, u := range byteUnits {
		if n, ok := strings.CutSuffix(number, u.name); ok {
			number, unit = strings.TrimSpace(n), u.size
			break
		}
	}
	n, err := strconv.ParseUint(number, 10, 63)
	if err != nil || n > uint64(math.MaxInt64/int64(unit)) {
		return fmt.Errorf("%.40q is no size; expected a whole number and a unit: 64KiB, 10MiB, 1GiB", text)
	}
	*b = ByteSize(n) * unit
	return nil
}

// Auto is a number that may be left to Harrow: 0 is "auto".
type Auto int

// String writes "auto" or the number.
func (a Auto) String() string {
	if a == 0 {
		return "auto"
	}
	return strconv.Itoa(int(a))
}

// MarshalText implements encoding.TextMarshaler.
func (a Auto) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *Auto) UnmarshalText(text []byte) error {
	if string(text) == "auto" {
		*a = 0
		return nil
	}
	n, err := strconv.Atoi(string(text))
	if err != nil || n < 1 || n > 65536 {
		return fmt.Errorf("%.40q; expected auto or a whole number from 1 to 65536", text)
	}
	*a = Auto(n)
	return nil
}

// Rate is a number of starts in a time, written "5/s", "30/m", "100/h" or
// "500/d". The zero Rate is none.
type Rate struct {
	Count int           // starts, at least 1
	Per   time.Duration // in this time: a second, minute, hour or day
}

var rateUnits = map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}

// IsZero reports whether there is no rate.
func (r Rate) IsZero() bool { return r == Rate{} }

// Interval is the time between starts, rounded up to whole nanoseconds; 0 for
// the zero Rate.
func (r Rate) Interval() time.Duration {
	if r.Count <= 0 {
		return 0
	}
	n := time.Duration(r.Count)
	interval := r.Per / n
	if r.Per%n != 0 {
		interval++
	}
	return interval
}

// String writes what [Rate.UnmarshalText] reads; empty for the zero Rate.
func (r Rate) String() string {
	for unit, per := range rateUnits {
		if r.Per == per {
			return strconv.Itoa(r.Count) + "/" + unit
		}
	}
	return ""
}

// MarshalText implements encoding.TextMarshaler.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *Rate) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*r = Rate{}
		return nil
	}
	count, unit, _ := strings.Cut(string(text), "/")
	n, err := strconv.Atoi(count)
	if per := rateUnits[unit]; err == nil && n >= 1 && per > 0 {
		*r = Rate{n, per}
		return nil
	}
	return fmt.Errorf("%.40q is no rate; expected a whole number over a unit: 5/s, 30/m, 100/h, 500/d", text)
}

// Sitemaps says where sitemaps come from; the zero value is none.
type Sitemaps struct {
	Auto bool     // the Sitemap lines of robots.txt
	URLs []string // else these: sitemaps or indexes, .gz too
}

// IsZero reports whether no sitemap is asked for.
func (s Sitemaps) IsZero() bool { return !s.Auto && len(s.URLs) == 0 }

// MarshalJSON writes "auto" or the list of URLs.
func (s Sitemaps) MarshalJSON() ([]byte, error) {
	if s.Auto {
		return json.Marshal("auto")
	}
	return json.Marshal(s.URLs)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (s *Sitemaps) UnmarshalJSON(data []byte) error {
	var urls []string
	if json.Unmarshal(data, &urls) == nil {
		*s = Sitemaps{URLs: urls}
		return nil
	}
	if string(data) != `"auto"` {
		return fmt.Errorf("%.80s; expected auto or a list of URLs", data)
	}
	*s = Sitemaps{Auto: true}
	return nil
}

// Scalar is a text, number, truth value or null as its JSON literal, so that
// 1.10 keeps its digits. The zero Scalar is "not said", which null is not.
type Scalar string

// TextScalar returns the scalar of a text.
func TextScalar(text string) Scalar {
	b, _ := json.Marshal(text) // a string always marshals
	return Scalar(b)
}

// IsSet reports whether there is a value, be it null.
func (s Scalar) IsSet() bool { return s != "" }

// IsNull reports whether the value is null.
func (s Scalar) IsNull() bool { return s == "null" }

// Text returns a text's characters, and the literal of anything else ("12",
// "true"); empty for null and for the zero Scalar.
func (s Scalar) Text() string {
	if s == "" || s.IsNull() {
		return ""
	}
	var text string
	if s[0] == '"' && json.Unmarshal([]byte(s), &text) == nil {
		return text
	}
	return string(s)
}

// MarshalJSON writes the literal; the zero Scalar is null.
func (s Scalar) MarshalJSON() ([]byte, error) {
	if s == "" {
		return []byte("null"), nil
	}
	return []byte(s), nil
}

// UnmarshalJSON takes any literal; a list or an object is an error.
func (s *Scalar) UnmarshalJSON(data []byte) error {
	data = bytes.TrimSpace(data)
	if len(data) == 0 || data[0] == '[' || data[0] == '{' {
		return fmt.Errorf("%.40s; expected a text, number, true, false or null", data)
	}
	*s = Scalar(data)
	return nil
}
