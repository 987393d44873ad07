package rules

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/normal"
)

// Bounds of what a reject repeats of a page, in bytes and items.
const (
	maxRejectValue = 1 << 10
	maxPayloadText = 8 << 10
	maxPayloadList = 100
	maxReason      = 1 << 10
)

func (r *run) pageReject(record, code string, err error) harrow.Reject {
	c := &r.doc.page.Capture
	return harrow.Reject{
		ID: c.ID, Class: harrow.DataFault, Code: code, Reason: cut(err.Error(), maxReason),
		URL: c.URL, Record: record, Attempts: c.Attempts,
	}
}

func (r *run) rowReject(rule *rule, f *field, ordinal int64, v view, fault *fieldFault) harrow.Reject {
	record := r.program.types[rule.record].Name
	reject := r.pageReject(record, fault.code, fmt.Errorf("record %s, field %s, rule %s: %w", record, f.name, rule.name, fault.err))
	reject.Field, reject.Value = f.name, strings.Clone(cut(fault.value, maxRejectValue))
	payload := payload{Rule: rule.name, Ordinal: ordinal, Fields: make(map[string]any, len(rule.fields))}
	for _, f := range rule.fields {
		payload.Fields[f.name] = bounded(f.raw(v))
	}
	payload.place(v.row)
	reject.Payload = payload.String()
	return reject
}

// payload is what a rejected row was made of, before regex, map and type.
type payload struct {
	Rule    string         `json:"rule"`
	Ordinal int64          `json:"ordinal"`
	Fields  map[string]any `json:"fields,omitempty"`
	Line    int64          `json:"line,omitzero"`   // of a data file, from 1
	Offset  int64          `json:"offset,omitzero"` // in its decoded text, bytes
	Row     string         `json:"row,omitzero"`    // the row's text, or its beginning
}

func (p payload) String() string { return jsonLine(p) }

// jsonLine is a value as JSON, an object's members by name.
func jsonLine(v any) string {
	text, err := normal.JSON(v)
	if err != nil { // texts, lists of them and plain values of extractors
		return ""
	}
	return text
}

// bounded cuts a raw value to what a payload may hold.
func bounded(raw any) any {
	switch raw := raw.(type) {
	case string:
		return cut(raw, maxPayloadText)
	case []string:
		list := make([]string, min(len(raw), maxPayloadList))
		for i := range list {
			list[i] = cut(raw[i], maxRejectValue)
		}
		return list
	}
	items, ok := raw.([]any)
	if !ok {
		items, ok = itemsOf(raw)
	}
	if ok {
		return items[:min(len(items), maxPayloadList)]
	}
	return raw
}

// cut shortens a text to n bytes at most, between two characters.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}
