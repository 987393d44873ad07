package httpfetch

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"github.com/harrowdata/harrow"
)

// newResolver makes the resolver of a name server; empty: the system's.
func newResolver(server string) (*net.Resolver, error) {
	if server == "" {
		return net.DefaultResolver, nil
	}
	if to, err := netip.ParseAddrPort(server); err != nil || to.Port() == 0 {
		return nil, fmt.Errorf("DNS is %q; want ip:port", server)
	}
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, server)
	}}, nil
}

// Lookup returns the addresses that an exchange with the host may connect to,
// at least one. The host is as in a URL, without its port. The error is the
// context's, or an *[Error]: nxdomain, dns, or forbidden_address if there are
// only addresses that are refused.
func (c *Client) Lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	all, err := c.dialer.resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("looking up %.300q: %w", host, ctx.Err())
		}
		class, code := classify(err, false)
		return nil, &Error{class, code, fmt.Errorf("looking up %.300q: %w", host, err)}
	}
	var addrs []netip.Addr
	for _, a := range all {
		if a = a.Unmap(); c.config.AllowPrivate || !Forbidden(a) {
			addrs = append(addrs, a)
		}
	}
	if len(addrs) == 0 {
		return nil, &Error{harrow.Permanent, "forbidden_address", fmt.Errorf("looking up %.300q: %w", host, errForbidden)}
	}
	return addrs, nil
}
