package harrow

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"
)

// Typer is an operator that says what it makes of a record, before the first
// page is fetched: which columns, of which types, its batches have when it was
// given batches of in. An error is one of the job file. An operator that isn't
// one leaves the columns as they are. The columns of [Provenance] stay, at the
// end, whatever it does.
type Typer interface {
	Operator
	Type(in RecordType) (RecordType, error)
}

// RowFunc handles one row of a record: it emits none, one or several rows in
// its place. An error rejects the row (class data, code operator) with what was
// emitted before it kept out, and the run goes on; so does a panic. Emitting
// several rows for one needs a key in refine that tells them apart. One
// instance serves one goroutine at a time.
type RowFunc[In, Out any] func(ctx context.Context, row In, emit func(Out)) error

// RegisterRows makes an operator out of a function over plain structs, known to
// job files by its name (`operators: [{use: name}]`). In says which columns it
// reads, Out which it sets: each exported field that is tagged
// `harrow:"column"`. Columns that Out doesn't name stay as they are; one that
// the record doesn't have is added, one of another type replaced.
//
// A field has the Go type that [Kind] names, or a pointer to it: nil is null.
// Null read into a field that is no pointer is its zero value. A column of
// decimals is a decimal.Decimal; In takes one of any precision, Out makes it a
// decimal(38,9), or the type that the tag names: `harrow:"price,decimal(18,2)"`.
// A time.Time is a timestamp in Out, unless the tag says date. Lists are
// slices; nil is null. A field of Out whose tag says no type leaves that of a
// column which can hold it.
//
// Call it from an init function; a duplicate name, or a struct that can't be
// used, panics. new makes the function on the worker from its JSON config
// (`with:`; null when absent).
func RegisterRows[In, Out any](name string, new func(config json.RawMessage) (RowFunc[In, Out], error)) {
	in, err := rowFields(reflect.TypeFor[In]())
	if err != nil {
		panic(fmt.Sprintf("harrow: rows operator %q: %v", name, err))
	}
	out, err := rowFields(reflect.TypeFor[Out]())
	if err != nil {
		panic(fmt.Sprintf("harrow: rows operator %q: %v", name, err))
	}
	if _, err := LookupOperator(name); err == nil {
		panic(fmt.Sprintf("harrow: operator %q registered twice", name))
	}
	rowOperators.add(name, RowOperator{
		In: in, Out: out, NewIn: func() reflect.Value { return reflect.New(reflect.TypeFor[In]()).Elem() },
		New: func(config json.RawMessage) (RowCall, error) {
			f, err := new(config)
			if err != nil {
				return nil, err
			}
			return func(ctx context.Context, row reflect.Value, emit func(reflect.Value)) error {
				return f(ctx, row.Interface().(In), func(o Out) { emit(reflect.ValueOf(o)) })
			}, nil
		},
	})
}

// RowOperator is what [RegisterRows] knows of an operator. It is for those who
// run it.
type RowOperator struct {
	In, Out []RowField
	NewIn   func() reflect.Value // a zero In that can be set
	New     func(config json.RawMessage) (RowCall, error)
}

// RowCall calls the function with an In and emits Outs.
type RowCall func(ctx context.Context, row reflect.Value, emit func(reflect.Value)) error

// RowField is a field of In or Out.
type RowField struct {
	Index   int // in the struct
	Column  string
	Type    Type // of the column; of In's decimals and times only the kind counts
	Said    bool // the tag says the type
	Pointer bool
}

// LookupRows finds what RegisterRows registered; the error of an unknown name
// lists the known ones.
func LookupRows(name string) (RowOperator, error) { return rowOperators.get(name) }

// OperatorNames are the names of all registered operators, those over rows too.
func OperatorNames() []string {
	names := slices.Concat(operators.list(), rowOperators.list())
	slices.Sort(names)
	return names
}

var rowOperators = &registry[RowOperator]{kind: "operator over rows"}

