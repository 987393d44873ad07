package normal

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/shopspring/decimal"

	harrow "github.com/harrowdata/harrow"
)

// maxMoney bounds the text of an amount, in bytes.
const maxMoney = 256

// ErrNoCurrency: the text names no currency and no other was given.
var ErrNoCurrency = errors.New("no currency")

// MoneyOptions says what the text of an amount leaves open. The zero value
// decides nothing.
type MoneyOptions struct {
	// Currency is the ISO 4217 code for text that names none, or only a sign
	// that several currencies share and this is one of them. Text that names
	// another currency wins.
	Currency string `json:"currency,omitempty"`
	// Decimal is the decimal separator, "." or ",". Empty: see Money.
	Decimal string `json:"decimal,omitempty"`
}

// Validate reports a currency or separator that isn't one.
func (o MoneyOptions) Validate() error {
	if _, ok := MinorUnits(o.Currency); !ok && o.Currency != "" {
		return fmt.Errorf("currency %q: want an ISO 4217 code such as EUR", o.Currency)
	}
	return checkSeparator(o.Decimal)
}

// Money reads an amount with its currency, "£1,234.50" or "1.234,50 EUR". The
// amount fits [harrow.DefaultDecimal] and is never rounded.
//
// The text is one number with a currency before or after it, or both if they
// agree ("$5 USD"): an ISO 4217 code in upper case, or a sign. A sign that
// several currencies share ($, ¥, kr, Rs, …) needs opt.Currency to be one of
// them. Negative amounts have a minus before the number or the currency, or
// right behind the number, or are in parentheses. "5,-" and "5.–" are 5.
// Any other text is an error.
//
// Without opt.Decimal the decimal separator is found by the number's own form:
// the last of two kinds of separators is it; one that occurs twice groups; one
// alone groups only with exactly three digits behind it and one to three, no
// leading zero, before it. What could still be both, as "1.234":
//   - where the currency has no minor unit (JPY), the separator groups;
//   - where it has three digits (KWD), the amount is ambiguous, an error;
//   - else it groups, since three digits are no minor unit, unless the currency
//     is always written with just this separator before its decimals: "£1.234"
//     and "1,234 zł" are ambiguous, "£1,234" is 1234.
func Money(s string, opt MoneyOptions) (amount decimal.Decimal, currency string, err error) {
	amount, currency, err = money(s, opt)
	if err != nil {
		return decimal.Decimal{}, "", fmt.Errorf("%.60q: want an amount of money: %w", s, err)
	}
	return amount, currency, nil
}

func money(s string, opt MoneyOptions) (d decimal.Decimal, currency string, err error) {
	if err = opt.Validate(); err != nil {
		return d, "", err
	}
	if len(s) > maxMoney {
		return d, "", fmt.Errorf("longer than %d bytes", maxMoney)
	}
	t, err := splitMoney(s)
	if err != nil {
		return d, "", err
	}
	if currency, err = resolveCurrency(t.currencies, opt.Currency); err != nil {
		return d, "", err
	}
	n, err := parseNumber(t.number)
	if err != nil {
		return d, "", err
	}
	n.negative = t.negative
	sep := opt.Decimal
	if sep == "" {
		if sep, err = n.moneySeparator(currency, t.whole); err != nil {
			return d, "", err
		}
	}
	if d, err = n.decimal(sep); err != nil {
		return d, "", err
	}
	if t.whole && !d.IsInteger() {
		return d, "", errors.New("decimals twice")
	}
	d, err = fit(d, harrow.DefaultDecimal)
	return d, currency, err
}

// moneySeparator decides what Money's comment says about "1.234": it returns
// the decimal separator, or nothing where the number's form says it. whole:
// the amount ends in ",-", so what separators it has group.
func (n number) moneySeparator(currency string, whole bool) (string, error) {
	group, point := n.readings()
	if !group || !point {
		return "", nil
	}
	minor, _ := MinorUnits(currency)
	home := pointCurrencies
	other := ","
	if n.point == ',' {
		home, other = commaCurrencies, "."
	}
	if !whole && (minor == 3 || minor != 0 && home[currency]) {
		return "", fmt.Errorf(`%w: in %s the %q may group digits or begin decimals; the job has to say decimal: "." or ","`, ErrAmbiguous, currency, n.point)
	}
	return other, nil
}

// moneyText is an amount in parts.
type moneyText struct {
	number     string
	currencies [][]string // what each sign or code may mean
	negative   bool
	whole      bool // ended in ",-"
}

