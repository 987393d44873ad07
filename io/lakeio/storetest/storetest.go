// Package storetest holds any lakeio.Store to what its interface says: a test
// of a store calls [Run].
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/harrowdata/harrow/io/lakeio"
)

// Run runs all tests, each on a store of its own that open makes. It must be
// empty.
func Run(t *testing.T, open func(testing.TB) lakeio.Store) {
	for _, c := range []struct {
		name string
		test func(*testing.T, lakeio.Store)
	}{
		{"create once", testCreate},
		{"create by many", testCreateByMany},
		{"read", testRead},
		{"swap", testSwap},
		{"swap by many", testSwapByMany},
		{"swap and create", testSwapAndCreate},
		{"put", testPut},
		{"writer", testWriter},
		{"open", testOpen},
		{"sync", testSync},
		{"list", testList},
		{"scan", testScan},
		{"delete", testDelete},
		{"paths that leave", testPaths},
		{"large objects", testLarge},
		{"reading here and there", testReadAnywhere},
		{"a generation that is read stays", testReadPinned},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wants fails the test unless err is target (nil: any error) and names texts.
func wants(t testing.TB, err, target error, texts ...string) {
	t.Helper()
	if err == nil || target != nil && !errors.Is(err, target) {
		t.Errorf("got error %v, want %v", err, target)
		return
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error %q does not name %q", err, text)
		}
	}
}

// enter adds a word of its own to a list by Swap, as all changes by Swap must
// be: what is there already is not added again.
func enter(ctx context.Context, s lakeio.Store, word string) error {
	for {
		data, gen, err := s.Read(ctx, "d/list")
		if err != nil && !errors.Is(err, lakeio.ErrNotFound) {
			return err
		}
		if slices.Contains(strings.Fields(string(data)), word) {
			return nil
		}
		data = append(data, word+" "...)
		if _, err = s.Swap(ctx, "d/list", gen, data, false); !errors.Is(err, lakeio.ErrConflict) {
			return err
		}
	}
}

func testCreate(t *testing.T, s lakeio.Store) {
	check(t, s.Create(t.Context(), "a/b/c.json", []byte("one")))
	wants(t, s.Create(t.Context(), "a/b/c.json", []byte("two")), lakeio.ErrExists, "a/b/c.json")
	data, _, err := s.Read(t.Context(), "a/b/c.json")
	check(t, err)
	if string(data) != "one" {
		t.Errorf("read %q, want what was created first", data)
	}
}

func testCreateByMany(t *testing.T, s lakeio.Store) {
	var won atomic.Int32
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			switch err := s.Create(t.Context(), "d/once", fmt.Append(nil, i)); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, lakeio.ErrExists):
				t.Error(err)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 {
		t.Errorf("%d of 16 created it, want 1", won.Load())
	}
}

func testRead(t *testing.T, s lakeio.Store) {
	_, gen, err := s.Read(t.Context(), "none/here")
	wants(t, err, lakeio.ErrNotFound, "none/here")
	if gen != "" {
		t.Errorf("generation of nothing is %q", gen)
	}
}

func testSwap(t *testing.T, s lakeio.Store) {
	first, err := s.Swap(t.Context(), "d/x", "", []byte("1"), true)
	check(t, err)
	_, err = s.Swap(t.Context(), "d/x", "", []byte("2"), false)
	wants(t, err, lakeio.ErrConflict, "d/x")
	_, gen, err := s.Read(t.Context(), "d/x")
	check(t, err)
	if gen != first {
		t.Errorf("Read says generation %q, Swap said %q", gen, first)
	}
	second, err := s.Swap(t.Context(), "d/x", first, []byte("2"), false)
	check(t, err)
	_, err = s.Swap(t.Context(), "d/x", first, []byte("3"), false)
	wants(t, err, lakeio.ErrConflict, "d/x")
	_, err = s.Swap(t.Context(), "d/y", second, []byte("3"), false)
	wants(t, err, lakeio.ErrConflict, "d/y")
	if data, _, _ := s.Read(t.Context(), "d/x"); string(data) != "2" {
		t.Errorf("read %q, want 2", data)
	}
}

