package expr

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/shopspring/decimal"
)

// function is what a name before a bracket means.
type function struct {
	least, most int // arguments; most 0: any number
	make        func(args []typed) (typed, error)
}

var functions map[string]function

func init() {
	functions = map[string]function{
		"abs":         {1, 1, func(a []typed) (typed, error) { return numeric("abs", a[0], abs) }},
		"round":       {2, 2, makeRound},
		"number":      {1, 1, makeNumber},
		"lower":       {1, 1, onText("lower", strings.ToLower)},
		"upper":       {1, 1, onText("upper", strings.ToUpper)},
		"trim":        {1, 1, onText("trim", strings.TrimSpace)},
		"text":        {1, 1, makeText},
		"concat":      {1, 0, makeConcat},
		"length":      {1, 1, makeLength},
		"contains":    {2, 2, aboutText("contains", strings.Contains)},
		"starts_with": {2, 2, aboutText("starts_with", strings.HasPrefix)},
		"ends_with":   {2, 2, aboutText("ends_with", strings.HasSuffix)},
		"matches":     {2, 2, makeMatches},
		"coalesce":    {1, 0, makeCoalesce},
		"if":          {3, 3, makeIf},
		"date":        {1, 1, makeDate},
		"timestamp":   {1, 1, makeTimestamp},
	}
}

func call(n *syntax, args []typed) (typed, error) {
	f, ok := functions[n.text]
	if !ok {
		return typed{}, wrongf(n.at, "there is no function %.40s; expected %s", n.text, oneOf(slices.Sorted(maps.Keys(functions))))
	}
	if len(args) < f.least || f.most > 0 && len(args) > f.most {
		want := "at least one argument"
		if f.most > 0 {
			want = []string{"", "one argument", "two arguments", "three arguments"}[f.most]
		}
		return typed{}, wrongf(n.at, "%s has %d arguments; expected %s", n.text, len(args), want)
	}
	return f.make(args)
}

// numeric makes a function of a number or float.
func numeric(name string, a typed, make func(typed) typed) (typed, error) {
	if a.kind != Float {
		var err error
		if a, err = a.as(Number, name); err != nil {
			return typed{}, err
		}
	}
	if a.kind == Null {
		return a, nil
	}
	return make(a), nil
}

func makeRound(args []typed) (typed, error) {
	digits, err := wholeLiteral(args[1], 0, maxScale, "round, for its digits,")
	if err != nil {
		return typed{}, err
	}
	a := args[0]
	if a.kind == Float {
		return typed{}, wrongf(a.at, "round expected a number; number(…) makes one of a float")
	}
	if a, err = a.as(Number, "round"); err != nil || a.kind == Null {
		return a, err
	}
	return round(a, int32(digits)), nil
}

func makeNumber(args []typed) (typed, error) {
	a := args[0]
	switch a.kind {
	case Number, Null:
		return a, nil
	case Text:
		return a.parsed(Number)
	case Float:
		return a.mapped(Number, func(in, out *Vector, i int) {
			out.decs()
			if f := in.Float(i); finite(f) {
				out.setDecimal(i, decimal.NewFromFloat(f))
			} else {
				out.failf(i, "the float is no finite number")
			}
		}), nil
	}
	return typed{}, wrongf(a.at, "this is %s; number expected text or a float", a.kind)
}

func onText(name string, f func(string) string) func([]typed) (typed, error) {
	return func(args []typed) (typed, error) {
		a, err := args[0].as(Text, name)
		if err != nil || a.kind == Null {
			return a, err
		}
		return a.mapped(Text, func(in, out *Vector, i int) { out.Texts[i] = f(in.Texts[i]) }), nil
	}
}

func makeText(args []typed) (typed, error) {
	a := args[0]
	if a.kind == List {
		return typed{}, wrongf(a.at, "text expected no list")
	}
	if a.kind == Null || a.kind == Text {
		a.loose = false
		return a, nil
	}
	t := a.mapped(Text, func(in, out *Vector, i int) { out.Texts[i] = in.Show(i) })
	t.inexact = false
	return t, nil
}

// maxText bounds a text that is put together.
const maxText = 16 << 20

func makeConcat(args []typed) (typed, error) {
	for i := range args {
		var err error
		if args[i], err = makeText(args[i : i+1]); err != nil {
			return typed{}, err
		}
	}
	return typed{kind: Text, eval: func(e *env) *Vector {
		ins := evalAll(e, args)
		out := result(Text, e.rows, ins...)
		var b strings.Builder
		for i := range out.len() {
			b.Reset()
			for _, in := range ins {
				if !out.null(i) {
					b.WriteString(in.Text(i))
				}
			}
			if out.Texts[i] = b.String(); b.Len() > maxText {
				out.Texts[i] = ""
				out.failf(i, "the text has %d bytes; expected at most %d", b.Len(), maxText)
			}
		}
		return out
	}}, nil
}

func evalAll(e *env, args []typed) []*Vector {
	ins := make([]*Vector, len(args))
	for i, a := range args {
		ins[i] = a.eval(e)
	}
	return ins
}

