package dnscache

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/harrowdata/harrow/internal/dnscache/dnstest"
	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// clock is moved by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) read() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newCache(t *testing.T, s *dnstest.Server, change func(*Config)) (*Cache, *clock) {
	t.Helper()
	at := &clock{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	config := Config{Server: s.Addr, Clock: at.read}
	if change != nil {
		change(&config)
	}
	c, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	return c, at
}

func lookup(t *testing.T, c *Cache, name string) []string {
	t.Helper()
	addrs, err := c.Lookup(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, a := range addrs {
		texts = append(texts, a.String())
	}
	slices.Sort(texts)
	return texts
}

func TestAnAnswerIsKeptForItsTimeToLive(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer dnstest.Answer
		kept   time.Duration
	}{
		"usual":            {dnstest.Answer{Addrs: []string{"192.0.2.1", "2001:db8::1"}, TTL: 300}, 300 * time.Second},
		"none":             {dnstest.Answer{Addrs: []string{"192.0.2.1"}, TTL: 0}, MinTTL},
		"short":            {dnstest.Answer{Addrs: []string{"192.0.2.1"}, TTL: 3}, MinTTL},
		"days":             {dnstest.Answer{Addrs: []string{"192.0.2.1"}, TTL: 1 << 20}, MaxTTL},
		"negative":         {dnstest.Answer{Addrs: []string{"192.0.2.1"}, TTL: 1 << 31}, MinTTL},
		"by another name":  {dnstest.Answer{Addrs: []string{"192.0.2.1"}, TTL: 200, CNAME: "other.test"}, 200 * time.Second},
		"by TCP":           {dnstest.Answer{Addrs: []string{"192.0.2.1"}, TTL: 250, Truncated: true}, 250 * time.Second},
		"of one family":    {dnstest.Answer{Addrs: []string{"2001:db8::1"}, TTL: 120}, 120 * time.Second},
		"no address":       {dnstest.Answer{TTL: 30}, 30 * time.Second},
		"no address, days": {dnstest.Answer{TTL: 1 << 20}, MaxNegativeTTL},
		"no such name":     {dnstest.Answer{Code: dnsmessage.RCodeNameError, TTL: 20}, 20 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			s := dnstest.Start(t, map[string]dnstest.Answer{"www.test": test.answer})
			c, at := newCache(t, s, nil)
			ask := func() {
				addrs, err := c.Lookup(t.Context(), "WWW.test.")
				var dns *net.DNSError
				if len(addrs) != len(test.answer.Addrs) || (err == nil) != (len(addrs) > 0) || err != nil && (!errors.As(err, &dns) || !dns.IsNotFound) {
					t.Errorf("%v, %v", addrs, err)
				}
			}
			ask()
			once := s.Asked("www.test")
			at.pass(test.kept - time.Millisecond)
			ask()
			if n := s.Asked("www.test"); n != once {
				t.Errorf("asked %d times before the answer was too old; want %d", n, once)
			}
			at.pass(time.Millisecond)
			ask()
			if n := s.Asked("www.test"); n != 2*once {
				t.Errorf("asked %d times when the answer was too old; want %d", n, 2*once)
			}
		})
	}
}

func TestFaultsThatPassAreNotKept(t *testing.T) {
	t.Parallel()
	s := dnstest.Start(t, map[string]dnstest.Answer{"www.test": {Code: dnsmessage.RCodeServerFailure}})
	c, _ := newCache(t, s, nil)
	var dns *net.DNSError
	if _, err := c.Lookup(t.Context(), "www.test"); !errors.As(err, &dns) || dns.IsNotFound {
		t.Errorf("a server's failure gave %v", err)
	}
	s.Set("www.test", dnstest.Answer{Addrs: []string{"192.0.2.1"}})
	if got := lookup(t, c, "www.test"); !slices.Equal(got, []string{"192.0.2.1"}) {
		t.Error(got)
	}
}

func TestForgetAsksAgain(t *testing.T) {
	t.Parallel()
	s := dnstest.Start(t, map[string]dnstest.Answer{"www.test": {Addrs: []string{"192.0.2.1"}, TTL: 300}})
	c, _ := newCache(t, s, nil)
	lookup(t, c, "www.test")
	s.Set("www.test", dnstest.Answer{Addrs: []string{"192.0.2.2"}})
	c.Forget("WWW.TEST")
	if got := lookup(t, c, "www.test"); !slices.Equal(got, []string{"192.0.2.2"}) {
		t.Error(got)
	}
}

