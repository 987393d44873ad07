// Package name gives the names of elements and attributes that HTML, SVG and
// MathML have a number each, so that they are compared as numbers.
package name

import (
	"hash/maphash"
	"math/bits"
	"strconv"
	"unsafe"
)

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
	if len(text) <= 8 {
		w := uint64(0)
		for i := len(text) - 1; i >= 0; i-- {
			w = w<<8 | uint64(text[i])
		}
		n, ok := OfWord(w)
		return n, ok && len(texts[n]) == len(text) // else text ends in U+0000
	}
	for h := Hash(text) & longMask; longs[h] != 0; h = (h + 1) & longMask {
		if at := ID(longs[h] - 1); texts[at] == string(text) {
			return at, true
		}
	}
	return 0, false
}

// OfWord is Of for a name of one to eight bytes, none of them 0, in a word: the
// first byte is the lowest, and the bytes behind the last are 0.
func OfWord(w uint64) (ID, bool) {
	for h := w * wordFactor >> wordShift; words[h] != 0; h = (h + 1) & wordMask {
		if words[h] == w {
			return ID(wordIDs[h]), true
		}
	}
	return 0, false
}

// Letters is how many lower-case letters the bytes of w begin with, from the
// lowest on.
func Letters(w uint64) int {
	const each = 0x0101010101010101
	low := w & (0x7F * each)
	atLeastA, beyondZ := low+(0x80-'a')*each, low+(0x80-'z'-1)*each
	return bits.TrailingZeros64((^atLeastA|beyondZ|w)&(0x80*each)) / 8
}

// Hash is what hash tables of names go by. It differs from process to process,
// so that nobody can make a page whose names have one hash.
func Hash[T string | []byte](text T) uint32 {
	return uint32(maphash.String(seed, *(*string)(unsafe.Pointer(&text)))) // a slice begins as a string does
}

// The known names are in open-addressing tables: those of up to eight bytes by
// words, 0 where one is free; the others as numbers + 1, by hash.
var (
	words   [wordMask + 1]uint64
	wordIDs [wordMask + 1]uint16
	longs   [longMask + 1]uint16

	seed = maphash.MakeSeed()
)

const (
	wordMask   = 1<<(64-wordShift) - 1
	wordShift  = 54
	wordFactor = 0x9E3779B97F4A7C15
	longMask   = 1<<10 - 1
)

func init() {
	for i, text := range texts {
		if len(text) > 8 {
			h := Hash(text) & longMask
			for longs[h] != 0 {
				h = (h + 1) & longMask
			}
			longs[h] = uint16(i + 1)
			continue
		}
		w := uint64(0)
		for j := range len(text) {
			w |= uint64(text[j]) << (8 * j)
		}
		h := w * wordFactor >> wordShift
		for words[h] != 0 {
			h = (h + 1) & wordMask
		}
		words[h], wordIDs[h] = w, uint16(i)
	}
}
