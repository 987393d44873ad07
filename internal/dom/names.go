package dom

import (
	"bytes"

	"github.com/harrowdata/harrow/internal/dom/name"
)

// Name is the name of an element or attribute, as a number: see the package
// comment.
type Name = name.ID

// interned are the names of one tree that aren't known: an open-addressing hash
// table of their numbers.
type interned struct {
	list  []ownName
	table []uint32 // index in list + 1; 0: free
}

type ownName struct {
	hash uint32
	a, b uint32
	in   Flags
}

const smallTable = 64

func (n *interned) reset() {
	n.list = n.list[:0]
	if len(n.table) > 4096 { // a hostile page's: let it go
		n.table = nil
	}
	clear(n.table)
}

// Intern is the number of a name which the tree keeps as the range a:b of its
// bytes.
func (t *Tree) Intern(a, b uint32, in Flags) Name {
	text := t.bytes(a, b, in&InExtra)
	if n, ok := name.Of(text); ok {
		return n
	}
	in &= InExtra
	d := &t.names
	if 2*(len(d.list)+1) > len(d.table) {
		d.table = make([]uint32, max(smallTable, 2*len(d.table)))
		for i := range d.list {
			d.put(d.list[i].hash, uint32(i+1))
		}
	}
	h := name.Hash(text)
	mask := uint32(len(d.table) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		at := d.table[i]
		if at == 0 {
			d.list = append(d.list, ownName{h, a, b, in})
			d.table[i] = uint32(len(d.list))
			return Name(name.Count + len(d.list) - 1)
		}
		if o := &d.list[at-1]; o.hash == h && bytes.Equal(t.bytes(o.a, o.b, o.in), text) {
			return Name(name.Count + int(at) - 1)
		}
	}
}

// InternExtra is Intern for what Extra ends in, from a on, which is cut off
// again unless the name is new.
func (t *Tree) InternExtra(a uint32) Name {
	known := len(t.names.list)
	n := t.Intern(a, uint32(len(t.Extra)), InExtra)
	if len(t.names.list) == known {
		t.Extra = t.Extra[:a]
	}
	return n
}

func (n *interned) put(hash, at uint32) {
	mask := uint32(len(n.table) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		if n.table[i] == 0 {
			n.table[i] = at
			return
		}
	}
}

// Lookup is the number that a name has in this tree; false: the page doesn't
// have it, nor is it known.
func (t *Tree) Lookup(text string) (Name, bool) {
	if n, ok := name.Of(text); ok {
		return n, true
	}
	d := &t.names
	if len(d.table) == 0 {
		return 0, false
	}
	h := name.Hash(text)
	mask := uint32(len(d.table) - 1)
	for i := h & mask; d.table[i] != 0; i = (i + 1) & mask {
		if o := &d.list[d.table[i]-1]; o.hash == h && string(t.bytes(o.a, o.b, o.in)) == text {
			return Name(name.Count + int(d.table[i]) - 1), true
		}
	}
	return 0, false
}

// NameOf is a name's text.
func (t *Tree) NameOf(n Name) string {
	if int(n) < name.Count {
		return n.String()
	}
	o := &t.names.list[int(n)-name.Count]
	return view(t.bytes(o.a, o.b, o.in))
}
