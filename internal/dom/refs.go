package dom

import "html"

// AppendDecoded appends what the page wrote with its character references
// decoded (HTML 13.2.5.72 and on); as an attribute's value, where some that
// lack their semicolon are none.
func AppendDecoded(dst, raw []byte, attribute bool) []byte {
	return append(dst, html.UnescapeString(string(raw))...)
}
