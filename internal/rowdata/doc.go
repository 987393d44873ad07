// Package rowdata reads data files row by row: CSV, JSON Lines and the rows of
// a JSON document that a JSONPath selects. However large a file is, a reader
// holds one row of it, and no more of a row than [Limits] allow.
//
// A reader reads text: [Open] takes off gzip and turns other encodings into
// UTF-8, also while it streams.
//
// # Rows and faults
//
// [Reader.Next] returns a row; io.EOF at the end; a *[Fault] for what is wrong
// with the data; and any other error as the source returned it. After a fault
// Next may be called again, unless its End is set. So one bad row costs that
// row.
//
//   - CSV: a row of the wrong length, one over the limits, one that is not
//     UTF-8, and a quote that is never closed (of which only the line that
//     opens it is lost) are faults of one row.
//   - JSON Lines: a line that is no JSON value, or over the limits, likewise.
//   - JSON: a row over the limits or not in UTF-8 is a fault of one row. What
//     breaks the grammar ends the file, since nobody can know what follows:
//     the rows before it stay. So does text behind the document.
//
// # CSV
//
// RFC 4180, and what real files have. A line ends with LF, CRLF or CR; empty
// lines are passed over. The first line names the columns, without white space
// around the names; every other one has as many cells as it, or more if those
// are empty. A cell that begins with a quote ends at the next quote that a
// delimiter or the line's end follows; a doubled quote in it is one quote, any
// other quote stands for itself, as all do in cells that begin otherwise. Line
// ends within quotes are kept as they are.
//
// The delimiter is the tab for text/tab-separated-values. Else it is the first
// of comma, semicolon and tab by which the first line has all the columns
// asked for; failing that, by which it has the most. (A first line "sep=;", as
// spreadsheets write it, says so itself.)
//
// # JSON
//
// RFC 8259, strictly, but for a byte order mark. Values are nil, bool, string,
// json.Number, []any and map[string]any. Of members with one name in a row the
// last counts; on the way to the rows each of them is walked. A lone surrogate
// becomes U+FFFD.
package rowdata
