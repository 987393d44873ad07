package jobfile

import (
	"fmt"
	"slices"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/normal"
)

// besideSelectors are the keys of a field that say what becomes of its text:
// they have no place in an alternative of `any`.
var besideSelectors = []string{"any", "list", "map", "type", "currency", "decimal", "format", "zone", "required", "default"}

// checkField looks at one field's steps together.
func (c *checker) checkField(path string, f harrow.Field) {
	c.oneSelector(path, selectors, f.Regex != "")
	for i, one := range f.Any {
		at := fmt.Sprintf("%s.any[%d]", path, i)
		c.oneSelector(at, without(selectors, "any"), one.Regex != "")
		for _, key := range besideSelectors {
			if _, there := c.keys[join(at, key)]; there {
				c.reportKey(join(at, key), "%s does not belong to an alternative; expected it beside any, or a selector and regex only", join(at, key))
			}
		}
	}
	if _, there := c.keys[path+".any"]; there && len(f.Any) == 0 && !c.errs.under(path+".any") {
		c.report(path+".any", "%s.any: got nothing; expected at least one selector", path)
	}
	if f.Required && f.Default.IsSet() && !f.Default.IsNull() {
		c.reportKey(path+".default", "%s.default does not go with required; expected one of them", path)
	}
	if c.errs.under(path + ".type") {
		return
	}
	kind := f.Type
	if t, err := harrow.ParseType(f.Type); err == nil {
		kind = string(t.Kind) // a list's elements are what is read
	} else if kind == "" {
		kind = string(harrow.Text)
	}
	c.onlyFor(path, "currency", kind, harrow.TypeMoney)
	c.onlyFor(path, "decimal", kind, harrow.TypeMoney, string(harrow.Decimal))
	c.onlyFor(path, "format", kind, string(harrow.Date), string(harrow.Timestamp))
	c.onlyFor(path, "zone", kind, string(harrow.Date), string(harrow.Timestamp))
	if kind == harrow.TypeMoney {
		c.onlyFor(path, "list", kind, "decimal or another of one column")
	}
	c.checkValues(path, f)
}

func without(list []string, one string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == one })
}

// checkValues wants the default and what a map maps to to be of the field's
// type.
func (c *checker) checkValues(path string, f harrow.Field) {
	for _, key := range []string{".format", ".zone", ".currency", ".decimal"} {
		if c.errs.under(path + key) {
			return
		}
	}
	fits := func(at string, value harrow.Scalar) {
		if !value.IsSet() || value.IsNull() {
			return
		}
		if err := readable(f, normal.Space(value.Text())); err != nil {
			c.report(at, "%s: got %s: %v", at, value, err)
		}
	}
	if f.Default.IsSet() && !f.Default.IsNull() && normal.Space(f.Default.Text()) == "" {
		c.report(path+".default", "%s.default: got %s; expected a text that is not empty, or null", path, f.Default)
	} else {
		fits(path+".default", f.Default)
	}
	for _, e := range f.Map {
		fits(path+".map", e.To)
	}
}

// readable reads a text as the field's type; what a URL is depends on the page.
func readable(f harrow.Field, text string) error {
	switch f.Type {
	case harrow.TypeURL:
		return nil
	case harrow.TypeMoney:
		_, _, err := normal.Money(text, normal.MoneyOptions{Currency: f.Currency, Decimal: f.Decimal})
		return err
	}
	t, err := harrow.ParseType(f.Type)
	if err != nil { // none is text; a wrong one is reported already
		return nil
	}
	switch t = t.Element(); t.Kind {
	case harrow.Int:
		_, err = normal.Int(text)
	case harrow.Float:
		_, err = normal.Float(text)
	case harrow.Bool:
		_, err = normal.Bool(text)
	case harrow.Decimal:
		_, err = normal.Decimal(text, t, f.Decimal)
	case harrow.Date, harrow.Timestamp:
		var times *normal.Times
		if times, err = normal.NewTimes(normal.TimeOptions{Format: f.Format, Zone: f.Zone}); err != nil {
			return err
		}
		if t.Kind == harrow.Date {
			_, err = times.Date(text)
		} else {
			_, err = times.Timestamp(text)
		}
	}
	return err
}

// checkCarry looks at a column that a follow rule hands on: a text, which the
// field that reads it gives a type.
func (c *checker) checkCarry(path string, f harrow.NamedField) {
	if _, there := c.keys[path+".type"]; there && !c.errs.under(path+".type") && f.Type != string(harrow.Text) && f.Type != harrow.TypeURL {
		c.report(path+".type", "%s.type: got %s; expected text or url, and the type where the column is read, by from: carry:%s", path, f.Type, f.Name)
		return
	}
	if _, there := c.keys[path+".list"]; there {
		c.reportKey(path+".list", "%s.list: one value is handed on; expected no list", path)
	}
	for _, at := range append([]string{path}, alternativesOf(path, f.Field)...) {
		if _, there := c.keys[at+".column"]; there {
			c.reportKey(at+".column", "%s.column: a page has no rows; expected %s", at, oneOf(without(selectors, "column")))
		}
	}
	c.checkField(path, f.Field)
}

func alternativesOf(path string, f harrow.Field) (paths []string) {
	for i := range f.Any {
		paths = append(paths, fmt.Sprintf("%s.any[%d]", path, i))
	}
	return paths
}

// formatForm and zoneForm are the ranges of format and zone.
func formatForm(s string) string {
	if _, err := normal.NewTimes(normal.TimeOptions{Format: s}); err != nil {
		return fmt.Sprintf("strftime's directives: %v", err)
	}
	return ""
}

func zoneForm(s string) string {
	if _, err := normal.NewTimes(normal.TimeOptions{Zone: s}); err != nil {
		return "an IANA name such as Europe/Berlin"
	}
	return ""
}

// listType is how a list is called where the type of its elements doesn't
// matter.
const listType = "list"
