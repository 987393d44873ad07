package httpfetch

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"testing"

	"github.com/harrowdata/harrow"
	"pgregory.net/rapid"
)

func TestBodiesAreWhatWasSent(t *testing.T) {
	pages := map[string]string{}
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path[1] == 'l' {
			w.Header().Set("Content-Length", strconv.Itoa(len(pages[r.URL.Path])))
		}
		_, _ = io.WriteString(w, pages[r.URL.Path])
	})
	const mem = 64 << 10
	const limit = 3*mem + 5
	c := newClient(t, address, func(c *Config) { c.MemoryBody, c.MaxBody = mem, limit })
	for _, n := range []int{0, 1, minBuffer, minBuffer + 1, 30_000, mem - 1, mem, mem + 1, 3 * mem, limit - 1, limit, limit + 1, 5 * mem} {
		for _, kind := range []string{"length", "chunked"} {
			path := "/" + kind + "/" + strconv.Itoa(n)
			pages[path] = page(n)
			t.Run(path, func(t *testing.T) {
				want := pages[path][:min(n, limit)]
				out := get(t, c, path)
				if out.Truncated != (n > limit) || out.Body.Len() != int64(len(want)) || out.Body.Digest() != digest(want) {
					t.Errorf("%d bytes, truncated %v", out.Body.Len(), out.Truncated)
				}
				if held := c.bodies.Used(); held > max(2*int64(len(want)), minBuffer) || held > mem {
					t.Errorf("%d bytes are held for %d", held, n)
				}
				b, inMemory := out.Body.Bytes()
				if inMemory != (len(want) <= mem) || inMemory && string(b) != want {
					t.Errorf("Bytes: %d, %v", len(b), inMemory)
				}
				for range 2 {
					r := out.Body.Open()
					got, err := io.ReadAll(r)
					if err != nil || string(got) != want {
						t.Errorf("Open: %d bytes, %v", len(got), err)
					}
					if err := r.Close(); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
}

func TestReadersOutliveTheBodysClose(t *testing.T) {
	address := serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, page(400_000)) })
	c := newClient(t, address, nil)
	out := get(t, c, "/")
	r := out.Body.Open()
	if err := out.Body.Close(); err != nil {
		t.Fatal(err)
	}
	if c.bodies.Used() == 0 {
		t.Error("the memory of an open reader was given back")
	}
	if got, err := io.ReadAll(r); err != nil || string(got) != page(400_000) {
		t.Error(len(got), err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if used := c.bodies.Used(); used != 0 {
		t.Errorf("%d bytes are held", used)
	}
	for _, closed := range []io.Reader{r, out.Body.Open()} {
		if _, err := closed.Read(make([]byte, 1)); !errors.Is(err, os.ErrClosed) {
			t.Errorf("reading what is closed: %v", err)
		}
	}
	if _, ok := out.Body.Bytes(); ok {
		t.Error("Bytes after Close")
	}
}

func TestASpillThatFailsIsASystemFault(t *testing.T) {
	address := serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, page(400_000)) })
	c := newClient(t, address, nil)
	c.config.SpillDir += "/missing"
	_, err := do(t, c, Request{URL: "http://www.example/"})
	wantError(t, err, harrow.System, "disk")
}

func TestReservations(t *testing.T) {
	c := newClient(t, "", nil)
	var all []*Reservation
	for range c.bodies.Size() / c.config.MemoryBody {
		r, ok := c.TryReserve()
		if !ok {
			t.Fatal("the share is spent too early")
		}
		all = append(all, r)
	}
	if _, ok := c.TryReserve(); ok {
		t.Error("more was reserved than there is")
	}
	for _, r := range all {
		r.Release()
		r.Release()
	}
	(*Reservation)(nil).Release()
	if r, err := c.Reserve(t.Context()); err != nil {
		t.Error(err)
	} else {
		r.Release()
		if _, err := c.Do(t.Context(), Request{URL: "http://www.example/"}, r); err == nil {
			t.Error("a released reservation was accepted")
		}
	}
}

func TestManyExchangesAtOnceGiveAllMemoryBack(t *testing.T) {
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.URL.Path[1:])
		if n%3 == 0 {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, gzipped(t, page(n)))
			return
		}
		_, _ = io.WriteString(w, page(n))
	})
	c := newClient(t, address, func(c *Config) { c.MemoryBody = 32 << 10 })
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for j := range 20 {
				n := (i*7919 + j*104729) % 60_000
				out, err := do(t, c, Request{URL: "http://www.example/" + strconv.Itoa(n)})
				if err != nil {
					t.Error(err)
					return
				}
				if out.Body.Digest() != digest(page(n)) {
					t.Errorf("the body of %d bytes is not what was sent", n)
				}
				if err := out.Body.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func TestBufferClassesHoldWhatTheyAreFor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(0, 1<<30).Draw(t, "n")
		size := classSize(n)
		if size < n || size < minBuffer || size > minBuffer && size >= 2*n {
			t.Fatalf("class of %d is %d bytes", n, size)
		}
	})
}