func TestOneQuestionIsSentHoweverManyAsk(t *testing.T) {
	t.Parallel()
	s := dnstest.Start(t, map[string]dnstest.Answer{"www.test": {Silent: true}})
	c, _ := newCache(t, s, nil)
	ctx, cancel := context.WithCancel(t.Context())
	var impatient, patient sync.WaitGroup
	for range 10 {
		impatient.Go(func() {
			if _, err := c.Lookup(ctx, "www.test"); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
		patient.Go(func() {
			if addrs, err := c.Lookup(t.Context(), "www.test"); err != nil || len(addrs) != 1 {
				t.Error(addrs, err)
			}
		})
	}
	for s.Asked("www.test") < 2 || waiters(c, "www.test") < 20 {
		time.Sleep(time.Millisecond)
	}
	cancel() // those who give up leave the others theirs
	impatient.Wait()
	s.Set("www.test", dnstest.Answer{Addrs: []string{"192.0.2.1"}})
	s.Answer()
	patient.Wait()
	if n := s.Asked("www.test"); n != 4 {
		t.Errorf("asked %d times; want once for each family, and answered late", n)
	}
}

func waiters(c *Cache, name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.flights[name]; f != nil {
		return f.waiters
	}
	return 0
}

func TestANameWithoutAnAnswerCostsTheOthersNothing(t *testing.T) {
	t.Parallel()
	s := dnstest.Start(t, map[string]dnstest.Answer{"dead.test": {Silent: true}, "www.test": {Addrs: []string{"192.0.2.1"}}})
	c, _ := newCache(t, s, nil)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	for range 100 {
		go func() {
			_, err := c.Lookup(ctx, "dead.test")
			done <- err
		}()
	}
	lookup(t, c, "www.test")
	cancel()
	for range 100 {
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	if waiters(c, "dead.test") != 0 || len(c.flights) != 0 {
		t.Error("a look-up that nobody waits for goes on")
	}
}

// The server is silent and the caller patient: the look-up ends by itself.
func TestALookupHasItsOwnEnd(t *testing.T) {
	t.Parallel()
	s := dnstest.Start(t, map[string]dnstest.Answer{"dead.test": {Silent: true}})
	c, _ := newCache(t, s, func(c *Config) { c.Timeout = 20 * time.Millisecond })
	var dns *net.DNSError
	if _, err := c.Lookup(t.Context(), "dead.test"); !errors.As(err, &dns) || dns.IsNotFound {
		t.Errorf("%v", err)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	many := dnstest.Answer{TTL: 300}
	for i := range 30 {
		many.Addrs = append(many.Addrs, fmt.Sprintf("192.0.2.%d", i+1))
	}
	s := dnstest.Start(t, map[string]dnstest.Answer{"many.test": many})
	c, _ := newCache(t, s, func(c *Config) { c.Entries = 20 })
	if got := lookup(t, c, "many.test"); len(got) != maxAddrs {
		t.Errorf("%d addresses are kept; want %d", len(got), maxAddrs)
	}
	for i := range 100 {
		_, _ = c.Lookup(t.Context(), fmt.Sprintf("x%d.test", i))
		lookup(t, c, "many.test") // in use: stays
		if n := len(c.young) + len(c.old); n > 20 {
			t.Fatalf("%d entries are kept; want 20", n)
		}
	}
	if n := s.Asked("many.test"); n != 2 && n != 4 { // both families, by TCP again if they didn't fit
		t.Errorf("a name in use was asked for %d times", n)
	}
}

func TestLocalhostIsNotAskedFor(t *testing.T) {
	t.Parallel()
	s := dnstest.Start(t, nil)
	c, _ := newCache(t, s, nil)
	for _, name := range []string{"localhost", "a.localhost."} {
		if got := lookup(t, c, name); !slices.Equal(got, []string{"127.0.0.1", "::1"}) {
			t.Error(name, got)
		}
		if s.Asked(strings.TrimSuffix(name, ".")) != 0 {
			t.Errorf("%s was asked for", name)
		}
	}
}

func TestNewNamesTheFieldThatIsWrong(t *testing.T) {
	for field, config := range map[string]Config{
		"Clock":   {},
		"Timeout": {Clock: time.Now, Timeout: -1},
		"Entries": {Clock: time.Now, Entries: -1},
		"Server":  {Clock: time.Now, Server: "localhost:53"},
	} {
		if _, err := New(config); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// Whatever order things happen in, a cache never says of a name what was not
// said of it within its time.
func TestTheCacheNeverSaysWhatIsTooOld(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		at := &clock{now: time.Unix(1e9, 0)}
		c := &Cache{config: Config{Clock: at.read, Entries: rapid.IntRange(1, 8).Draw(r, "entries")}, young: map[string]entry{}, flights: map[string]*flight{}}
		said := map[string]entry{}
		r.Repeat(map[string]func(*rapid.T){
			"pass": func(r *rapid.T) { at.pass(time.Duration(rapid.IntRange(0, 100).Draw(r, "seconds")) * time.Second) },
			"keep": func(r *rapid.T) {
				name := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"}).Draw(r, "name")
				e := entry{addrs: []netip.Addr{netip.AddrFrom4([4]byte{rapid.Uint8().Draw(r, "addr")})}, until: at.read().Add(time.Minute)}
				said[name] = e
				c.keep(name, e)
			},
			"find": func(r *rapid.T) {
				for name, e := range said {
					got, ok := c.find(name)
					if ok && (!at.read().Before(e.until) || !slices.Equal(got.addrs, e.addrs)) {
						r.Fatalf("%s: %v; said was %v", name, got, e)
					}
				}
			},
			"": func(r *rapid.T) {
				if n := len(c.young) + len(c.old); n > max(c.config.Entries, 2) {
					r.Fatalf("%d entries", n)
				}
			},
		})
	})
}

// FuzzAnswer: the bytes come from the network, before the resolver has judged
// them.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte("\x00\x01\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01\xc0\x0c\x00\x01\x00\x01\x00\x00\x01\x2c\x00\x04\xc0\x00\x02\x01"), 3)
	f.Fuzz(func(t *testing.T, data []byte, cut int) {
		r := &record{}
		r.answer(data)
		for _, ttl := range []time.Duration{r.positive(), r.negative()} {
			if ttl < MinTTL || ttl > MaxTTL {
				t.Fatalf("kept for %v", ttl)
			}
		}
		// In pieces, as streams come.
		near, far := net.Pipe()
		go func() { _, _ = far.Write(data); far.Close() }()
		s := &stream{Conn: near, record: r}
		buf := make([]byte, max(cut%64, 1))
		for {
			if _, err := s.Read(buf); err != nil {
				break
			}
			if len(s.read) > 2+65535 {
				t.Fatalf("%d bytes are held", len(s.read))
			}
		}
		near.Close()
	})
}
