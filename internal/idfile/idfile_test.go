package idfile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/harrowdata/harrow"
)

func compare(a, b harrow.ID) int { return bytes.Compare(a[:], b[:]) }

func write(t interface{ Fatal(...any) }, dir string, values map[harrow.ID][]byte) *File {
	w, err := Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range slices.SortedFunc(maps.Keys(values), compare) {
		if err := w.Add(id, values[id]); err != nil {
			t.Fatal(err)
		}
	}
	f, err := w.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestAnyValueIsFoundByItsIDAndNoOther(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.Custom(func(t *rapid.T) (id harrow.ID) {
			id[0], id[15] = rapid.Byte().Draw(t, "first"), rapid.Byte().Draw(t, "last") // near each other
			return id
		})
		sizes := rapid.SampledFrom([]int{0, 1, 127, 128, 5000, blockBytes, 3 * blockBytes})
		values := map[harrow.ID][]byte{}
		for range rapid.IntRange(0, 30).Draw(t, "ids") {
			i := id.Draw(t, "id")
			values[i] = bytes.Repeat(i[:1], sizes.Draw(t, "size"))
		}
		f := write(t, dir, values)
		for range 20 {
			i := id.Draw(t, "asked")
			want, known := values[i]
			got, ok, err := f.Get(i)
			if err != nil || ok != known || !bytes.Equal(got, want) {
				t.Fatalf("%s: %d bytes, %v, %v; want %d, %v", i, len(got), ok, err, len(want), known)
			}
		}
		for i, want := range values {
			if got, ok, err := f.Get(i); err != nil || !ok || !bytes.Equal(got, want) {
				t.Fatalf("%s: %d bytes, %v, %v; want %d", i, len(got), ok, err, len(want))
			}
		}
		if f.Len() != int64(len(values)) {
			t.Fatalf("%d ids, want %d", f.Len(), len(values))
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	})
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("the folder still has %v, %v", left, err)
	}
}

func TestIDsOutOfOrderAreRefused(t *testing.T) {
	w, err := Create(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Add(harrow.ID{2}, nil); err != nil {
		t.Fatal(err)
	}
	for _, id := range []harrow.ID{{1}, {2}} {
		if err := w.Add(id, nil); err == nil {
			t.Errorf("%s was taken after %s", id, harrow.ID{2})
		}
	}
	if err := w.Add(harrow.ID{3}, make([]byte, maxBlock)); err == nil {
		t.Error("a value that no block holds was taken")
	}
	if err := w.Abort(); err != nil {
		t.Error(err)
	}
}

func TestADamagedBlockIsAnErrorNotAValue(t *testing.T) {
	values := map[harrow.ID][]byte{}
	for i := range byte(200) {
		values[harrow.ID{i}] = fmt.Appendf(nil, "value %d %0300d", i, i)
	}
	for _, damage := range []func(f *File) error{
		func(f *File) error { _, err := f.file.WriteAt([]byte{0xff, 0xff, 0xff}, f.Bytes()/2); return err },
		func(f *File) error { return f.file.Truncate(10) },
	} {
		f := write(t, t.TempDir(), values)
		if err := damage(f); err != nil {
			t.Fatal(err)
		}
		failed := 0
		for id, want := range values {
			got, ok, err := f.Get(id)
			if err != nil {
				failed++
			} else if !ok || !bytes.Equal(got, want) {
				t.Errorf("%s is %q", id, got)
			}
		}
		if failed == 0 {
			t.Error("no damage was found")
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestManyMayReadAtOnce(t *testing.T) {
	values := map[harrow.ID][]byte{}
	for i := range 2000 {
		var id harrow.ID
		binary.BigEndian.PutUint64(id[:], uint64(i)*0x9e3779b97f4a7c15)
		values[id] = fmt.Appendf(nil, "%0200d", i)
	}
	f := write(t, t.TempDir(), values)
	var readers sync.WaitGroup
	for range 8 {
		readers.Go(func() {
			for id, want := range values {
				if got, ok, err := f.Get(id); err != nil || !ok || !bytes.Equal(got, want) {
					t.Errorf("%s: %q, %v, %v", id, got, ok, err)
					return
				}
			}
		})
	}
	readers.Wait()
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}
