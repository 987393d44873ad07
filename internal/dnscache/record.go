package dnscache

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// record is what the answers to one look-up said of their time to live, which
// net.Resolver keeps to itself. It is read on the way. (A forged answer can
// shorten or lengthen that time within its bounds, nothing else: what counts
// as an answer is the resolver's judgement.)
type record struct {
	mu       sync.Mutex
	found    time.Duration // least of the addresses and what leads to them
	missing  time.Duration // of there being none
	anyFound bool
	anyGone  bool
}

type recordKey struct{}

// positive is how long addresses may be kept.
func (r *record) positive() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.anyFound {
		return DefaultTTL
	}
	return min(max(r.found, MinTTL), MaxTTL)
}

// negative is how long it may be believed that there are none.
func (r *record) negative() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.anyGone {
		return MinTTL
	}
	return min(max(r.missing, MinTTL), MaxNegativeTTL)
}

// answer notes what a message says.
func (r *record) answer(message []byte) {
	var p dnsmessage.Parser
	if h, err := p.Start(message); err != nil || !h.Response || p.SkipAllQuestions() != nil {
		return
	}
	found, addresses := MaxTTL, false
	for {
		h, err := p.AnswerHeader()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			break
		}
		if err != nil || p.SkipAnswer() != nil {
			return
		}
		found = min(found, seconds(h.TTL))
		addresses = addresses || h.Type == dnsmessage.TypeA || h.Type == dnsmessage.TypeAAAA
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if addresses {
		if !r.anyFound || found < r.found {
			r.found, r.anyFound = found, true
		}
		return
	}
	// RFC 2308, 5: the lesser of the SOA record's own time and what it says.
	for {
		h, err := p.AuthorityHeader()
		if err != nil {
			return
		}
		if h.Type != dnsmessage.TypeSOA {
			if p.SkipAuthority() != nil {
				return
			}
			continue
		}
		soa, err := p.SOAResource()
		if err != nil {
			return
		}
		if gone := min(seconds(h.TTL), seconds(soa.MinTTL)); !r.anyGone || gone < r.missing {
			r.missing, r.anyGone = gone, true
		}
	}
}

// seconds reads a time to live; one with its highest bit set is none (RFC
// 2181, 8).
func seconds(ttl uint32) time.Duration {
	if ttl > 1<<31-1 {
		return 0
	}
	return time.Duration(ttl) * time.Second
}

// dialServer connects to the name server, the system's if server is empty.
func dialServer(server string) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if server != "" {
			address = server
		}
		c, err := new(net.Dialer).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		// The resolver would go on reading until its own time is over.
		context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
		r, _ := ctx.Value(recordKey{}).(*record)
		switch udp, ok := c.(*net.UDPConn); {
		case r == nil:
			return c, nil
		case ok: // the resolver looks whether it is a net.PacketConn
			return &packets{udp, r}, nil
		}
		return &stream{Conn: c, record: r}, nil
	}
}

// packets has a message in each.
type packets struct {
	*net.UDPConn
	record *record
}

func (c *packets) Read(p []byte) (int, error) {
	n, err := c.UDPConn.Read(p)
	if err == nil {
		c.record.answer(p[:n])
	}
	return n, err
}

// stream has messages behind their lengths, of two bytes (RFC 1035, 4.2.2).
type stream struct {
	net.Conn
	record *record
	read   []byte // of the message that is coming
}

func (c *stream) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.read = append(c.read, p[:n]...)
	for len(c.read) >= 2 {
		end := 2 + int(c.read[0])<<8 + int(c.read[1])
		if len(c.read) < end {
			break
		}
		c.record.answer(c.read[2:end])
		c.read = c.read[end:]
	}
	return n, err
}
