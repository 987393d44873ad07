package frontier

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/harrowdata/harrow/internal/memory/memorytest"
)

func open(t interface {
	Helper()
	Fatal(...any)
}, dir string) *Frontier {
	t.Helper()
	f, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

type modelItem struct {
	priority int32
	item     []byte
}

// model is the frontier as slices.
type model map[string][]modelItem

func (m model) push(key string, priority int32, item []byte) {
	i := slices.IndexFunc(m[key], func(o modelItem) bool { return o.priority < priority })
	if i < 0 {
		i = len(m[key])
	}
	m[key] = slices.Insert(m[key], i, modelItem{priority, item})
}

func (m model) len() (n int64) {
	for _, items := range m {
		n += int64(len(items))
	}
	return n
}

func TestFrontierBehavesLikeSlices(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		f, m, serial := open(t, dir), model{}, 0
		defer f.Close()
		keys := rapid.SampledFrom([]string{"a.example", "b.example", "c.example", ""})
		priorities := rapid.SampledFrom([]int32{0, 0, 0, 0, 1, -1, 1 << 30, -1 << 31})
		sizes := rapid.OneOf(rapid.IntRange(0, 12), rapid.IntRange(100, 300), rapid.IntRange(600, 900), rapid.Just(5_000))
		steps := map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				key, priority, size := keys.Draw(t, "key"), priorities.Draw(t, "priority"), sizes.Draw(t, "size")
				for range rapid.IntRange(1, 70).Draw(t, "n") {
					serial++
					item := bytes.Repeat([]byte(fmt.Sprint(serial, " ")), size/2+1)[:size]
					if err := f.Push(key, priority, item); err != nil {
						t.Fatal(err)
					}
					m.push(key, priority, item)
				}
			},
			"pop": func(t *rapid.T) {
				key := keys.Draw(t, "key")
				for range rapid.IntRange(1, 120).Draw(t, "n") {
					popBoth(t, f, m, key)
				}
			},
			"move": func(t *rapid.T) {
				from, to := keys.Draw(t, "from"), keys.Draw(t, "to")
				if err := f.Move(from, to); err != nil {
					t.Fatal(err)
				}
				if moved := m[from]; from != to {
					delete(m, from)
					for _, one := range moved {
						m.push(to, one.priority, one.item)
					}
				}
			},
			"": func(t *rapid.T) { compareCounts(t, f, m) },
		}
		t.Repeat(steps)
		for key := range m {
			for len(m[key]) > 0 {
				popBoth(t, f, m, key)
			}
		}
		if info, err := f.store.file.Stat(); err != nil || info.Size() != 0 || f.Len() != 0 {
			t.Fatalf("an empty frontier has %d items in %d bytes (%v)", f.Len(), info.Size(), err)
		}
	})
}

func popBoth(t *rapid.T, f *Frontier, m model, key string) {
	item, ok, err := f.Pop(key)
	if err != nil || ok != (len(m[key]) > 0) {
		t.Fatalf("Pop: %v, %v with %d waiting", ok, err, len(m[key]))
	}
	if !ok {
		return
	}
	if want := m[key][0].item; !bytes.Equal(item, want) {
		t.Fatalf("Pop gave %.30q (%d); want %.30q (%d)", item, len(item), want, len(want))
	}
	m[key] = m[key][1:]
}

