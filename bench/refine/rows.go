package main

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/bench/internal/rows"
	"github.com/harrowdata/harrow/io/lakeio"
)

// seed makes other rows; it is in the table of results.
const seed = 20240611

// rowType is what is generated: number and copy are what the check goes by.
var rowType = harrow.RecordType{Name: "item", Columns: []harrow.Column{
	{Name: "key", Type: harrow.Type{Kind: harrow.Text}},
	{Name: "number", Type: harrow.Type{Kind: harrow.Int}},
	{Name: "copy", Type: harrow.Type{Kind: harrow.Int}},
	{Name: "title", Type: harrow.Type{Kind: harrow.Text}},
	{Name: "note", Type: harrow.Type{Kind: harrow.Text}},
	{Name: "stock", Type: harrow.Type{Kind: harrow.Int}},
	{Name: "tags", Type: harrow.Type{Kind: harrow.Text, List: true}},
}}

// generator knows all rows of a case. Row i of rows has the key of number
// spread(i) when that is below distinct, and else is the second copy of
// another: one of each pair, by the number's parity, was fetched later and is
// the one to keep.
type generator struct{ rows, distinct int64 }

func newGenerator(rows int64) generator { return generator{rows, rows - rows/10} }

// stride is a prime and no divisor of any number of rows here, so spread is a
// permutation: copies of a key lie far apart.
const stride = 7_368_787

func (g generator) at(i int64) (number, copy int64) {
	if n := i * stride % g.rows; n < g.distinct {
		return n, 0
	} else {
		return (n - g.distinct) * 9, 1
	}
}

// kept is which copy of a number is to stay.
func (g generator) kept(number int64) int64 {
	if twice := number%9 == 0 && number/9 < g.rows-g.distinct; twice && number%2 == 0 {
		return 1
	}
	return 0
}

// sum is the checksum of a row: of its number and copy. Sums are added up.
func sum(number, copy int64) uint64 { return rows.Mix(uint64(number)<<1 | uint64(copy)) }

// want is the checksum of the rows to be kept.
func (g generator) want() (s uint64) {
	for n := range g.distinct {
		s += sum(n, g.kept(n))
	}
	return s
}

// key of a number: keys don't come in the order of the numbers.
func key(number int64) string { return fmt.Sprintf("sku-%016x", rows.Mix(uint64(number)^seed)) }

var words = strings.Fields("furrow granary meadow plough harrow sickle barley clover orchard lantern cartographer almanac beekeeper ferryman windmill apprentice")

// row makes row i: its values and where it is said to come from.
func (g generator) row(i int64) (values []any, o lakeio.Origin) {
	number, copy := g.at(i)
	h := rows.Mix(uint64(i) ^ seed<<20)
	word := func(n int) string { return words[h>>(4*n)&15] }
	title := word(0) + " of " + word(1) + " " + fmt.Sprint(number)
	note := fmt.Sprintf("%s %s %s %s %s %s, %x", word(2), word(3), word(4), word(5), word(6), word(7), h)
	values = []any{key(number), number, copy, title, note, int64(h >> 50), []string{word(8), word(9)}}
	var digest [32]byte
	for k := range 4 {
		binary.LittleEndian.PutUint64(digest[8*k:], rows.Mix(h+uint64(k)))
	}
	o = lakeio.Origin{URL: fmt.Sprintf("http://shop.example/item/%d/%d.html", copy, number), Rule: "item", Digest: hex.EncodeToString(digest[:]), Run: "00000000-0000-7000-8000-000000000000"}
	o.ID = harrow.ID(digest[:16])
	// The copy to be kept was fetched a second later than the other.
	at := time.Unix(1_700_000_000+number%86_400, 0)
	if copy == g.kept(number) {
		at = at.Add(time.Second)
	}
	o.FetchedAt = at.UTC()
	return values, o
}

// generate writes the rows as the parts of stage parse and commits them.
func generate(ctx context.Context, c refineCase) (rowBytes int64, err error) {
	lake, err := c.lake()
	if err != nil {
		return 0, err
	}
	return rows.Commit(ctx, lake, rowType, c.Rows, newGenerator(c.Rows).row)
}
