// Package sitemap reads what sitemaps list, by https://www.sitemaps.org: XML
// sitemaps and sitemap indexes, lists of URLs as plain text, and, as that
// protocol allows, RSS 1.0 and 2.0 and Atom feeds; each of them also gzipped.
// Which of them a file is shows in its first bytes, never in its name or type.
//
// It streams: a URL is handed on as soon as it was read, and memory is bounded
// whatever the file holds. It is lenient where what is meant is clear: any
// namespace and prefix, a bare "&", UTF-16 and other encodings, bytes that are
// no characters. A document type and its entities mean nothing here: they are
// passed over and never expanded.
//
// lastmod, changefreq and priority are not read. They are the site's opinion of
// its own pages; whether a page has changed is what a conditional request asks.
package sitemap

import (
	"errors"
	"fmt"
	"io"
)

const (
	// MaxBytes is how much of a sitemap is read, uncompressed (50 MB by the
	// protocol).
	MaxBytes = 50 << 20
	// MaxEntries is how many URLs of one are handed on, as the protocol has it.
	MaxEntries = 50_000
	// MaxURL is the longest URL that is handed on, in bytes; the protocol's
	// limit is 2,048 characters.
	MaxURL = 8 << 10

	maxToken  = 256 << 10 // of XML: one tag, comment or piece of text
	maxDepth  = 64        // of nested elements
	maxLayers = 2         // of gzip
)

// Entry is one URL of a sitemap.
type Entry struct {
	URL     string // as it stands there, without white space around it
	Sitemap bool   // of another sitemap: the entry of an index
}

// Stats says what became of what a sitemap holds.
type Stats struct {
	Entries int64 // handed on
	Invalid int64 // without URL, or longer than MaxURL
	Over    int64 // left out: beyond MaxEntries
	Cut     bool  // it goes on beyond MaxBytes, where it was left
}

// Fault is what is wrong with a sitemap. What was handed on before it counts.
type Fault struct {
	Line int // from 1; 0: nowhere in particular
	Err  error
}

// Error says where and what.
func (f *Fault) Error() string {
	if f.Line > 0 {
		return fmt.Sprintf("line %d: %v", f.Line, f.Err)
	}
	return f.Err.Error()
}

// Unwrap returns what was wrong.
func (f *Fault) Unwrap() error { return f.Err }

var (
	errKind  = errors.New("it is no sitemap: neither an XML sitemap or feed nor a list of URLs")
	errDepth = fmt.Errorf("more than %d elements lie within each other", maxDepth)
	errToken = fmt.Errorf("a tag or a text is longer than %d bytes", maxToken)
	errEnd   = errors.New("it ends within an element")
)

// Read hands on what a sitemap lists, in its order. An error is emit's or r's
// own, or a [*Fault] of the sitemap; the stats hold in any case.
func Read(r io.Reader, emit func(Entry) error) (Stats, error) {
	src := &source{r: r}
	l := &lister{emit: emit}
	err := l.read(src)
	var own *emitError
	switch {
	case errors.As(err, &own):
		return l.stats, own.err
	case src.err != nil:
		return l.stats, src.err
	}
	return l.stats, err
}

// source remembers how reading failed, to tell it from what is wrong with what
// was read.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// emitError is an error of the caller's on its way out.
type emitError struct{ err error }

func (e *emitError) Error() string { return e.err.Error() }

// lister counts what it hands on.
type lister struct {
	emit  func(Entry) error
	stats Stats
}

// add hands an entry on.
func (l *lister) add(url string, sitemap bool) error {
	switch {
	case url == "" || len(url) > MaxURL:
		l.stats.Invalid++
	case l.stats.Entries >= MaxEntries:
		l.stats.Over++
	default:
		if err := l.emit(Entry{url, sitemap}); err != nil {
			return &emitError{err}
		}
		l.stats.Entries++
	}
	return nil
}

func (l *lister) read(src io.Reader) error {
	in, limit := plain(src)
	text, err := decoded(in)
	if err == nil {
		var first byte
		if first, err = firstByte(text); err == nil && first == '<' {
			err = l.xml(text)
		} else if err == nil {
			err = l.lines(text)
		}
	}
	if l.stats.Cut = limit.cut; l.stats.Cut {
		var f *Fault
		if errors.As(err, &f) { // what a cut leaves behind is no fault of its own
			return nil
		}
	}
	return err
}
