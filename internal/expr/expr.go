// Package expr evaluates expressions over the columns of a record: checks and
// added columns of a job file.
//
//	price_amount * rate            columns, by name; `odd name` in backquotes
//	12, 0.5, 1e3                   numbers, exact
//	'text', "text"                 a quote within is written twice
//	true, false, null
//	+ - * /                        arithmetic
//	= == != <> < <= > >=           comparison; text by its bytes
//	x in (a, b, c)
//	x is null, x is not null
//	not, and, or                   in that order of binding
//	f(x, …)                        see below
//
// Whole numbers and decimals are one type, number, and every operation on it
// is exact, whatever the sizes: nothing overflows and nothing is rounded but
// by / and round. A quotient is rounded half away from zero to [QuotientDigits]
// digits after the point. Where it is to be stored with fewer, say so:
// round(a / b, 2). Division by zero is an error of its row. A float makes
// arithmetic and comparisons float; what is no finite number then is an error.
//
// Null is SQL's: an operation with null is null; `false and null` is false,
// `true or null` true. `x = null` is refused, `x is null` asks for it.
//
// Text is never taken for anything else, with two exceptions: a quoted literal
// beside a date or timestamp is read as one; and columns whose type nobody
// declared (those of a CSV or JSON Lines file, [Column].Loose) are read as what
// the place they stand in needs: a number in arithmetic, a date beside a date.
// Where that fails, the row has an error.
//
//	abs(x)  round(x, n)  number(x): of a text, or of a float its shortest decimal
//	lower(t)  upper(t)  trim(t)  concat(t, …)  text(x): as results are shown
//	length(t): characters, of a list its items
//	contains(t, part)  starts_with(t, part)  ends_with(t, part)
//	matches(t, 're'): RE2, somewhere in the text
//	coalesce(x, y, …): the first that is not null
//	if(condition, x, y): y where the condition is false or null
//	date(x)  timestamp(x): of a text in ISO 8601, and of each other
//
// A program is made once, types checked, and evaluated over many rows at once.
// An error belongs to its row; operands that a row doesn't need (the other
// branch of if, what follows false and, the arguments after coalesce's first)
// bring no errors.
package expr

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/harrowdata/harrow"
)

// Bounds of an expression and of what it computes: a job file is not trusted
// with the process.
const (
	// QuotientDigits are the digits after the point of a quotient.
	QuotientDigits = 18

	maxSource = 64 << 10 // bytes
	maxDepth  = 200      // brackets, signs and the like within each other
	maxNodes  = 4096     // operators, functions, names and literals
	maxDigits = 1000     // of a number, before or after the point
)

// Kind is what a value is while it is computed with.
type Kind uint8

// The kinds. Whole numbers and decimals are both Number.
const (
	Null Kind = iota // of the literal null
	Bool
	Number
	Float
	Text
	Date
	Timestamp
	List
)

// String is the kind as errors call it, with an article.
func (k Kind) String() string {
	return [...]string{"null", "a truth value", "a number", "a float", "text", "a date", "a timestamp", "a list"}[k]
}

// KindOf is the kind of a column's values.
func KindOf(t harrow.Type) Kind {
	if t.List {
		return List
	}
	switch t.Kind {
	case harrow.Int, harrow.Decimal:
		return Number
	case harrow.Float:
		return Float
	case harrow.Bool:
		return Bool
	case harrow.Date:
		return Date
	case harrow.Timestamp:
		return Timestamp
	}
	return Text
}

// Column is a column that an expression may name.
type Column struct {
	Name  string
	Type  harrow.Type
	Loose bool // text of no declared type: read as what its place needs
}

// Error is what is wrong with an expression.
type Error struct {
	At  int // character, from 1
	Msg string
}

// Error says where, what, and what was expected.
func (e *Error) Error() string { return fmt.Sprintf("at character %d: %s", e.At, e.Msg) }

// Program is a compiled expression. It holds no state: several goroutines may
// evaluate it.
type Program struct {
	root    typed
	columns []int // indices of the columns it names, ascending
}

// Compile reads an expression over columns. Errors are of type *Error and say
// what was expected.
func Compile(source string, columns []Column) (*Program, error) {
	p, err := parse(source)
	if err != nil {
		return nil, err
	}
	c := &compiler{columns: columns, used: map[int]bool{}}
	root, err := c.compile(p)
	if err != nil {
		return nil, locate(source, err)
	}
	return &Program{root: root, columns: c.usedColumns()}, nil
}

// Names lists the columns that an expression names, each once, in its order,
// whatever columns there are.
func Names(source string) ([]string, error) {
	root, err := parse(source)
	if err != nil {
		return nil, err
	}
	var names []string
	seen := map[string]bool{}
	root.walk(func(n *syntax) {
		if n.op == opColumn && !seen[n.text] {
			seen[n.text] = true
			names = append(names, n.text)
		}
	})
	return names, nil
}

// Kind is that of the result.
func (p *Program) Kind() Kind { return p.root.kind }

// Columns are the indices of the columns it names, ascending.
func (p *Program) Columns() []int { return p.columns }

// Eval evaluates rows rows at once; column returns those of a column by its
// index. The vector it returns may be one that column returned.
func (p *Program) Eval(rows int, column func(i int) *Vector) *Vector {
	return p.root.eval(&env{rows: rows, column: column})
}

// wrong is an error at a byte offset of the source.
type wrong struct {
	at  int
	msg string
}

func (w *wrong) Error() string { return w.msg }

func wrongf(at int, format string, args ...any) *wrong {
	return &wrong{at, fmt.Sprintf(format, args...)}
}

// locate turns byte offsets into characters.
func locate(source string, err error) error {
	var w *wrong
	if !errors.As(err, &w) {
		return err
	}
	return &Error{utf8.RuneCountInString(source[:min(w.at, len(source))]) + 1, w.msg}
}
