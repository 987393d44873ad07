package jobfile

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/harrowdata/harrow"
)

// decoder turns nodes into the job's types: the types' json tags are the
// schema, ranges and gaps are tables beside it. Where a value is wrong its
// zero stays and reading goes on, so that all problems are found at once.
type decoder struct {
	file string
	opts Options
	at   map[string]Pos // of values, by path
	keys map[string]Pos // of keys, by path
	errs Errors

	words words // not nil: checks are asked for the schema
}

// place is where a value stands: its path, the path with * for names and []
// for positions (as the table of gaps has it), and the rule for its range
// ("Fetch.timeout").
type place struct{ path, pattern, rule string }

func (p place) item(i int) place {
	return place{fmt.Sprintf("%s[%d]", p.path, i), p.pattern + "[]", p.rule + "[]"}
}

func (p place) name(name string) place {
	return place{join(p.path, name), join(p.pattern, "*"), p.rule + ".*"}
}

func (p place) field(owner reflect.Type, key string) place {
	return place{join(p.path, key), join(p.pattern, key), owner.Name() + "." + key}
}

func (d *decoder) fail(pos Pos, path, format string, args ...any) {
	d.errs = append(d.errs, &Error{File: d.file, Line: pos.Line, Col: pos.Col, Path: path, Msg: fmt.Sprintf(format, args...)})
}

// want reports a value of the wrong type.
func (d *decoder) want(n *node, p place, expected string) {
	d.fail(n.pos, p.path, "%s: got %s; expected %s", orFile(p.path), n, expected)
}

func orFile(path string) string {
	if path == "" {
		return "the job file"
	}
	return path
}

// decode reads a value and checks its range. A null is as if it were absent.
func (d *decoder) decode(n *node, v reflect.Value, p place) {
	d.at[p.path] = n.pos
	before := len(d.errs)
	if n.kind == null && !isScalar(v) {
		return
	}
	if special, ok := v.Addr().Interface().(json.Unmarshaler); ok {
		d.decodeSpecial(n, special, p)
	} else if t, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		d.decodeText(n, t, p)
	} else {
		d.decodeKind(n, v, p)
	}
	if check := ranges[p.rule]; check != nil && len(d.errs) == before {
		if msg := check(d, v); msg != "" {
			d.fail(n.pos, p.path, "%s: got %s; expected %s", p.path, n, msg)
		}
	}
}

// decodeSpecial reads the types with a form of their own in JSON.
func (d *decoder) decodeSpecial(n *node, v json.Unmarshaler, p place) {
	switch v := v.(type) {
	case *harrow.Fields:
		d.named(n, p, func(name string, value *node, at place) {
			*v = append(*v, harrow.NamedField{Name: name})
			d.decode(value, reflect.ValueOf(&(*v)[len(*v)-1].Field).Elem(), at)
		})
		return
	case *harrow.Additions:
		d.named(n, p, func(name string, value *node, at place) {
			*v = append(*v, harrow.Addition{Name: name})
			d.decode(value, reflect.ValueOf(&(*v)[len(*v)-1]).Elem(), at)
		})
		return
	case *json.RawMessage:
		*v = n.sorted().json()
		d.places(n, p.path)
		return
	}
	if err := v.UnmarshalJSON(n.json()); err != nil {
		d.fail(n.pos, p.path, "%s: got %v", p.path, err)
		return
	}
	if s, ok := v.(*harrow.Sitemaps); ok && d.opts.CheckURL != nil {
		for i, url := range s.URLs {
			if err := d.opts.CheckURL(url); err != nil {
				at := fmt.Sprintf("%s[%d]", p.path, i)
				d.fail(n.items[i].pos, at, "%s: got %.200q; expected the URL of a sitemap: %v", at, url, err)
			}
		}
	}
}

// places notes where the parts of a value stand that others will read.
func (d *decoder) places(n *node, path string) {
	for _, e := range n.entries {
		at := join(path, e.key)
		d.keys[at], d.at[at] = e.pos, e.value.pos
		d.places(e.value, at)
	}
	for i, item := range n.items {
		at := fmt.Sprintf("%s[%d]", path, i)
		d.at[at] = item.pos
		d.places(item, at)
	}
}

// named reads a mapping whose keys are the user's column names.
func (d *decoder) named(n *node, p place, each func(string, *node, place)) {
	if n.kind != object {
		d.want(n, p, "a mapping of column names")
		return
	}
	for _, e := range n.entries {
		at := p.name(e.key)
		d.keys[at.path] = e.pos
		if !columnName.MatchString(e.key) {
			d.fail(e.pos, at.path, "%s: column name %.80q; expected %s", at.path, e.key, columnNameForm)
		}
		if e.value.kind == null {
			d.want(e.value, at, "a mapping")
		}
		each(e.key, e.value, at)
	}
}

func (d *decoder) decodeText(n *node, v encoding.TextUnmarshaler, p place) {
	if n.kind != text && n.kind != number {
		d.want(n, p, "a value like "+textExample(v))
		return
	}
	if err := v.UnmarshalText([]byte(n.text)); err != nil {
		d.fail(n.pos, p.path, "%s: got %v", p.path, err)
	}
}

