package expr

import (
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"github.com/harrowdata/harrow"
)

// table is what expressions of the tests run over: three rows.
var table = []struct {
	Column
	values *Vector
}{
	{Column{Name: "n", Type: harrow.Type{Kind: harrow.Int}}, &Vector{Kind: Number, Ints: []int64{1, -2, 0}, Nulls: []bool{false, false, true}}},
	{Column{Name: "price", Type: harrow.DefaultDecimal}, &Vector{Kind: Number, Ints: []int64{1999, 5, 120}, Scale: 2}},
	{Column{Name: "f", Type: harrow.Type{Kind: harrow.Float}}, &Vector{Kind: Float, Floats: []float64{0.5, 1e300, -1}}},
	{Column{Name: "t", Type: harrow.Type{Kind: harrow.Text}}, &Vector{Kind: Text, Texts: []string{"Åse", "b'c", ""}, Nulls: []bool{false, false, true}}},
	{Column{Name: "ok", Type: harrow.Type{Kind: harrow.Bool}}, &Vector{Kind: Bool, Bools: []bool{true, false, false}, Nulls: []bool{false, false, true}}},
	{Column{Name: "day", Type: harrow.Type{Kind: harrow.Date}}, &Vector{Kind: Date, Ints: []int64{19844, -1, 0}}},
	{Column{Name: "at", Type: harrow.Type{Kind: harrow.Timestamp}}, &Vector{Kind: Timestamp, Ints: []int64{1714564800000000, -1, 0}}},
	{Column{Name: "tags", Type: harrow.Type{Kind: harrow.Text, List: true}}, &Vector{Kind: List, Ints: []int64{2, 0, 0}, Nulls: []bool{false, false, true}}},
	{Column{Name: "rate", Type: harrow.Type{Kind: harrow.Text}, Loose: true}, &Vector{Kind: Text, Texts: []string{"1.5", "x", ""}, Nulls: []bool{false, false, true}}},
	{Column{Name: "since", Type: harrow.Type{Kind: harrow.Text}, Loose: true}, &Vector{Kind: Text, Texts: []string{"2024-05-01", "1969-12-31", "soon"}}},
	{Column{Name: "odd name"}, &Vector{Kind: Text, Texts: []string{"1", "2", "3"}}},
	{Column{Name: "zero", Type: harrow.Type{Kind: harrow.Int}}, &Vector{Kind: Number, Ints: []int64{0, 0, 5}}},
}

func columns() (list []Column) {
	for i := range table {
		table[i].values.Rows = 3
		list = append(list, table[i].Column)
	}
	return list
}

// shown evaluates an expression and shows its three results: ∅ for null, ! for
// an error.
func shown(t testing.TB, p *Program) string {
	t.Helper()
	v := p.Eval(3, func(i int) *Vector { return table[i].values })
	var words []string
	for i := range 3 {
		switch {
		case v.Err(i) != nil:
			words = append(words, "!")
		case v.IsNull(i):
			words = append(words, "∅")
		default:
			words = append(words, v.Show(i))
		}
	}
	return strings.Join(words, " ")
}

