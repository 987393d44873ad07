package rules

import (
	"fmt"
	"strings"

	"github.com/harrowdata/harrow"
)

// alternative is one of a field's `any`: a selector, and perhaps a regex that
// its texts are cut by.
type alternative struct {
	source source
	regex  *pattern // nil: none
}

// pick is the texts that remain, tidied and not empty.
func (a *alternative) pick(v view, all bool) ([]string, *Fault) {
	v, fault := v.with(a.source.needs())
	if fault != nil {
		return nil, fault
	}
	// Where a regex or white space may leave nothing of the first text, the
	// next one doesn't count either: the same as without `any`.
	texts, fault := a.source.pick(v, nil, all)
	if fault != nil {
		return nil, fault
	}
	kept := texts[:0]
	for _, text := range texts {
		text = tidy(text)
		if a.regex != nil {
			found, _ := a.regex.find(text)
			text = tidy(found)
		}
		if text != "" {
			kept = append(kept, text)
		}
	}
	return kept, nil
}

// anySource is the first of its alternatives that selects something.
type anySource struct{ alternatives []alternative }

func compileAny(defs []harrow.Field) (*anySource, error) {
	s := &anySource{}
	for i, def := range defs {
		a, err := compileAlternative(def)
		if err != nil {
			return nil, fmt.Errorf("any[%d]: %w", i, err)
		}
		s.alternatives = append(s.alternatives, a)
	}
	return s, nil
}

func compileAlternative(def harrow.Field) (a alternative, err error) {
	only := def
	only.CSS, only.XPath, only.JSONPath, only.JSONLD, only.Column, only.From, only.Regex = "", "", "", "", "", "", ""
	if key := besideSelector(only); key != "" {
		return a, fmt.Errorf("%s belongs to the field, not to one of its alternatives", key)
	}
	if a.source, err = compileSource(def); err != nil {
		return a, err
	}
	if _, alone := a.source.(regexSource); def.Regex != "" && !alone {
		p, err := compilePattern(def.Regex)
		a.regex = &p
		return a, err
	}
	return a, nil
}

// besideSelector names a key that a field has beside its selectors.
func besideSelector(def harrow.Field) string {
	for _, k := range []struct {
		key  string
		used bool
	}{
		{"any", len(def.Any) > 0}, {"list", def.List != ""}, {"map", len(def.Map) > 0}, {"type", def.Type != ""}, {"currency", def.Currency != ""},
		{"decimal", def.Decimal != ""}, {"format", def.Format != ""}, {"zone", def.Zone != ""}, {"required", def.Required}, {"default", def.Default.IsSet()},
	} {
		if k.used {
			return k.key
		}
	}
	return ""
}

func (s *anySource) String() string {
	texts := make([]string, len(s.alternatives))
	for i, a := range s.alternatives {
		texts[i] = a.source.String()
	}
	return "any: [" + strings.Join(texts, ", ") + "]"
}

// needs: a page lacks what one alternative needs, and another may not.
func (s *anySource) needs() needs { return needs{} }

func (s *anySource) pick(v view, dst []string, all bool) ([]string, *Fault) {
	texts, _, fault := s.first(v, all)
	return append(dst, texts...), fault
}

// first returns what the first alternative that selects something selects, and
// its index, -1 for none. On a page of another kind an alternative selects
// nothing; what else is wrong with the page is a fault.
func (s *anySource) first(v view, all bool) ([]string, int, *Fault) {
	other := 0
	var last *Fault
	for i := range s.alternatives {
		texts, fault := s.alternatives[i].pick(v, all)
		switch {
		case fault != nil && fault.Code == CodeContentType:
			other, last = other+1, fault
		case fault != nil:
			return nil, -1, fault
		case len(texts) > 0:
			return texts, i, nil
		}
	}
	if other == len(s.alternatives) { // as a single selector would
		return nil, -1, last
	}
	return nil, -1, nil
}
