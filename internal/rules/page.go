package rules

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/gunzip"
	"github.com/harrowdata/harrow/internal/rowdata"
	"github.com/harrowdata/harrow/internal/xpath"
)

// Codes of rejects; see the package comment.
const (
	CodeDocument    = "document"
	CodeContentType = "content_type"
	CodeNesting     = "nesting"
	CodeElements    = "elements"
	CodeRows        = "rows"
	CodeURL         = "url"
	CodeRequired    = "required"
	CodeMap         = "map"
	CodeType        = "type"
	CodeExtract     = "extract"
	CodeExtractor   = "extractor"
	CodePanic       = "panic"
	CodeLinks       = "links"
	CodeRow         = rowdata.CodeRow
	CodeRowSize     = rowdata.CodeRowSize
	CodeEncoding    = rowdata.CodeEncoding
	CodeColumns     = rowdata.CodeColumns
	CodeData        = rowdata.CodeData
	CodeCarry       = "carry"
	CodeJSON        = "json"
	CodeXML         = "xml"
	CodeCost        = "cost"
	CodeGzip        = "gzip"
)

// Fault is a reason to reject: a code and what is wrong.
type Fault struct {
	Code string
	Err  error
}

// Error implements error.
func (f *Fault) Error() string { return f.Err.Error() }

// Unwrap returns what is wrong.
func (f *Fault) Unwrap() error { return f.Err }

func faultf(code, format string, args ...any) *Fault {
	return &Fault{code, fmt.Errorf(format, args...)}
}

// Limits bounds what one page may cost. Zero fields are the defaults.
type Limits struct {
	Document int64 `json:"document,omitzero"` // largest body, or row of a data file, read as a whole, bytes; 0: 10 MiB
	Rows     int   `json:"rows,omitzero"`     // rows of one page, all rules together, and rejected rows of a data file; 0: 1,000,000
	Data     int   `json:"data,omitzero"`     // rows that a rule reads of one data file; 0: all
	Elements int   `json:"elements,omitzero"` // elements of a page's tree: half as many as it may have nodes and attributes; 0: 2,000,000
}

func (l Limits) withDefaults() Limits {
	if l.Document == 0 {
		l.Document = 10 << 20
	}
	if l.Rows == 0 {
		l.Rows = 1e6
	}
	if l.Elements == 0 {
		l.Elements = 2e6
	}
	return l
}

// Page is a capture and its body.
type Page struct {
	Capture harrow.Capture
	// Body is the whole payload. It may be nil where Capture.BodyBytes is over
	// Limits.Document, and must stay unchanged as long as the Document is used.
	Body []byte
	// Open streams the payload for extractors, each call from its first byte.
	// nil: from Body.
	Open func() io.ReadCloser
}

// FetchedAt is when a capture's answer was complete.
func FetchedAt(c harrow.Capture) time.Time {
	return c.StartedAt.Add(time.Duration(c.ElapsedMS) * time.Millisecond).UTC()
}

// Document is a page with the pieces that rules share, each made when it is
// asked for first. It is used by one goroutine at a time. What it hands out is
// in its memory and the body's: see [Document.Close].
type Document struct {
	page   Page
	limits Limits
	canon  *canon.Canonicalizer
	final  canon.URL
	media  string // media type, lower case, without parameters
	kind   string // media type of what is parsed: media, or what a gzip file holds
	budget xpath.Budget
	pages  *Pages  // where its memory goes back to; nil: nowhere
	mem    *memory // nil: none yet

	body    piece[[]byte]
	text    piece[[]byte]
	tree    piece[*dom.Tree]
	linked  piece[[]any]
	json    piece[any]
	base    piece[canon.URL]
	carried piece[map[string]any]
}

// piece is a value that is made once.
type piece[T any] struct {
	made  bool
	value T
	fault *Fault
}

func (p *piece[T]) get(make func() (T, *Fault)) (T, *Fault) {
	if !p.made {
		p.value, p.fault = make()
		p.made = true
	}
	return p.value, p.fault
}

// NewDocument returns a page to apply rules to; nothing is parsed yet.
func NewDocument(p Page, c *canon.Canonicalizer, limits Limits) *Document {
	d := &Document{page: p, limits: limits.withDefaults(), canon: c, media: mediaType(p.Capture.ContentType)}
	final := p.Capture.FinalURL
	if final == "" {
		final = p.Capture.URL
	}
	d.final, _ = c.Parse(final) // no URL: no rule with a match, and url() says why
	d.budget.Left = maxVisits
	if d.kind = d.media; gunzip.Is(p.Body) {
		d.kind = kindInside(d.media, d.final.Path())
	}
	return d
}

// Capture is the page's row in the captures table.
func (d *Document) Capture() harrow.Capture { return d.page.Capture }

// Body streams the payload; see [harrow.Page].
func (d *Document) Body() io.ReadCloser {
	if d.page.Open != nil {
		return d.page.Open()
	}
	return io.NopCloser(bytes.NewReader(d.page.Body))
}

// URL is the page's final URL; zero when that is none.
func (d *Document) URL() canon.URL { return d.final }

// raw is the body's bytes; where the body is a gzip file, what it holds. Codes
// of the fault: "document", "gzip".
func (d *Document) raw() ([]byte, *Fault) {
	return d.body.get(func() ([]byte, *Fault) {
		if size := max(d.page.Capture.BodyBytes, int64(len(d.page.Body))); size > d.limits.Document {
			return nil, faultf(CodeDocument, "the body has %d bytes; limits.document is %d", size, d.limits.Document)
		}
		if !gunzip.Is(d.page.Body) {
			return d.page.Body, nil
		}
		body, err := gunzip.Bytes(d.page.Body, d.limits.Document)
		switch {
		case errors.Is(err, gunzip.ErrTooLarge):
			return nil, faultf(CodeDocument, "%w; that is limits.document", err)
		case err != nil:
			return nil, &Fault{CodeGzip, err}
		}
		return body, nil
	})
}

// kindInside is the media type of what a gzip file holds, by the file's name
// unless the server named it.
func kindInside(media, path string) string {
	switch media {
	case "", "application/gzip", "application/x-gzip", "application/octet-stream", "binary/octet-stream":
	default:
		return media
	}
	path = strings.TrimSuffix(strings.ToLower(path), ".gz")
	switch path[strings.LastIndexAny(path, "./")+1:] {
	case "xml", "rss", "atom":
		return "application/xml"
	case "json":
		return "application/json"
	case "txt", "csv", "tsv", "jsonl":
		return "text/plain"
	}
	return "" // as a page without a Content-Type
}

// Text is the body decoded to valid UTF-8, without a byte order mark. Codes of
// the fault: "document", "gzip".
func (d *Document) Text() ([]byte, *Fault) {
	return d.text.get(func() ([]byte, *Fault) {
		body, fault := d.raw()
		if fault != nil {
			return nil, fault
		}
		return decode(body, d.page.Capture.ContentType), nil
	})
}
