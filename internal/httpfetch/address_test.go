package httpfetch

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/memory"
	"pgregory.net/rapid"
)

func TestForbidden(t *testing.T) {
	for text, want := range map[string]bool{
		"127.0.0.1": true, "127.255.1.2": true, "10.1.2.3": true, "172.16.0.1": true, "172.31.255.255": true,
		"192.168.1.1": true, "169.254.169.254": true, "100.64.0.1": true, "100.100.100.200": true, "168.63.129.16": true,
		"0.0.0.0": true, "0.1.2.3": true, "224.0.0.1": true, "239.1.1.1": true, "240.0.0.1": true, "255.255.255.255": true,
		"192.0.0.192": true, "198.18.0.1": true, "203.0.113.9": true,
		"::": true, "::1": true, "fe80::1": true, "fe80::1%eth0": true, "fc00::1": true, "fd00:ec2::254": true, "ff02::1": true,
		"::ffff:127.0.0.1": true, "::ffff:10.0.0.1": true, "::127.0.0.1": true, "::ffff:0:10.0.0.1": true,
		"64:ff9b::10.0.0.1": true, "64:ff9b::169.254.169.254": true, "64:ff9b:1::8.8.8.8": true,
		"2002:7f00:1::": true, "2002:a9fe:a9fe::1": true, "2001:0:1::1": true, "2001:db8::1": true, "100::1": true, "fec0::1": true,

		"8.8.8.8": false, "172.15.0.1": false, "172.32.0.1": false, "100.63.255.255": false, "100.128.0.1": false, "11.0.0.1": false,
		"2606:4700::1111": false, "::ffff:8.8.8.8": false, "64:ff9b::8.8.8.8": false, "2002:808:808::1": false, "2a00:1450::1": false,
	} {
		if got := Forbidden(netip.MustParseAddr(text)); got != want {
			t.Errorf("Forbidden(%s) is %v; want %v", text, got, want)
		}
	}
	if !Forbidden(netip.Addr{}) {
		t.Error("the invalid address is not forbidden")
	}
}

func TestEveryFormOfAnIPv4AddressIsJudgedAlike(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v4 := [4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "ip"))
		want := Forbidden(netip.AddrFrom4(v4))
		for name, prefix := range map[string][]byte{
			"mapped": {10: 0xff, 11: 0xff}, "nat64": {1: 0x64, 2: 0xff, 3: 0x9b, 11: 0}, "6to4": {0x20, 0x02},
		} {
			var b [16]byte
			copy(b[:], prefix)
			copy(b[len(prefix):], v4[:])
			if Forbidden(netip.AddrFrom16(b)) != want {
				t.Fatalf("%s form of %v: want %v", name, v4, want)
			}
		}
	})
}

func TestPrivateAddressesAreRefusedWhenDialled(t *testing.T) {
	address := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the server was reached") })
	port := netip.MustParseAddrPort(address).Port()
	c := newClient(t, address, nil) // allows *.example
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "169.254.169.254", "0.0.0.0"} {
		_, err := do(t, c, Request{URL: "http://" + netip.AddrPortFrom(netip.IPv4Unspecified(), port).String()})
		wantError(t, err, harrow.Permanent, "forbidden_address")
		_, err = do(t, c, Request{URL: "http://" + host + address[len("127.0.0.1"):] + "/"})
		wantError(t, err, harrow.Permanent, "forbidden_address")
	}
}

func TestResolveAllowsItsNamesOnly(t *testing.T) {
	hosts := make(chan string, 1)
	address := serve(t, func(w http.ResponseWriter, r *http.Request) { hosts <- r.Host })
	c := newClient(t, "", func(c *Config) { c.Resolve = map[string]string{"shop.example": address, "*.test": "127.0.0.1:1"} })
	out, err := do(t, c, Request{URL: "http://shop.example:8080/"})
	if err != nil {
		t.Fatal(err)
	}
	out.Body.Close()
	if host := <-hosts; host != "shop.example:8080" {
		t.Errorf("Host is %q", host)
	}
	_, err = do(t, c, Request{URL: "http://other.test/"})
	wantError(t, err, harrow.Transient, "refused")
	_, err = do(t, c, Request{URL: "http://" + address})
	wantError(t, err, harrow.Permanent, "forbidden_address")

	c = newClient(t, "", func(c *Config) { c.AllowPrivate = true })
	out, err = do(t, c, Request{URL: "http://" + address})
	if err != nil {
		t.Fatal(err)
	}
	out.Body.Close()
	<-hosts
}

func TestAnAddressWithoutAPortLeavesTheURLsPort(t *testing.T) {
	address := serve(t, func(http.ResponseWriter, *http.Request) {})
	c := newClient(t, "", func(c *Config) { c.Resolve = map[string]string{"*.example": "127.0.0.1"} })
	out, err := do(t, c, Request{URL: "http://shop.example" + address[len("127.0.0.1"):] + "/"})
	if err != nil {
		t.Fatal(err)
	}
	out.Body.Close()
}

func TestNewNamesTheFieldThatIsWrong(t *testing.T) {
	share := memory.NewShare("bodies", 1<<20)
	for name, config := range map[string]Config{
		"Timeout":    {Timeout: -1},
		"MaxBody":    {MaxBody: -1},
		"InFlight":   {InFlight: -1},
		"MemoryBody": {MemoryBody: 2 << 20},
		"SpillDir":   {SpillDir: "/does/not/exist"},
		"UserAgent":  {UserAgent: "a\nb"},
		"Headers":    {Headers: []harrow.Header{{Name: "Host", Value: "x"}}},
		"Resolve":    {Resolve: map[string]string{"a.example": "localhost:80"}},
		"Resolve:":   {Resolve: map[string]string{"a/b": "127.0.0.1:80"}},
	} {
		if _, err := New(config, share); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}
