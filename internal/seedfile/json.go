package seedfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/carry"
	"github.com/harrowdata/harrow/internal/normal"
	"github.com/harrowdata/harrow/internal/rowdata"
)

// fromJSON reads one line.
func fromJSON(row *rowdata.Row) (s *Seed, err error) {
	object, ok := row.Value.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("want a JSON object; got %s", shownJSON(row.Value))
	}
	s = &Seed{}
	for _, name := range []string{"url", "method"} {
		if _, ok := object[name].(string); !ok && object[name] != nil {
			return nil, fmt.Errorf("field %s: got %s; want a text", name, shownJSON(object[name]))
		}
	}
	s.URL, _ = object["url"].(string)
	s.Method, _ = object["method"].(string)
	if s.Headers, err = headersOf(object["headers"]); err != nil {
		return nil, err
	}
	if err := s.setBody(object["body"], row.Raw); err != nil {
		return nil, err
	}
	for _, name := range []string{"url", "method", "headers", "body"} {
		delete(object, name)
	}
	for name, v := range object {
		if structured(v) {
			return nil, fmt.Errorf("field %s: got %s; want a text, number, true, false or null", head(name), shownJSON(v))
		}
	}
	if s.Carry, err = carry.Encode(object); err != nil {
		return nil, err
	}
	return s, s.check()
}

// shownJSON is a value as messages have it.
func shownJSON(v any) string {
	text, err := normal.JSON(v)
	if err != nil {
		return err.Error()
	}
	return head(text)
}

func structured(v any) bool {
	switch v.(type) {
	case map[string]any, []any:
		return true
	}
	return false
}

// headersOf reads headers from {"name": "value" or ["value", …]}, in the order
// of names, or from [["name", "value"], …].
func headersOf(v any) (list []harrow.Header, err error) {
	switch v := v.(type) {
	case nil:
	case []any:
		for _, one := range v {
			pair, ok := texts(one)
			if !ok || len(pair) != 2 {
				return nil, fmt.Errorf("headers: got %s; want [name, value]", shownJSON(one))
			}
			list = append(list, harrow.Header{Name: pair[0], Value: pair[1]})
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			values, ok := texts(v[name])
			if one, single := v[name].(string); single {
				values, ok = []string{one}, true
			}
			if !ok {
				return nil, fmt.Errorf("headers: %s is %s; want a text or a list of texts", head(name), shownJSON(v[name]))
			}
			for _, value := range values {
				list = append(list, harrow.Header{Name: name, Value: value})
			}
		}
	default:
		return nil, fmt.Errorf("headers: got %s; want an object of texts, or a list of [name, value]", shownJSON(v))
	}
	return list, nil
}

// texts is a list of nothing else.
func texts(v any) (list []string, ok bool) {
	values, ok := v.([]any)
	for _, v := range values {
		text, is := v.(string)
		list, ok = append(list, text), ok && is
	}
	return list, ok
}

// setBody takes a body over; JSON is said to be that, and sent as it stands in
// the line.
func (s *Seed) setBody(v any, line []byte) error {
	if text, ok := v.(string); ok || v == nil {
		if ok {
			s.Body = []byte(text)
		}
		return nil
	}
	if !structured(v) {
		return fmt.Errorf("field body: got %s; want a text, or a JSON object or list", shownJSON(v))
	}
	var fields map[string]json.RawMessage
	err := json.Unmarshal(line, &fields)
	var b bytes.Buffer
	if err = errors.Join(err, json.Compact(&b, fields["body"])); err != nil {
		return fmt.Errorf("body: %w", err)
	}
	s.Body = b.Bytes()
	if !slices.ContainsFunc(s.Headers, func(h harrow.Header) bool { return strings.EqualFold(h.Name, "Content-Type") }) {
		s.Headers = append(s.Headers, harrow.Header{Name: "Content-Type", Value: "application/json"})
	}
	return nil
}
