package httpheader

import (
	"strings"
	"testing"

	"github.com/harrowdata/harrow"
)

func TestCheck(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"Accept", "text/html", ""},
		{"x-empty", "", ""},
		{"a b", "", `"a b" is not a valid header name`},
		{"", "", `"" is not a valid header name`},
		{"x-token", "secret\nSet: x", "the value of header X-Token has characters that HTTP does not allow"},
		{"proxy-authorization", "Basic c2VjcmV0", "header Proxy-Authorization can't be set"},
		{"host", "a.example", "header Host can't be set"},
		{"CONTENT-LENGTH", "1", "header Content-Length can't be set"},
	} {
		err := Check([]harrow.Header{{Name: "Accept", Value: "x"}, {Name: c.name, Value: c.value}})
		if c.want == "" && err != nil || c.want != "" && (err == nil || err.Error() != c.want) {
			t.Errorf("%s: %v; want %q", c.name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%v names a value", err)
		}
	}
}
