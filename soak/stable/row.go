package stable

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/harrowdata/harrow/io/lakeio"
)

// storedPrefix begins the keys of what databases hold: the same for all of
// them, so that two databases that one job was loaded into compare equal.
const storedPrefix = "stored "

// provenance reports whether a name is Harrow's own: tables and columns that
// say whose rows they are, not what is in them.
func provenance(name string) bool { return strings.HasPrefix(name, "_") }

// line is the one way a sink's row is written: its data columns as a JSON
// object, sorted by name. Values are what value makes of a store's.
func line(row map[string]any) (string, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(row); err != nil {
		return "", err
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// float is null where it is no number, as in [lakeio.AppendJSON].
func float(f float64) any {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil
	}
	return f
}

// decoded is the value of a JSON text: whole numbers as they are written,
// others as floats.
func decoded(text string) (any, error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, fmt.Errorf("%.100q: want JSON: %w", text, err)
	}
	return plain(v)
}

func plain(v any) (_ any, err error) {
	switch v := v.(type) {
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			return v.Float64()
		}
	case []any:
		for i := range v {
			if v[i], err = plain(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for name := range v {
			if v[name], err = plain(v[name]); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

// decimalText has the form of [lakeio.DecimalText].
func decimalText(d decimal.Decimal) string { return d.String() }

func timestampText(t time.Time) string { return t.UTC().Format(lakeio.TimestampLayout) }

func dateText(t time.Time) string { return t.Format(lakeio.DateLayout) }
