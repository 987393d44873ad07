package harrow

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Rule gets records out of the pages it matches: by its fields, or by the
// extractor that Use names. Match and ContentType both must hold; an absent
// one always does.
type Rule struct {
	Record      string          `json:"record,omitzero"`        // name of the record; none with Use
	Match       []string        `json:"match,omitempty"`        // globs against the final URL: `*` stays within a part of the path, `**` crosses slashes; default: every page
	ContentType []string        `json:"content_type,omitempty"` // media types without parameters, "text/*" allowed; default: every one
	Last        bool            `json:"last,omitzero"`          // a page this rule matches is shown to no later rule
	Each        string          `json:"each,omitzero"`          // CSS: one record per element; default: one per page
	Rows        Rows            `json:"rows,omitzero"`          // one record per row of a data file; default: the page is a document
	Fields      Fields          `json:"fields,omitempty"`       // the record's columns, in order
	Use         string          `json:"use,omitzero"`           // a registered extractor, instead of Record and Fields
	With        json.RawMessage `json:"with,omitempty"`         // the extractor's config
}

// Rows says how a data file is cut into rows.
type Rows struct {
	Format string // RowsCSV, RowsJSONL, RowsJSON, or empty: not a data file
	Path   string // RowsJSON: the JSONPath of the rows
}

// Formats of [Rows].
const (
	RowsCSV   = "csv"
	RowsJSONL = "jsonl"
	RowsJSON  = "json"
)

