package rules

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/net/html/charset"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/unicode"
)

// maxJSONDepth is how deep arrays and objects nest at most.
const maxJSONDepth = 128

// JSON is the body as a JSON value (RFC 8259): nil, bool, string, json.Number,
// []any or map[string]any. An empty body is null. The body is UTF-8, or what a
// byte order mark or the charset of the Content-Type says; without either,
// UTF-16 is known by its zero bytes. Codes of the fault: "document"; "json",
// where it is no JSON, or nests over 128 deep; "content_type" instead, where
// the server didn't say it was; "elements", over that many values.
func (d *Document) JSON() (any, *Fault) {
	return d.json.get(func() (any, *Fault) {
		body, fault := d.raw()
		if fault != nil || len(body) == 0 {
			return nil, fault
		}
		value, err := readJSON(body, d.page.Capture.ContentType, d.limits.Elements)
		switch {
		case err == nil:
			return value, nil
		case errors.Is(err, errManyValues):
			return nil, faultf(CodeElements, "%w: over %d", err, d.limits.Elements)
		case !isJSON(d.kind):
			return nil, faultf(CodeContentType, "content type %q, and the body is no JSON: %w", d.media, err)
		}
		return nil, faultf(CodeJSON, "the body is no JSON: %w", err)
	})
}

func isJSON(media string) bool {
	return media == "application/json" || media == "text/json" || strings.HasSuffix(media, "+json")
}

func readJSON(body []byte, contentType string, limit int) (any, error) {
	text, err := jsonText(body, contentType)
	if err != nil {
		return nil, err
	}
	if err := measureJSON(text, limit); err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = errors.New("it ends too early")
		}
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the value")
	}
	return v, nil
}

var (
	errNoText     = errors.New("it is not in UTF-8, nor in an encoding that it or the server names")
	errManyValues = errors.New("the body has more values than are read")
	errDeepJSON   = errors.New("arrays and objects nest over 128 deep")
)

// jsonText returns the body as UTF-8. Unlike a page's text, nothing is guessed
// and nothing is replaced.
func jsonText(body []byte, contentType string) ([]byte, error) {
	var e encoding.Encoding
	switch {
	case bytes.HasPrefix(body, []byte(byteOrderMark)):
		body = body[3:]
	case bytes.HasPrefix(body, []byte("\xfe\xff")):
		return utf16Text(body[2:], binary.BigEndian)
	case bytes.HasPrefix(body, []byte("\xff\xfe")):
		return utf16Text(body[2:], binary.LittleEndian)
	case len(body) >= 2 && body[0] == 0:
		return utf16Text(body, binary.BigEndian)
	case len(body) >= 2 && body[1] == 0:
		return utf16Text(body, binary.LittleEndian)
	default:
		e = labelled(contentType)
	}
	if e != nil && e != unicode.UTF8 {
		text, err := e.NewDecoder().Bytes(body)
		if err != nil {
			return nil, errNoText
		}
		return text, nil
	}
	if !utf8.Valid(body) {
		return nil, errNoText
	}
	return body, nil
}

// labelled is the encoding that a Content-Type names; nil: none.
func labelled(contentType string) encoding.Encoding {
	_, parameters, _ := strings.Cut(contentType, ";")
	for p := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(p, "=")
		if strings.EqualFold(strings.TrimSpace(name), "charset") {
			e, _ := charset.Lookup(strings.Trim(strings.TrimSpace(value), `"'`))
			return e
		}
	}
	return nil
}

func utf16Text(body []byte, order binary.ByteOrder) ([]byte, error) {
	if len(body)%2 != 0 {
		return nil, errNoText
	}
	text := make([]byte, 0, len(body))
	for i := 0; i < len(body); i += 2 {
		r := rune(order.Uint16(body[i:]))
		if utf16.IsSurrogate(r) {
			if i += 2; i == len(body) {
				return nil, errNoText
			}
			if r = utf16.DecodeRune(r, rune(order.Uint16(body[i:]))); r == utf8.RuneError {
				return nil, errNoText
			}
		}
		text = utf8.AppendRune(text, r)
	}
	return text, nil
}

// measureJSON finds out, before anything is built, whether a text nests too
// deep or has too many values. An object counts as four: that is about what
// its memory is to an array's element.
func measureJSON(text []byte, limit int) error {
	depth, values := 0, 1
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			for i++; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
			continue
		case '{':
			values += 4
			depth++
		case '[':
			values++
			depth++
		case '}', ']':
			depth--
		case ',':
			values++
		default:
			continue
		}
		if depth > maxJSONDepth {
			return errDeepJSON
		}
		if values > limit {
			return errManyValues
		}
	}
	return nil
}
