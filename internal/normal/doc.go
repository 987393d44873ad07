// Package normal turns text from web pages into typed values. It guesses no
// locale: text that can be read in two ways is an error, never the likelier
// value, and a number is never rounded. Errors name the text and what was
// expected; they are for rejects of class data.
//
// # Numbers
//
// A number is ASCII digits with at most one decimal separator, "." or ",", and
// perhaps one kind of grouping separator: ".", ",", white space (space, no-break,
// thin, narrow no-break, figure space) or an apostrophe (' or ’). Groups have
// three digits, the first one to three and no leading zero; or, as in India,
// the last has three and the others two. A sign is + or -, or the minus sign
// U+2212, in front.
//
// [Int] has no decimal separator, so a lone "1,234" or "1.234" is ambiguous for
// it; "1,234,567" and "1 234" are not.
//
// [Decimal] takes "." for the decimal separator unless told otherwise, the way
// data files write numbers. While untold, commas must group twice or stand
// before a decimal point: "1,234.5" is read, "1,234" and "1,5" are errors.
//
// [Money] reads prices as pages write them: see there.
package normal
