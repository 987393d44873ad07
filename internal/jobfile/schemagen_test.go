package jobfile

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/harrowdata/harrow"
)

// The schema of job files, made of the types that read them, the comments at
// their fields and the table of ranges. It says what single keys and values
// may be and which keys exclude each other; what spans the whole file (names
// of columns, a cap that is longer than its base) harrow check knows.

// schemaMaker gathers one definition a type.
type schemaMaker struct {
	t    *testing.T
	docs map[string]string // comments, by type and Go field
	defs words
}

func makeSchema(t *testing.T) []byte {
	m := &schemaMaker{t: t, docs: fieldComments(t), defs: words{
		"filled": words{"description": "${param.NAME}, ${NAME} or ${file:/path}, filled in when the file is read", "type": "string", "pattern": `\$\{`},
	}}
	root := m.object(reflect.TypeFor[harrow.Job]())
	schema := words{"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Harrow job file, version 1"}
	maps.Copy(schema, root)
	schema["$defs"] = m.defs
	data, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(data, '\n')
}

// fieldComments reads the comments at the fields of the root package's types.
func fieldComments(t *testing.T) map[string]string {
	docs := map[string]string{}
	files, err := filepath.Glob("../../*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if s, ok := spec.Type.(*ast.StructType); ok {
				for _, field := range s.Fields.List {
					for _, id := range field.Names {
						docs[spec.Name.Name+"."+id.Name] = strings.TrimSpace(field.Comment.Text() + field.Doc.Text())
					}
				}
			}
			return false
		})
	}
	return docs
}

// ref is a reference to the definition of a struct, made when it is met
// first.
func (m *schemaMaker) ref(t reflect.Type) words {
	if _, made := m.defs[t.Name()]; !made {
		m.defs[t.Name()] = words{} // it may refer to itself
		m.defs[t.Name()] = m.object(t)
	}
	return words{"$ref": "#/$defs/" + t.Name()}
}

// object is a mapping with the keys of a struct.
func (m *schemaMaker) object(t reflect.Type) words {
	properties := words{}
	var required []string
	for i := range t.NumField() {
		f := t.Field(i)
		key := tag(f)
		if key == "" {
			continue
		}
		p := nullable(m.value(f.Type, t.Name()+"."+key))
		if doc := m.docs[t.Name()+"."+f.Name]; doc != "" {
			p["description"] = doc
		}
		properties[key] = p
		if t == reflect.TypeFor[harrow.Job]() && !strings.Contains(f.Tag.Get("json"), ",omit") {
			required = append(required, key)
		}
	}
	o := words{"type": "object", "properties": properties, "additionalProperties": false}
	maps.Copy(o, together[t.Name()])
	if len(required) > 0 {
		o["required"] = required
	}
	return o
}

// together is what the keys of a type say of each other.
var together = map[string]words{
	"Field":  {"oneOf": oneSelectorOf("css", "xpath", "jsonpath", "jsonld", "column", "from", "any")},
	"Follow": {"oneOf": oneSelectorOf("css", "xpath", "jsonpath")},
	"Rule": {"allOf": []words{
		{"if": words{"required": []string{"use"}, "properties": words{"use": words{"type": "string", "minLength": 1}}},
			"then": words{"properties": none("record", "fields", "each", "rows")}},
		{"if": words{"not": words{"required": []string{"use"}}}, "then": words{"required": []string{"record", "fields"}, "properties": none("with")}},
	}},
	"PolitenessLimits": {"not": words{"required": []string{"delay", "rate"},
		"properties": words{"delay": words{"not": words{"type": "null"}}, "rate": words{"type": "string", "minLength": 1}}}},
}

// oneSelectorOf wants one of the keys, or a regex alone.
func oneSelectorOf(keys ...string) (branches []words) {
	for _, k := range keys {
		branches = append(branches, words{"required": []string{k}})
	}
	return append(branches, words{"required": []string{"regex"}, "properties": none(keys...)})
}

func none(keys ...string) words {
	w := words{}
	for _, k := range keys {
		w[k] = false
	}
	return w
}

// nullable lets a key stand without a value, which is as if it were absent.
func nullable(w words) words {
	if kind, ok := w["type"].(string); ok && w["enum"] == nil {
		w["type"] = []string{kind, "null"}
		return w
	}
	if len(w) == 0 {
		return w
	}
	if either, ok := w["anyOf"].([]words); ok {
		w["anyOf"] = append(either, words{"type": "null"})
		return w
	}
	return words{"anyOf": []words{w, {"type": "null"}}}
}