// splitMoney takes signs and currencies off the number.
func splitMoney(s string) (t moneyText, err error) {
	s = Space(s)
	if inner, ok := parenthesised(s); ok {
		t.negative, s = true, inner
	}
	first := strings.IndexAny(s, "0123456789")
	if first < 0 {
		return t, errors.New("no digits")
	}
	last := strings.LastIndexAny(s, "0123456789") + 1
	head, tail := s[:first], s[last:]
	if cut := len(head) - 1; cut >= 0 && (head[cut] == '.' || head[cut] == ',') && !endsInSign(head) {
		head, first = head[:cut], cut // ".50"
	}
	t.number = s[first:last]
	if inside, ok := strings.CutSuffix(head, "("); ok && strings.HasPrefix(tail, ")") && !t.negative { // "£(5.00)"
		head, tail, t.negative = inside, tail[1:], true
	}
	negatives := 0
	head, negatives = cutMinus(head)
	tail, negatives = t.cutTail(tail, negatives)
	if t.negative {
		negatives++
	}
	if negatives > 1 {
		return t, errors.New("two signs")
	}
	t.negative = negatives == 1
	for _, side := range []string{head, tail} {
		if err := t.addCurrencies(side); err != nil {
			return t, err
		}
	}
	return t, nil
}

func parenthesised(s string) (string, bool) {
	if len(s) > 2 && s[0] == '(' && s[len(s)-1] == ')' {
		return s[1 : len(s)-1], true
	}
	return s, false
}

// endsInSign reports whether the point at the end belongs to a sign: "Rs.".
func endsInSign(head string) bool {
	fields := strings.Fields(head)
	word := strings.TrimLeft(fields[len(fields)-1], "-+\u2212(")
	return named(word) != nil
}

// cutMinus takes one sign off the front of the text before the number, or off
// its end.
func cutMinus(head string) (rest string, negatives int) {
	head = strings.TrimSpace(head)
	rest, negative := cutSign(head)
	if rest == head {
		for _, sign := range []string{"-", "\u2212", "+"} {
			if before, ok := strings.CutSuffix(head, sign); ok {
				rest, negative = before, sign != "+"
				break
			}
		}
	}
	if negative {
		negatives = 1
	}
	return strings.TrimSpace(rest), negatives
}

// cutTail takes ",-" and the like, or a minus, off the text behind the number.
func (t *moneyText) cutTail(tail string, negatives int) (string, int) {
	for _, mark := range []string{",--", ".--", ",-", ".-", ",–", ".–", ",—", ".—"} {
		if rest, ok := strings.CutPrefix(tail, mark); ok {
			t.whole = true
			return strings.TrimSpace(rest), negatives
		}
	}
	for _, sign := range []string{"-", "\u2212"} {
		if rest, ok := strings.CutPrefix(tail, sign); ok {
			return strings.TrimSpace(rest), negatives + 1
		}
	}
	return strings.TrimSpace(tail), negatives
}

// addCurrencies reads the text on one side of the number: nothing, one sign or
// code, or a code and a sign.
func (t *moneyText) addCurrencies(side string) error {
	if side == "" {
		return nil
	}
	if codes := named(strings.ReplaceAll(side, " ", "")); codes != nil {
		t.currencies = append(t.currencies, codes)
		return nil
	}
	words := strings.Fields(side)
	if len(words) == 1 && len(side) > 3 { // "USD$"
		words = []string{side[:3], side[3:]}
	}
	if len(words) > 2 {
		return fmt.Errorf("unexpected %.40q", side)
	}
	for _, word := range words {
		codes := named(word)
		if codes == nil {
			return fmt.Errorf("unexpected %.40q", word)
		}
		t.currencies = append(t.currencies, codes)
	}
	return nil
}

// resolveCurrency finds the one code that all signs of the text can mean.
func resolveCurrency(signs [][]string, given string) (string, error) {
	if len(signs) == 0 {
		if given == "" {
			return "", ErrNoCurrency
		}
		return given, nil
	}
	codes := signs[0]
	for _, more := range signs[1:] {
		var both []string
		for _, code := range codes {
			if slices.Contains(more, code) {
				both = append(both, code)
			}
		}
		codes = both
	}
	switch {
	case len(codes) == 0:
		return "", errors.New("two currencies")
	case len(codes) == 1:
		return codes[0], nil
	case given == "":
		return "", fmt.Errorf("%w: the sign may mean %s; the job has to say currency", ErrAmbiguous, strings.Join(codes[:min(3, len(codes))], ", "))
	case !slices.Contains(codes, given):
		return "", fmt.Errorf("%w: the sign may mean %s, but not %s", ErrAmbiguous, strings.Join(codes[:min(3, len(codes))], ", "), given)
	}
	return given, nil
}
