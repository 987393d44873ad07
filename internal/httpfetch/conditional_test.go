package httpfetch

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/net/http/httpguts"
	"pgregory.net/rapid"

	"github.com/harrowdata/harrow"
)

func fields(pairs ...string) (list []harrow.Header) {
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, harrow.Header{Name: pairs[i], Value: pairs[i+1]})
	}
	return list
}

const (
	monday  = "Mon, 05 Jan 2026 08:00:00 GMT"
	tuesday = "Tue, 06 Jan 2026 08:00:00 GMT"
)

func TestValidatorsThatCanBeSentBack(t *testing.T) {
	for _, c := range []struct {
		etag, modified string
		want           Validators
	}{
		{`"a"`, monday, Validators{`"a"`, monday}},
		{`W/"a,b"`, "", Validators{ETag: `W/"a,b"`}},
		{` "a" `, "", Validators{ETag: `"a"`}},
		{`""`, "", Validators{ETag: `""`}},
		{"5f3c-1a:gzip", "", Validators{ETag: "5f3c-1a:gzip"}},
		{"*", "", Validators{}},
		{`W/abc`, "", Validators{}}, // weak needs its quotation marks
		{"a,b", "", Validators{}},
		{`"a" "b"`, "", Validators{}},
		{`"a", "b"`, "", Validators{}},
		{`"`, "", Validators{}},
		{"\"a\x7f\"", "", Validators{}},
		{"\"caf\xe9\"", "", Validators{}},
		{"\"caf\uFFFD\"", "", Validators{}},
		{`"` + strings.Repeat("x", maxValidator) + `"`, "", Validators{}},
		{"", "yesterday", Validators{}},
		{"", "Monday, 05-Jan-26 08:00:00 GMT", Validators{LastModified: "Monday, 05-Jan-26 08:00:00 GMT"}},
		{"", "", Validators{}},
	} {
		got := ValidatorsOf(fields("etag", c.etag, "last-modified", c.modified))
		if got != c.want {
			t.Errorf("ETag %q, Last-Modified %q: %+v, want %+v", c.etag, c.modified, got, c.want)
		}
	}
}

func TestPreconditionsNameBothValidators(t *testing.T) {
	got := Validators{`"a"`, monday}.Headers()
	if want := fields("If-None-Match", `"a"`, "If-Modified-Since", monday); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if len(Validators{}.Headers()) > 0 {
		t.Error("no validators make preconditions")
	}
}

func TestA304IsHeldAgainstWhatWasAsked(t *testing.T) {
	for _, c := range []struct {
		asked  Validators
		answer []harrow.Header
		want   bool
	}{
		{Validators{ETag: `"a"`}, nil, true},
		{Validators{ETag: `"a"`}, fields("ETag", `"a"`), true},
		{Validators{ETag: `"a"`}, fields("ETag", `W/"a"`), true},
		{Validators{ETag: `W/"a"`}, fields("ETag", `"a"`), true},
		{Validators{ETag: `"a"`}, fields("ETag", `"b"`), false},
		{Validators{`"a"`, monday}, fields("ETag", `"a"`, "Last-Modified", tuesday), true},
		{Validators{`"a"`, monday}, fields("Last-Modified", tuesday), false},
		{Validators{LastModified: monday}, fields("ETag", `"b"`), true},
		{Validators{LastModified: monday}, fields("Last-Modified", monday), true},
		{Validators{LastModified: tuesday}, fields("Last-Modified", monday), true},
		{Validators{LastModified: monday}, fields("Last-Modified", tuesday), false},
		{Validators{LastModified: monday}, fields("Last-Modified", "soon"), true},
	} {
		if got := c.asked.Confirmed(c.answer); got != c.want {
			t.Errorf("asked %+v, answered %v: %v, want %v", c.asked, c.answer, got, c.want)
		}
	}
}

func TestA304UpdatesTheStoredHeaders(t *testing.T) {
	stored := fields("Content-Encoding", "gzip", "Content-Length", "10", "Content-Type", "text/html; charset=latin1",
		"Date", monday, "Etag", `"a"`, "Link", "1", "Link", "2", "X-Kept", "k")
	answer := fields("Connection", "close, X-Hop", "Content-Encoding", "br", "Content-Length", "0", "Content-Type", "text/plain",
		"Date", tuesday, "Etag", `W/"a"`, "Link", "3", "X-Hop", "h", "X-New", "n")
	want := fields("Content-Encoding", "gzip", "Content-Length", "10", "Content-Type", "text/html; charset=latin1",
		"Date", tuesday, "Etag", `W/"a"`, "Link", "3", "X-Kept", "k", "X-New", "n")
	if got := Freshen(stored, answer); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if got := Freshen(stored, nil); !reflect.DeepEqual(got, stored) {
		t.Errorf("a 304 without headers changed them to %v", got)
	}
}

func TestHeadersDoNotGrowWithEvery304(t *testing.T) {
	stored := fields("Etag", `"a"`)
	for i := range 100 {
		stored = Freshen(stored, fields(fmt.Sprintf("X-%d", i), strings.Repeat("x", 10<<10)))
	}
	size := 0
	for _, h := range stored {
		size += len(h.Name) + len(h.Value)
	}
	if size > maxHeaderBytes || len(stored) < 10 {
		t.Errorf("%d fields of %d bytes", len(stored), size)
	}
}

// Whatever a server sends, what is sent back is a valid field, and confirms
// itself.
func TestAnyValidatorIsValidToSend(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`(W/)?"[!-~é]*"`), rapid.SampledFrom([]string{monday, tuesday, "*"}))
		h := fields("Etag", text.Draw(t, "etag"), "Last-Modified", text.Draw(t, "modified"))
		v := ValidatorsOf(h)
		for _, f := range v.Headers() {
			if !httpguts.ValidHeaderFieldValue(f.Value) || f.Value == "*" || f.Value == "" {
				t.Fatalf("%q is sent", f)
			}
		}
		if !v.Confirmed(h) {
			t.Fatalf("%+v is not confirmed by %v", v, h)
		}
		if _, err := http.ParseTime(v.LastModified); v.LastModified != "" && err != nil {
			t.Fatal(err)
		}
	})
}