func TestResults(t *testing.T) {
	for _, c := range []struct{ source, want string }{
		{"n", "1 -2 ∅"},
		{"`odd name`", "1 2 3"},
		{"1 + 2 * 3", "7 7 7"},
		{"(1 + 2) * 3 - -1", "10 10 10"},
		{"2 - 3 - 4", "-5 -5 -5"},
		{"-n", "-1 2 ∅"},
		{"- - +n", "1 -2 ∅"},
		{"price * 1.1", "21.989 0.055 1.32"},
		{"price * n", "19.99 -0.1 ∅"},
		{"price + 0.001", "19.991 0.051 1.201"},
		{"99999999999999999999 * price", "1998999999999999999980.01 4999999999999999999.95 119999999999999999998.8"},
		{"9223372036854775807 + n", "9223372036854775808 9223372036854775805 ∅"},
		{"-9223372036854775808 - n", "-9223372036854775809 -9223372036854775806 ∅"},
		{"1 / 3", "0.333333333333333333 0.333333333333333333 0.333333333333333333"},
		{"round(2 / 3, 2)", "0.67 0.67 0.67"},
		{"1 / zero", "! ! 0.2"},
		{"zero != 0 and 1 / zero > 0", "false false true"},
		{"zero = 0 or 1 / zero > 0", "true true true"},
		{"1 / zero > 0 and zero != 0", "! ! true"},
		{"if(zero = 0, null, 1 / zero)", "∅ ∅ 0.2"},
		{"coalesce(n, 1 / zero)", "1 -2 0.2"},
		{"coalesce(1 / zero, n)", "! ! 0.2"},
		{"round(-0.5, 0)", "-1 -1 -1"},
		{"round(price, 1)", "20 0.1 1.2"},
		{"round(price, 5)", "19.99 0.05 1.2"},
		{"round(12345678901234567890.55, 1)", "12345678901234567890.6 12345678901234567890.6 12345678901234567890.6"},
		{"abs(n - 1)", "0 3 ∅"},
		{"abs(-9223372036854775808 + 0 * zero)", "9223372036854775808 9223372036854775808 9223372036854775808"},
		{"abs(f)", "0.5 1e+300 1"},
		{"f * 1e300", "5e+299 ! -1e+300"},
		{"f + n", "1.5 1e+300 ∅"},
		{"f > 0.4", "true true false"},
		{"f / zero", "! ! -0.2"},
		{"number(f) + 0.1", "0.6 1" + strings.Repeat("0", 300) + ".1 -0.9"},
		{"number('12') + 1", "13 13 13"},
		{"number(t)", "! ! ∅"},
		{"rate * 2", "3 ! ∅"},
		{"rate", "1.5 x ∅"},
		{"rate > 1", "true ! ∅"},
		{"rate = 'x'", "false true ∅"},
		{"since < day", "false false !"},
		{"day = '2024-05-01'", "true false false"},
		{"at > '2024-05-01'", "true false false"},
		{"at >= day", "true true true"},
		{"date(at)", "2024-05-01 1969-12-31 1970-01-01"},
		{"timestamp(day)", "2024-05-01T00:00:00.000000Z 1969-12-31T00:00:00.000000Z 1970-01-01T00:00:00.000000Z"},
		{"date(since)", "2024-05-01 1969-12-31 !"},
		{"timestamp('2024-05-01 12:00') = at", "true false false"},
		{"n > 0", "true false ∅"},
		{"n > 0 and false", "false false false"},
		{"n > 0 or true", "true true true"},
		{"n > 0 and true", "true false ∅"},
		{"not (n > 0)", "false true ∅"},
		{"not n > 0 or ok", "true true ∅"},
		{"ok", "true false ∅"},
		{"ok = true", "true false ∅"},
		{"n is null", "false false true"},
		{"n is not null", "true true false"},
		{"1 / zero is null", "! ! false"},
		{"n in (1, 2)", "true false ∅"},
		{"n in (1, null)", "true ∅ ∅"},
		{"n not in (1, 2)", "false true ∅"},
		{"price in (0.05, 1.20)", "false true true"},
		{"t in ('Åse')", "true false ∅"},
		{"day in ('1969-12-31')", "false true false"},
		{"upper(t)", "ÅSE B'C ∅"},
		{"lower(t) = 'åse'", "true false ∅"},
		{"trim('  x ')", "x x x"},
		{"length(t)", "3 3 ∅"},
		{"length(tags) >= 1", "true false ∅"},
		{"tags is null", "false false true"},
		{"contains(t, '''')", "false true ∅"},
		{`contains(t, "'")`, "false true ∅"},
		{"starts_with(t, 'Å') or ends_with(t, 'c')", "true true ∅"},
		{"matches(t, '^.{3}$')", "true true ∅"},
		{"matches(t, '^b')", "false true ∅"},
		{"concat(t, '/', price)", "Åse/19.99 b'c/0.05 ∅"},
		{"text(price) = '19.99'", "true false false"},
		{"coalesce(t, 'none')", "Åse b'c none"},
		{"coalesce(n, price)", "1 -2 1.2"},
		{"coalesce(n, f)", "1 -2 -1"},
		{"coalesce(rate, 0)", "1.5 ! 0"},
		{"if(ok, n, price)", "1 0.05 1.2"},
		{"if(n > 0, 'plus', 'other')", "plus other other"},
		{"1 + null", "∅ ∅ ∅"},
		{"null", "∅ ∅ ∅"},
		{"TRUE AND NOT FALSE", "true true true"},
		{"price <> 0.05", "true false true"},
		{"1e3 = 1000", "true true true"},
	} {
		p, err := Compile(c.source, columns())
		if err != nil {
			t.Errorf("%s: %v", c.source, err)
			continue
		}
		if got := shown(t, p); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.source, got, c.want)
		}
	}
}

