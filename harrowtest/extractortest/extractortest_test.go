package extractortest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/harrowtest/internal/rows"
)

// lines makes a record of each line "name: value", with the faults its config
// lists.
type lines struct {
	Faults []string
	n      *atomic.Int64
	own    int64
}

func init() {
	var all atomic.Int64
	harrow.RegisterExtractor("lines", func(config json.RawMessage) (harrow.Extractor, error) {
		l := &lines{n: &all}
		if len(config) > 0 {
			if err := json.Unmarshal(config, l); err != nil {
				return nil, err
			}
		}
		return l, nil
	})
}

func (l *lines) has(fault string) bool { return slices.Contains(l.Faults, fault) }

func (l *lines) Records() []harrow.RecordType {
	text := harrow.Type{Kind: harrow.Text}
	t := harrow.RecordType{Name: "line", Columns: []harrow.Column{{Name: "name", Type: text}, {Name: "value", Type: text}}}
	switch {
	case l.has("no records"):
		return nil
	case l.has("records change"):
		t.Name += time.Unix(l.n.Add(1), 0).String()
	case l.has("two columns of a name"):
		t.Columns[1].Name = "NAME"
	case l.has("a provenance column"):
		t.Columns[1].Name = "_id"
	case l.has("no such type"):
		t.Columns[1].Type.Kind = "money"
	}
	return []harrow.RecordType{t}
}

func (l *lines) Extract(ctx context.Context, page harrow.Page, emit func(harrow.Record) error) (err error) {
	body := page.Body()
	if !l.has("leaves the body open") {
		defer func() { err = errors.Join(err, body.Close()) }()
	}
	if l.has("leaves a goroutine") {
		go func() { time.Sleep(time.Minute) }()
	}
	if l.has("hangs") {
		<-ctx.Done()
	}
	in := io.Reader(body)
	if l.has("reads once") {
		first := make([]byte, 1<<20)
		n, _ := body.Read(first)
		in = strings.NewReader(string(first[:n]))
	}
	scan := bufio.NewScanner(in)
	for scan.Scan() {
		name, value, ok := strings.Cut(scan.Text(), ":")
		if l.has("panics") && len(scan.Text()) > 0 && !ok {
			panic("no colon")
		}
		if !ok {
			continue
		}
		r := harrow.Record{Name: "line", Values: map[string]any{"name": strings.TrimSpace(name), "value": strings.TrimSpace(value)}}
		switch {
		case l.has("another record"):
			r.Name = "row"
		case l.has("another column"):
			r.Values["colour"] = "red"
		case l.has("another type"):
			r.Values["value"] = 5
		case l.has("counts over instances"):
			r.Values["value"] = time.Unix(l.n.Add(1), 0).String()
		case l.has("counts"):
			l.own++
			r.Values["value"] = time.Unix(l.own, 0).String()
		}
		if err := emit(r); err != nil && !l.has("emit's error dropped") {
			return err
		}
		if l.has("stops when the context ends") && ctx.Err() != nil {
			return nil
		}
	}
	if l.has("body's error dropped") {
		return nil
	}
	return scan.Err()
}

func caseOf(faults ...string) Case {
	config, _ := json.Marshal(map[string]any{"Faults": faults})
	return Case{Extractor: "lines", Config: config, Pages: []Page{
		{Capture: harrow.Capture{URL: "http://a.example/"}, Body: "colour: green\nnothing\nweight: 12 kg\n"}, {Body: "a: b\nc: d"}}}
}

func TestAGoodExtractorPasses(t *testing.T) { Run(t, caseOf()) }

// Each fault, and the demand that finds it.
func TestTheSuiteCatches(t *testing.T) {
	faults := map[string]string{
		"no records": "declares its records", "records change": "declares its records", "two columns of a name": "declares its records", "a provenance column": "declares its records", "no such type": "declares its records",
		"another record": "emits what it declares", "another column": "emits what it declares", "another type": "emits what it declares",
		"counts": "is deterministic", "counts over instances": "is deterministic",
		"reads once": "reads a body however it is cut", "leaves the body open": "closes what it opens", "leaves a goroutine": "leaves no goroutine",
		"body's error dropped": "returns the error of a body", "emit's error dropped": "returns the error of emit",
		"stops when the context ends": "bears a context that has ended", "panics": "bears hostile bodies",
	}
	for fault, name := range faults {
		t.Run(fault, func(t *testing.T) {
			d := demands[slices.IndexFunc(demands, func(d demand) bool { return d.name == name })]
			if failed, said := rows.Try(t, func(tb testing.TB) { d.check(tb, caseOf(fault)) }); !failed {
				t.Errorf("%q passes an extractor with this fault: %s", name, said)
			}
		})
	}
	for _, d := range demands {
		if !slices.ContainsFunc(caughtBy(faults), func(name string) bool { return name == d.name }) {
			t.Errorf("no fault shows that %q can fail", d.name)
		}
	}
	if failed, _ := rows.Try(t, func(tb testing.TB) { emitsDeclared(tb, Case{Extractor: "lines", Pages: []Page{{Body: "no colon"}}}) }); !failed {
		t.Error("pages without a record show nothing, and pass")
	}
	if failed, _ := rows.Try(t, func(tb testing.TB) { declares(tb, Case{Extractor: "nobody"}) }); !failed {
		t.Error("an extractor that isn't registered passes")
	}
}

func caughtBy(faults map[string]string) (names []string) {
	for _, name := range faults {
		names = append(names, name)
	}
	return names
}
