package seedfile

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
)

// Request is what a seed asks for; keyKind is the job's politeness.key, kind
// that of the request. A seed whose URL is none is an error.
func (s Seed) Request(c *canon.Canonicalizer, keyKind, kind string) (harrow.Request, error) {
	u, err := c.Parse(s.URL)
	if err != nil {
		return harrow.Request{}, err
	}
	url, priority := u.String(), int32(0)
	if kind == harrow.KindSitemap {
		priority = harrow.SitemapPriority
	}
	return harrow.Request{ID: canon.ID(s.Method, url, s.Body, s.Headers), URL: url, Method: s.Method, Headers: s.Headers, Body: s.Body,
		Key: canon.Key(keyKind, u), Domain: canon.Domain(u.Host()), Kind: kind, Priority: priority, Carry: s.Carry}, nil
}

// letter is what a reject keeps of a seed, or of a line that holds none.
type letter struct {
	Kind string `json:"kind,omitempty"` // of the request; empty: a page
	Line string `json:"line,omitempty"`
	File string `json:"file,omitempty"` // the line is of
}

// Letter is the payload of a seed that is no request of that kind.
func (s Seed) Letter(kind string) (string, error) {
	if kind == harrow.KindPage {
		kind = ""
	}
	data, err := json.Marshal(struct {
		Seed
		letter
	}{s, letter{Kind: kind}})
	if err != nil {
		return "", fmt.Errorf("seed: %w", err)
	}
	return string(data), nil
}

// LineLetter is the payload of a line of a file that holds no seed.
func LineLetter(file, line string) (string, error) {
	data, err := json.Marshal(letter{Line: line, File: file})
	if err != nil {
		return "", fmt.Errorf("seed: %w", err)
	}
	return string(data), nil
}

// FromLetter reads a payload again, by today's rules: the seed, and the kind of
// its request. Of a line that only its file could make sense of it is an error.
func FromLetter(ctx context.Context, text string) (s Seed, kind string, err error) {
	var l struct {
		Seed
		letter
	}
	if err := json.Unmarshal([]byte(text), &l); err != nil {
		return s, "", fmt.Errorf("the payload is no seed: %w", err)
	}
	if l.Line != "" || l.File != "" {
		s, err = readLine(ctx, l.letter)
		return s, harrow.KindPage, err
	}
	if l.Kind == "" {
		l.Kind = harrow.KindPage
	}
	if l.Kind != harrow.KindPage && l.Kind != harrow.KindSitemap {
		return s, "", fmt.Errorf("the payload is no seed: kind %.40q", l.Kind)
	}
	return l.Seed, l.Kind, l.check()
}

// readLine reads a line of JSON Lines. One of CSV needs its header, one of
// text is as long as it is.
func readLine(ctx context.Context, l letter) (s Seed, err error) {
	if !strings.EqualFold(path.Ext(l.File), ".jsonl") {
		return s, fmt.Errorf("a line of %s can't be read without its file: mend that and run the job", l.File)
	}
	err = Each(ctx, l.File, strings.NewReader(l.Line), Taker{
		Seed: func(_ int, found Seed) error { s = found; return nil },
		Bad:  func(_ int, _, why string) error { return errors.New(why) },
	})
	if err == nil && s.URL == "" {
		err = errors.New("the line holds no seed")
	}
	return s, err
}