func TestWhatIsWrongIsNamedWithItsPlace(t *testing.T) {
	for _, c := range []struct {
		source string
		at     int
		want   string
	}{
		{"", 1, "got the end; expected a column, a number, a text in quotes or ("},
		{"price >", 8, "got the end; expected a column"},
		{"price 5", 7, "5 can't follow here; expected an operator or the end"},
		{"(price", 7, "got the end; expected )"},
		{"Ä", 1, `'Ä' begins nothing; expected a column`},
		{"t = 'é' & ok", 9, "'&' begins nothing"},
		{"t = 'open", 5, "this quote is never closed; expected another '"},
		{"prise * 2", 1, "there is no column prise; expected n, price, f"},
		{"t * 2", 1, "this is text; * expected a number: number(…) reads one"},
		{"2 + ok", 5, "this is a truth value; + expected a number"},
		{"n and ok", 1, "this is a number; and expected a truth value"},
		{"not t", 5, "this is text; not expected a truth value"},
		{"n = null", 3, "expected is null or is not null"},
		{"n = 'x'", 5, "this is text; = expected a number"},
		{"day > 'soon'", 7, `"soon" is no date; expected YYYY-MM-DD`},
		{"day > 5", 7, "this is a number; > expected a date"},
		{"ok < true", 4, "expected numbers, texts, dates or timestamps"},
		{"tags = tags", 6, "= compares no list"},
		{"n in ()", 3, "in () holds for nothing"},
		{"n in 1", 6, "got 1; expected ( and a list"},
		{"n is 3", 6, "got 3; expected null"},
		{"n not 3", 7, "got 3; expected in"},
		{"floor(n)", 1, "there is no function floor; expected abs, coalesce"},
		{"round(n)", 1, "round has 1 arguments; expected two arguments"},
		{"round(n, n)", 10, "round, for its digits, expected a whole number from 0 to 38, written out"},
		{"round(f, 1)", 7, "round expected a number; number(…) makes one of a float"},
		{"matches(t, t)", 12, "matches expected its pattern as a text in quotes"},
		{"matches(t, '(')", 12, "missing closing ): `(`; expected RE2"},
		{"coalesce(n, t)", 13, "this is text; coalesce expected a number"},
		{"coalesce(tags, tags)", 10, "coalesce expected no lists"},
		{"1.2.3", 1, `"1.2.3" is no number`},
		{"12abc", 1, `"12abc" is no number`},
		{"1e999999999 > 0", 1, `"1e999999999" is no number: its exponent is not one of -1000 to 1000`},
		{strings.Repeat("9", 2000), 1, "of at most 1000 digits"},
		{strings.Repeat("(", 60_000), 202, "nested deeper than 200"}, // the 201st bracket's inside
		{strings.Repeat("-", 60_000) + "1", 202, "nested deeper than 200"},
		{strings.Repeat("not ", 16_000) + "ok", 805, "nested deeper than 200"},
		{strings.Repeat("abs(", 16_000), 805, "nested deeper than 200"},
		{strings.Repeat("n+", 30_000) + "n", 1, "more than 4096 parts"},
		{strings.Repeat("n", 70_000), 1, "the expression has 70000 bytes; expected at most 65536"},
	} {
		_, err := Compile(c.source, columns())
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(e.Msg, c.want) {
			t.Errorf("%.60s: %.200v; want %q", c.source, err, c.want)
			continue
		}
		if len(c.source) < 50_000 && e.At != c.at {
			t.Errorf("%.60s: at %d, want %d: %v", c.source, e.At, c.at, err)
		}
	}
}

