package canon

import (
	"testing"

	"pgregory.net/rapid"

	harrow "github.com/harrowdata/harrow"
)

// The ids of version 1 are stored in workspaces: they must not change.
func TestIDIsPinned(t *testing.T) {
	for want, id := range map[string]harrow.ID{
		"dcc4be7135f767520f2e600c6bb6fcd8": ID("GET", "http://books.example/", nil, nil),
		"b679215c6f2a854365ac3c44758753bc": ID("POST", "http://books.example/", []byte("a=1"), []harrow.Header{{Name: "Accept", Value: "text/html"}}),
	} {
		if id.String() != want {
			t.Errorf("id %s, want %s", id, want)
		}
	}
}

func TestIDSeparatesAndUnifies(t *testing.T) {
	const url = "http://books.example/"
	header := func(pairs ...string) (h []harrow.Header) {
		for i := 0; i < len(pairs); i += 2 {
			h = append(h, harrow.Header{Name: pairs[i], Value: pairs[i+1]})
		}
		return h
	}
	different := []harrow.ID{
		ID("GET", url, nil, nil), ID("HEAD", url, nil, nil), ID("GET", url+"a", nil, nil), ID("GET", url, []byte("a"), nil), ID("GET", url, []byte("b"), nil),
		ID("GET", url, nil, header("A", "1")), ID("GET", url, nil, header("A", "1", "B", "2")), ID("GET", url, nil, header("A", "1B")), ID("GET", url, nil, header("A1", "")),
		ID("GET", url, nil, header("A", "1", "A", "2")), ID("GET", url, nil, header("A", "2", "A", "1")),
	}
	seen := map[harrow.ID]int{}
	for i, id := range different {
		if j, ok := seen[id]; ok || id.IsZero() {
			t.Errorf("ids %d and %d are equal, or zero", j, i)
		}
		seen[id] = i
	}
	if ID("", url, []byte{}, header()) != different[0] || ID("get", url, nil, nil) != different[0] {
		t.Error("GET without body and headers has several ids")
	}
	if ID("GET", url, nil, header("b", " 2", "a", "1")) != different[6] {
		t.Error("the order and case of headers is part of the id")
	}
}

func TestIDOfAPlainGetAllocatesNothing(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() { ID("GET", "http://books.example/catalogue/page-1.html", nil, nil) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestDomain(t *testing.T) {
	for host, want := range map[string]string{
		"books.example": "books.example", "a.b.books.example": "books.example", "www.bbc.co.uk": "bbc.co.uk", "co.uk": "co.uk", "a.github.io": "a.github.io",
		"localhost": "localhost", "127.0.0.1": "127.0.0.1", "::1": "::1", "[::1]": "[::1]", "": "", "host1": "host1", "a.b1": "a.b1",
	} {
		if got := Domain(host); got != want {
			t.Errorf("Domain(%q) = %q, want %q", host, got, want)
		}
	}
}

func TestKey(t *testing.T) {
	u := mustParse(t, "https://a.books.example:8443/x")
	if got := Key(harrow.KeyHost, u); got != "a.books.example:8443" {
		t.Errorf("host: %q", got)
	}
	if got := Key(harrow.KeyRegisteredDomain, u); got != "books.example" {
		t.Errorf("registered domain: %q", got)
	}
}

// Whatever the URL, its key stays within its domain: shards are by domain,
// limits by key.
func TestOneKeyHasOneDomain(t *testing.T) {
	c := canonicalizer(t, Policy{})
	rapid.Check(t, func(t *rapid.T) {
		u, err := c.Parse("http://" + references().Draw(t, "rest"))
		if err != nil {
			return
		}
		again, err := c.Parse("http://" + Key(harrow.KeyHost, u) + "/")
		if err != nil || Domain(again.Host()) != Domain(u.Host()) {
			t.Fatalf("%s: key %s, domain %s, %v", u, Key("host", u), Domain(u.Host()), err)
		}
	})
}

func BenchmarkID(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		ID("GET", "http://books.example/catalogue/page-1.html", nil, nil)
	}
}