var goKinds = map[reflect.Type]Type{
	reflect.TypeFor[string]():          {Kind: Text},
	reflect.TypeFor[int64]():           {Kind: Int},
	reflect.TypeFor[float64]():         {Kind: Float},
	reflect.TypeFor[bool]():            {Kind: Bool},
	reflect.TypeFor[decimal.Decimal](): DefaultDecimal,
	reflect.TypeFor[time.Time]():       {Kind: Timestamp},
}

// rowFields reads the tags of a struct.
func rowFields(t reflect.Type) (fields []RowField, err error) {
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("%s is no struct", t)
	}
	for i := range t.NumField() {
		f := t.Field(i)
		tag, ok := f.Tag.Lookup("harrow")
		if !ok {
			continue
		}
		field, err := rowField(f, tag)
		if err != nil {
			return nil, fmt.Errorf("%s.%s: %w", t, f.Name, err)
		}
		if slices.ContainsFunc(fields, func(g RowField) bool { return g.Column == field.Column }) {
			return nil, fmt.Errorf("%s: two fields are tagged %s", t, field.Column)
		}
		field.Index = i
		fields = append(fields, field)
	}
	if len(fields) == 0 {
		return nil, fmt.Errorf(`%s has no field tagged harrow:"column"`, t)
	}
	return fields, nil
}

func rowField(f reflect.StructField, tag string) (field RowField, err error) {
	if !f.IsExported() {
		return field, fmt.Errorf("is not exported")
	}
	column, typ, typed := strings.Cut(tag, ",")
	if column == "" {
		return field, fmt.Errorf(`the tag harrow:%q names no column`, tag)
	}
	field.Column = column
	t := f.Type
	list := t.Kind() == reflect.Slice
	if field.Pointer = t.Kind() == reflect.Pointer; field.Pointer || list {
		t = t.Elem()
	}
	var ok bool
	if field.Type, ok = goKinds[t]; !ok {
		return field, fmt.Errorf("type %s; want string, int64, float64, bool, decimal.Decimal or time.Time, a pointer to one or a slice", f.Type)
	}
	field.Type.List = list
	if !typed {
		return field, nil
	}
	said, err := ParseType(typ)
	if err != nil {
		return field, err
	}
	if !fitsGo(said, field.Type) {
		return field, fmt.Errorf("the tag says %s, the field is a %s", said, f.Type)
	}
	field.Type, field.Said = said, true
	return field, nil
}

// fitsGo reports whether values of column type t have the Go type of u.
func fitsGo(t, u Type) bool {
	times := func(k Kind) bool { return k == Date || k == Timestamp }
	return t.List == u.List && (t.Kind == u.Kind || times(t.Kind) && times(u.Kind))
}

// Type is what the operator makes of a record; an error names the column that
// it can't read or set.
func (o RowOperator) Type(in RecordType) (RecordType, error) {
	for _, f := range o.In {
		c, ok := in.Column(f.Column)
		for _, p := range Provenance {
			if p.Name == f.Column {
				c, ok = p, true
			}
		}
		switch {
		case !ok:
			return in, fmt.Errorf("it reads a column %s; %s has %s", f.Column, in.Name, columnList(in))
		case !fitsGo(c.Type, f.Type):
			return in, fmt.Errorf("it reads column %s as %s; in %s it is %s", f.Column, f.Type, in.Name, c.Type)
		}
	}
	out := RecordType{Name: in.Name, Columns: slices.Clone(in.Columns)}
	for _, f := range o.Out {
		if strings.HasPrefix(f.Column, "_") {
			return in, fmt.Errorf("it sets column %s; names that begin with _ are provenance", f.Column)
		}
		i := slices.IndexFunc(out.Columns, func(c Column) bool { return strings.EqualFold(c.Name, f.Column) })
		switch {
		case i < 0:
			out.Columns = append(out.Columns, Column{f.Column, f.Type})
		case out.Columns[i].Name != f.Column:
			return in, fmt.Errorf("it sets column %s; %s has %s", f.Column, in.Name, out.Columns[i].Name)
		case f.Said || !fitsGo(out.Columns[i].Type, f.Type):
			out.Columns[i].Type = f.Type
		}
	}
	return out, nil
}

func columnList(t RecordType) string {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = c.Name
	}
	return strings.Join(names, ", ")
}