func makeLength(args []typed) (typed, error) {
	a := args[0]
	if a.kind == List {
		return a.mapped(Number, func(in, out *Vector, i int) { out.Ints[i] = in.Ints[i] }), nil
	}
	a, err := a.as(Text, "length")
	if err != nil || a.kind == Null {
		return a, err
	}
	return a.mapped(Number, func(in, out *Vector, i int) { out.Ints[i] = int64(utf8.RuneCountInString(in.Texts[i])) }), nil
}

func aboutText(name string, f func(s, part string) bool) func([]typed) (typed, error) {
	return func(args []typed) (typed, error) {
		for i := range args {
			var err error
			if args[i], err = args[i].as(Text, name); err != nil {
				return typed{}, err
			}
		}
		return typed{kind: Bool, eval: func(e *env) *Vector {
			x, y := args[0].eval(e), args[1].eval(e)
			out := result(Bool, e.rows, x, y)
			for i := range out.len() {
				if !out.null(i) {
					out.Bools[i] = f(x.Text(i), y.Text(i))
				}
			}
			return out
		}}, nil
	}
}

func makeMatches(args []typed) (typed, error) {
	re, err := regexLiteral(args[1])
	if err != nil {
		return typed{}, err
	}
	a, err := args[0].as(Text, "matches")
	if err != nil || a.kind == Null {
		return a, err
	}
	return a.mapped(Bool, func(in, out *Vector, i int) { out.Bools[i] = re.MatchString(in.Texts[i]) }), nil
}

func makeCoalesce(args []typed) (typed, error) {
	args, kind, err := unify("coalesce", args)
	if err == nil && kind == List {
		err = wrongf(args[0].at, "coalesce expected no lists")
	}
	if err != nil {
		return typed{}, err
	}
	return chosen(kind, args, func(ins []*Vector, i int) int {
		for j, in := range ins {
			if !in.IsNull(i) || in.Err(i) != nil {
				return j
			}
		}
		return 0
	}), nil
}

func makeIf(args []typed) (typed, error) {
	condition, err := args[0].as(Bool, "if")
	if err != nil {
		return typed{}, err
	}
	branches, kind, err := unify("if", args[1:])
	if err == nil && kind == List {
		err = wrongf(branches[0].at, "if expected no lists to choose from")
	}
	if err != nil {
		return typed{}, err
	}
	return chosen(kind, append([]typed{condition}, branches...), func(ins []*Vector, i int) int {
		switch {
		case ins[0].Err(i) != nil:
			return 0
		case !ins[0].IsNull(i) && ins[0].Bool(i):
			return 1
		}
		return 2
	}), nil
}

// chosen takes each row's value from one of the arguments; of an argument that
// is null there, or of another kind, it takes null or the error.
func chosen(kind Kind, args []typed, choose func(ins []*Vector, i int) int) typed {
	t := typed{kind: kind}
	loose := kind == Text
	for _, a := range args {
		t.inexact = t.inexact || a.inexact
		loose = loose && (a.loose || a.kind == Null || a.kind == Bool)
	}
	t.loose = loose
	t.eval = func(e *env) *Vector {
		ins := evalAll(e, args)
		out := newVector(kind, e.rows, false)
		for _, in := range ins {
			if kind == Number && in.Kind == Number && (in.Decs != nil || in.Scale != 0) {
				out.decs()
			}
		}
		for i := range e.rows {
			in := ins[choose(ins, i)]
			switch {
			case in.Err(i) != nil:
				out.fail(i, in.Err(i))
			case in.IsNull(i):
				out.setNull(i)
			default:
				out.take(i, i, in)
			}
		}
		out.compact()
		return out
	}
	return t
}

// take copies the value of a row of a vector of the same kind.
func (v *Vector) take(i, from int, in *Vector) {
	switch v.Kind {
	case Bool:
		v.Bools[i] = in.Bool(from)
	case Number:
		if v.Decs != nil {
			v.Decs[i] = in.Decimal(from)
			return
		}
		v.Ints[i] = in.Int(from)
	case Float:
		v.Floats[i] = in.Float(from)
	case Text:
		v.Texts[i] = in.Text(from)
	case Date, Timestamp, List:
		v.Ints[i] = in.Int(from)
	}
}

func makeDate(args []typed) (typed, error) {
	a := args[0]
	switch a.kind {
	case Date, Null:
		return a, nil
	case Timestamp:
		return a.mapped(Date, func(in, out *Vector, i int) { out.Ints[i] = dayOf(in.Ints[i]) }), nil
	case Text:
		return a.parsed(Date)
	}
	return typed{}, wrongf(a.at, "this is %s; date expected text or a timestamp", a.kind)
}

func makeTimestamp(args []typed) (typed, error) {
	a := args[0]
	switch a.kind {
	case Timestamp, Null:
		return a, nil
	case Date:
		return a.as(Timestamp, "timestamp")
	case Text:
		return a.parsed(Timestamp)
	}
	return typed{}, wrongf(a.at, "this is %s; timestamp expected text or a date", a.kind)
}
