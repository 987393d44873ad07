package normal

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func times(t testing.TB, format, zone string) *Times {
	t.Helper()
	read, err := NewTimes(TimeOptions{Format: format, Zone: zone})
	if err != nil {
		t.Fatal(err)
	}
	return read
}

// show is the outcome of a reading: the time, or what the error says after
// its colon.
func show(at time.Time, err error) string {
	if err != nil {
		return "!" + err.Error()
	}
	return at.Format(time.RFC3339Nano)
}

func TestTimestamps(t *testing.T) {
	for _, tt := range []struct{ format, zone, text, want string }{
		{"", "", "2024-02-29", "2024-02-29T00:00:00Z"},
		{"", "", "2024-02-29T13:14:15Z", "2024-02-29T13:14:15Z"},
		{"", "", "2024-02-29T13:14:15.123456789Z", "2024-02-29T13:14:15.123456Z"},
		{"", "", "2024-02-29T13:14:15,5", "2024-02-29T13:14:15.5Z"},
		{"", "", "2024-02-29t13:14z", "2024-02-29T13:14:00Z"},
		{"", "", "2024-02-29 13:14:15 +0130", "2024-02-29T11:44:15Z"},
		{"", "", "2024-02-29T13:14:15.0000000000001-05", "2024-02-29T18:14:15Z"},
		{"", "", "2024-02-29T13:14:15\u221205:00", "2024-02-29T18:14:15Z"},
		{"", "", "20240229T131415Z", "2024-02-29T13:14:15Z"},
		{"", "", "20240229T1314+02:00", "2024-02-29T11:14:00Z"},
		{"", "", " 2024-02-29 ", "2024-02-29T00:00:00Z"},
		{"", "", "2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"},
		{"", "Europe/Berlin", "2024-02-29", "2024-02-28T23:00:00Z"},
		{"", "Europe/Berlin", "2024-07-01T12:00", "2024-07-01T10:00:00Z"},
		{"", "Europe/Berlin", "2024-07-01T12:00Z", "2024-07-01T12:00:00Z"},
		{"", "America/St_Johns", "2024-01-01T00:00", "2024-01-01T03:30:00Z"},
		{"", "", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"},
		{"", "", "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"},
		// Nothing is guessed.
		{"", "", "0001-01-01T00:00:00+01:00", "!year 0; want 1 to 9999"},
		{"", "", "2023-02-29", "!day 29"}, {"", "", "2024-13-01", "!month 13"}, {"", "", "2024-02-29T24:00", "!time of day 24:00:00"},
		{"", "", "2024-02-29T13:60", "!time of day"}, {"", "", "0000-01-01", "!year 0"}, {"", "", "2024-2-9", "!want 2 digits"},
		{"", "", "29.02.2024", "!want 4 digits"}, {"", "", "02/29/2024", "!want 4 digits"}, {"", "", "2024/02/29", "!want 2 digits"},
		{"", "", "2024-0229", "!want -"}, {"", "", "2024-02-29T", "!want 2 digits"}, {"", "", "2024-02-29T13", "!want 2 digits"}, {"", "", "2024-02-29T13:14:15 CET", "!want Z or an offset"},
		{"", "", "2024-02-29T13:14:15+25:00", "!offset"}, {"", "", "2024-02-29T13:14:15+01:60", "!60 minutes"}, {"", "", "2024-02-29T13:14:15Z!", "!left over"}, {"", "", "now", "!want a timestamp, ISO 8601"},
		{"", "", "1700000000", "!left over"}, {"", "", strings.Repeat("1", 200), "!longer than 128 bytes"}, {"", "", "2024-02-29X13:14", `!"X13:14" is left over`}, {"", "", "2024-02-29T13:14:15.", "!want 1 digits"},
		// Clocks that change.
		{"", "Europe/Berlin", "2024-03-31T02:30", "!the zone's clocks skip this time (Europe/Berlin)"},
		{"", "Europe/Berlin", "2024-03-31T01:59:59.5", "2024-03-31T00:59:59.5Z"}, {"", "Europe/Berlin", "2024-03-31T03:00", "2024-03-31T01:00:00Z"},
		{"", "Europe/Berlin", "2024-10-27T02:30", "!the zone's clocks show this time twice"}, {"", "Europe/Berlin", "2024-10-27T02:30+02:00", "2024-10-27T00:30:00Z"},
		{"", "Europe/Berlin", "2024-10-27T03:00", "2024-10-27T02:00:00Z"}, {"", "Europe/Berlin", "2024-10-27T01:59", "2024-10-26T23:59:00Z"},
		{"", "America/Sao_Paulo", "2018-11-04", "!the zone's clocks skip this time"}, {"", "Pacific/Apia", "2011-12-30T12:00", "!the zone's clocks skip this time"},
		{"", "Australia/Lord_Howe", "2024-04-07T01:45", "!twice"}, {"", "Australia/Lord_Howe", "2024-10-06T02:15", "!skip"},
		// Formats.
		{"%d.%m.%Y %H:%M", "Europe/Berlin", "1.7.2024 9:05", "2024-07-01T07:05:00Z"},
		{"%d. %B %Y", "", "3. march 2024", "2024-03-03T00:00:00Z"}, {"%b %d, %Y", "", "SEP 03, 2024", "2024-09-03T00:00:00Z"}, {"%B %e %y", "", "May 3 68", "2068-05-03T00:00:00Z"}, {"%y%m%d", "", "690102", "1969-01-02T00:00:00Z"},
		{"%a, %d %b %Y %H:%M:%S %Z", "", "Sun, 06 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37Z"}, {"%A %F", "", "monday 2024-07-01", "2024-07-01T00:00:00Z"},
		{"%F %T.%f %z", "", "2024-07-01 01:02:03.5 -0230", "2024-07-01T03:32:03.5Z"}, {"%m/%d/%Y %I:%M %p", "", "7/1/2024 12:05 am", "2024-07-01T00:05:00Z"}, {"%D %I%p", "", "07/01/24 12PM", "2024-07-01T12:00:00Z"},
		{"%FT%R%z", "", "2024-07-01T01:02Z", "2024-07-01T01:02:00Z"}, {"%s", "", "1700000000", "2023-11-14T22:13:20Z"}, {"%Q", "", "1700000000123", "2023-11-14T22:13:20.123Z"}, {"%s", "", "-1", "1969-12-31T23:59:59Z"},
		{"%Y年%m月%d日", "", "2024年7月1日", "2024-07-01T00:00:00Z"}, {"%d%%%m%%%Y", "", "1%2%2024", "2024-02-01T00:00:00Z"}, {"%d  %m %Y", "", "1 2  2024", "2024-02-01T00:00:00Z"}, {"%d %m %Y", "", "01022024", "2024-02-01T00:00:00Z"},
		{"%d.%m.%Y", "", "2024-07-01", `!want a timestamp, %d.%m.%Y: at "24-07-01": want "."`}, {"%d.%m.%Y", "", "1.7.24", "!want 4 digits"}, {"%d.%m.%Y", "", "31.6.2024", "!day 31"}, {"%d.%m.%Y", "", "1.7.2024x", "!left over"},
		{"%d %B %Y", "", "1 Juli 2024", "!want the English name of a month"}, {"%d %b %Y", "", "1 ju 2024", "!want the English name"}, {"%A %F", "", "tuesday 2024-07-01", "!the day is a Monday"}, {"%F %I %p", "", "2024-07-01 13 pm", "!hour 13 PM"},
		{"%F %I %p", "", "2024-07-01 1 xm", "!want AM or PM"}, {"%F %I %p", "", "2024-07-01 1", "!want AM or PM"}, {"%F %Z", "", "2024-07-01 CET", "!want UTC, GMT or Z"}, {"%s", "", "1e9", "!want a whole number"}, {"%s", "", "+1", "!want a whole number"},
		{"%s", "", "1700000000000", "!seconds since 1970"}, {"%Q", "", "9223372036854775807", "!year 292278994"}, {"%s", "", "", "!want a whole number"},
	} {
		got := show(times(t, tt.format, tt.zone).Timestamp(tt.text))
		want, wrong := strings.CutPrefix(tt.want, "!")
		if got != want && (!wrong || !strings.HasPrefix(got, "!") || !strings.Contains(got, want)) {
			t.Errorf("%q %s %q: %s; want %s", tt.format, tt.zone, tt.text, got, tt.want)
		}
	}
}

func TestDates(t *testing.T) {
	for _, tt := range []struct{ format, zone, text, want string }{
		{"", "", "2024-02-29", "2024-02-29"}, {"", "", "20240229", "2024-02-29"}, {"", "", "2024-02-29T23:30:00-05:00", "2024-02-29"},
		{"", "UTC", "2024-02-29T23:30:00-05:00", "2024-03-01"}, {"", "Asia/Tokyo", "2024-02-29T23:30:00Z", "2024-03-01"}, {"", "Asia/Tokyo", "2024-02-29T23:30:00", "2024-02-29"},
		{"", "America/Sao_Paulo", "2018-11-04", "2018-11-04"}, {"%d.%m.%Y", "UTC", "29.2.2024", "2024-02-29"}, {"%s", "", "1709251199", "2024-02-29"}, {"%s", "Asia/Tokyo", "1709251199", "2024-03-01"},
		{"", "", "2024-02-30", "!want a date, ISO 8601: day 30"}, {"", "", "2024-02", "!want -"}, {"", "", "2024", "!want 2 digits"}, {"%Q", "", "9223372036854775807", "!year"},
	} {
		at, err := times(t, tt.format, tt.zone).Date(tt.text)
		got := show(at, err)
		if err == nil {
			got = at.Format(time.DateOnly)
			if at != at.Truncate(24*time.Hour) || at.Location() != time.UTC {
				t.Errorf("%q: %s is no midnight in UTC", tt.text, at)
			}
		}
		want, wrong := strings.CutPrefix(tt.want, "!")
		if got != want && (!wrong || !strings.HasPrefix(got, "!") || !strings.Contains(got, want)) {
			t.Errorf("%q %s %q: %s; want %s", tt.format, tt.zone, tt.text, got, tt.want)
		}
	}
}

func TestTimeOptionsThatSayNothingAreErrors(t *testing.T) {
	for format, want := range map[string]string{
		"%": "a % without a letter", "%d.%m.%Y%": "a % without a letter", "x": "want one of %Y and %y", "%Y-%m": "want %d", "%d %Y": "want one of %m and %B", "%d %m %b %Y": "want one of %m and %B", "%F %Y": "%Y comes twice",
		"%F %I": "want %I and %p together", "%F %H %p": "want %I and %p together", "%F %H %I %p": "want one of %H and %I", "%F %z%Z": "want one of %z and %Z", "%s %z": "%s and %Q stand alone", "%j": "%j is not known; want one of %Y", "%F %M": "hours before minutes", "%F %H:%S": "minutes before seconds", "%d/%m/%q": "%q is not known",
	} {
		if _, err := NewTimes(TimeOptions{Format: format}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want %s", format, err, want)
		}
	}
	for _, zone := range []string{"Local", "CEST", "Europe/Atlantis", "../etc/passwd", "+02:00", "europe/berlin\x00"} {
		if _, err := NewTimes(TimeOptions{Zone: zone}); err == nil || !strings.Contains(err.Error(), "want an IANA name such as Europe/Berlin") {
			t.Errorf("%q: %v", zone, err)
		}
	}
}

// TestTimesComeBackFromTheirText writes times in every form and reads them.
func TestTimesComeBackFromTheirText(t *testing.T) {
	zones := []string{"UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia", "America/Sao_Paulo"}
	forms := []struct{ format, layout string }{
		{"", "2006-01-02T15:04:05.999999"}, {"", "20060102T150405.999999"}, {"%d.%m.%Y %H:%M:%S.%f", "2.1.2006 15:4:5.000000"}, {"%a %B %e %Y %I:%M:%S.%f %p", "Mon January 2 2006 3:04:05.000000 pm"},
	}
	rapid.Check(t, func(t *rapid.T) {
		at := time.UnixMicro(rapid.Int64Range(-62e15, 253e15).Draw(t, "at")).UTC()
		if rapid.Bool().Draw(t, "recent") {
			at = time.UnixMicro(rapid.Int64Range(0, 2e15).Draw(t, "at")).UTC()
		}
		zone := rapid.SampledFrom(zones).Draw(t, "zone")
		where, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		form := rapid.SampledFrom(forms).Draw(t, "form")
		text := at.In(where).Format(form.layout)
		read, err := NewTimes(TimeOptions{form.format, zone})
		if err != nil {
			t.Fatal(err)
		}
		got, err := read.Timestamp(text)
		if y := at.In(where).Year(); y < 1 || y > 9999 {
			return
		}
		switch {
		case err != nil && strings.Contains(err.Error(), "twice"):
			other := 0 // another point in time has the same text
			for _, d := range []time.Duration{30 * time.Minute, time.Hour, 24 * time.Hour, 2 * time.Hour, 31 * time.Minute} {
				for _, near := range []time.Time{at.Add(d), at.Add(-d)} {
					if near.In(where).Format(form.layout) == text {
						other++
					}
				}
			}
			if other == 0 && at.Year() > 1970 {
				t.Fatalf("%s in %s: %v", text, zone, err)
			}
		case err != nil:
			t.Fatalf("%s in %s: %v", text, zone, err)
		case !got.Equal(at):
			t.Fatalf("%s in %s: %s; want %s", text, zone, got, at)
		}
		if got, err := times0.Timestamp(at.In(where).Format("2006-01-02T15:04:05.999999Z07:00")); err == nil && at.Year() > 1950 && !got.Equal(at) {
			t.Fatalf("%s: %s", at.In(where), got)
		}
	})
}

var times0 = &Times{zone: time.UTC}

func FuzzTimes(f *testing.F) {
	for _, s := range [][2]string{{"", "2024-02-29T13:14:15.5+01:00"}, {"%d.%m.%y %I%p", "1.2.03 4PM"}, {"%s", "17"}, {"%a %b %Z", ""}, {"%F", "2024-02-30"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, format, text string) {
		read, err := NewTimes(TimeOptions{Format: format, Zone: "Europe/Berlin"})
		if err != nil {
			return
		}
		if _, err := NewTimes(TimeOptions{Format: read.form()}); err != nil && format != "" {
			t.Fatalf("%q is shown as %q: %v", format, read.form(), err)
		}
		at, err := read.Timestamp(text)
		if err == nil && (at.Year() < 1 || at.Year() > 9999 || at.Location() != time.UTC || at.Nanosecond()%1000 != 0) {
			t.Fatalf("%q: %s", text, at)
		}
		day, err := read.Date(text)
		if err == nil && (day.Year() < 1 || day.Year() > 9999 || day != day.Truncate(24*time.Hour)) {
			t.Fatalf("%q: %s", text, day)
		}
	})
}
