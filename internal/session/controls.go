package session

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// controls are what a form sends, in the order of the page (HTML, 4.10.22.4).
type controls struct {
	list    []control
	submit  *html.Node // the button that sends it; nil: none
	charset string
}

// control is one field of a form.
type control struct {
	name, value string
	sent        bool // as the page stands: checked, selected, not disabled
}

// each hands out the page's elements in their order, and the form that owns each
// (HTML, 4.10.17.3): the one its attribute names, or the one around it. Of a form
// that stands in a table the parser makes an empty element, and what follows
// is its own.
func (d document) each(visit func(n, owner *html.Node, disabled bool)) {
	forms := map[string]*html.Node{}
	for n := range d.root.Descendants() {
		if n.Type == html.ElementNode && n.Data == "form" {
			if id, ok := attr(n, "id"); ok && forms[id] == nil {
				forms[id] = n
			}
		}
	}
	var open *html.Node
	var walk func(n, within *html.Node, disabled bool)
	walk = func(n, within *html.Node, disabled bool) {
		if n.Type == html.ElementNode {
			switch n.Data {
			case "template", "datalist":
				return
			case "form":
				within = n
				if n.Parent != nil && slices.Contains([]string{"table", "tbody", "thead", "tfoot", "tr"}, n.Parent.Data) {
					open = n
				}
			case "fieldset":
				disabled = disabled || has(n, "disabled")
			}
			owner := within
			if owner == nil {
				owner = open
			}
			if id, ok := attr(n, "form"); ok {
				owner = forms[id]
			}
			visit(n, owner, disabled || has(n, "disabled"))
		}
		for child := range n.ChildNodes() {
			walk(child, within, disabled)
		}
	}
	walk(d.root, nil, false)
}

// controls gathers those of a form.
func (d document) controls(form *html.Node) *controls {
	c := &controls{charset: d.name}
	d.each(func(n, owner *html.Node, disabled bool) {
		if owner == form {
			c.add(n, disabled)
		}
	})
	return c
}

// add takes over what an element is to its form.
func (c *controls) add(n *html.Node, disabled bool) {
	name, _ := attr(n, "name")
	value, valued := attr(n, "value")
	switch n.Data {
	case "button":
		if kind, _ := attr(n, "type"); kind == "" || strings.EqualFold(kind, "submit") {
			c.button(n, name, value, disabled)
		}
	case "textarea":
		c.put(name, strings.TrimPrefix(textOf(n), "\n"), !disabled)
	case "select":
		c.choice(n, name, disabled)
	case "input":
		kind, _ := attr(n, "type")
		switch strings.ToLower(kind) {
		case "submit", "image":
			c.button(n, name, value, disabled)
		case "button", "reset", "file":
		case "checkbox", "radio":
			if !valued {
				value = "on"
			}
			c.put(name, value, !disabled && has(n, "checked"))
		case "hidden":
			if name == "_charset_" {
				value = c.charset
			}
			c.put(name, value, !disabled)
		default:
			c.put(name, value, !disabled)
		}
	}
}

func (c *controls) put(name, value string, sent bool) {
	if name != "" {
		c.list = append(c.list, control{name, value, sent})
	}
}

// button adds a submit button; the first one sends the form.
func (c *controls) button(n *html.Node, name, value string, disabled bool) {
	first := c.submit == nil && !disabled
	if first {
		c.submit = n
	}
	if kind, _ := attr(n, "type"); n.Data == "input" && strings.EqualFold(kind, "image") {
		prefix := name
		if prefix != "" {
			prefix += "."
		}
		c.put(prefix+"x", "0", first)
		c.put(prefix+"y", "0", first)
		return
	}
	c.put(name, value, first)
}

// choice adds a select: what is selected, else the first option of a list that
// shows one.
func (c *controls) choice(n *html.Node, name string, disabled bool) {
	type option struct {
		value    string
		selected bool
	}
	var options []option
	for o := range n.Descendants() {
		if o.Type != html.ElementNode || o.Data != "option" || has(o, "disabled") || o.Parent.Data == "optgroup" && has(o.Parent, "disabled") {
			continue
		}
		value, ok := attr(o, "value")
		if !ok {
			value = strings.Join(strings.Fields(textOf(o)), " ")
		}
		options = append(options, option{value, has(o, "selected")})
	}
	picked := slices.IndexFunc(options, func(o option) bool { return o.selected })
	multiple := has(n, "multiple")
	for i, o := range options {
		last := !slices.ContainsFunc(options[i+1:], func(o option) bool { return o.selected })
		if multiple && o.selected || !multiple && (o.selected && last || picked < 0 && i == 0) {
			c.put(name, o.value, !disabled)
			if !multiple {
				return
			}
		}
	}
	if picked < 0 {
		c.put(name, "", false) // there is such a field, for who fills it in
	}
}

// attribute is one of the form's, or what the button that sends it says instead.
func (c *controls) attribute(form *html.Node, name string) string {
	if c.submit != nil {
		if v, ok := attr(c.submit, "form"+name); ok {
			return v
		}
	}
	v, _ := attr(form, name)
	return v
}

// maxNamed is how many fields an error names.
const maxNamed = 20

// has says which of the fields the form doesn't have.
func (c *controls) has(fields map[string]string) error {
	var missing, there []string
	for _, f := range c.list {
		if !slices.Contains(there, f.name) {
			there = append(there, f.name)
		}
	}
	for name := range fields {
		if !slices.Contains(there, name) {
			missing = append(missing, name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	slices.Sort(missing)
	more := ""
	if len(there) > maxNamed {
		there, more = there[:maxNamed], " and more"
	}
	return fmt.Errorf("the form has no field %q; it has %.80q%s", missing[0], there, more)
}

// entries are name and value of what is sent. A field that is filled in stands
// where the form's first of that name does, once.
func (c *controls) entries(fields map[string]string) (entries [][2]string) {
	filled := map[string]bool{}
	for _, f := range c.list {
		value, fill := fields[f.name]
		switch {
		case fill && !filled[f.name]:
			filled[f.name] = true
			entries = append(entries, [2]string{f.name, value})
		case !fill && f.sent:
			entries = append(entries, [2]string{f.name, f.value})
		}
	}
	return entries
}

func attr(n *html.Node, name string) (string, bool) {
	for _, a := range n.Attr {
		if a.Namespace == "" && a.Key == name {
			return a.Val, true
		}
	}
	return "", false
}

func has(n *html.Node, name string) bool { _, ok := attr(n, name); return ok }

func textOf(n *html.Node) string {
	var b strings.Builder
	for t := range n.Descendants() {
		if t.Type == html.TextNode {
			b.WriteString(t.Data)
		}
	}
	return b.String()
}
