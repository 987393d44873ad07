package lakeio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

func TestLocalStoreKeepsTheContract(t *testing.T) {
	testStore(t, openTemp)
}

func TestFileSchemeIsALocalStore(t *testing.T) {
	testStore(t, func(t testing.TB) Store {
		s, err := Open("file://" + t.TempDir())
		check(t, err)
		return s
	})
}

// testStore holds any Store to what its interface says.
func testStore(t *testing.T, open func(testing.TB) Store) {
	for name, test := range map[string]func(*testing.T, Store){
		"create once":      testCreate,
		"create by many":   testCreateByMany,
		"read":             testRead,
		"swap":             testSwap,
		"swap by many":     testSwapByMany,
		"swap and create":  testSwapAndCreate,
		"put":              testPut,
		"writer":           testWriter,
		"open":             testOpen,
		"sync":             testSync,
		"list":             testList,
		"delete":           testDelete,
		"paths that leave": testPaths,
		"nothing is left":  testNothingLeft,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func testCreate(t *testing.T, s Store) {
	check(t, s.Create(t.Context(), "a/b/c.json", []byte("one")))
	wants(t, s.Create(t.Context(), "a/b/c.json", []byte("two")), ErrExists, "a/b/c.json")
	data, _, err := s.Read(t.Context(), "a/b/c.json")
	check(t, err)
	if string(data) != "one" {
		t.Errorf("read %q, want what was created first", data)
	}
}

func testCreateByMany(t *testing.T, s Store) {
	var won atomic.Int32
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			switch err := s.Create(t.Context(), "d/once", fmt.Append(nil, i)); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, ErrExists):
				t.Error(err)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 {
		t.Errorf("%d of 16 created it, want 1", won.Load())
	}
}

func testRead(t *testing.T, s Store) {
	_, gen, err := s.Read(t.Context(), "none/here")
	wants(t, err, ErrNotFound, "none/here")
	if gen != "" {
		t.Errorf("generation of nothing is %q", gen)
	}
}

func testSwap(t *testing.T, s Store) {
	first, err := s.Swap(t.Context(), "d/x", "", []byte("1"), true)
	check(t, err)
	_, err = s.Swap(t.Context(), "d/x", "", []byte("2"), false)
	wants(t, err, ErrConflict, "d/x")
	_, gen, err := s.Read(t.Context(), "d/x")
	check(t, err)
	if gen != first {
		t.Errorf("Read says generation %q, Swap said %q", gen, first)
	}
	second, err := s.Swap(t.Context(), "d/x", first, []byte("2"), false)
	check(t, err)
	_, err = s.Swap(t.Context(), "d/x", first, []byte("3"), false)
	wants(t, err, ErrConflict, "d/x")
	_, err = s.Swap(t.Context(), "d/y", second, []byte("3"), false)
	wants(t, err, ErrConflict, "d/y")
	if data, _, _ := s.Read(t.Context(), "d/x"); string(data) != "2" {
		t.Errorf("read %q, want 2", data)
	}
}

func testSwapByMany(t *testing.T, s Store) {
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 25 {
				if _, err := addOne(t.Context(), s); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	c, err := addOne(t.Context(), s)
	check(t, err)
	if c.N != 201 {
		t.Errorf("counted to %d, want 201: a swap was lost", c.N)
	}
}

// A Swap of what isn't there and a Create are the same race: one wins.
func testSwapAndCreate(t *testing.T, s Store) {
	for i := range 50 {
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

func testPut(t *testing.T, s Store) {
	for _, v := range []string{"long value", "short"} {
		check(t, s.Put(t.Context(), "status/w.json", []byte(v)))
		if data, _, err := s.Read(t.Context(), "status/w.json"); err != nil || string(data) != v {
			t.Errorf("read %q, %v, want %q", data, err, v)
		}
	}
}

func testWriter(t *testing.T, s Store) {
	w, err := s.Writer(t.Context(), "parts/a.arrow")
	check(t, err)
	data := strings.Repeat("0123456789", 20000)
	_, err = io.WriteString(w, data)
	check(t, err)
	if _, err := s.Open(t.Context(), "parts/a.arrow"); !errors.Is(err, ErrNotFound) {
		t.Errorf("open before Close: %v, want %v", err, ErrNotFound)
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

func testOpen(t *testing.T, s Store) {
	_, err := s.Open(t.Context(), "d/none")
	wants(t, err, ErrNotFound, "d/none")
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

func testSync(t *testing.T, s Store) {
	check(t, s.Put(t.Context(), "d/e/some", []byte("x")))
	for _, uri := range []string{"d/e/some", "d/e/", "d/", "./"} {
		check(t, s.Sync(t.Context(), uri))
	}
	wants(t, s.Sync(t.Context(), "d/none"), ErrNotFound, "d/none")
}

func testList(t *testing.T, s Store) {
	for _, uri := range []string{"d/b", "d/a", "d/sub/x", "e"} {
		check(t, s.Put(t.Context(), uri, nil))
	}
	for folder, want := range map[string][]string{"d/": {"a", "b", "sub/"}, "d": {"a", "b", "sub/"}, "none/": nil, "./": {"d/", "e"}} {
		if got, err := s.List(t.Context(), folder); err != nil || !slices.Equal(got, want) {
			t.Errorf("List(%s) = %v, %v, want %v", folder, got, err, want)
		}
	}
}

func testDelete(t *testing.T, s Store) {
	check(t, s.Put(t.Context(), "d/a", nil))
	check(t, s.Delete(t.Context(), "d/a"))
	check(t, s.Delete(t.Context(), "d/a"))
	if _, _, err := s.Read(t.Context(), "d/a"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}

func testPaths(t *testing.T, s Store) {
	ctx := t.Context()
	for _, uri := range []string{"", ".", "..", "../x", "a/../../x", "/etc/passwd", `a\b`, "a//b", "a/./b", "a/", "a/../b"} {
		errs := map[string]error{"create": s.Create(ctx, uri, nil), "put": s.Put(ctx, uri, nil), "delete": s.Delete(ctx, uri)}
		_, _, errs["read"] = s.Read(ctx, uri)
		_, errs["swap"] = s.Swap(ctx, uri, "", nil, false)
		_, errs["writer"] = s.Writer(ctx, uri)
		_, errs["open"] = s.Open(ctx, uri)
		for what, err := range errs {
			if err == nil || errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), fmt.Sprintf("%q", uri)) {
				t.Errorf("%s %q: %v, want a refusal", what, uri, err)
			}
		}
	}
	for _, folder := range []string{"..", "../x/", "/etc/", "a/../../x/"} {
		if _, err := s.List(ctx, folder); err == nil {
			t.Errorf("list %q: want a refusal", folder)
		}
		if err := s.Sync(ctx, strings.TrimSuffix(folder, "/")+"/"); err == nil || errors.Is(err, ErrNotFound) {
			t.Errorf("sync %q: %v, want a refusal", folder, err)
		}
	}
}

// Neither winners nor losers leave temporary files behind.
func testNothingLeft(t *testing.T, s Store) {
	testCreate(t, s)
	testSwap(t, s)
	testPut(t, s)
	testWriter(t, s)
	root := s.Local()
	if root == "" {
		t.Skip("not local")
	}
	err := filepath.WalkDir(root, func(p string, d os.DirEntry, err error) error {
		if strings.Contains(d.Name(), ".tmp-") {
			t.Errorf("left behind: %s", p)
		}
		return err
	})
	check(t, err)
}

func TestOneOfSeveralProcessesCreates(t *testing.T) {
	s := openTemp(t)
	var all []*process
	for i := range 5 {
		all = append(all, spawn(t, "create", s.Local(), fmt.Sprint(i)))
	}
	for _, p := range all {
		p.goOn()
	}
	won := -1
	for i, p := range all {
		if said := p.line(); said == "done" && won < 0 {
			won = i
		} else if said != "lost" {
			t.Errorf("process %d: %s", i, said)
		}
	}
	if data, _, err := s.Read(t.Context(), "once"); err != nil || string(data) != fmt.Sprint(won) {
		t.Errorf("read %q, %v; the winner wrote %d", data, err, won)
	}
}

func TestSwapsOfSeveralProcessesAreLinear(t *testing.T) {
	s := openTemp(t)
	var all []*process
	for range 4 {
		all = append(all, spawn(t, "count", s.Local()))
	}
	for _, p := range all {
		p.goOn()
	}
	for _, p := range all {
		if said := p.line(); said != "done" {
			t.Error(said)
		}
	}
	if c, err := addOne(t.Context(), s); err != nil || c.N != 201 {
		t.Errorf("counted to %d, %v, want 201", c.N, err)
	}
}

func TestSwapEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := openTemp(t)
	calls := 0
	_, err := swapJSON(ctx, s, "x", func(*counter) bool { return false }, func(c *counter) error {
		c.Version = jsonVersion
		if calls++; calls == 3 {
			cancel()
		}
		return s.Put(context.Background(), "x", fmt.Appendf(nil, `{"version":1,"n":%d}`, calls)) // always somebody else first
	})
	wants(t, err, context.Canceled)
}

func TestUnknownSchemesAreNamed(t *testing.T) {
	_, err := Open("s3://bucket/x")
	wants(t, err, nil, "workspace scheme s3 is not supported")
}

func TestRegisteredSchemesAreOpenedWhole(t *testing.T) {
	var asked string
	store := openTemp(t)
	RegisterScheme("lakeiotest", func(uri string) (Store, error) { asked = uri; return store, nil })
	if s, err := Open("lakeiotest://a/b"); err != nil || s != store || asked != "lakeiotest://a/b" {
		t.Errorf("%v, %v, asked for %s", s, err, asked)
	}
	for _, scheme := range []string{"lakeiotest", "file"} {
		func() {
			defer func() {
				if p := recover(); p == nil || !strings.Contains(fmt.Sprint(p), scheme) {
					t.Errorf("registered %s again: %v", scheme, p)
				}
			}()
			RegisterScheme(scheme, nil)
		}()
	}
}

// failures runs every way to write and wants each to fail and to name the file.
func failures(t *testing.T, s Store) {
	t.Helper()
	ctx := t.Context()
	big := make([]byte, 1<<20)
	file := filepath.Join(s.Local(), "d", "x")
	wants(t, s.Create(ctx, "d/x", big), nil, file)
	wants(t, s.Put(ctx, "d/x", big), nil, file)
	_, err := s.Swap(ctx, "d/x", "", big, true)
	wants(t, err, nil, file)
	w, err := s.Writer(ctx, "d/x")
	if err == nil {
		if _, err = w.Write(big); err == nil {
			err = w.Close()
		}
		w.Abort()
	}
	wants(t, err, nil, file)
	if names, err := s.List(ctx, "d/"); err == nil && len(names) > 0 {
		t.Errorf("left behind: %v", names)
	}
}

func TestUnwritableFoldersAreNamed(t *testing.T) {
	s := openTemp(t)
	// A file in the place of the folder stops root too.
	check(t, os.WriteFile(filepath.Join(s.Local(), "d"), nil, 0o666))
	failures(t, s)
	_, err := Open(filepath.Join(s.Local(), "d"))
	wants(t, err, nil, filepath.Join(s.Local(), "d"))
	if os.Geteuid() == 0 {
		return // may write anywhere
	}
	ro := openTemp(t)
	check(t, os.Mkdir(filepath.Join(ro.Local(), "d"), 0o555))
	failures(t, ro)
}

func TestFullDiskIsNamed(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("no small disk to fill: mount: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	s, err := Open(dir)
	check(t, err)
	check(t, os.Mkdir(filepath.Join(dir, "d"), 0o777))
	failures(t, s)
	left, err := os.ReadDir(filepath.Join(dir, "d"))
	check(t, err)
	if len(left) > 0 {
		t.Errorf("a full disk keeps %v", left)
	}
}
