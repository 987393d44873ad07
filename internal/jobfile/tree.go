package jobfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds of a job file; beyond them the YAML parser's time and memory grow
// with the square of the depth.
const (
	maxBytes    = 1 << 20
	maxBrackets = 1000 // [ and { that are open at once, those in texts too
	maxDepth    = 64
)

type kind int

const (
	null kind = iota
	text
	number
	boolean
	list
	object
)

// node is a value of the file: what is left of YAML once it is read. Plain
// scalars are typed as in YAML's core schema, but only what is a number in
// JSON too is one: 007 and 0x10 are texts.
type node struct {
	kind    kind
	pos     Pos
	text    string // of a text its characters, of a number or boolean its JSON literal
	plain   bool   // a scalar without quotes
	filled  bool   // ${param.…} was filled in: a quoted text may be typed anew
	entries []entry
	items   []*node
}

type entry struct {
	key   string
	pos   Pos
	value *node
}

var jsonNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$`)

// typed sets kind and text of a scalar by how a plain one is read.
func (n *node) typed(s string) {
	n.kind, n.text = text, s
	switch s {
	case "", "~", "null", "Null", "NULL":
		n.kind, n.text = null, ""
	case "true", "True", "TRUE", "false", "False", "FALSE":
		n.kind, n.text = boolean, strings.ToLower(s)
	default:
		if jsonNumber.MatchString(s) {
			n.kind = number
		}
	}
}

// String says what the value is, for messages: `the number 5`.
func (n *node) String() string {
	switch n.kind {
	case text:
		return fmt.Sprintf("%.60q", n.text)
	case number:
		return fmt.Sprintf("the number %.60s", n.text)
	case boolean:
		return n.text
	case list:
		return "a list"
	case object:
		return "a mapping"
	}
	return "nothing"
}

// json returns the value as JSON; keys keep the file's order.
func (n *node) json() []byte {
	var b bytes.Buffer
	n.appendJSON(&b)
	return b.Bytes()
}

// sorted returns the value with the keys of every mapping in order: where
// the file's order means nothing, it shall make no difference.
func (n *node) sorted() *node {
	out := *n
	out.entries, out.items = nil, nil
	for _, e := range n.entries {
		out.entries = append(out.entries, entry{e.key, e.pos, e.value.sorted()})
	}
	slices.SortFunc(out.entries, func(a, b entry) int { return strings.Compare(a.key, b.key) })
	for _, item := range n.items {
		out.items = append(out.items, item.sorted())
	}
	return &out
}

func (n *node) appendJSON(b *bytes.Buffer) {
	switch n.kind {
	case null:
		b.WriteString("null")
	case text:
		quoted, _ := json.Marshal(n.text) // a string always marshals
		b.Write(quoted)
	case number, boolean:
		b.WriteString(n.text)
	case list:
		open := byte('[')
		for _, item := range n.items {
			b.WriteByte(open)
			item.appendJSON(b)
			open = ','
		}
		if open == '[' {
			b.WriteByte('[')
		}
		b.WriteByte(']')
	case object:
		open := byte('{')
		for _, e := range n.entries {
			b.WriteByte(open)
			key, _ := json.Marshal(e.key)
			b.Write(key)
			b.WriteByte(':')
			e.value.appendJSON(b)
			open = ','
		}
		if open == '{' {
			b.WriteByte('{')
		}
		b.WriteByte('}')
	}
}

// readTree reads YAML into nodes; nil where nothing can be made of it.
func readTree(file string, data []byte) (root *node, errs Errors) {
	t := &treeReader{file: file}
	defer func() {
		// The YAML parser indexes its tokens without checks in places: what
		// makes it panic is no YAML for us.
		if p := recover(); p != nil {
			t.fail(Pos{1, 1}, "", "not YAML: %v", p)
			root, errs = nil, t.errs
		}
	}()
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if !t.readable(data) {
		return nil, t.errs
	}
	parsed, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		t.failSyntax(err)
		return nil, t.errs
	}
	var body ast.Node
	for _, doc := range parsed.Docs {
		if doc.Body == nil {
			continue
		}
		if body != nil {
			t.fail(position(doc.Body), "", "a second document; expected one job a file")
			return nil, t.errs
		}
		body = doc.Body
	}
	root = t.read(body, "", 0)
	return root, t.errs
}

type treeReader struct {
	file string
	errs Errors
}

func (t *treeReader) fail(pos Pos, path, format string, args ...any) {
	t.errs = append(t.errs, &Error{File: t.file, Line: pos.Line, Col: pos.Col, Path: path, Msg: fmt.Sprintf(format, args...)})
}

func (t *treeReader) failSyntax(err error) {
	pos, msg := Pos{1, 1}, err.Error()
	var syntax yaml.Error
	if errors.As(err, &syntax) {
		msg = syntax.GetMessage()
		if tk := syntax.GetToken(); tk != nil && tk.Position != nil {
			pos = Pos{tk.Position.Line, max(1, tk.Position.Column)}
		}
	}
	t.fail(pos, "", "not YAML: %s", msg)
}

// readable checks the bounds that keep the parser harmless.
func (t *treeReader) readable(data []byte) bool {
	if len(data) > maxBytes {
		t.fail(Pos{}, "", "%d bytes; expected at most %d", len(data), maxBytes)
		return false
	}
	open := 0
	for i, line := range bytes.Split(data, []byte("\n")) {
		if !utf8.Valid(line) {
			t.fail(Pos{i + 1, 1}, "", "not UTF-8")
			return false
		}
		open += bytes.Count(line, []byte("[")) + bytes.Count(line, []byte("{"))
		deep := open > maxBrackets || bytes.Count(line, []byte("- - ")) > maxDepth || bytes.Count(line, []byte("? ")) > maxBrackets
		if deep {
			t.fail(Pos{i + 1, 1}, "", "nested too deeply; expected at most %d levels", maxDepth)
			return false
		}
		open = max(0, open-bytes.Count(line, []byte("]"))-bytes.Count(line, []byte("}")))
	}
	return true
}

func position(n ast.Node) Pos {
	switch n := n.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return position(n.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return position(n.Key)
	}
	tk := n.GetToken()
	if tk == nil || tk.Position == nil {
		return Pos{1, 1}
	}
	return Pos{tk.Position.Line, max(1, tk.Position.Column)}
}

func (t *treeReader) read(n ast.Node, path string, depth int) *node {
	if n == nil {
		return &node{pos: Pos{1, 1}}
	}
	out := &node{pos: position(n)}
	if depth > maxDepth {
		t.fail(out.pos, path, "nested too deeply; expected at most %d levels", maxDepth)
		return out
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		t.readMapping(out, n.Values, path, depth)
	case *ast.MappingValueNode:
		t.readMapping(out, []*ast.MappingValueNode{n}, path, depth)
	case *ast.SequenceNode:
		out.kind = list
		for i, item := range n.Values {
			out.items = append(out.items, t.read(item, fmt.Sprintf("%s[%d]", path, i), depth+1))
		}
	case *ast.LiteralNode:
		out.kind, out.text = text, n.Value.Value
	case *ast.StringNode:
		out.kind, out.text = text, n.Value
		if tk := n.GetToken(); tk.Type != token.SingleQuoteType && tk.Type != token.DoubleQuoteType {
			out.plain = true
			out.typed(n.Value)
		}
	case *ast.NullNode:
		out.plain = true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		out.plain = true
		out.typed(n.GetToken().Value)
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		t.fail(out.pos, path, "anchors, aliases and tags are not supported; expected the value itself")
	default:
		t.fail(out.pos, path, "unexpected YAML; expected a mapping, a list or a value")
	}
	return out
}

func (t *treeReader) readMapping(out *node, values []*ast.MappingValueNode, path string, depth int) {
	out.kind = object
	seen := map[string]Pos{}
	for _, v := range values {
		key, ok := keyText(v.Key)
		pos := position(v.Key)
		if !ok {
			t.fail(pos, path, "unexpected key; expected plain or quoted text")
			continue
		}
		at := join(path, key)
		if first, twice := seen[key]; twice {
			t.fail(pos, at, "%s comes twice; expected once, it is in line %d already", at, first.Line)
			continue
		}
		seen[key] = pos
		value := t.read(v.Value, at, depth+1)
		out.entries = append(out.entries, entry{key, pos, value})
	}
}

func keyText(k ast.Node) (string, bool) {
	switch k := k.(type) {
	case *ast.StringNode:
		return k.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode:
		return k.GetToken().Value, true
	}
	return "", false
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}
