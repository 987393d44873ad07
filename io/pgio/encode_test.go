package pgio

import (
	"math/big"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/decimal128"
	"github.com/jackc/pgx/v5/pgtype"
	"pgregory.net/rapid"
)

// TestNumbersReadBackAsTheyWere decodes what appendNumeric writes with the
// driver's own decoder.
func TestNumbersReadBackAsTheyWere(t *testing.T) {
	m := pgtype.NewMap()
	rapid.Check(t, func(rt *rapid.T) {
		digits := rapid.StringMatching(`-?([1-9][0-9]{0,36}0{0,8}|0)`).Draw(rt, "digits")
		scale := rapid.IntRange(0, 38).Draw(rt, "scale")
		n, ok := new(big.Int).SetString(digits, 10)
		if !ok || n.BitLen() > 126 {
			return
		}
		num := decimal128.FromBigInt(n)
		data := appendNumeric(nil, num, scale)
		if length := int(data[0])<<24 | int(data[1])<<16 | int(data[2])<<8 | int(data[3]); length != len(data)-4 {
			rt.Fatalf("length %d of %d bytes", length, len(data)-4)
		}
		var got pgtype.Numeric
		if err := m.Scan(pgtype.NumericOID, pgtype.BinaryFormatCode, data[4:], &got); err != nil {
			rt.Fatal(err)
		}
		want := new(big.Rat).SetFrac(n, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil))
		value := new(big.Rat).SetInt(got.Int)
		exp := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(got.Exp, -got.Exp))), nil))
		if got.Exp < 0 {
			value.Quo(value, exp)
		} else {
			value.Mul(value, exp)
		}
		if value.Cmp(want) != 0 {
			rt.Errorf("%s with scale %d reads back as %s, want %s", digits, scale, value, want)
		}
	})
}