func testSwapByMany(t *testing.T, s lakeio.Store) {
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 10 {
				if err := enter(t.Context(), s, fmt.Sprintf("%d.%d", i, j)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	data, _, err := s.Read(t.Context(), "d/list")
	check(t, err)
	words := strings.Fields(string(data))
	slices.Sort(words)
	if n := len(words); n != 80 || len(slices.Compact(words)) != 80 {
		t.Errorf("the list has %d words, want 80, each once: %s", n, data)
	}
}

// A Swap of what isn't there and a Create are the same race: one wins.
func testSwapAndCreate(t *testing.T, s lakeio.Store) {
	for i := range 20 {
		uri := fmt.Sprintf("race/%d", i)
		var created, swapped error
		var all sync.WaitGroup
		all.Go(func() { created = s.Create(t.Context(), uri, []byte("create")) })
		all.Go(func() { _, swapped = s.Swap(t.Context(), uri, "", []byte("swap"), false) })
		all.Wait()
		data, _, err := s.Read(t.Context(), uri)
		check(t, err)
		want := "create"
		if swapped == nil {
			want = "swap"
		}
		if (created == nil) == (swapped == nil) || string(data) != want {
			t.Fatalf("create: %v, swap: %v, and there is %q", created, swapped, data)
		}
	}
}

func testPut(t *testing.T, s lakeio.Store) {
	for _, v := range []string{"long value", "short"} {
		check(t, s.Put(t.Context(), "status/w.json", []byte(v)))
		if data, _, err := s.Read(t.Context(), "status/w.json"); err != nil || string(data) != v {
			t.Errorf("read %q, %v, want %q", data, err, v)
		}
	}
}

func testWriter(t *testing.T, s lakeio.Store) {
	w, err := s.Writer(t.Context(), "parts/a.arrow")
	check(t, err)
	data := strings.Repeat("0123456789", 20000)
	_, err = io.WriteString(w, data)
	check(t, err)
	if _, err := s.Open(t.Context(), "parts/a.arrow"); !errors.Is(err, lakeio.ErrNotFound) {
		t.Errorf("open before Close: %v, want %v", err, lakeio.ErrNotFound)
	}
	if names, err := s.List(t.Context(), "parts/"); err != nil || len(names) > 0 {
		t.Errorf("list before Close: %v, %v", names, err)
	}
	check(t, w.Close())
	w.Abort() // does nothing now
	got, _, err := s.Read(t.Context(), "parts/a.arrow")
	check(t, err)
	if string(got) != data {
		t.Errorf("read %d bytes, want %d", len(got), len(data))
	}
	dropped, err := s.Writer(t.Context(), "parts/b.arrow")
	check(t, err)
	_, err = io.WriteString(dropped, data)
	check(t, err)
	dropped.Abort()
	dropped.Abort()
	if names, _ := s.List(t.Context(), "parts/"); !slices.Equal(names, []string{"a.arrow"}) {
		t.Errorf("after Abort there are %v", names)
	}
}

func testOpen(t *testing.T, s lakeio.Store) {
	_, err := s.Open(t.Context(), "d/none")
	wants(t, err, lakeio.ErrNotFound, "d/none")
	check(t, s.Put(t.Context(), "d/some", []byte("0123456789")))
	r, err := s.Open(t.Context(), "d/some")
	check(t, err)
	defer r.Close()
	buf := make([]byte, 4)
	_, err = r.ReadAt(buf, 3)
	check(t, err)
	if r.Size() != 10 || string(buf) != "3456" {
		t.Errorf("size %d, bytes 3 to 6 are %q", r.Size(), buf)
	}
	if n, err := r.ReadAt(buf, 8); n != 2 || !errors.Is(err, io.EOF) {
		t.Errorf("read past the end: %d, %v", n, err)
	}
}

func testSync(t *testing.T, s lakeio.Store) {
	check(t, s.Put(t.Context(), "d/e/some", []byte("x")))
	for _, uri := range []string{"d/e/some", "d/e/", "d/", "./"} {
		check(t, s.Sync(t.Context(), uri))
	}
	if err := s.Sync(t.Context(), "d/none"); err != nil {
		wants(t, err, lakeio.ErrNotFound, "d/none")
	}
}

func testList(t *testing.T, s lakeio.Store) {
	for _, uri := range []string{"d/b", "d/a", "d/sub/x", "e"} {
		check(t, s.Put(t.Context(), uri, nil))
	}
	for folder, want := range map[string][]string{"d/": {"a", "b", "sub/"}, "d": {"a", "b", "sub/"}, "none/": nil, "./": {"d/", "e"}} {
		if got, err := s.List(t.Context(), folder); err != nil || !slices.Equal(got, want) {
			t.Errorf("List(%s) = %v, %v, want %v", folder, got, err, want)
		}
	}
}

func testScan(t *testing.T, s lakeio.Store) {
	// By the store's clock: of two objects one is the reference.
	modified := func(folder, name string) (at time.Time) {
		t.Helper()
		check(t, s.Scan(t.Context(), folder, func(e lakeio.Entry) error {
			if e.Name == name {
				at = e.Modified
			}
			return nil
		}))
		return at
	}
	check(t, s.Put(t.Context(), "d/first", nil))
	want := map[string]int64{"sub/": 0}
	for i := range 20 {
		name := fmt.Sprintf("f%02d", i)
		check(t, s.Put(t.Context(), "d/"+name, make([]byte, i)))
		want[name] = int64(i)
	}
	check(t, s.Put(t.Context(), "d/sub/x", nil))
	if first, last := modified("d/", "first"), modified("d", "f19"); first.IsZero() || last.Before(first) {
		t.Errorf("modified at %s, what came later at %s", first, last)
	}
	check(t, s.Delete(t.Context(), "d/first"))
	got := map[string]int64{}
	check(t, s.Scan(t.Context(), "d/", func(e lakeio.Entry) error {
		if strings.HasSuffix(e.Name, "/") {
			e.Bytes = 0
		}
		got[e.Name] = e.Bytes
		if e.Temporary {
			t.Errorf("%s is temporary", e.Name)
		}
		if e.Name == "sub/" {
			return nil
		}
		return s.Delete(t.Context(), "d/"+e.Name)
	}))
	if !maps.Equal(got, want) {
		t.Errorf("scanned %v, want %v", got, want)
	}
	if left, err := s.List(t.Context(), "d/"); err != nil || !slices.Equal(left, []string{"sub/"}) {
		t.Errorf("left %v, %v", left, err)
	}
	check(t, s.Scan(t.Context(), "none/", func(e lakeio.Entry) error { return fmt.Errorf("%s: is not there", e.Name) }))
	enough := errors.New("enough")
	wants(t, s.Scan(t.Context(), "d/", func(lakeio.Entry) error { return enough }), enough)
	if err := s.Scan(t.Context(), "../x/", func(lakeio.Entry) error { return nil }); err == nil {
		t.Error("scan of ../x/: want a refusal")
	}
}

func testDelete(t *testing.T, s lakeio.Store) {
	check(t, s.Put(t.Context(), "d/a", nil))
	check(t, s.Delete(t.Context(), "d/a"))
	check(t, s.Delete(t.Context(), "d/a"))
	if _, _, err := s.Read(t.Context(), "d/a"); !errors.Is(err, lakeio.ErrNotFound) {
		t.Error(err)
	}
}

func testPaths(t *testing.T, s lakeio.Store) {
	ctx := t.Context()
	for _, uri := range []string{"", ".", "..", "../x", "a/../../x", "/etc/passwd", `a\b`, "a//b", "a/./b", "a/", "a/../b"} {
		errs := map[string]error{"create": s.Create(ctx, uri, nil), "put": s.Put(ctx, uri, nil), "delete": s.Delete(ctx, uri)}
		_, _, errs["read"] = s.Read(ctx, uri)
		_, errs["swap"] = s.Swap(ctx, uri, "", nil, false)
		_, errs["writer"] = s.Writer(ctx, uri)
		_, errs["open"] = s.Open(ctx, uri)
		for what, err := range errs {
			if err == nil || errors.Is(err, lakeio.ErrNotFound) || !strings.Contains(err.Error(), fmt.Sprintf("%q", uri)) {
				t.Errorf("%s %q: %v, want a refusal", what, uri, err)
			}
		}
	}
	for _, folder := range []string{"..", "../x/", "/etc/", "a/../../x/"} {
		if _, err := s.List(ctx, folder); err == nil {
			t.Errorf("list %q: want a refusal", folder)
		}
		if err := s.Sync(ctx, strings.TrimSuffix(folder, "/")+"/"); err == nil || errors.Is(err, lakeio.ErrNotFound) {
			t.Errorf("sync %q: %v, want a refusal", folder, err)
		}
	}
}

// pattern is data of which each piece says where it is from.
func pattern(n int) []byte {
	data := make([]byte, n)
	r := rand.New(rand.NewPCG(1, uint64(n)))
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	return data
}

// write writes an object in uneven pieces.
func write(t *testing.T, s lakeio.Store, uri string, data []byte) {
	t.Helper()
	w, err := s.Writer(t.Context(), uri)
	check(t, err)
	for i, left := 0, data; len(left) > 0; i++ {
		n := min(len(left), 1+i*i*37)
		_, err := w.Write(left[:n])
		check(t, err)
		left = left[n:]
	}
	check(t, w.Close())
}

func testLarge(t *testing.T, s lakeio.Store) {
	for _, n := range []int{0, 1, 64<<10 - 1, 64 << 10, 256 << 10, 256<<10 + 1, 4 << 20, 9<<20 + 17} {
		uri, data := fmt.Sprintf("large/%d", n), pattern(n)
		write(t, s, uri, data)
		got, _, err := s.Read(t.Context(), uri)
		if check(t, err); !bytes.Equal(got, data) {
			t.Errorf("%d bytes: Read gives %d others", n, len(got))
		}
		r, err := s.Open(t.Context(), uri)
		check(t, err)
		if got, err = io.ReadAll(r); err != nil || !bytes.Equal(got, data) || r.Size() != int64(n) {
			t.Errorf("%d bytes: a Reader of size %d gives %d, %v", n, r.Size(), len(got), err)
		}
		check(t, r.Close())
	}
	w, err := s.Writer(t.Context(), "large/dropped")
	check(t, err)
	_, err = w.Write(pattern(5 << 20))
	check(t, err)
	w.Abort()
	if _, err := s.Open(t.Context(), "large/dropped"); !errors.Is(err, lakeio.ErrNotFound) {
		t.Errorf("after Abort: %v", err)
	}
}

func testReadAnywhere(t *testing.T, s lakeio.Store) {
	data := pattern(3<<20 + 5)
	write(t, s, "any/x", data)
	r, err := s.Open(t.Context(), "any/x")
	check(t, err)
	defer r.Close()
	random := rand.New(rand.NewPCG(2, 2))
	var all sync.WaitGroup
	for i := range 60 {
		off := random.IntN(len(data) + 10)
		buf := make([]byte, 1+random.IntN(1+random.IntN(1<<20)))
		read := func() {
			n, err := r.ReadAt(buf, int64(off))
			want := data[min(off, len(data)):min(off+len(buf), len(data))]
			if !bytes.Equal(buf[:n], want) || (err == nil) != (len(want) == len(buf)) || err != nil && !errors.Is(err, io.EOF) {
				t.Errorf("%d bytes at %d: %d, %v", len(buf), off, n, err)
			}
		}
		if i%3 == 0 {
			read()
			continue
		}
		all.Go(read)
	}
	all.Wait()
	for _, c := range []struct {
		offset int64
		whence int
		at     int64
	}{{100, io.SeekStart, 100}, {-50, io.SeekCurrent, 150}, {-10, io.SeekEnd, int64(len(data)) - 10}} {
		at, err := r.Seek(c.offset, c.whence)
		if err != nil || at != c.at {
			t.Fatalf("seek %d from %d: at %d, %v, want %d", c.offset, c.whence, at, err, c.at)
		}
		buf := make([]byte, 100)
		n, err := io.ReadFull(r, buf)
		if !bytes.Equal(buf[:n], data[at:min(int(at)+100, len(data))]) || n < 100 && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("after a seek to %d: %d bytes, %v", at, n, err)
		}
	}
}

// A Reader reads what was there when it was opened, or fails.
func testReadPinned(t *testing.T, s lakeio.Store) {
	old, next := pattern(2<<20), pattern(2<<20+1)
	write(t, s, "pin/x", old)
	r, err := s.Open(t.Context(), "pin/x")
	check(t, err)
	defer r.Close()
	write(t, s, "pin/x", next)
	got, err := io.ReadAll(r)
	if err == nil && !bytes.Equal(got, old) {
		t.Error("a Reader gave bytes of an object that came later")
	}
}
