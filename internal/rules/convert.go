package rules

import (
	"errors"
	"fmt"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/normal"
)

// converter is a field's last step: it sets the field's columns from a text
// that isn't empty. Only URLs look at the document.
type converter func(d *Document, text string, columns []any) error

// compileType returns the converter of a field's type; of a list, of its
// elements'.
func compileType(def harrow.Field) (converter, error) {
	money := normal.MoneyOptions{Currency: def.Currency, Decimal: def.Decimal}
	if err := money.Validate(); err != nil {
		return nil, err
	}
	switch def.Type {
	case "", string(harrow.Text):
		return toText, nil
	case harrow.TypeURL:
		return toURL, nil
	case harrow.TypeMoney:
		if def.IsList() {
			return nil, errors.New("type money: it is two columns, and a list is one")
		}
		return toMoney(money), nil
	}
	t, err := harrow.ParseType(def.Type)
	if err != nil {
		return nil, err
	}
	switch t = t.Element(); t.Kind {
	case harrow.Text:
		return toText, nil
	case harrow.Int:
		return toInt, nil
	case harrow.Float:
		return toFloat, nil
	case harrow.Bool:
		return toBool, nil
	case harrow.Decimal:
		return toDecimal(t, def.Decimal), nil
	}
	times, err := normal.NewTimes(normal.TimeOptions{Format: def.Format, Zone: def.Zone})
	if err != nil {
		return nil, err
	}
	return toTime(t.Kind, times), nil
}

func toText(_ *Document, text string, columns []any) error {
	columns[0] = text
	return nil
}

func toURL(d *Document, text string, columns []any) error {
	base, fault := d.Base()
	if fault != nil {
		return fault
	}
	u, err := d.canon.Resolve(base, text)
	if err != nil {
		return fmt.Errorf("no URL: %w", err)
	}
	columns[0] = u.String()
	return nil
}

func toInt(_ *Document, text string, columns []any) error {
	n, err := normal.Int(text)
	if err == nil {
		columns[0] = n
	}
	return err
}

func toFloat(_ *Document, text string, columns []any) error {
	f, err := normal.Float(text)
	if err == nil {
		columns[0] = f
	}
	return err
}

func toBool(_ *Document, text string, columns []any) error {
	b, err := normal.Bool(text)
	if err == nil {
		columns[0] = b
	}
	return err
}

// toTime is for dates and timestamps.
func toTime(kind harrow.Kind, times *normal.Times) converter {
	read := times.Timestamp
	if kind == harrow.Date {
		read = times.Date
	}
	return func(_ *Document, text string, columns []any) error {
		at, err := read(text)
		if err == nil {
			columns[0] = at
		}
		return err
	}
}

func toDecimal(t harrow.Type, separator string) converter {
	return func(_ *Document, text string, columns []any) error {
		d, err := normal.Decimal(text, t, separator)
		if err == nil {
			columns[0] = d
		}
		return err
	}
}

func toMoney(options normal.MoneyOptions) converter {
	return func(_ *Document, text string, columns []any) error {
		amount, currency, err := normal.Money(text, options)
		if err == nil {
			columns[0], columns[1] = amount, currency
		}
		return err
	}
}