// MarshalJSON writes "csv", "jsonl" or {"json": PATH}.
func (r Rows) MarshalJSON() ([]byte, error) {
	if r.Format == RowsJSON {
		return json.Marshal(map[string]string{RowsJSON: r.Path})
	}
	return json.Marshal(r.Format)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (r *Rows) UnmarshalJSON(data []byte) error {
	var format string
	if json.Unmarshal(data, &format) == nil && (format == RowsCSV || format == RowsJSONL || format == "") {
		*r = Rows{Format: format}
		return nil
	}
	var path map[string]string
	if json.Unmarshal(data, &path) == nil && len(path) == 1 && path[RowsJSON] != "" {
		*r = Rows{Format: RowsJSON, Path: path[RowsJSON]}
		return nil
	}
	return fmt.Errorf(`%.80s; expected csv, jsonl or {json: "$.items[*]"}`, data)
}

// Field types beside the kinds of columns: what a field's Type may also be.
const (
	TypeMoney = "money" // two columns, NAME_amount (decimal) and NAME_currency (ISO 4217)
	TypeURL   = "url"   // text, made absolute against the final URL and canonical
)

// Field is one value of a record. Its steps, in this order: select (one of
// CSS, XPath, JSONPath, JSONLD, Column, From, Any; Regex alone selects in the
// body's text), text with white space collapsed, Regex, Map, Type. Nothing
// selected is null.
type Field struct {
	CSS      string   `json:"css,omitzero"`      // selector, "@attribute" at its end takes that instead of the text
	XPath    string   `json:"xpath,omitzero"`    //
	JSONPath string   `json:"jsonpath,omitzero"` // RFC 9535, in a JSON body or row
	JSONLD   string   `json:"jsonld,omitzero"`   // JSONPath in the page's JSON-LD blocks
	Column   string   `json:"column,omitzero"`   // of a row; see Rule.Rows
	From     string   `json:"from,omitzero"`     // url (final), request_url, host, path, status, fetched_at, header:NAME, carry:NAME
	Any      []Field  `json:"any,omitempty"`     // the first that selects something
	List     string   `json:"list,omitzero"`     // "all": every match, not the first; Type is the elements'
	Regex    string   `json:"regex,omitzero"`    // RE2; the group named value, else group 1, else the whole match
	Map      ValueMap `json:"map,omitempty"`     // a value that is not in it is a reject
	Type     string   `json:"type,omitzero"`     // a column type as ParseType reads, TypeMoney or TypeURL; default text
	Currency string   `json:"currency,omitzero"` // TypeMoney: ISO 4217, when the text names none or only a shared sign
	Decimal  string   `json:"decimal,omitzero"`  // money, decimal: "," or "."; default: by the form of currency and number, ambiguous ones are rejects
	Format   string   `json:"format,omitzero"`   // date, timestamp: strftime; default: ISO 8601 only
	Zone     string   `json:"zone,omitzero"`     // date, timestamp: IANA name for texts without a zone; default UTC
	Required bool     `json:"required,omitzero"` // null rejects the row
	Default  Scalar   `json:"default,omitzero"`  // stands in for null
}

// ListAll is the one value of [Field].List.
const ListAll = "all"

// IsList reports whether every match counts, so that the column is a list.
func (f Field) IsList() bool {
	t, err := ParseType(f.Type)
	return f.List == ListAll || err == nil && t.List
}

// Columns returns what the field becomes in a record: one column, or two for
// money. A type that can't be read counts as text.
func (f Field) Columns(name string) []Column {
	if f.Type == TypeMoney {
		return []Column{{name + "_amount", DefaultDecimal}, {name + "_currency", Type{Kind: Text}}}
	}
	t, err := ParseType(f.Type)
	if err != nil { // a URL is one too
		t = Type{Kind: Text}
	}
	t.List = f.IsList()
	return []Column{{name, t}}
}

// NamedField is a field and the name of its column.
type NamedField struct {
	Name string
	Field
}

// Fields are a record's fields in the job file's order, which is the order of
// the columns. In JSON it is an object in that order.
type Fields []NamedField

// MarshalJSON writes an object whose keys are in the fields' order.
func (f Fields) MarshalJSON() ([]byte, error) {
	return marshalOrdered(len(f), func(i int) (string, any) { return f[i].Name, f[i].Field })
}

// UnmarshalJSON reads an object and keeps the order of its keys.
func (f *Fields) UnmarshalJSON(data []byte) error {
	*f = nil
	return unmarshalOrdered(data, func(name string, d *json.Decoder) error {
		field := NamedField{Name: name}
		err := d.Decode(&field.Field)
		*f = append(*f, field)
		return err
	})
}

// MapEntry is one pair of a [ValueMap].
type MapEntry struct {
	From string
	To   Scalar
}

// ValueMap maps texts to values, in the job file's order. In JSON it is an
// object in that order.
type ValueMap []MapEntry

// Lookup returns what the text is mapped to, and whether it is mapped.
func (m ValueMap) Lookup(text string) (Scalar, bool) {
	for _, e := range m {
		if e.From == text {
			return e.To, true
		}
	}
	return "", false
}

// MarshalJSON writes an object whose keys are in the entries' order.
func (m ValueMap) MarshalJSON() ([]byte, error) {
	return marshalOrdered(len(m), func(i int) (string, any) { return m[i].From, m[i].To })
}

// UnmarshalJSON reads an object and keeps the order of its keys.
func (m *ValueMap) UnmarshalJSON(data []byte) error {
	*m = nil
	return unmarshalOrdered(data, func(from string, d *json.Decoder) error {
		e := MapEntry{From: from}
		err := d.Decode(&e.To)
		*m = append(*m, e)
		return err
	})
}

// marshalOrdered writes an object of n pairs in their order.
func marshalOrdered(n int, pair func(int) (string, any)) ([]byte, error) {
	b := []byte{'{'}
	for i := range n {
		name, value := pair(i)
		key, err := json.Marshal(name)
		if err != nil {
			return nil, err
		}
		v, err := json.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, key...), ':'), v...)
	}
	return append(b, '}'), nil
}

// unmarshalOrdered reads an object, or null, and hands each key to value,
// which decodes what follows. A key that comes twice is an error.
func unmarshalOrdered(data []byte, value func(key string, d *json.Decoder) error) error {
	d := json.NewDecoder(bytes.NewReader(data))
	start, err := d.Token()
	if err != nil || start == nil {
		return err
	}
	if start != json.Delim('{') {
		return fmt.Errorf("got %.40s; expected an object", data)
	}
	seen := map[string]bool{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return err
		}
		key, _ := token.(string) // a key is always a string
		if seen[key] {
			return fmt.Errorf("key %q comes twice", key)
		}
		seen[key] = true
		if err := value(key, d); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	_, err = d.Token()
	return err
}
