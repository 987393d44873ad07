package rules

import (
	"bytes"
	"mime"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/wlynxg/chardet"
	"golang.org/x/net/html"
	"golang.org/x/net/html/charset"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// mediaType returns the media type of a Content-Type in lower case, without
// its parameters.
func mediaType(contentType string) string {
	media, _, _ := strings.Cut(contentType, ";")
	return strings.ToLower(strings.TrimSpace(media))
}

const byteOrderMark = "\uFEFF"

// decode returns the body as valid UTF-8, the body itself where it is that
// already. The encoding is told by a byte order mark, else by Content-Type,
// else by a meta tag in the first 1,024 bytes (WHATWG HTML 13.2.3.2), else by an
// XML declaration, which in XML counts before a meta tag, else it is UTF-8 if
// the body is valid as such, else told by a meta tag in the first 64 KiB, else
// guessed from these. What a page says of itself isn't believed where it says
// windows-1252 (ISO-8859-1 is the same), as templates do, and the body is valid
// UTF-8. Bytes that are none in the encoding become U+FFFD.
func decode(body []byte, contentType string) []byte {
	e, name := encodingOf(body, contentType)
	switch {
	case name == "utf-8" && utf8.Valid(body):
		return bytes.TrimPrefix(body, []byte(byteOrderMark))
	case name == "utf-8":
		e = unicode.UTF8
	case asciiBased(name) && isASCII(body):
		return body
	}
	text, err := e.NewDecoder().Bytes(body)
	if err != nil { // decoders replace what they can't read: this is for the one that wouldn't
		text = bytes.ToValidUTF8(body, []byte("\uFFFD"))
	}
	return bytes.TrimPrefix(text, []byte(byteOrderMark))
}

// Charset names the encoding that a body is read in, and what told it: "a byte
// order mark", "Content-Type", "the XML declaration", "a meta tag", "its bytes,
// which are valid UTF-8", "a guess from its bytes" or "the default".
func Charset(body []byte, contentType string) (name, from string) {
	_, name = encodingOf(body, contentType)
	head := bytes.ToLower(body[:min(len(body), 1024)])
	_, params, _ := mime.ParseMediaType(contentType)
	_, label := charset.Lookup(params["charset"])
	_, declared := xmlEncoding(body)
	switch {
	case bytes.HasPrefix(body, []byte(byteOrderMark)), bytes.HasPrefix(body, []byte("\xff\xfe")), bytes.HasPrefix(body, []byte("\xfe\xff")):
		from = "a byte order mark"
	case label != "" && label == name:
		from = "Content-Type"
	case declared != "" && declared == name:
		from = "the XML declaration"
	case bytes.Contains(head, []byte("charset")):
		from = "a meta tag"
	case name == "utf-8" && utf8.Valid(body):
		from = "its bytes, which are valid UTF-8"
	case name == fallback && guessed(body) == "":
		from = "the default"
	default:
		from = "a guess from its bytes"
	}
	return name, from
}

// fallback is what a page is that says nothing and isn't UTF-8.
const fallback = "windows-1252"

func encodingOf(body []byte, contentType string) (encoding.Encoding, string) {
	e, name, certain := charset.DetermineEncoding(body, contentType)
	if certain {
		return e, name
	}
	if said, label := xmlEncoding(body); said != nil && (label != fallback || !utf8.Valid(body)) {
		if isXML(mediaType(contentType)) {
			return said, label
		}
		if meta, named := lateMeta(body); meta != nil {
			return meta, named
		}
		return said, label
	}
	if name != fallback {
		return e, name
	}
	// The fallback, or a meta tag that says the same.
	if utf8.Valid(body) {
		return unicode.UTF8, "utf-8"
	}
	if bytes.Contains(bytes.ToLower(body[:min(len(body), 1024)]), []byte("charset")) {
		return e, name
	}
	if said, label := lateMeta(body); said != nil {
		return said, label
	}
	if guess, label := charset.Lookup(guessed(body)); guess != nil {
		return guess, label
	}
	return e, name
}

// xmlDeclaration is one that names an encoding.
var xmlDeclaration = regexp.MustCompile(`^\s*<\?xml[^>]*?encoding[\x00- ]*=[\x00- ]*["']([^"'>\x00- ]+)["']`)

// xmlEncoding is the encoding that an XML declaration names (WHATWG HTML
// 13.2.3.2, "get an XML encoding"), or is written in; nil: there is none.
func xmlEncoding(body []byte) (encoding.Encoding, string) {
	head := body[:min(len(body), 1024)]
	label := ""
	switch {
	case bytes.HasPrefix(head, []byte("<\x00?\x00x\x00")):
		label = "utf-16le"
	case bytes.HasPrefix(head, []byte("\x00<\x00?\x00x")):
		label = "utf-16be"
	case !bytes.Contains(head, []byte("<?xml")):
		return nil, ""
	default:
		said := xmlDeclaration.FindSubmatch(head)
		if said == nil {
			return nil, ""
		}
		if label = string(said[1]); strings.HasPrefix(strings.ToLower(label), "utf-16") {
			label = "utf-8" // it was read, and so it isn't
		}
	}
	return charset.Lookup(label)
}

// lateMeta looks for a meta tag that names the encoding beyond the bytes in
// which it ought to stand: browsers come across it while they build the tree
// (WHATWG HTML 13.2.3.5, "changing the encoding while parsing").
func lateMeta(body []byte) (encoding.Encoding, string) {
	z := html.NewTokenizer(bytes.NewReader(body[:min(len(body), guessBytes)]))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return nil, ""
		case html.StartTagToken, html.SelfClosingTagToken:
			raw := ascii(z.Raw()) // other bytes would speak for UTF-8
			if name, _ := z.TagName(); string(name) != "meta" {
				continue
			}
			if e, name, _ := charset.DetermineEncoding(raw, ""); name != fallback {
				return e, name
			}
		}
	}
}

