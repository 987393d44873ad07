package normal

import (
	"encoding/json"
	"strings"
)

// JSON is a value as one line of JSON: members by the bytes of their names, no
// white space, characters as they are, a json.Number with the digits it came
// with.
func JSON(v any) (string, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return strings.TrimSuffix(b.String(), "\n"), err
}
