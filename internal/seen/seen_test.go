package seen

import (
	"crypto/sha256"
	"encoding/binary"
	"os"
	"testing"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/memory"
	"pgregory.net/rapid"
)

// tiny is a set whose map holds 20 ids at most.
func tiny(dir string) (*Set, *memory.Share) {
	share := memory.NewShare("seen", 32*idBytes)
	s := New(share, dir)
	s.floor = 4
	return s, share
}

func number(n int) harrow.ID {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n)))
	return harrow.ID(sum[:16])
}

func TestSetBehavesLikeAMap(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		s, share := tiny(dir)
		model := map[harrow.ID]bool{}
		small := rapid.Bool().Draw(t, "small")
		for _, n := range rapid.SliceOfN(rapid.IntRange(0, 800), 0, 1500).Draw(t, "ids") {
			id := number(n)
			if small { // many neighbours, and the zero id
				id = harrow.ID{14: byte(n >> 8), 15: byte(n)}
			}
			if has, err := s.Has(id); err != nil || has != model[id] {
				t.Fatalf("Has: %v, %v; want %v", has, err, model[id])
			}
			if added, err := s.Add(id); err != nil || added == model[id] {
				t.Fatalf("Add: %v, %v; want %v", added, err, !model[id])
			}
			model[id] = true
			if s.Len() != int64(len(model)) {
				t.Fatalf("Len is %d; want %d", s.Len(), len(model))
			}
		}
		for id := range model {
			if has, err := s.Has(id); err != nil || !has {
				t.Fatalf("an id got lost: %v, %v", has, err)
			}
		}
		if err := s.Close(); err != nil || share.Used() != 0 {
			t.Fatalf("Close: %v, %d bytes still held", err, share.Used())
		}
	})
}

func TestRunsStayFewAndNoFileIsLeft(t *testing.T) {
	dir := t.TempDir()
	s, share := tiny(dir)
	const n = 40_000
	for i := range n {
		if added, err := s.Add(number(i)); err != nil || !added {
			t.Fatal(i, added, err)
		}
		if share.Used() > share.Size()/2 {
			t.Fatalf("one set holds %d of %d bytes", share.Used(), share.Size())
		}
	}
	// 2,000 spills of 20: six tiers of at most three runs.
	if len(s.runs) > 18 {
		t.Errorf("%d runs for %d ids", len(s.runs), n)
	}
	if files, _ := os.ReadDir(dir); len(files) != 0 {
		t.Errorf("%d files are linked in the spill folder", len(files))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Add(number(0)); err == nil {
		t.Error("Add after Close gave no error")
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestASpentShareDoesNotStopASet(t *testing.T) {
	share := memory.NewShare("seen", 1<<16)
	if !share.TryAcquire(share.Size()) {
		t.Fatal("share is not free")
	}
	s := New(share, t.TempDir())
	defer s.Close()
	for i := range 3 * floorIDs {
		if added, err := s.Add(number(i)); err != nil || !added {
			t.Fatal(i, added, err)
		}
	}
	if len(s.recent) > floorIDs {
		t.Errorf("%d ids in memory; want at most %d", len(s.recent), floorIDs)
	}
}

func TestCorruptPagesAreErrors(t *testing.T) {
	tests := map[string]func(*os.File) error{
		"flipped bit":     func(f *os.File) error { _, err := f.WriteAt([]byte{0xff}, 40); return err },
		"wrong count":     func(f *os.File) error { _, err := f.WriteAt([]byte{0x0f}, trailer); return err },
		"cut off":         func(f *os.File) error { return f.Truncate(100) },
		"zeroed":          func(f *os.File) error { _, err := f.WriteAt(make([]byte, pageSize), 0); return err },
		"pages exchanged": swapPages,
	}
	for name, damage := range tests {
		t.Run(name, func(t *testing.T) {
			w, err := newWriter(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			for i := range 2 * idsPerPage {
				if err := w.add(harrow.ID{14: byte(i >> 8), 15: byte(i)}); err != nil {
					t.Fatal(err)
				}
			}
			r, err := w.finish()
			if err != nil {
				t.Fatal(err)
			}
			defer r.close()
			if has, err := r.has(harrow.ID{15: 3}); err != nil || !has {
				t.Fatal(has, err)
			}
			if err := damage(r.file); err != nil {
				t.Fatal(err)
			}
			if has, err := r.has(harrow.ID{15: 3}); err == nil {
				t.Errorf("has gave %v and no error", has)
			}
		})
	}
}

func swapPages(f *os.File) error {
	page := make([]byte, pageSize)
	if _, err := f.ReadAt(page, pageSize); err != nil {
		return err
	}
	_, err := f.WriteAt(page, 0)
	return err
}

func TestADiskFaultLeavesTheSetAsItWas(t *testing.T) {
	dir := t.TempDir()
	s, _ := tiny(dir)
	defer s.Close()
	s.dir = dir + "/missing"
	var failed int
	for i := range 30 {
		added, err := s.Add(number(i))
		if (err == nil) != added {
			t.Fatal(added, err)
		}
		if err != nil {
			failed++
		}
	}
	before := s.Len()
	if failed == 0 || before+int64(failed) != 30 {
		t.Fatalf("%d in the set, %d failed", before, failed)
	}
	s.dir = dir // the disk is back
	for i := range 30 {
		if _, err := s.Add(number(i)); err != nil {
			t.Fatal(err)
		}
	}
	if s.Len() != 30 {
		t.Errorf("%d in the set; want 30", s.Len())
	}
}

func BenchmarkAddMillion(b *testing.B) {
	ids := make([]harrow.ID, 1_000_000)
	for i := range ids {
		ids[i] = number(i)
	}
	for name, size := range map[string]int64{"memory": 256 << 20, "spill-16MiB": 16 << 20} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s := New(memory.NewShare("seen", size), b.TempDir())
				for _, id := range ids {
					if _, err := s.Add(id); err != nil {
						b.Fatal(err)
					}
				}
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(ids)), "ns/id")
		})
	}
}
