package main

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/bench/internal/rows"
	"github.com/harrowdata/harrow/io/lakeio"
)

// seed makes other rows; it is in the table of results.
const seed = 20261122

// rowType is what is loaded: a key and a dozen columns of every type.
var rowType = harrow.RecordType{Name: "item", Columns: []harrow.Column{
	{Name: "key", Type: harrow.Type{Kind: harrow.Text}},
	{Name: "number", Type: harrow.Type{Kind: harrow.Int}},
	{Name: "title", Type: harrow.Type{Kind: harrow.Text}},
	{Name: "note", Type: harrow.Type{Kind: harrow.Text}},
	{Name: "price_amount", Type: harrow.Type{Kind: harrow.Decimal, Precision: 12, Scale: 2}},
	{Name: "price_currency", Type: harrow.Type{Kind: harrow.Text}},
	{Name: "stock", Type: harrow.Type{Kind: harrow.Int}},
	{Name: "rating", Type: harrow.Type{Kind: harrow.Float}},
	{Name: "active", Type: harrow.Type{Kind: harrow.Bool}},
	{Name: "released", Type: harrow.Type{Kind: harrow.Date}},
	{Name: "changed_at", Type: harrow.Type{Kind: harrow.Timestamp}},
	{Name: "tags", Type: harrow.Type{Kind: harrow.Text, List: true}},
}}

// priceColumn is the column that the second set changes.
const priceColumn = "price_amount"

// set is one run's rows: the first, or those a day later, a tenth of which
// have another price.
type set int

// isChanged says whether a row of the second set differs from the first's.
func isChanged(number int64) bool { return number%10 == 3 }

// changed is how many of the first n rows the second set changes.
func changed(n int64) int64 { return (n + 6) / 10 }

// price in cents.
func (s set) price(number int64) int64 {
	cents := int64(rows.Mix(uint64(number)^seed<<1) % 1_000_000)
	if s > 0 && isChanged(number) {
		cents++
	}
	return cents
}

// prices is the sum of the prices of n rows, in cents.
func (s set) prices(n int64) (sum int64) {
	for i := range n {
		sum += s.price(i)
	}
	return sum
}

var words = strings.Fields("furrow granary meadow plough harrow sickle barley clover orchard lantern cartographer almanac beekeeper ferryman windmill apprentice")

// row makes row i, for a run.
func (s set) row(run string) rows.Row {
	return func(i int64) (values []any, o lakeio.Origin) {
		h := rows.Mix(uint64(i) ^ seed<<20)
		word := func(n int) string { return words[h>>(4*n)&15] }
		day := time.Date(2020, 1, 1+int(h%2000), 0, 0, 0, 0, time.UTC)
		values = []any{
			fmt.Sprintf("sku-%016x", rows.Mix(uint64(i)^seed)), // keys don't come in the order of the numbers
			i, word(0) + " of " + word(1) + " " + fmt.Sprint(i),
			fmt.Sprintf("%s %s %s", word(2), word(3), word(4)),
			decimal.New(s.price(i), -2), "EUR", int64(h >> 50), float64(h%50) / 10, h%3 > 0, day,
			day.Add(time.Duration(h % 86_400e6 * 1e3)), []string{word(8), word(9)},
		}
		if h%11 == 0 {
			values[7] = nil
		}
		var digest [32]byte
		for k := range 4 {
			binary.LittleEndian.PutUint64(digest[8*k:], rows.Mix(h+uint64(k)))
		}
		o = lakeio.Origin{URL: fmt.Sprintf("http://shop.example/item/%d.html", i), Rule: "item", Digest: hex.EncodeToString(digest[:]), Run: run}
		o.ID = harrow.ID(digest[:16])
		o.FetchedAt = time.Unix(1_700_000_000+i%3_600+86_400*int64(s), 0).UTC()
		return values, o
	}
}
