package httpfetch

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
)

// Resolved returns the address that [Config].Resolve has for a host, for which
// nobody is asked; ok is false where it has none.
func (c *Client) Resolved(host string, port int) (addr netip.Addr, ok bool) {
	if i := c.dialer.globs.Longest(host, port); i >= 0 {
		return c.dialer.targets[i].Addr(), true
	}
	return addr, false
}

// Lookup returns the addresses that an exchange with the host may connect to,
// at least one, best first. The host is as in a URL, with its port or without
// (which says nothing of a name, but Resolve may go by it). What is known of it
// is remembered, see package dnscache. The error is the context's, or an
// *[Error]: nxdomain, dns, or forbidden_address if there are only addresses that
// are refused.
func (c *Client) Lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	host, port := bare(host)
	if addr, ok := c.Resolved(host, port); ok {
		return []netip.Addr{addr}, nil
	}
	addrs, err := c.dialer.addresses(ctx, host)
	if err == nil {
		addrs, err = c.dialer.allowed(addrs)
	}
	switch {
	case err == nil:
		return addrs, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("looking up %.300q: %w", host, ctx.Err())
	}
	class, code := classify(err, false)
	return nil, &Error{class, code, fmt.Errorf("looking up %.300q: %w", host, err)}
}

// bare takes brackets and the port off a host.
func bare(host string) (name string, port int) {
	if name, port, err := splitHostPort(host); err == nil {
		return name, int(port)
	}
	return strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"), 0
}