func TestResultsAreStoredExactlyOrNotAtAll(t *testing.T) {
	typ := func(s string) harrow.Type {
		ty, err := harrow.ParseType(s)
		if err != nil {
			t.Fatal(err)
		}
		return ty
	}
	for _, c := range []struct{ source, typ, want string }{
		{"price", "decimal(4,2)", "19.99 0.05 1.2"},
		{"price", "decimal(4,3)", "! 0.05 1.2"},
		{"price", "decimal(3,1)", "! ! 1.2"},
		{"price * 100", "int", "1999 5 120"},
		{"price", "int", "! ! !"},
		{"9223372036854775807 + zero", "int", "9223372036854775807 9223372036854775807 !"},
		{"n", "decimal(38,38)", "! ! ∅"},
		{"zero", "decimal(38,38)", "0 0 !"},
		{"round(price / 3, 2)", "decimal(38,9)", "6.66 0.02 0.4"},
		{"price / 3", "decimal(38,18)", "6.663333333333333333 0.016666666666666667 0.4"},
		{"rate", "decimal(38,9)", "1.5 ! ∅"},
		{"rate", "text", "1.5 x ∅"},
		{"since", "date", "2024-05-01 1969-12-31 !"},
		{"since", "timestamp", "2024-05-01T00:00:00.000000Z 1969-12-31T00:00:00.000000Z !"},
		{"price", "float", "19.99 0.05 1.2"},
		{"null", "int", "∅ ∅ ∅"},
		{"n > 0", "bool", "true false ∅"},
		{"1e1000 * (1 + zero)", "float", "! ! !"},
	} {
		p, err := Compile(c.source, columns())
		if err == nil {
			p, err = p.To(typ(c.typ))
		}
		if err != nil {
			t.Errorf("%s as %s: %v", c.source, c.typ, err)
			continue
		}
		if got := shown(t, p); got != c.want {
			t.Errorf("%s as %s\n got %s\nwant %s", c.source, c.typ, got, c.want)
		}
	}
	for _, c := range []struct{ source, typ, want string }{
		{"price", "text", "the result is a number; expected text, for type text"},
		{"t", "int", "the result is text; expected a number, for type int"},
		{"f", "decimal", "the result is a float; expected a number"},
		{"price / 3", "decimal", "expected round(…, 9)"},
		{"abs(1 + price / 3)", "int", "expected round(…, 0)"},
		{"coalesce(price / 3, 0)", "decimal", "expected round(…, 9)"},
		{"tags", "list", "an expression makes no lists"},
	} {
		p, err := Compile(c.source, columns())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.To(typ(c.typ)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s as %s: %v, want %q", c.source, c.typ, err, c.want)
		}
	}
}

func TestNamesAreThoseOfTheSource(t *testing.T) {
	got, err := Names("price * rate > abs(`odd name`) and price is not null")
	if fmt.Sprint(got) != "[price rate odd name]" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := Names("price *"); err == nil {
		t.Error("an unfinished expression has names")
	}
	p, err := Compile("zero + n + n", columns())
	if err != nil || fmt.Sprint(p.Columns()) != "[0 11]" {
		t.Errorf("%v, %v", p.Columns(), err)
	}
}

