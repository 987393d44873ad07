// Package name gives the names of elements and attributes that HTML, SVG and
// MathML have a number each, so that they are compared as numbers.
package name

import "strconv"

//go:generate go run gen.go

// ID is the number of a name. Below [Count] it means the same in every tree;
// from there on it is a tree's own.
type ID uint32

// String is a known name's text, "#N" for another.
func (n ID) String() string {
	if n < Count {
		return texts[n]
	}
	return "#" + strconv.Itoa(int(n))
}

// Of is the number of a known name, which is compared with its capitals; false:
// it isn't known.
func Of[T string | []byte](text T) (ID, bool) {
	for h := Hash(text) & mask; slots[h] != 0; h = (h + 1) & mask {
		if at := ID(slots[h] - 1); texts[at] == string(text) {
			return at, true
		}
	}
	return 0, false
}

// Hash is what hash tables of names go by. It is quick, and no secret.
func Hash[T string | []byte](text T) uint32 {
	h := uint32(2166136261)
	for i := range len(text) {
		h = (h ^ uint32(text[i])) * 16777619
	}
	return h ^ h>>15
}

// slots is an open-addressing table of numbers + 1; 0: free.
var slots [4096]uint16

const mask = uint32(len(slots) - 1)

func init() {
	for i, text := range texts {
		h := Hash(text) & mask
		for slots[h] != 0 {
			h = (h + 1) & mask
		}
		slots[h] = uint16(i + 1)
	}
}
