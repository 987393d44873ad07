package css

import "regexp"

// join is how a compound is joined to the one before it (Selectors 4, Combinators).
type join uint8

const (
	child      join = iota // >
	descendant             // white space
	next                   // +
	later                  // ~
	joins
)

// sequence is compounds joined: a complex selector. The join of the first one
// says something only in the argument of :has.
type sequence []compound

// compound is what is asked of one element.
type compound struct {
	join  join
	tests []test
}

type testKind uint8

const (
	isType testKind = iota
	isID
	hasClass
	hasAttr
	isNot      // args
	isAny      // args
	has        // args, relative to the element
	hasChild   // args
	contains   // value in lower case; own
	matches    // re; own
	nth        // a, b; last, ofType
	isRoot     //
	isEmpty    //
	isLanguage // value, a range
	never      //
)

// test is a simple selector.
type test struct {
	kind              testKind
	name              string // of a type or attribute, as written
	op                attrOp
	letters           letters
	value             string
	re                *regexp.Regexp
	a, b              int
	last, ofType, own bool
	args              []sequence
}

// attrOp is how an attribute's value is compared.
type attrOp uint8

const (
	present    attrOp = iota // [a]
	equal                    // =
	different                // !=: or there is none
	includes                 // ~=
	dash                     // |=
	prefix                   // ^=
	suffix                   // $=
	substring                // *=
	expression               // #=
)

var attrOps = map[string]attrOp{
	"=": equal, "!=": different, "~=": includes, "|=": dash, "^=": prefix, "$=": suffix, "*=": substring, "#=": expression,
}

// letters is how a value's letters are compared.
type letters uint8

const (
	asHTML  letters = iota // as the standard has it for that attribute
	folded                 // i: without regard to the case of ASCII letters
	asTyped                // s
)
