package httpfetch

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/harrowdata/harrow"
)

// Error is an exchange that failed.
//
//	class      code                why
//	transient  timeout             over the deadline, or a network's own
//	transient  refused             connection refused
//	transient  reset               connection closed or reset before the answer's end
//	transient  dns                 name resolution failed for now
//	transient  connect             any other failure to connect
//	transient  held                see [ErrHeld], [ErrNotPermitted]
//	transient  proxy               the proxy is at fault; says nothing of the host
//	permanent  nxdomain            there is no such name
//	permanent  tls                 the server is not who it should be
//	permanent  forbidden_address   see [Forbidden]
//	permanent  request             a URL, method or header that can't be sent
//	data       protocol            not HTTP, not TLS, or an encoding we don't read
//	data       truncated           the answer ended before its own end
//	data       bomb                decompressed beyond MaxBody and over 200 to 1
//	system     disk                the body could not be spilled
type Error struct {
	Class harrow.Class
	Code  string
	Err   error // names the URL
}

// Error is the code and what is behind it.
func (e *Error) Error() string { return e.Code + ": " + e.Err.Error() }

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// misuse is a request that can't be sent as it is.
func misuse(url string, err error) error {
	return &Error{harrow.Permanent, "request", fmt.Errorf("%.2000q: %w", url, err)}
}

// fail makes an error of what ended the exchange. The reason the context was
// cancelled for goes before what the transport made of it.
func (c *Client) fail(parent context.Context, a *attempt, url string, err error) error {
	var own *Error
	blamed := errors.As(err, &own) && own.Code == "proxy" // timeouts, too
	switch cause := context.Cause(a.ctx); {
	case blamed:
	case errors.Is(cause, errTimeout):
		err = &Error{harrow.Transient, "timeout", fmt.Errorf("%w: %v", errTimeout, c.config.Timeout)}
	case errors.Is(cause, ErrStale):
		err = ErrStale
	case errors.Is(cause, ErrHeld):
		err = ErrHeld
	case parent.Err() != nil:
		return fmt.Errorf("%.2000q: %w", url, parent.Err())
	}
	class, code := classify(err, a.connection() != nil)
	if errors.As(err, &own) {
		err = own.Err
	}
	return &Error{class, code, fmt.Errorf("%.2000q: %w", url, err)}
}

// classify finds class and code of an error; connected says that there was a
// connection (and, with https, its handshake was done).
func classify(err error, connected bool) (harrow.Class, string) {
	var own *Error
	if errors.As(err, &own) {
		return own.Class, own.Code
	}
	if errors.Is(err, errForbidden) {
		return harrow.Permanent, "forbidden_address"
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		if dns.IsNotFound {
			return harrow.Permanent, "nxdomain"
		}
		return harrow.Transient, "dns"
	}
	if class, code, ok := classifyTLS(err); ok {
		return class, code
	}
	if class, code, ok := classifyNetwork(err); ok {
		return class, code
	}
	if connected {
		return classifyHTTP(err)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return harrow.Transient, "reset" // within the TLS handshake
	}
	return harrow.Transient, "connect"
}

func classifyTLS(err error) (harrow.Class, string, bool) {
	var (
		verify    *tls.CertificateVerificationError
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		record    tls.RecordHeaderError
		op        *net.OpError
	)
	switch {
	case errors.As(err, &verify), errors.As(err, &authority), errors.As(err, &host), errors.As(err, &invalid):
		return harrow.Permanent, "tls", true
	case errors.As(err, &record),
		errors.As(err, &op) && (op.Op == "remote error" || op.Op == "local error"), // TLS alerts
		strings.HasPrefix(err.Error(), "tls: "),
		strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		return harrow.DataFault, "protocol", true
	}
	return "", "", false
}

func classifyNetwork(err error) (harrow.Class, string, bool) {
	var timeout interface{ Timeout() bool }
	var op *net.OpError
	switch {
	case errors.Is(err, ErrStale):
		return harrow.Transient, "reset", true
	case errors.Is(err, ErrHeld), errors.Is(err, ErrNotPermitted):
		return harrow.Transient, "held", true
	case errors.As(err, &timeout) && timeout.Timeout():
		return harrow.Transient, "timeout", true
	case errors.Is(err, syscall.ECONNREFUSED), errors.As(err, &op) && strings.HasSuffix(op.Err.Error(), "connection refused"): // a SOCKS server's word
		return harrow.Transient, "refused", true
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNABORTED), errors.Is(err, net.ErrClosed):
		return harrow.Transient, "reset", true
	case errors.As(err, &op) && op.Op == "dial":
		return harrow.Transient, "connect", true
	case errors.As(err, &op) && (op.Op == "read" || op.Op == "write"):
		return harrow.Transient, "reset", true
	}
	return "", "", false
}

// streamError has the shape of HTTP/2's stream errors, which net/http's own
// convert themselves to.
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (e streamError) Error() string { return fmt.Sprintf("stream error %d", e.Code) }

// HTTP/2 codes (RFC 9113, 7) that say nothing against the answer itself.
const (
	h2NoError       = 0x0
	h2InternalError = 0x2
	h2Refused       = 0x7
	h2Cancel        = 0x8
	h2Calm          = 0xb
)

// resets are how net/http tells of a connection that ended; it has no values
// for them.
var resets = []string{"server closed idle connection", "server sent GOAWAY", "received GOAWAY", "client connection lost", "connection closed", "client conn not usable"}

func classifyHTTP(err error) (harrow.Class, string) {
	var stream streamError
	if errors.As(err, &stream) {
		switch stream.Code {
		case h2NoError, h2InternalError, h2Refused, h2Cancel, h2Calm:
			return harrow.Transient, "reset"
		}
		return harrow.DataFault, "protocol"
	}
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return harrow.DataFault, "truncated"
	case errors.Is(err, io.EOF):
		return harrow.Transient, "reset"
	}
	for _, text := range resets {
		if strings.Contains(err.Error(), text) {
			return harrow.Transient, "reset"
		}
	}
	return harrow.DataFault, "protocol"
}