func textExample(v encoding.TextUnmarshaler) string {
	switch v.(type) {
	case *harrow.Duration:
		return "30s"
	case *harrow.ByteSize:
		return "10MiB"
	case *harrow.Rate:
		return "5/s"
	}
	return "auto or 16"
}

func (d *decoder) decodeKind(n *node, v reflect.Value, p place) {
	if n.kind == text && n.filled { // "${param.n}" in quotes is typed by what is expected
		retyped := *n
		if retyped.typed(n.text); retyped.kind != null && v.Kind() != reflect.String {
			n = &retyped
		}
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.decodePlain(n, v.Elem(), p)
	case reflect.Struct:
		d.decodeStruct(n, v, p)
	case reflect.Map:
		d.decodeMap(n, v, p)
	case reflect.Slice:
		d.decodeList(n, v, p)
	default:
		d.decodeScalar(n, v, p)
	}
}

// decodePlain reads what a pointer points to; the range is checked by the
// pointer's own place.
func (d *decoder) decodePlain(n *node, v reflect.Value, p place) {
	if t, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		d.decodeText(n, t, p)
		return
	}
	d.decodeKind(n, v, p)
}

func (d *decoder) decodeStruct(n *node, v reflect.Value, p place) {
	if n.kind != object {
		d.want(n, p, "a mapping with "+oneOf(keysOf(v.Type())))
		return
	}
	for _, e := range n.entries {
		at := p.field(v.Type(), e.key)
		d.keys[at.path] = e.pos
		i, known := fieldOf(v.Type(), e.key)
		if !known {
			d.unknown(e, at, keysOf(v.Type()))
			continue
		}
		d.decode(e.value, v.Field(i), at)
	}
}

func (d *decoder) unknown(e entry, at place, known []string) {
	d.fail(e.pos, at.path, "unknown key %s; %sexpected %s", at.path, didYouMean(e.key, known), oneOf(known))
}

func (d *decoder) decodeMap(n *node, v reflect.Value, p place) {
	if n.kind != object {
		d.want(n, p, "a mapping")
		return
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(n.entries)))
	for _, e := range n.entries {
		at := p.name(e.key)
		d.keys[at.path] = e.pos
		if check := keyRanges[p.rule]; check != nil {
			if expected := check(d, e.key); expected != "" {
				d.fail(e.pos, at.path, "%s: got %.80q; expected %s", p.path, e.key, expected)
			}
		}
		value := reflect.New(v.Type().Elem()).Elem()
		if k := value.Kind(); e.value.kind == null && (k == reflect.String || k == reflect.Float64) {
			d.want(e.value, at, "a value")
		}
		d.decode(e.value, value, at)
		v.SetMapIndex(reflect.ValueOf(e.key), value)
	}
}

func (d *decoder) decodeList(n *node, v reflect.Value, p place) {
	if n.kind != list {
		d.want(n, p, "a list: [...]")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.items), len(n.items)))
	for i, item := range n.items {
		at := p.item(i)
		if item.kind == null && !isScalar(v.Index(i)) {
			d.want(item, at, "a value")
		}
		d.decode(item, v.Index(i), at)
	}
}

func (d *decoder) decodeScalar(n *node, v reflect.Value, p place) {
	switch v.Kind() {
	case reflect.String:
		if n.kind == text || n.filled && n.kind != list && n.kind != object {
			v.SetString(n.text)
			return
		}
		expected := "text"
		if n.kind == number || n.kind == boolean {
			expected = fmt.Sprintf("text, in quotes: %q", n.text)
		}
		d.want(n, p, expected)
	case reflect.Bool:
		if n.kind != boolean {
			d.want(n, p, "true or false")
			return
		}
		v.SetBool(n.text == "true")
	case reflect.Int, reflect.Int64:
		var i int64
		if n.kind != number || json.Unmarshal([]byte(n.text), &i) != nil || v.OverflowInt(i) {
			d.want(n, p, "a whole number")
			return
		}
		v.SetInt(i)
	case reflect.Float64:
		var f float64
		if n.kind != number || json.Unmarshal([]byte(n.text), &f) != nil {
			d.want(n, p, "a number")
			return
		}
		v.SetFloat(f)
	default:
		panic(fmt.Sprintf("jobfile: no way to read a %s", v.Type())) // a type that the job got and this file forgot
	}
}

// isScalar: the one type that null is a value of.
func isScalar(v reflect.Value) bool {
	_, yes := v.Interface().(harrow.Scalar)
	return yes
}

// fieldOf finds the field of a struct that a key stands for.
func fieldOf(t reflect.Type, key string) (int, bool) {
	for i := range t.NumField() {
		if name := tag(t.Field(i)); name != "" && name == key {
			return i, true
		}
	}
	return 0, false
}

func keysOf(t reflect.Type) []string {
	var keys []string
	for i := range t.NumField() {
		if name := tag(t.Field(i)); name != "" {
			keys = append(keys, name)
		}
	}
	return keys
}

func tag(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	if name == "-" {
		return ""
	}
	return name
}
