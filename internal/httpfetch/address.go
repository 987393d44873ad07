package httpfetch

import "net/netip"

// reserved are the networks that no public server has its address in: IANA's
// special-purpose registries (RFC 6890), and what cloud providers' metadata
// services add.
var reserved = prefixes(
	"0.0.0.0/8",        // this network
	"10.0.0.0/8",       // private
	"100.64.0.0/10",    // carrier-grade NAT; 100.100.100.200 serves metadata
	"127.0.0.0/8",      // loopback
	"168.63.129.16/32", // a cloud's metadata, in public space
	"169.254.0.0/16",   // link-local; 169.254.169.254 serves metadata
	"172.16.0.0/12",    // private
	"192.0.0.0/24",     // protocol assignments; 192.0.0.192 serves metadata
	"192.0.2.0/24",     // documentation
	"192.88.99.0/24",   // 6to4 relays
	"192.168.0.0/16",   // private
	"198.18.0.0/15",    // benchmarks
	"198.51.100.0/24",  // documentation
	"203.0.113.0/24",   // documentation
	"224.0.0.0/4",      // multicast
	"240.0.0.0/4",      // reserved, broadcast
	"::/96",            // unspecified, loopback, IPv4-compatible
	"64:ff9b:1::/48",   // NAT64 for local use
	"100::/64",         // discard
	"2001::/23",        // protocol assignments, Teredo, ORCHID
	"2001:db8::/32",    // documentation
	"3fff::/20",        // documentation
	"5f00::/16",        // segment routing
	"fc00::/7",         // unique local; fd00:ec2::254 serves metadata
	"fe80::/10",        // link-local
	"fec0::/10",        // site-local
	"ff00::/8",         // multicast
	"::ffff:0:0:0/96",  // IPv4-translated (RFC 2765)
)

// Networks whose addresses stand for an IPv4 one.
var (
	nat64  = netip.MustParsePrefix("64:ff9b::/96") // in its last four bytes
	sixTo4 = netip.MustParsePrefix("2002::/16")    // behind its first two
)

func prefixes(texts ...string) []netip.Prefix {
	var ps []netip.Prefix
	for _, t := range texts {
		ps = append(ps, netip.MustParsePrefix(t))
	}
	return ps
}

// Forbidden reports whether no connection may go to the address by default:
// private, loopback, link-local, carrier-grade NAT, metadata, multicast,
// unspecified, documentation and other special-purpose networks. IPv6
// addresses that stand for an IPv4 one (mapped, NAT64, 6to4) are judged by
// that. An invalid address is forbidden.
func Forbidden(addr netip.Addr) bool {
	if !addr.IsValid() {
		return true
	}
	addr = addr.Unmap().WithZone("")
	if addr.Is6() {
		b := addr.As16()
		switch {
		case nat64.Contains(addr):
			addr = netip.AddrFrom4([4]byte(b[12:]))
		case sixTo4.Contains(addr):
			addr = netip.AddrFrom4([4]byte(b[2:6]))
		}
	}
	for _, p := range reserved {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}
