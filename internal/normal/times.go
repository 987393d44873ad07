package normal

import (
	"errors"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // a worker's machine may have no zones
)

// maxTime bounds the text of a date or time, in bytes.
const maxTime = 128

// TimeOptions says how dates and times are written. The zero value is ISO 8601
// in UTC.
type TimeOptions struct {
	// Format is strptime's, see [NewTimes]. Empty: ISO 8601.
	Format string `json:"format,omitempty"`
	// Zone is the IANA name of the zone of texts that name none. Empty: UTC.
	Zone string `json:"zone,omitempty"`
}

// Times reads dates and times of one form. It may be used by several
// goroutines at once.
type Times struct {
	format []directive // nil: ISO 8601
	zone   *time.Location
	zoned  bool // the job names the zone
}

// NewTimes checks the options. An unknown zone or directive, and a format that
// does not tell a day, is an error.
//
// A format is text with directives: %Y (four digits), %y (two: 69 to 99 are
// 19.., 00 to 68 are 20..), %m, %d, %e, %H, %I with %p (AM, PM), %M, %S (one or two
// digits), %f (a fraction of a second, one to nine digits), %B, %b and %h (a
// month's English name, in full or three letters), %A and %a (a day's, which
// must be the day's own), %z (Z, +02:00, +0200 or +02), %Z (UTC, GMT or Z), %s
// and %Q (seconds and milliseconds since 1970), %F for %Y-%m-%d, %T for
// %H:%M:%S, %R for %H:%M, %D for %m/%d/%y, and %%. White space stands for any
// white space, or none at all around it; names ignore case.
func NewTimes(o TimeOptions) (*Times, error) {
	t := &Times{zone: time.UTC, zoned: o.Zone != ""}
	if o.Zone != "" {
		var err error
		if t.zone, err = loadZone(o.Zone); err != nil {
			return nil, err
		}
	}
	if o.Format != "" {
		var err error
		if t.format, err = compileFormat(o.Format); err != nil {
			return nil, fmt.Errorf("format %.80q: %w", o.Format, err)
		}
	}
	return t, nil
}

func loadZone(name string) (*time.Location, error) {
	z, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		return nil, fmt.Errorf("zone %.80q: want an IANA name such as Europe/Berlin", name)
	}
	return z, nil
}

// moment is what a text says of a time.
type moment struct {
	year, month, day     int
	hour, minute, second int // second: 60 is the next minute's 0
	nanos                int
	zoned                bool // offset counts
	offset               int  // seconds east of UTC
	epoch                bool // unix counts, and nothing else
	unix                 time.Time
}

// Timestamp reads a point in time, in UTC and whole µs: what is finer is cut
// off. A day alone is its midnight. Without a zone of its own the text is in
// the zone of the options; a time that this zone's clocks skip, or show twice,
// is an error.
//
// ISO 8601 here is YYYY-MM-DD or YYYYMMDD, alone or followed by T or white space
// and hh:mm, hh:mm:ss, hhmm or hhmmss, a fraction of the second after "." or ",",
// and Z, ±hh:mm, ±hhmm or ±hh. hh is 00 to 23; a leap second is the second after
// it.
func (t *Times) Timestamp(s string) (time.Time, error) {
	m, err := t.parse(s)
	var at time.Time
	if err == nil {
		at, err = t.instant(m)
	}
	if err == nil {
		err = checkYear(at)
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("%.60q: want a timestamp, %s: %w", s, t.form(), err)
	}
	return at.Truncate(time.Microsecond), nil
}

// Date reads a day, as midnight UTC. Of a text with a time of day it is the
// day that the text names; where the text has a zone of its own and the options
// have one too, it is the day in theirs.
func (t *Times) Date(s string) (time.Time, error) {
	m, err := t.parse(s)
	if err == nil && (m.epoch || m.zoned && t.zoned) {
		var at time.Time
		if at, err = t.instant(m); err == nil {
			at = at.In(t.zone)
			m.year, m.month, m.day = at.Year(), int(at.Month()), at.Day()
		}
	}
	day := time.Date(m.year, time.Month(m.month), m.day, 0, 0, 0, 0, time.UTC)
	if err == nil {
		err = checkYear(day)
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("%.60q: want a date, %s: %w", s, t.form(), err)
	}
	return day, nil
}

func checkYear(at time.Time) error {
	if y := at.Year(); y < 1 || y > 9999 {
		return fmt.Errorf("year %d; want 1 to 9999", y)
	}
	return nil
}

// form is what was expected.
func (t *Times) form() string {
	if t.format == nil {
		return "ISO 8601"
	}
	var b strings.Builder
	for _, d := range t.format {
		b.WriteString(d.String())
	}
	return b.String()
}

func (t *Times) parse(s string) (m moment, err error) {
	if len(s) > maxTime {
		return m, fmt.Errorf("longer than %d bytes", maxTime)
	}
	s = Space(s)
	if t.format == nil {
		m, err = parseISO(s)
	} else {
		m, err = parseFormat(t.format, s)
	}
	if err != nil || m.epoch {
		return m, err
	}
	return m, m.check()
}

// check reports a day or time of day that doesn't exist.
func (m *moment) check() error {
	switch {
	case m.year < 1 || m.year > 9999:
		return fmt.Errorf("year %d; want 1 to 9999", m.year)
	case m.month < 1 || m.month > 12:
		return fmt.Errorf("month %d", m.month)
	case m.day < 1 || m.day > daysIn(m.year, m.month):
		return fmt.Errorf("day %d", m.day)
	case m.hour > 23 || m.minute > 59 || m.second > 60:
		return fmt.Errorf("time of day %02d:%02d:%02d", m.hour, m.minute, m.second)
	case m.offset < -18*3600 || m.offset > 18*3600:
		return fmt.Errorf("offset of %d seconds", m.offset)
	}
	return nil
}

func daysIn(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// instant is the point in time.
func (t *Times) instant(m moment) (time.Time, error) {
	if m.epoch {
		return m.unix.UTC(), nil
	}
	wall := time.Date(m.year, time.Month(m.month), m.day, m.hour, m.minute, m.second, m.nanos, time.UTC)
	if m.zoned {
		return wall.Add(-time.Duration(m.offset) * time.Second), nil
	}
	return local(wall, t.zone)
}

var (
	errSkipped = errors.New("the zone's clocks skip this time")
	errTwice   = errors.New("the zone's clocks show this time twice; want a text with its offset from UTC")
)

// local is the point in time at which the zone's clocks show what wall shows.
func local(wall time.Time, zone *time.Location) (time.Time, error) {
	var found []time.Time
	// An offset that holds at that point holds within a day before or after.
	for _, near := range []time.Time{wall.Add(-24 * time.Hour), wall, wall.Add(24 * time.Hour)} {
		_, offset := near.In(zone).Zone()
		at := wall.Add(-time.Duration(offset) * time.Second)
		if _, own := at.In(zone).Zone(); own == offset && (len(found) == 0 || !found[0].Equal(at)) {
			found = append(found, at)
		}
	}
	switch len(found) {
	case 0:
		return time.Time{}, fmt.Errorf("%w (%s)", errSkipped, zone)
	case 1:
		return found[0], nil
	}
	return time.Time{}, fmt.Errorf("%w (%s)", errTwice, zone)
}