// rat is a number's exact value.
func rat(d decimal.Decimal) *big.Rat { return d.Rat() }

// TestArithmeticIsExact compares random expressions over random numbers of all
// sizes with rational arithmetic.
func TestArithmeticIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const rows = 5
		cols := []Column{{Name: "a", Type: harrow.DefaultDecimal}, {Name: "b", Type: harrow.DefaultDecimal}, {Name: "c", Type: harrow.Type{Kind: harrow.Int}}}
		values := make([]*Vector, len(cols))
		for i := range values {
			values[i] = numbers(t, rows)
		}
		source, want := randomExpr(t, values, 3)
		p, err := Compile(source, cols)
		if err != nil {
			t.Fatalf("%s: %v", source, err)
		}
		got := p.Eval(rows, func(i int) *Vector { return values[i] })
		for i := range rows {
			w := want(i)
			if got.IsNull(i) || rat(got.Decimal(i)).Cmp(w) != 0 {
				t.Fatalf("%s, row %d: %s, want %s", source, i, got.Show(i), w.RatString())
			}
		}
		less, err := Compile(source+" < a", cols)
		if err != nil {
			t.Fatal(err)
		}
		order := less.Eval(rows, func(i int) *Vector { return values[i] })
		for i := range rows {
			if order.Bool(i) != (want(i).Cmp(rat(values[0].Decimal(i))) < 0) {
				t.Fatalf("%s < a, row %d: %v", source, i, order.Bool(i))
			}
		}
	})
}

// numbers draws a column, in either of its forms.
func numbers(t *rapid.T, rows int) *Vector {
	v := &Vector{Kind: Number, Rows: rows, Scale: rapid.Int32Range(0, 20).Draw(t, "scale")}
	for range rows {
		n := rapid.Int64().Draw(t, "n")
		if rapid.Bool().Draw(t, "small") {
			n %= 1000
		}
		v.Ints = append(v.Ints, n)
	}
	if rapid.Bool().Draw(t, "reduced") {
		v.Reduce()
	}
	if rapid.Bool().Draw(t, "long") {
		v.Decs = decimals(v)
		v.Ints, v.Scale = nil, 0
	}
	return v
}

func randomExpr(t *rapid.T, values []*Vector, depth int) (string, func(row int) *big.Rat) {
	switch kind := rapid.IntRange(0, 6).Draw(t, "kind"); {
	case depth == 0 || kind == 0:
		c := rapid.IntRange(0, len(values)-1).Draw(t, "column")
		return string(rune('a' + c)), func(row int) *big.Rat { return rat(values[c].Decimal(row)) }
	case kind == 1:
		d := decimal.New(rapid.Int64().Draw(t, "coefficient"), rapid.Int32Range(-20, 5).Draw(t, "exponent"))
		return d.String(), func(int) *big.Rat { return rat(d) }
	case kind == 2:
		source, x := randomExpr(t, values, depth-1)
		digits := rapid.Int32Range(0, 12).Draw(t, "digits")
		return fmt.Sprintf("round(%s, %d)", source, digits), func(row int) *big.Rat { return rounded(x(row), digits) }
	case kind == 3:
		source, x := randomExpr(t, values, depth-1)
		return "abs(" + source + ")", func(row int) *big.Rat { return new(big.Rat).Abs(x(row)) }
	default:
		a, x := randomExpr(t, values, depth-1)
		b, y := randomExpr(t, values, depth-1)
		sign := "+-*"[kind-4]
		return fmt.Sprintf("(%s %c %s)", a, sign, b), func(row int) *big.Rat {
			switch sign {
			case '+':
				return new(big.Rat).Add(x(row), y(row))
			case '-':
				return new(big.Rat).Sub(x(row), y(row))
			}
			return new(big.Rat).Mul(x(row), y(row))
		}
	}
}