// value is what a value of a type may be, with the words of its range.
func (m *schemaMaker) value(t reflect.Type, rule string) words {
	if t.Kind() == reflect.Pointer {
		return m.value(t.Elem(), rule)
	}
	w, special := m.special(t)
	if !special {
		w = m.plain(t, rule)
	}
	if check := ranges[rule]; check != nil {
		d := &decoder{words: words{}}
		check(d, reflect.New(t).Elem())
		maps.Copy(w, d.words)
	}
	switch kind, _ := w["type"].(string); {
	case kind == "integer", kind == "number", kind == "boolean", kind == "string" && len(w) > 1 && w["minLength"] == nil:
		return words{"anyOf": []words{w, {"$ref": "#/$defs/filled"}}}
	}
	return w
}

func (m *schemaMaker) plain(t reflect.Type, rule string) words {
	switch t.Kind() {
	case reflect.Struct:
		return m.ref(t)
	case reflect.Map:
		w := words{"type": "object", "additionalProperties": m.value(t.Elem(), rule+".*")}
		if t.Elem().Kind() == reflect.Struct {
			w["additionalProperties"] = nullable(m.value(t.Elem(), rule+".*"))
		}
		return w
	case reflect.Slice:
		return words{"type": "array", "items": m.value(t.Elem(), rule+"[]")}
	case reflect.String:
		return words{"type": "string"}
	case reflect.Bool:
		return words{"type": "boolean"}
	case reflect.Int, reflect.Int64:
		return words{"type": "integer"}
	case reflect.Float64:
		return words{"type": "number"}
	}
	m.t.Fatalf("%s: the schema has no words for a %s", rule, t)
	return nil
}

// special are the types with a form of their own.
func (m *schemaMaker) special(t reflect.Type) (words, bool) {
	columns := func(value words) words {
		return words{"type": "object", "propertyNames": words{"pattern": columnName.String()}, "additionalProperties": value}
	}
	scalar := words{"type": []string{"string", "number", "boolean", "null"}}
	filled := words{"$ref": "#/$defs/filled"}
	switch reflect.New(t).Elem().Interface().(type) {
	case harrow.Duration:
		return words{"anyOf": []words{{"type": "string", "pattern": `^[-+]?(0|([0-9]*\.?[0-9]*(ns|us|µs|μs|ms|s|m|h))+)$`}, {"const": 0}, filled}}, true
	case harrow.ByteSize:
		return words{"anyOf": []words{{"type": "string", "pattern": `^\s*[0-9]+\s*(TiB|GiB|MiB|KiB|TB|GB|MB|kB|B)?\s*$`}, {"type": "integer", "minimum": 0}, filled}}, true
	case harrow.Rate:
		return words{"anyOf": []words{{"type": "string", "pattern": `^(\+?[0-9]+/[smhd])?$`}, filled}}, true
	case harrow.Auto:
		return words{"anyOf": []words{{"const": "auto"}, {"type": "integer", "minimum": 1, "maximum": 65536}, {"type": "string", "pattern": `^\+?[0-9]+$`}, filled}}, true
	case harrow.Sitemaps:
		return words{"anyOf": []words{{"const": "auto"}, {"type": "array", "items": words{"type": []string{"string", "null"}}}, filled}}, true
	case harrow.Scalar:
		return scalar, true
	case harrow.ValueMap:
		return words{"type": "object", "additionalProperties": scalar}, true
	case harrow.Keep:
		return words{"anyOf": []words{{"enum": []string{harrow.KeepLatest, harrow.KeepFirst, harrow.KeepMostComplete, ""}}, filled,
			{"type": "object", "required": []string{harrow.KeepLatest}, "properties": words{harrow.KeepLatest: words{"type": "string"}}, "additionalProperties": false}}}, true
	case harrow.Rows:
		return words{"anyOf": []words{{"enum": []string{harrow.RowsCSV, harrow.RowsJSONL, ""}}, filled,
			{"type": "object", "required": []string{harrow.RowsJSON}, "properties": words{harrow.RowsJSON: words{"type": "string"}}, "additionalProperties": false}}}, true
	case harrow.Fields:
		return columns(m.ref(reflect.TypeFor[harrow.Field]())), true
	case harrow.Additions:
		return columns(m.ref(reflect.TypeFor[harrow.Addition]())), true
	case json.RawMessage:
		return words{}, true
	}
	return nil, false
}
