package normal

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"
)

func TestMoney(t *testing.T) {
	for _, c := range []struct{ text, currency, decimal, want string }{
		{"£51.77", "", "", "51.77 GBP"},
		{"51,77 €", "", "", "51.77 EUR"},
		{"EUR 12", "", "", "12 EUR"},
		{"12 EUR", "", "", "12 EUR"},
		{"12EUR", "", "", "12 EUR"},
		{"$12.50", "USD", "", "12.5 USD"},
		{"$12.50", "CAD", "", "12.5 CAD"},
		{"US$12.50", "", "", "12.5 USD"},
		{"US $ 12.50", "", "", "12.5 USD"},
		{"$12.50 USD", "", "", "12.5 USD"},
		{"USD$12.50", "", "", "12.5 USD"},
		{"USD $12.50", "CAD", "", "12.5 USD"},
		{"£5", "EUR", "", "5 GBP"},
		{"51.77", "GBP", "", "51.77 GBP"},
		{"¥1,000", "JPY", "", "1000 JPY"},
		{"1.000円", "", "", "1000 JPY"},
		{"₩12,345", "", "", "12345 KRW"},
		{"1.000.000 ₫", "", "", "1000000 VND"},
		// the number's own form
		{"1.234,56 €", "", "", "1234.56 EUR"},
		{"€1,234.56", "", "", "1234.56 EUR"},
		{"€1,234.567", "", "", "1234.567 EUR"},
		{"1 234,56 €", "", "", "1234.56 EUR"},
		{"1\u202f234\u00a0€", "", "", "1234 EUR"},
		{"CHF 1'234.50", "", "", "1234.5 CHF"},
		{"CHF 1’234.–", "", "", "1234 CHF"},
		{"₹1,23,456.00", "", "", "123456 INR"},
		{"€1234.567", "", "", "1234.567 EUR"},
		{"€0.123", "", "", "0.123 EUR"},
		{"€1.5", "", "", "1.5 EUR"},
		{"€1.2345", "", "", "1.2345 EUR"},
		{"€.50", "", "", "0.5 EUR"},
		{"KWD 1.23", "", "", "1.23 KWD"},
		// the currency's
		{"€1.234", "", "", "1234 EUR"},
		{"€1,234", "", "", "1234 EUR"},
		{"£1,234", "", "", "1234 GBP"},
		{"1.234 zł", "", "", "1234 PLN"},
		// the job's
		{"£1.234", "", ".", "1.234 GBP"},
		{"£1.234", "", ",", "1234 GBP"},
		{"KWD 1.234", "", ".", "1.234 KWD"},
		{"€1.459", "", ".", "1.459 EUR"},
		// signs
		{"-£5.00", "", "", "-5 GBP"},
		{"£-5.00", "", "", "-5 GBP"},
		{"£ - 5.00", "", "", "-5 GBP"},
		{"\u22125 EUR", "", "", "-5 EUR"},
		{"5.00- EUR", "", "", "-5 EUR"},
		{"(£5.00)", "", "", "-5 GBP"},
		{"£(5.00)", "", "", "-5 GBP"},
		{"+5 EUR", "", "", "5 EUR"},
		{"5,- €", "", "", "5 EUR"},
		{"1.234,- kr", "SEK", "", "1234 SEK"},
		{"Rs.500", "INR", "", "500 INR"},
		{"Rs. 1,500.50", "INR", "", "1500.5 INR"},
		{"kr. 5.000,00", "DKK", "", "5000 DKK"},
		{"R$ 10,90", "", "", "10.9 BRL"},
		{" \n£\u00a05 ", "", "", "5 GBP"},
	} {
		amount, currency, err := Money(c.text, MoneyOptions{Currency: c.currency, Decimal: c.decimal})
		if got := amount.String() + " " + currency; err != nil || got != c.want {
			t.Errorf("Money(%q, %q, %q) = %s, %v; want %s", c.text, c.currency, c.decimal, got, err, c.want)
		}
	}
}

