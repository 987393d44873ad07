package html5

import (
	"strconv"
	"strings"

	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/dom/name"
)

// choice is what an open select shows: its selected option, which a
// selectedcontent in it mirrors (HTML 4.10.7, 4.10.10.1, 4.10.17).
type choice struct {
	content dom.ID // the selectedcontent; None: there is none that mirrors
	seen    bool   // there was a selectedcontent
	option  dom.ID // the selected option so far; None: none
	closed  bool   // that option has left the stack
	marked  bool   // only options with the attribute "selected" are
}

// selectOpened notes a select that was just opened.
func (b *builder) selectOpened(id dom.ID) {
	c := choice{content: dom.None, option: dom.None}
	if _, multiple := b.t.Attr(id, name.Multiple); multiple {
		c.seen, c.marked = true, true
	} else if size, ok := b.t.Attr(id, name.Size); ok {
		n, err := strconv.Atoi(strings.TrimSpace(size))
		c.marked = err == nil && n > 1
	}
	b.choices = append(b.choices, c)
}

func (b *builder) selectClosed() { b.choices = b.choices[:len(b.choices)-1] }

// choice is that of the select which the current node belongs to; nil: none, as
// when it is in another option.
func (b *builder) choice() *choice {
	if len(b.choices) == 0 {
		return nil
	}
	groups := 0
	for i := len(b.open) - 2; i > 0 && !b.spent(); i-- {
		b.steps++
		switch e := &b.open[i]; {
		case e.is&opensSelect != 0:
			return &b.choices[len(b.choices)-1]
		case e.is&foreign != 0:
		case e.name == name.Optgroup:
			groups++
		case e.name == name.Option, e.name == name.Datalist, e.name == name.Selectedcontent:
			return nil
		}
		if groups > 1 {
			return nil
		}
	}
	return nil
}

// optionOpened notes an option that was just opened: the last that has
// "selected" is selected, or else the first that isn't disabled.
func (b *builder) optionOpened(id dom.ID) {
	c := b.choice()
	if c == nil {
		return
	}
	_, marked := b.t.Attr(id, name.Selected)
	_, disabled := b.t.Attr(id, name.Disabled)
	if marked || !c.marked && c.option == dom.None && !disabled {
		c.option, c.closed = id, false
	}
}

// optionClosed mirrors the selected option once it is complete.
func (b *builder) optionClosed(id dom.ID) {
	if n := len(b.choices); n > 0 && b.choices[n-1].option == id {
		c := &b.choices[n-1]
		c.closed = true
		b.mirror(c)
	}
}

// contentOpened notes a selectedcontent that was just opened: the first of its
// select counts.
func (b *builder) contentOpened(id dom.ID) {
	n := len(b.choices)
	if n == 0 || b.choices[n-1].seen {
		return
	}
	b.choices[n-1].seen = true
	if c := b.choice(); c != nil {
		c.content = id
		b.mirror(c)
	}
}

// mirror replaces what is in the selectedcontent by a copy of what is in the
// option.
func (b *builder) mirror(c *choice) {
	t := b.t
	if c.content == dom.None || c.option == dom.None || !c.closed {
		return
	}
	for t.Nodes[c.content].First != dom.None {
		t.Remove(t.Nodes[c.content].First)
	}
	from, to := t.Nodes[c.option].First, c.content
	for from != dom.None && b.clones < b.maxClones {
		copied := b.clone(from)
		t.Append(to, copied)
		if first := t.Nodes[from].First; first != dom.None {
			from, to = first, copied
			continue
		}
		for t.Nodes[from].Next == dom.None {
			if from, to = t.Nodes[from].Parent, t.Nodes[to].Parent; from == c.option {
				return
			}
		}
		from = t.Nodes[from].Next
	}
}
