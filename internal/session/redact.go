package session

import (
	"net/url"
	"slices"
	"strings"

	"github.com/harrowdata/harrow"
)

const (
	// leastSecret is the shortest value that is looked for in what servers
	// send: a shorter one is part of too much else.
	leastSecret = 4
	// Redacted stands where a secret was.
	Redacted = "(secret)"
)

// redactor takes secrets out of what servers send back and out of messages.
type redactor struct {
	values   []string
	replacer *strings.Replacer // nil: there is nothing to take out
}

func (r *redactor) add(values ...string) {
	for _, v := range values {
		for _, form := range []string{v, url.QueryEscape(v), url.PathEscape(v)} {
			if len(form) >= leastSecret && !slices.Contains(r.values, form) {
				r.values = append(r.values, form)
			}
		}
	}
}

func (r *redactor) compile() {
	if len(r.values) == 0 {
		return
	}
	// The replacer takes the first of those that match at a place: the longest.
	slices.SortFunc(r.values, func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, v := range r.values {
		pairs = append(pairs, v, Redacted)
	}
	r.replacer = strings.NewReplacer(pairs...)
}

// Private reports whether a job sends what not everybody may know: what its
// servers answer then is kept without the values of cookies and without any
// secret that a header sends back.
func (s *Sent) Private() bool { return s.login != nil || len(s.secret) > 0 || s.redact.replacer != nil }

// Text is a message, or a header's value, without secrets.
func (s *Sent) Text(text string) string {
	if s.redact.replacer == nil {
		return text
	}
	return s.redact.replacer.Replace(text)
}

// Kept are an answer's headers as they may be stored: see [Sent.Private]. Of a
// Set-Cookie its name and attributes stay.
func (s *Sent) Kept(headers []harrow.Header) []harrow.Header {
	if !s.Private() {
		return headers
	}
	out := slices.Clone(headers)
	for i, h := range out {
		if strings.EqualFold(h.Name, "Set-Cookie") {
			pair, attributes, more := strings.Cut(h.Value, ";")
			name, _, _ := strings.Cut(pair, "=")
			h.Value = name + "=" + Redacted
			if more {
				h.Value += ";" + attributes
			}
		}
		h.Value = s.Text(h.Value)
		out[i] = h
	}
	return out
}
