package demosite

import (
	"bytes"
	"encoding/json"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/PuerkitoBio/goquery"
	"github.com/goccy/go-yaml"
	"github.com/theory/jsonpath"
	"golang.org/x/net/html/charset"
)

// The types below read just enough of testdata/demo/shop.yaml to try its
// selectors on the site's pages. They are the test's own reading of the job
// file's grammar, apart from Harrow's.

type jobFile struct {
	Fetch struct {
		Resolve map[string]string `yaml:"resolve"`
	} `yaml:"fetch"`
	Discover struct {
		Seeds struct {
			Files []string `yaml:"files"`
		} `yaml:"seeds"`
		Scope struct {
			Hosts []string `yaml:"hosts"`
		} `yaml:"scope"`
		Follow []struct {
			Within   []string `yaml:"within"`
			CSS      string   `yaml:"css"`
			JSONPath string   `yaml:"jsonpath"`
			Regex    string   `yaml:"regex"`
		} `yaml:"follow"`
	} `yaml:"discover"`
	Parse []rule `yaml:"parse"`
}

type rule struct {
	Record string           `yaml:"record"`
	Match  []string         `yaml:"match"`
	Each   string           `yaml:"each"`
	Rows   any              `yaml:"rows"`
	Fields map[string]field `yaml:"fields"`
}

type field struct {
	CSS      string         `yaml:"css"`
	JSONLD   string         `yaml:"jsonld"`
	From     string         `yaml:"from"`
	Regex    string         `yaml:"regex"`
	Map      map[string]int `yaml:"map"`
	Type     string         `yaml:"type"`
	Currency string         `yaml:"currency"`
	Required bool           `yaml:"required"`
}

func readJob(t *testing.T) jobFile {
	t.Helper()
	text, err := os.ReadFile("../../testdata/demo/shop.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var job jobFile
	if err := yaml.Unmarshal(text, &job); err != nil {
		t.Fatal(err)
	}
	return job
}

// rulesFor returns the rules whose match fits the path.
func (j jobFile) rulesFor(path string) []rule {
	var rules []rule
	for _, r := range j.Parse {
		if globs(r.Match, path) {
			rules = append(rules, r)
		}
	}
	return rules
}

func globs(patterns []string, path string) bool {
	for _, p := range patterns {
		re := strings.ReplaceAll(regexp.QuoteMeta(p), `\*`, "[^/]*")
		if regexp.MustCompile("^" + re + "$").MatchString(path) {
			return true
		}
	}
	return false
}

// document is a page as a browser would read it.
type document struct {
	*goquery.Document
	url    *url.URL // of the last answer
	linked []any    // its JSON-LD nodes
}

func parsePage(t *testing.T, final *url.URL, contentType string, body []byte) document {
	t.Helper()
	decoded, err := charset.NewReader(bytes.NewReader(body), contentType)
	if err != nil && len(body) > 0 {
		t.Fatal(err)
	}
	d := document{url: final}
	if len(body) == 0 {
		d.Document, err = goquery.NewDocumentFromReader(bytes.NewReader(nil))
	} else {
		d.Document, err = goquery.NewDocumentFromReader(decoded)
	}
	if err != nil {
		t.Fatal(err)
	}
	d.Find(`script[type="application/ld+json"]`).Each(func(_ int, s *goquery.Selection) {
		dec := json.NewDecoder(strings.NewReader(s.Text()))
		dec.UseNumber()
		var node any
		if err := dec.Decode(&node); err != nil {
			t.Errorf("%s: JSON-LD: %v", final, err)
		}
		if m, ok := node.(map[string]any); ok && m["@graph"] != nil {
			d.linked = append(d.linked, m["@graph"].([]any)...)
			return
		}
		d.linked = append(d.linked, node)
	})
	return d
}

// base is what the page's links are relative to.
func (d document) base() *url.URL {
	if href, ok := d.Find("base").Attr("href"); ok {
		if u, err := d.url.Parse(href); err == nil {
			return u
		}
	}
	return d.url
}

// selected returns what a field selects, text collapsed, before regex, map and
// type.
func (d document) selected(t *testing.T, within *goquery.Selection, f field) []string {
	t.Helper()
	var values []string
	add := func(s string) { values = append(values, strings.Join(strings.Fields(s), " ")) }
	switch {
	case f.From == "host":
		add(d.url.Hostname())
	case f.CSS != "":
		selector, attribute, hasAttribute := strings.Cut(f.CSS, "@")
		within.Find(selector).Each(func(_ int, s *goquery.Selection) {
			if !hasAttribute {
				add(s.Text())
			} else if v, ok := s.Attr(attribute); ok {
				add(v)
			}
		})
	case f.JSONLD != "":
		path, err := jsonpath.Parse(f.JSONLD)
		if err != nil {
			t.Fatal(err)
		}
		for _, node := range d.linked {
			for v := range path.Select(node).All() {
				if s, ok := v.(string); ok {
					add(s)
				} else if n, ok := v.(json.Number); ok {
					add(n.String())
				}
			}
		}
	default:
		t.Fatalf("field %+v: no selector that the test knows", f)
	}
	return values
}

// row applies a rule's fields to an element of a page; reject names the field
// that fails first in the order of the alphabet.
func (d document) row(t *testing.T, within *goquery.Selection, r rule) (row map[string]any, reject, value string) {
	t.Helper()
	row = map[string]any{}
	for name, f := range r.Fields {
		values := d.selected(t, within, f)
		if f.Type == "list" {
			row[name] = values
			continue
		}
		if len(values) == 0 {
			if f.Required {
				return nil, name, ""
			}
			continue
		}
		v, ok := d.typed(f, values[0])
		if !ok {
			return nil, name, values[0]
		}
		row[name] = v
	}
	return row, "", ""
}

var priceForm = regexp.MustCompile(`^([£€]?)([\d.,]*[.,]\d\d)$`)

func (d document) typed(f field, v string) (any, bool) {
	if f.Regex != "" {
		m := regexp.MustCompile(f.Regex).FindStringSubmatch(v)
		if m == nil {
			return nil, false
		}
		v = m[1]
	}
	if f.Map != nil {
		n, ok := f.Map[v]
		return json.Number(jsonText(n)), ok
	}
	switch f.Type {
	case "url":
		u, err := d.base().Parse(v)
		return u.String(), err == nil
	case "money":
		m := priceForm.FindStringSubmatch(v)
		if m == nil {
			return nil, false
		}
		currency, digits := f.Currency, strings.NewReplacer(",", "", ".", "").Replace(m[2])
		if m[1] == "€" {
			currency = "EUR"
		}
		return digits[:len(digits)-2] + "." + digits[len(digits)-2:] + " " + currency, true
	case "int":
		return json.Number(v), true
	}
	return v, true
}

func jsonText(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}
