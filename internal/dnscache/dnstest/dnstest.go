// Package dnstest serves names to tests: a small name server on a loopback
// address, by UDP and TCP, whose answers can be changed at any time.
package dnstest

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// Answer is what the server says of a name. The zero value is no address.
type Answer struct {
	Addrs []string // of either family
	TTL   uint32   // seconds; of what there is not, too
	// CNAME is the name that has the addresses; empty: the one asked for.
	CNAME string
	// Code is the answer's code; 0 is success.
	Code dnsmessage.RCode
	// Silent names are never answered for.
	Silent bool
	// Truncated answers are empty by UDP: the client has to come by TCP.
	Truncated bool
}

// Server answers for the names it has been told of; of others it says that
// they don't exist. It is safe for use by several goroutines.
type Server struct {
	// Addr is the server's ip:port.
	Addr string
	udp  net.PacketConn

	mu      sync.Mutex
	answers map[string]Answer
	asked   map[string]int
	silent  []held
}

// held is a question by UDP that was not answered.
type held struct {
	message []byte
	from    net.Addr
}

// Start starts a server that ends with the test.
func Start(t testing.TB, answers map[string]Answer) *Server {
	t.Helper()
	s := &Server{answers: map[string]Answer{}, asked: map[string]int{}}
	for name, a := range answers {
		s.Set(name, a)
	}
	udp, tcp := listen(t)
	s.Addr, s.udp = udp.LocalAddr().String(), udp
	var wg sync.WaitGroup
	wg.Go(func() { s.packets(udp) })
	wg.Go(func() { s.streams(tcp) })
	t.Cleanup(func() { _, _ = udp.Close(), tcp.Close(); wg.Wait() })
	return s
}

// listen finds a port that is free for both.
func listen(t testing.TB) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 20 {
		udp, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		tcp, err := net.Listen("tcp", udp.LocalAddr().String())
		if err == nil {
			return udp, tcp
		}
		_ = udp.Close()
	}
	t.Fatal("no port is free by UDP and TCP")
	return nil, nil
}

// Set changes the answer for a name, in lower case and without a dot at its end.
func (s *Server) Set(name string, a Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[name] = a
}

// Asked is how often the name was asked for, A and AAAA questions each.
func (s *Server) Asked(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[name]
}

// Answer answers what it was silent on so far, by what it knows now.
func (s *Server) Answer() {
	s.mu.Lock()
	silent := s.silent
	s.silent = nil
	s.mu.Unlock()
	for _, h := range silent {
		if answer := s.answer(h.message, true); answer != nil {
			_, _ = s.udp.WriteTo(answer, h.from)
		}
	}
}

func (s *Server) packets(conn net.PacketConn) {
	buf := make([]byte, 4096)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		if answer := s.answer(buf[:n], true); answer != nil {
			_, _ = conn.WriteTo(answer, from)
			continue
		}
		s.mu.Lock()
		s.silent = append(s.silent, held{bytes.Clone(buf[:n]), from})
		s.mu.Unlock()
	}
}

func (s *Server) streams(l net.Listener) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		wg.Go(func() {
			defer func() { _ = c.Close() }()
			s.stream(c)
		})
	}
}

func (s *Server) stream(c net.Conn) {
	var size [2]byte
	for {
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		question := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err := io.ReadFull(c, question); err != nil {
			return
		}
		if answer := s.answer(question, false); answer != nil {
			_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
		}
	}
}

// answer is the answer to a message; nil: there is none.
func (s *Server) answer(message []byte, udp bool) []byte {
	var p dnsmessage.Parser
	header, err := p.Start(message)
	if err != nil {
		return nil
	}
	q, err := p.Question()
	if err != nil {
		return nil
	}
	name := strings.ToLower(strings.TrimSuffix(q.Name.String(), "."))
	s.mu.Lock()
	a, known := s.answers[name]
	s.asked[name]++
	s.mu.Unlock()
	if a.Silent {
		return nil
	}
	out := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: header.ID, Response: true, RecursionDesired: true, RecursionAvailable: true, RCode: a.Code},
		Questions: []dnsmessage.Question{q},
	}
	switch {
	case !known:
		out.RCode = dnsmessage.RCodeNameError
		out.Authorities = soa(q.Name, 10)
	case a.Truncated && udp:
		out.Truncated = true
	case a.Code == 0:
		out.Answers = a.records(q)
	}
	if known && len(out.Answers) == 0 && !out.Truncated {
		out.Authorities = soa(q.Name, a.TTL)
	}
	packed, err := out.Pack()
	if err != nil {
		return nil
	}
	return packed
}

// records are those of the kind that is asked for.
func (a Answer) records(q dnsmessage.Question) (records []dnsmessage.Resource) {
	name := q.Name
	header := func(kind dnsmessage.Type) dnsmessage.ResourceHeader {
		return dnsmessage.ResourceHeader{Name: name, Type: kind, Class: dnsmessage.ClassINET, TTL: a.TTL}
	}
	if a.CNAME != "" {
		to := dnsmessage.MustNewName(a.CNAME + ".")
		records = append(records, dnsmessage.Resource{Header: header(dnsmessage.TypeCNAME), Body: &dnsmessage.CNAMEResource{CNAME: to}})
		name = to
	}
	for _, text := range a.Addrs {
		switch addr := netip.MustParseAddr(text); {
		case addr.Is4() && q.Type == dnsmessage.TypeA:
			records = append(records, dnsmessage.Resource{Header: header(q.Type), Body: &dnsmessage.AResource{A: addr.As4()}})
		case addr.Is6() && q.Type == dnsmessage.TypeAAAA:
			records = append(records, dnsmessage.Resource{Header: header(q.Type), Body: &dnsmessage.AAAAResource{AAAA: addr.As16()}})
		}
	}
	return records
}

func soa(name dnsmessage.Name, ttl uint32) []dnsmessage.Resource {
	return []dnsmessage.Resource{{
		Header: dnsmessage.ResourceHeader{Name: name, Type: dnsmessage.TypeSOA, Class: dnsmessage.ClassINET, TTL: ttl},
		Body:   &dnsmessage.SOAResource{NS: name, MBox: name, MinTTL: ttl},
	}}
}
