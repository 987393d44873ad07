package canon

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"

	harrow "github.com/harrowdata/harrow"
)

// ID is the id of a request: the first 16 bytes of the SHA-256 of
//
//	byte     Version
//	text     method in upper case, GET if empty
//	text     url, canonical
//	text     SHA-256 of the body (32 bytes), or empty without a body
//	uvarint  number of headers, then for each, sorted by lower-case name (equal
//	         names keep their order): text name in lower case, text value
//	         without white space around it
//
// where text is its length in bytes as a uvarint (encoding/binary), then the
// bytes. headers are those that vary the answer, not those that every request
// of the job sends. An empty body is no body.
func ID(method, url string, body []byte, headers []harrow.Header) harrow.ID {
	var stack [1024]byte
	if method == "" {
		method = "GET"
	}
	b := append(stack[:0], Version)
	b = appendText(b, strings.ToUpper(method))
	b = appendText(b, url)
	if len(body) == 0 {
		b = append(b, 0)
	} else {
		digest := sha256.Sum256(body)
		b = append(append(b, sha256.Size), digest[:]...)
	}
	b = appendHeaders(b, headers)
	sum := sha256.Sum256(b)
	return harrow.ID(sum[:16])
}

func appendHeaders(b []byte, headers []harrow.Header) []byte {
	b = binary.AppendUvarint(b, uint64(len(headers)))
	if len(headers) == 0 {
		return b
	}
	sorted := make([]harrow.Header, len(headers))
	for i, h := range headers {
		sorted[i] = harrow.Header{Name: strings.ToLower(h.Name), Value: strings.Trim(h.Value, " \t")}
	}
	slices.SortStableFunc(sorted, func(x, y harrow.Header) int { return strings.Compare(x.Name, y.Name) })
	for _, h := range sorted {
		b = appendText(appendText(b, h.Name), h.Value)
	}
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}
