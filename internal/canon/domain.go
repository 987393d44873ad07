package canon

import (
	"net/netip"
	"strings"

	"golang.org/x/net/publicsuffix"

	harrow "github.com/harrowdata/harrow"
)

// Domain returns the registered domain of a canonical host: the public suffix
// and one label (https://publicsuffix.org, private suffixes included). An IP
// address, a single label and a public suffix itself are their own domain. The
// host has no port.
func Domain(host string) string {
	if isIP(host) {
		return host
	}
	domain, err := publicsuffix.EffectiveTLDPlusOne(host)
	if err != nil {
		return host
	}
	return domain
}

// isIP reports whether a canonical host is an IP address. A canonical name
// never ends in a digit-only label, so its last byte rules nearly all out.
func isIP(host string) bool {
	if host == "" {
		return false
	}
	if !isDigit(host[len(host)-1]) && strings.IndexByte(host, ':') < 0 {
		return false
	}
	_, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
	return err == nil
}

// Key is the politeness key of a URL: what limits apply to.
// [harrow.KeyRegisteredDomain] gives the registered domain. Any other kind
// gives the authority, host or host:port without the scheme's default port:
// two ports are two servers. harrow.KeyIP needs an address, so it is the
// caller's.
func Key(kind string, u URL) string {
	if kind == harrow.KeyRegisteredDomain {
		return Domain(u.Host())
	}
	return u.Authority()
}