func compareCounts(t *rapid.T, f *Frontier, m model) {
	var keys []string
	for key, items := range m {
		if f.Count(key) != int64(len(items)) {
			t.Fatalf("Count is %d; want %d", f.Count(key), len(items))
		}
		if len(items) > 0 {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	if !slices.Equal(f.Keys(), keys) || f.Len() != m.len() {
		t.Fatalf("keys %q, %d items; want %q, %d", f.Keys(), f.Len(), keys, m.len())
	}
	for _, k := range f.keys {
		if k.buffered > tailBytes {
			t.Fatalf("a key buffers %d bytes", k.buffered)
		}
	}
}

func TestTheFileDoesNotGrowWithWhatWasPopped(t *testing.T) {
	f := open(t, t.TempDir())
	defer f.Close()
	item := bytes.Repeat([]byte("x"), 200)
	push := func(n int) {
		for range n {
			if err := f.Push("k", 0, item); err != nil {
				t.Fatal(err)
			}
		}
	}
	// More chunks than the free list keeps in memory.
	const waiting = 3 * 2 * freeInMemory
	push(waiting)
	size := f.store.end
	for range 10 {
		for range waiting - 10 {
			if _, ok, err := f.Pop("k"); !ok || err != nil {
				t.Fatal(ok, err)
			}
		}
		push(waiting - 10)
	}
	if f.store.end > size+size/10 {
		t.Errorf("the file went from %d to %d bytes", size, f.store.end)
	}
}

func TestItemsAreBounded(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir)
	defer f.Close()
	if err := f.Push("k", 0, make([]byte, MaxItem+1)); err == nil {
		t.Error("an item over the limit was taken")
	}
	if f.Len() != 0 || len(f.Keys()) != 0 {
		t.Error("a refused item left something behind")
	}
	if err := f.Push("k", 0, make([]byte, MaxItem)); err != nil {
		t.Error(err)
	}
	if item, ok, err := f.Pop("k"); len(item) != MaxItem || !ok || err != nil {
		t.Error(len(item), ok, err)
	}
	if files, _ := os.ReadDir(dir); len(files) != 0 {
		t.Errorf("%d files are linked in the folder", len(files))
	}
}

func TestCorruptChunksAreErrors(t *testing.T) {
	tests := map[string]func(*os.File) error{
		"item":    func(f *os.File) error { _, err := f.WriteAt([]byte("?"), headerSize+itemHeader+3); return err },
		"length":  func(f *os.File) error { _, err := f.WriteAt([]byte("????"), headerSize); return err },
		"link":    func(f *os.File) error { _, err := f.WriteAt([]byte("?"), 0); return err },
		"cut off": func(f *os.File) error { return f.Truncate(30) },
	}
	for name, damage := range tests {
		t.Run(name, func(t *testing.T) {
			f := open(t, t.TempDir())
			defer f.Close()
			for range 20 {
				if err := f.Push("k", 0, bytes.Repeat([]byte("x"), 300)); err != nil {
					t.Fatal(err)
				}
			}
			if err := damage(f.store.file); err != nil {
				t.Fatal(err)
			}
			var err error
			for range 4 {
				if _, _, err = f.Pop("k"); err != nil {
					break
				}
			}
			if err == nil {
				t.Error("no error")
			}
		})
	}
}

func TestUseAfterCloseIsAnError(t *testing.T) {
	f := open(t, t.TempDir())
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Push("k", 0, nil); err == nil {
		t.Error("Push gave no error")
	}
	if _, ok, _ := f.Pop("k"); ok {
		t.Error("Pop gave an item")
	}
}

func TestAKeyCostsLittleMemory(t *testing.T) {
	f := open(t, t.TempDir())
	defer f.Close()
	const n = 20_000
	item := []byte(strings.Repeat("x", 180))
	before := memorytest.LiveHeap()
	for i := range n {
		for range 9 {
			if err := f.Push(fmt.Sprintf("host-%d.example", i), 0, item); err != nil {
				t.Fatal(err)
			}
		}
	}
	if perKey := (memorytest.LiveHeap() - before) / n; perKey > 1024 {
		t.Errorf("%d bytes a key; want at most 1024", perKey)
	}
	runtime.KeepAlive(f)
}

func BenchmarkPushPop(b *testing.B) {
	for _, keys := range []int{1, 1000, 100_000} {
		b.Run(fmt.Sprint(keys), func(b *testing.B) {
			f, err := Open(b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			names := make([]string, keys)
			for i := range names {
				names[i] = fmt.Sprintf("host-%d.example", i)
			}
			item := bytes.Repeat([]byte("x"), 200)
			b.ReportAllocs()
			for i := range b.N {
				if err := f.Push(names[i%keys], 0, item); err != nil {
					b.Fatal(err)
				}
			}
			for i := range b.N {
				if _, ok, err := f.Pop(names[i%keys]); !ok || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
	}
}
