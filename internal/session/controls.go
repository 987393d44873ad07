package session

import (
	"fmt"
	"slices"
	"strings"

	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/dom/name"
)

// controls are what a form sends, in the order of the page (HTML, 4.10.22.4).
type controls struct {
	list    []control
	d       document
	submit  dom.ID // the button that sends it; None: none
	charset string
}

// control is one field of a form.
type control struct {
	name, value string
	sent        bool // as the page stands: checked, selected, not disabled
}

// each hands out the page's elements in their order, and the form that owns each
// (HTML, 4.10.17.3), None for none: the one its attribute names, or the one
// around it. Of a form that stands in a table the parser makes an empty element,
// and what follows is its own.
func (d document) each(visit func(n, owner dom.ID, disabled bool)) {
	forms := d.forms()
	type scope struct {
		end      dom.ID // of what it is for
		form     dom.ID // around it
		disabled bool
	}
	open := dom.None
	scopes := []scope{{dom.ID(d.Len()), dom.None, false}}
	for n := dom.ID(0); int(n) < d.Len(); n++ {
		for scopes[len(scopes)-1].end <= n {
			scopes = scopes[:len(scopes)-1]
		}
		node := &d.Nodes[n]
		if node.Kind != dom.Element {
			continue
		}
		within := scopes[len(scopes)-1]
		switch {
		case d.is(n, name.Template), d.is(n, name.Datalist):
			n = node.End - 1
			continue
		case d.is(n, name.Form):
			if d.inTable(node.Parent) {
				open = n
			}
			within.end, within.form = node.End, n
			scopes = append(scopes, within)
		case d.is(n, name.Fieldset) && d.has(n, name.Disabled):
			within.end, within.disabled = node.End, true
			scopes = append(scopes, within)
		}
		owner := within.form
		if owner == dom.None {
			owner = open
		}
		if id, ok := d.Attr(n, name.Form); ok {
			if owner, ok = forms[id]; !ok {
				owner = dom.None
			}
		}
		visit(n, owner, within.disabled || d.has(n, name.Disabled))
	}
}

// forms are the page's forms by their id, the first of each.
func (d document) forms() map[string]dom.ID {
	forms := map[string]dom.ID{}
	for i := range d.Nodes {
		n := dom.ID(i)
		if !d.is(n, name.Form) {
			continue
		}
		if id, ok := d.Attr(n, name.Id); ok {
			if _, there := forms[id]; !there {
				forms[id] = n
			}
		}
	}
	return forms
}

func (d document) inTable(n dom.ID) bool {
	switch d.Nodes[n].Name {
	case name.Table, name.Tbody, name.Thead, name.Tfoot, name.Tr:
		return d.IsElement(n)
	}
	return false
}

// controls gathers those of a form.
func (d document) controls(form dom.ID) *controls {
	c := &controls{d: d, submit: dom.None, charset: d.name}
	d.each(func(n, owner dom.ID, disabled bool) {
		if owner == form && d.Nodes[n].Space == dom.HTML {
			c.add(n, disabled)
		}
	})
	return c
}

// add takes over what an element is to its form.
func (c *controls) add(n dom.ID, disabled bool) {
	called, _ := c.d.Attr(n, name.Name)
	value, valued := c.d.Attr(n, name.Value)
	kind, _ := c.d.Attr(n, name.Type)
	kind = strings.ToLower(kind)
	switch c.d.Nodes[n].Name {
	case name.Button:
		if kind == "" || kind == "submit" {
			c.button(n, called, value, false, disabled)
		}
	case name.Textarea:
		c.put(called, strings.TrimPrefix(c.d.TextOf(n, 0), "\n"), !disabled)
	case name.Select:
		c.choice(n, called, disabled)
	case name.Input:
		switch kind {
		case "submit", "image":
			c.button(n, called, value, kind == "image", disabled)
		case "button", "reset", "file":
		case "checkbox", "radio":
			if !valued {
				value = "on"
			}
			c.put(called, value, !disabled && c.d.has(n, name.Checked))
		case "hidden":
			if called == "_charset_" {
				value = c.charset
			}
			c.put(called, value, !disabled)
		default:
			c.put(called, value, !disabled)
		}
	}
}

func (c *controls) put(name, value string, sent bool) {
	if name != "" {
		c.list = append(c.list, control{name, value, sent})
	}
}

// button adds a submit button; the first one sends the form. An image sends
// where it was clicked.
func (c *controls) button(n dom.ID, called, value string, image, disabled bool) {
	first := c.submit == dom.None && !disabled
	if first {
		c.submit = n
	}
	if image {
		if called != "" {
			called += "."
		}
		c.put(called+"x", "0", first)
		c.put(called+"y", "0", first)
		return
	}
	c.put(called, value, first)
}

// choice adds a select: what is selected, else the first option of a list that
// shows one.
func (c *controls) choice(n dom.ID, called string, disabled bool) {
	type option struct {
		value    string
		selected bool
	}
	var options []option
	last := -1 // that is selected
	for o := n + 1; o < c.d.Nodes[n].End; o++ {
		up := c.d.Nodes[o].Parent
		if !c.d.is(o, name.Option) || c.d.has(o, name.Disabled) || c.d.is(up, name.Optgroup) && c.d.has(up, name.Disabled) {
			continue
		}
		value, ok := c.d.Attr(o, name.Value)
		if !ok {
			value = strings.Join(strings.Fields(c.d.TextOf(o, 0)), " ")
		}
		if options = append(options, option{value, c.d.has(o, name.Selected)}); options[len(options)-1].selected {
			last = len(options) - 1
		}
	}
	if c.d.has(n, name.Multiple) {
		for _, o := range options {
			if o.selected {
				c.put(called, o.value, !disabled)
			}
		}
	} else if len(options) > 0 {
		c.put(called, options[max(last, 0)].value, !disabled)
		return
	}
	if last < 0 {
		c.put(called, "", false) // there is such a field, for who fills it in
	}
}

// attribute is one of the form's, or what the button that sends it says instead.
func (c *controls) attribute(form dom.ID, of, button dom.Name) string {
	if c.submit != dom.None {
		if v, ok := c.d.Attr(c.submit, button); ok {
			return v
		}
	}
	v, _ := c.d.Attr(form, of)
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

func (d document) has(n dom.ID, of dom.Name) bool {
	_, ok := d.Attr(n, of)
	return ok
}