// rounded is half away from zero.
func rounded(x *big.Rat, digits int32) *big.Rat {
	power := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(digits)), nil))
	scaled := new(big.Rat).Mul(new(big.Rat).Abs(x), power)
	scaled.Add(scaled, big.NewRat(1, 2))
	whole := new(big.Int).Quo(scaled.Num(), scaled.Denom())
	r := new(big.Rat).Quo(new(big.Rat).SetInt(whole), power)
	if x.Sign() < 0 {
		r.Neg(r)
	}
	return r
}

func TestQuotientsAreRoundedToTheirDigits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, y := numbers(t, 1), numbers(t, 1)
		p, err := Compile("a / b", []Column{{Name: "a", Type: harrow.DefaultDecimal}, {Name: "b", Type: harrow.DefaultDecimal}})
		if err != nil {
			t.Fatal(err)
		}
		got := p.Eval(1, func(i int) *Vector { return []*Vector{x, y}[i] })
		if y.Decimal(0).IsZero() {
			if got.Err(0) == nil {
				t.Fatal("division by zero is no error")
			}
			return
		}
		want := rounded(new(big.Rat).Quo(rat(x.Decimal(0)), rat(y.Decimal(0))), QuotientDigits)
		if rat(got.Decimal(0)).Cmp(want) != 0 {
			t.Fatalf("%s / %s = %s, want %s", x.Show(0), y.Show(0), got.Show(0), want.FloatString(20))
		}
	})
}

// TestDigitsAreBounded squares a number until it would have more digits than
// anything may have.
func TestDigitsAreBounded(t *testing.T) {
	source := "1e900"
	for range 4 {
		source = "(" + source + " * " + source + ")"
	}
	p, err := Compile(source+" + 0 * zero", columns())
	if err != nil {
		t.Fatal(err)
	}
	if got := shown(t, p); got != "! ! !" {
		t.Errorf("%.40s…", got)
	}
}

// TestNestedListsCostWhatTheySay: each level doubles the work if what is looked
// for is evaluated for every item.
func TestNestedListsCostWhatTheySay(t *testing.T) {
	source := "ok"
	for range 150 {
		source = "(" + source + " in (true, false))"
	}
	p, err := Compile(source, columns())
	if err != nil {
		t.Fatal(err)
	}
	if got := shown(t, p); got != "true true ∅" {
		t.Errorf("got %s", got)
	}
}

func TestParsedNumbersAreWhatTheySay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := decimal.New(rapid.Int64().Draw(t, "n"), rapid.Int32Range(-30, 30).Draw(t, "exponent"))
		for _, s := range []string{d.String(), "+" + d.Abs().String(), fmt.Sprintf("%de%d", d.Coefficient(), d.Exponent())} {
			got, err := ParseNumber(s)
			if err != nil || !got.Abs().Equal(d.Abs()) {
				t.Fatalf("%s: %s, %v", s, got, err)
			}
		}
	})
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{"price * rate > 1e3", "not (a in (1,'x') or b is not null)", "if(ok, round(n/3, 2), -1)", "`odd name` = \"q\"\"q\"", "1e", "--1", "matches(t, '[a-')", "concat(t, n, day)", "((((", "coalesce(null, n, f) >= -.5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, source string) {
		p, err := Compile(source, columns())
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.At < 1 || e.At > len(source)+1 || e.Msg == "" {
				t.Fatalf("%q: %v", source, err)
			}
			return
		}
		if _, err := Names(source); err != nil {
			t.Fatalf("%q compiles and has no names: %v", source, err)
		}
		shown(t, p)
		for _, typ := range []string{"int", "decimal(5,2)", "text", "date", "timestamp", "float", "bool"} {
			ty, _ := harrow.ParseType(typ)
			if q, err := p.To(ty); err == nil {
				shown(t, q)
			}
		}
	})
}