// ascii is a copy without what isn't ASCII.
func ascii(text []byte) []byte {
	return slices.DeleteFunc(bytes.Clone(text), func(c byte) bool { return c >= utf8.RuneSelf })
}

// guessBytes is how much of a body is looked at that says nothing at its
// beginning.
const guessBytes = 64 << 10

// guessed returns the name of the encoding that the body's beginning looks
// like; empty when nothing is likely.
func guessed(body []byte) (name string) {
	defer func() {
		if recover() != nil { // a guess isn't worth a page
			name = ""
		}
	}()
	const likely = 0.5
	r := chardet.Detect(body[:min(len(body), guessBytes)])
	if r.Confidence < likely {
		return ""
	}
	return r.Encoding
}

// asciiBased reports whether bytes below 128 are ASCII in an encoding.
func asciiBased(name string) bool {
	return !strings.HasPrefix(name, "utf-16") && name != "iso-2022-jp" && name != "replacement"
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// dataDecoder returns what turns a data file that begins with head into UTF-8
// without a byte order mark; nil: it is UTF-8 and has none, or is to be judged
// row by row. As for documents a byte order mark decides, then Content-Type,
// then whether the head is UTF-8, then a guess by the head.
func dataDecoder(head []byte, contentType string) transform.Transformer {
	e, name, certain := charset.DetermineEncoding(head[:min(len(head), 4)], contentType)
	if !certain && utf8.Valid(wholeRunes(head)) {
		name = "utf-8"
	} else if !certain {
		if guess, label := charset.Lookup(guessed(head)); guess != nil {
			e, name = guess, label
		}
	}
	if name == "utf-8" {
		return nil
	}
	return unicode.BOMOverride(e.NewDecoder())
}

// wholeRunes leaves out a character at the end that is cut.
func wholeRunes(b []byte) []byte {
	for n := 1; n < utf8.UTFMax && n <= len(b); n++ {
		if at := len(b) - n; utf8.RuneStart(b[at]) {
			if !utf8.FullRune(b[at:]) {
				return b[:at]
			}
			break
		}
	}
	return b
}
