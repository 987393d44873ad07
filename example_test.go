package harrow_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/harrowdata/harrow"
)

func init() { harrow.RegisterExtractor("facts", newFacts) }

func newFacts(config json.RawMessage) (harrow.Extractor, error) {
	f := facts{Separator: ":"}
	if len(config) > 0 {
		if err := json.Unmarshal(config, &f); err != nil {
			return nil, fmt.Errorf("facts: %w", err)
		}
	}
	return f, nil
}

// facts makes a record of each line "name: value" of a text page.
type facts struct {
	Separator string `json:"separator"` // default ":"
}

// Records is asked before the first fetch: stores are checked against it.
func (facts) Records() []harrow.RecordType {
	text := harrow.Type{Kind: harrow.Text}
	return []harrow.RecordType{{Name: "fact", Columns: []harrow.Column{{Name: "name", Type: text}, {Name: "value", Type: text}}}}
}

// Extract streams: the page is never whole in memory.
func (f facts) Extract(ctx context.Context, page harrow.Page, emit func(harrow.Record) error) (err error) {
	body := page.Body()
	defer func() { err = errors.Join(err, body.Close()) }()
	lines := bufio.NewScanner(body)
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), f.Separator)
		if !ok {
			continue
		}
		row := map[string]any{"name": strings.TrimSpace(name), "value": strings.TrimSpace(value)}
		if err := emit(harrow.Record{Name: "fact", Values: row}); err != nil {
			return err
		}
	}
	return lines.Err()
}

func ExampleRegisterExtractor() {
	newFacts, err := harrow.LookupExtractor("facts")
	if err != nil {
		panic(err)
	}
	extractor, err := newFacts(nil)
	if err != nil {
		panic(err)
	}
	page := textPage("Colour: green\nno fact\nWeight: 12 kg\n")
	err = extractor.Extract(context.Background(), page, func(r harrow.Record) error {
		fmt.Printf("%s: %s = %s\n", r.Name, r.Values["name"], r.Values["value"])
		return nil
	})
	if err != nil {
		panic(err)
	}
	// Output:
	// fact: Colour = green
	// fact: Weight = 12 kg
}

// textPage is a page with this text.
type textPage string

func (p textPage) Capture() harrow.Capture { return harrow.Capture{ContentType: "text/plain"} }
func (p textPage) Body() io.ReadCloser     { return io.NopCloser(strings.NewReader(string(p))) }
