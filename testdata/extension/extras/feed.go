package extras

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/net/html/charset"

	"github.com/harrowdata/harrow"
)

func init() { harrow.RegisterExtractor("feed", newFeed) }

// feed gets one record entry out of each item of an RSS 2.0 feed and each
// entry of an Atom feed (RFC 4287). It streams: a feed of any length takes the
// memory of one entry.
type feed struct {
	MaxText int `json:"max_text"` // bytes kept of a text; default 4096
}

func newFeed(config json.RawMessage) (harrow.Extractor, error) {
	f := &feed{MaxText: 4096}
	if err := harrow.ReadConfig(config, f); err != nil {
		return nil, err
	}
	if f.MaxText < 1 {
		return nil, &harrow.ConfigError{Key: "max_text", Err: fmt.Errorf("got %d; expected at least 1", f.MaxText)}
	}
	return f, nil
}

var entryType = harrow.RecordType{Name: "entry", Columns: []harrow.Column{
	{Name: "title", Type: harrow.Type{Kind: harrow.Text}},
	{Name: "link", Type: harrow.Type{Kind: harrow.Text}},
	{Name: "published", Type: harrow.Type{Kind: harrow.Timestamp}},
	{Name: "summary", Type: harrow.Type{Kind: harrow.Text}},
}}

// Records is asked before the first fetch: stores are checked against it.
func (f *feed) Records() []harrow.RecordType { return []harrow.RecordType{entryType} }

// item is an RSS item or an Atom entry: both have what the other lacks empty.
type item struct {
	Title       string `xml:"title"`
	Links       []link `xml:"link"`
	PubDate     string `xml:"pubDate"`
	Published   string `xml:"published"`
	Updated     string `xml:"updated"`
	Description string `xml:"description"`
	Summary     string `xml:"summary"`
}

type link struct {
	Rel  string `xml:"rel,attr"`
	Href string `xml:"href,attr"`
	Text string `xml:",chardata"`
}

// Extract streams the page. An error rejects all of it: that is what a feed
// that can't be read to its end comes to.
func (f *feed) Extract(ctx context.Context, page harrow.Page, emit func(harrow.Record) error) (err error) {
	body := page.Body()
	defer func() { err = errors.Join(err, body.Close()) }()
	d := xml.NewDecoder(body)
	d.CharsetReader = charset.NewReaderLabel
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("byte %d: %w", d.InputOffset(), err)
		}
		start, ok := token.(xml.StartElement)
		if !ok || start.Name.Local != "item" && start.Name.Local != "entry" {
			continue
		}
		var it item
		if err := d.DecodeElement(&it, &start); err != nil {
			return fmt.Errorf("the %s that ends at byte %d: %w", start.Name.Local, d.InputOffset(), err)
		}
		if err := emit(f.record(it)); err != nil {
			return err
		}
	}
}

// record leaves out what the feed doesn't say: an absent column is null.
func (f *feed) record(it item) harrow.Record {
	values := map[string]any{}
	set := func(column, text string) {
		if text = strings.TrimSpace(text); text != "" {
			values[column] = strings.ToValidUTF8(text[:min(len(text), f.MaxText)], "")
		}
	}
	set("title", it.Title)
	set("summary", it.Description+it.Summary)
	for _, l := range it.Links {
		if l.Rel == "" || l.Rel == "alternate" {
			set("link", l.Href+l.Text)
			break
		}
	}
	for _, text := range []string{it.Published, it.PubDate, it.Updated} {
		if at, ok := instant(text); ok {
			values["published"] = at
			break
		}
	}
	return harrow.Record{Name: entryType.Name, Values: values}
}

// instant reads the forms that RSS (RFC 822) and Atom (RFC 3339) want.
func instant(text string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339, time.RFC1123Z, time.RFC1123, "2 Jan 2006 15:04:05 -0700"} {
		if at, err := time.Parse(layout, strings.TrimSpace(text)); err == nil {
			return at.UTC(), true
		}
	}
	return time.Time{}, false
}
