package httpfetch

import (
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/harrowdata/harrow"
)

// Validators are what an answer is asked for again by (RFC 9110, 8.8), as
// they came. The zero value is none.
type Validators struct{ ETag, LastModified string }

// maxValidator is the longest validator that is sent back.
const maxValidator = 1 << 10

// ValidatorsOf reads them from an answer's headers. One that could not be sent
// back safely is left out: an ETag that would mean something else in a list of
// them ("*", or with a comma outside of quotation marks), a Last-Modified that
// is no date. ETags without quotation marks are common and taken as they are.
func ValidatorsOf(headers []harrow.Header) (v Validators) {
	if tag := field(headers, "ETag"); sendable(tag) {
		v.ETag = tag
	}
	if date := field(headers, "Last-Modified"); len(date) <= maxValidator {
		if _, err := http.ParseTime(date); err == nil {
			v.LastModified = date
		}
	}
	return v
}

// field is the first value of a field; empty: there is none.
func field(headers []harrow.Header, name string) string {
	for _, h := range headers {
		if strings.EqualFold(h.Name, name) {
			return strings.Trim(h.Value, " \t")
		}
	}
	return ""
}

func sendable(tag string) bool {
	if len(tag) > maxValidator || !utf8.ValidString(tag) || strings.ContainsRune(tag, utf8.RuneError) {
		return false // RuneError: a table has replaced what was no UTF-8
	}
	opaque := opaqueTag(tag)
	if inner, ok := strings.CutPrefix(opaque, `"`); ok && strings.HasSuffix(inner, `"`) {
		return !strings.ContainsFunc(inner[:len(inner)-1], func(r rune) bool { return r <= ' ' || r == '"' || r == 0x7f })
	}
	plain := func(r rune) bool {
		return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune("-._:+/=", r)
	}
	return tag != "" && tag == opaque && !strings.ContainsFunc(tag, func(r rune) bool { return !plain(r) })
}

// opaqueTag is a tag without the mark of weakness.
func opaqueTag(tag string) string { return strings.TrimPrefix(tag, "W/") }

// Headers are the preconditions of a request (RFC 9110, 13.1): a server that
// knows ETags goes by If-None-Match alone.
func (v Validators) Headers() (headers []harrow.Header) {
	if v.ETag != "" {
		headers = append(headers, harrow.Header{Name: "If-None-Match", Value: v.ETag})
	}
	if v.LastModified != "" {
		headers = append(headers, harrow.Header{Name: "If-Modified-Since", Value: v.LastModified})
	}
	return headers
}

// Confirmed reports whether a 304 with these headers is about the answer that
// had the validators (RFC 9111, 4.3.4): one that names another ETag, or a
// later Last-Modified where ETags say nothing, is about something we don't
// have. Of ETags only the opaque part counts: servers that compress on the way
// weaken them.
func (v Validators) Confirmed(headers []harrow.Header) bool {
	if tag := field(headers, "ETag"); tag != "" && v.ETag != "" {
		return opaqueTag(tag) == opaqueTag(v.ETag)
	}
	now, err := http.ParseTime(field(headers, "Last-Modified"))
	then, err2 := http.ParseTime(v.LastModified)
	return err != nil || err2 != nil || !now.After(then)
}

// notUpdated are the fields that a 304 doesn't change in what is stored: those
// of the connection (RFC 9110, 7.6.1), and those that say how to read the body
// that is stored (RFC 9111, 3.2).
var notUpdated = []string{"Connection", "Content-Encoding", "Content-Length", "Content-Range", "Content-Type", "Keep-Alive",
	"Proxy-Authenticate", "Proxy-Authentication-Info", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// Freshen returns the stored headers of an answer, updated by those of a 304
// that confirmed it (RFC 9111, 3.2): a field that came again takes the place
// of all of its name. Where the result would be larger than an answer's
// headers may be, the stored ones stay as they are.
func Freshen(stored, answer []harrow.Header) []harrow.Header {
	except := slices.Clone(notUpdated)
	for _, h := range answer {
		if strings.EqualFold(h.Name, "Connection") {
			for name := range strings.SplitSeq(h.Value, ",") {
				except = append(except, http.CanonicalHeaderKey(strings.Trim(name, " \t")))
			}
		}
	}
	came := map[string]bool{}
	var out []harrow.Header
	for _, h := range answer {
		if name := http.CanonicalHeaderKey(h.Name); !slices.Contains(except, name) {
			came[name] = true
			out = append(out, h)
		}
	}
	for _, h := range stored {
		if !came[http.CanonicalHeaderKey(h.Name)] {
			out = append(out, h)
		}
	}
	size := 0
	for _, h := range out {
		size += len(h.Name) + len(h.Value)
	}
	if size > maxHeaderBytes {
		return stored
	}
	slices.SortStableFunc(out, func(a, b harrow.Header) int { return strings.Compare(a.Name, b.Name) })
	return out
}
