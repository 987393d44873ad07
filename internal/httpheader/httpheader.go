// Package httpheader says which headers a request of a job may send.
package httpheader

import (
	"fmt"
	"net/textproto"
	"slices"

	"github.com/harrowdata/harrow"
	"golang.org/x/net/http/httpguts"
)

// framing fields are HTTP's own: a header of that name would contradict what
// is really sent. Proxy-Authorization would reach the server where there is no
// proxy; credentials of one are part of its URL.
var framing = []string{"Connection", "Content-Length", "Host", "Keep-Alive", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// Check says what is wrong with the first header that can't be sent: its name
// or value is none that HTTP allows (RFC 9110 5.1, 5.5), or it is one of HTTP's
// own. A value, which may be a secret, is not named.
func Check(headers []harrow.Header) error {
	for _, h := range headers {
		name := textproto.CanonicalMIMEHeaderKey(h.Name)
		switch {
		case !httpguts.ValidHeaderFieldName(h.Name):
			return fmt.Errorf("%q is not a valid header name", h.Name)
		case !httpguts.ValidHeaderFieldValue(h.Value):
			return fmt.Errorf("the value of header %s has characters that HTTP does not allow", name)
		case slices.Contains(framing, name):
			return fmt.Errorf("header %s can't be set", name)
		}
	}
	return nil
}