func TestMoneyRefuses(t *testing.T) {
	for _, c := range []struct {
		text, currency, decimal string
		want                    error
	}{
		{"$5", "", "", ErrAmbiguous},
		{"$5", "GBP", "", ErrAmbiguous},
		{"¥5", "", "", ErrAmbiguous},
		{"5 kr", "", "", ErrAmbiguous},
		{"£1.234", "", "", ErrAmbiguous},
		{"1,234 zł", "", "", ErrAmbiguous},
		{"KWD 1.234", "", "", ErrAmbiguous},
		{"KWD 1,234", "", "", ErrAmbiguous},
		{"5", "", "", ErrNoCurrency},
		{"", "GBP", "", nil},
		{"free", "GBP", "", nil},
		{"£", "", "", nil},
		{"£5 EUR", "", "", nil},
		{"$5 EUR", "", "", nil},
		{"£5–£10", "", "", nil},
		{"2 for £5", "", "", nil},
		{"from £5", "", "", nil},
		{"£5 each", "", "", nil},
		{"£5.", "", "", nil},
		{"12€50", "", "", nil},
		{"--£5", "", "", nil},
		{"-£-5", "", "", nil},
		{"(-£5)", "", "", nil},
		{"-5-", "GBP", "", nil},
		{"12,50,-", "EUR", "", nil},
		{"£1.2.3", "", "", nil},
		{"£1,23", "", ".", nil},
		{"£0.0000000001", "", "", nil},
		{"5 XXX", "", "", nil},
		{"5 usd", "", "", nil},
		{"5", "gbp", "", nil},
		{"5", "GBP", ";", nil},
		{strings.Repeat("5", 1000), "GBP", "", nil},
	} {
		amount, currency, err := Money(c.text, MoneyOptions{Currency: c.currency, Decimal: c.decimal})
		if err == nil || c.want != nil && !errors.Is(err, c.want) || len(err.Error()) > 400 {
			t.Errorf("Money(%.40q, %q, %q) = %s %s, %v; want %v", c.text, c.currency, c.decimal, amount, currency, err, c.want)
		}
	}
}

func TestSignsMeanKnownCurrencies(t *testing.T) {
	for sign, codes := range signs {
		for i, code := range codes {
			if _, ok := MinorUnits(code); !ok || slices.Index(codes, code) != i {
				t.Errorf("%q: %s is unknown or twice there", sign, code)
			}
		}
		if _, clash := currencies[sign]; clash || strings.Contains(sign, " ") {
			t.Errorf("sign %q can't be found", sign)
		}
	}
	for _, set := range []map[string]bool{pointCurrencies, commaCurrencies} {
		for code := range set {
			if _, ok := currencies[code]; !ok || pointCurrencies[code] && commaCurrencies[code] {
				t.Errorf("%s is unknown or in both sets", code)
			}
		}
	}
}

// An amount as its own currency writes it, with minor units, is read back
// exactly, without options.
func TestMoneyReadsBackWhatShopsWrite(t *testing.T) {
	styles := map[string][2]string{"GBP": {",", "."}, "USD": {",", "."}, "PLN": {" ", ","}, "BRL": {".", ","}, "EUR": {".", ","}, "CHF": {"'", "."}}
	rapid.Check(t, func(t *rapid.T) {
		code := rapid.SampledFrom([]string{"GBP", "USD", "PLN", "BRL", "EUR", "CHF"}).Draw(t, "currency")
		cents := rapid.Int64Range(0, 1e15).Draw(t, "cents")
		want := decimal.New(cents, -2)
		whole, fraction, _ := strings.Cut(want.StringFixed(2), ".")
		text := group(whole, styles[code][0]) + styles[code][1] + fraction
		if rapid.Bool().Draw(t, "behind") {
			text += " " + code
		} else {
			text = code + text
		}
		if rapid.Bool().Draw(t, "negative") {
			text, want = "-"+text, want.Neg()
		}
		got, currency, err := Money(text, MoneyOptions{})
		if err != nil || currency != code || !got.Equal(want) {
			t.Fatalf("%q: %s %s, %v", text, got, currency, err)
		}
	})
}

func FuzzMoney(f *testing.F) {
	for _, s := range []string{"£1,234.50", "1.234,- kr.", "(US$ .5)", "R$\u00a010,90-", "USD$5", "CHF 1’234.–"} {
		f.Add(s, "SEK", "")
	}
	f.Fuzz(func(t *testing.T, s, code, sep string) {
		amount, currency, err := Money(s, MoneyOptions{Currency: code, Decimal: sep})
		if err != nil {
			return
		}
		again, same, err := Money(amount.String()+" "+currency, MoneyOptions{Decimal: "."})
		if err != nil || same != currency || !again.Equal(amount) {
			t.Fatalf("%q: %s %s, again %s %s, %v", s, amount, currency, again, same, err)
		}
	})
}

func BenchmarkMoney(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Money("£51.77", MoneyOptions{Currency: "GBP"}); err != nil {
			b.Fatal(err)
		}
	}
}
