package seedfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/carry"
)

// fromJSON reads one line.
func fromJSON(line string) (s Seed, err error) {
	var row map[string]json.RawMessage
	d := json.NewDecoder(strings.NewReader(line))
	if err := d.Decode(&row); err != nil || row == nil {
		return s, fmt.Errorf("want a JSON object: %w", orNull(err))
	}
	if _, err := d.Token(); err != io.EOF {
		return s, errors.New("want one JSON object a line; something follows it")
	}
	if err := unmarshal(row, "url", &s.URL, "a text"); err != nil {
		return s, err
	}
	if err := unmarshal(row, "method", &s.Method, "a text"); err != nil {
		return s, err
	}
	if s.Headers, err = headersOf(row["headers"]); err != nil {
		return s, err
	}
	if err := s.setBody(row["body"]); err != nil {
		return s, err
	}
	for _, name := range []string{"url", "method", "headers", "body"} {
		delete(row, name)
	}
	if s.Carry, err = carried(row); err != nil {
		return s, err
	}
	return s, s.check()
}

func orNull(err error) error {
	if err == nil {
		return errors.New("got null")
	}
	return err
}

// unmarshal reads a field; none, or null, leaves the zero.
func unmarshal(row map[string]json.RawMessage, name string, to any, want string) error {
	raw, ok := row[name]
	if !ok {
		return nil
	}
	if err := json.Unmarshal(raw, to); err != nil {
		return fmt.Errorf("field %s: got %s; want %s", name, head(string(raw)), want)
	}
	return nil
}

// headersOf reads headers from {"name": "value" or ["value", …]}, in the order
// of names, or from [["name", "value"], …].
func headersOf(raw json.RawMessage) ([]harrow.Header, error) {
	if empty(raw) {
		return nil, nil
	}
	var list []harrow.Header
	var pairs [][]string
	if err := json.Unmarshal(raw, &pairs); err == nil {
		for _, p := range pairs {
			if len(p) != 2 {
				return nil, fmt.Errorf("headers: %q; want [name, value]", p)
			}
			list = append(list, harrow.Header{Name: p[0], Value: p[1]})
		}
		return list, nil
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(raw, &object); err != nil {
		return nil, fmt.Errorf("headers: got %s; want an object of texts, or a list of [name, value]", head(string(raw)))
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		var one string
		many := []string{}
		if json.Unmarshal(object[name], &one) == nil && !empty(object[name]) {
			many = append(many, one)
		} else if json.Unmarshal(object[name], &many) != nil || empty(object[name]) {
			return nil, fmt.Errorf("headers: %s is %s; want a text or a list of texts", head(name), head(string(object[name])))
		}
		for _, v := range many {
			list = append(list, harrow.Header{Name: name, Value: v})
		}
	}
	return list, nil
}

// setBody takes a body over; JSON is said to be that.
func (s *Seed) setBody(raw json.RawMessage) error {
	if empty(raw) {
		return nil
	}
	if raw[0] == '"' {
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			return fmt.Errorf("body: %w", err)
		}
		s.Body = []byte(text)
		return nil
	}
	if raw[0] != '{' && raw[0] != '[' {
		return fmt.Errorf("field body: got %s; want a text, or a JSON object or list", head(string(raw)))
	}
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return fmt.Errorf("body: %w", err)
	}
	s.Body = b.Bytes()
	if !slices.ContainsFunc(s.Headers, func(h harrow.Header) bool { return strings.EqualFold(h.Name, "Content-Type") }) {
		s.Headers = append(s.Headers, harrow.Header{Name: "Content-Type", Value: "application/json"})
	}
	return nil
}

// carried is the other fields, texts written in one way.
func carried(row map[string]json.RawMessage) (string, error) {
	for name, raw := range row {
		switch raw[0] {
		case '{', '[':
			return "", fmt.Errorf("field %s: got %s; want a text, number, true, false or null", head(name), head(string(raw)))
		case '"':
			var text string
			if err := json.Unmarshal(raw, &text); err != nil {
				return "", fmt.Errorf("field %s: %w", head(name), err)
			}
			row[name] = literal(text)
		}
	}
	return carry.Encode(row)
}

// literal is a text as JSON, its characters as they are.
func literal(text string) json.RawMessage {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(text) // a text always encodes
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func empty(raw json.RawMessage) bool { return len(raw) == 0 || string(raw) == "null" }
