package lakeio

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/ipc"

	"github.com/harrowdata/harrow"
)

// memFile is a file in memory; its Store has no other.
type memFile struct {
	Store
	data []byte
}

type memReader struct{ *bytes.Reader }

func (memReader) Close() error { return nil }

func (f memFile) Open(context.Context, string) (Reader, error) {
	return memReader{bytes.NewReader(f.data)}, nil
}

// contents is all that a reader sees of a part.
func contents(ctx context.Context, data []byte, table string) (rows []string, err error) {
	r, err := OpenPart(ctx, memFile{data: data}, "dir/x.arrow", table)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	rows = append(rows, r.Schema().String())
	for i := range r.Batches() {
		b, err := r.Batch(i)
		if err != nil {
			return nil, err
		}
		for row := range b.Rows() {
			rows = append(rows, string(AppendJSON(nil, b, row, nil)))
		}
		b.Release()
	}
	return rows, nil
}

func partBytes[R any](t *testing.T, table *Table[R], rows []R, cuts []bool, codec Codec) []byte {
	t.Helper()
	s := openTemp(t)
	part := writeRows(t, s, "p.arrow", table, rows, cuts, codec)
	data, err := os.ReadFile(filepath.Join(s.Local(), part.URI))
	check(t, err)
	return data
}

func capturesForTests() []harrow.Capture {
	return []harrow.Capture{
		{ID: harrow.ID{1}, URL: "http://a.example/1", Status: 200, Outcome: harrow.Fetched, Headers: []harrow.Header{{Name: "A", Value: "b"}}},
		{ID: harrow.ID{2}, URL: "http://a.example/2", Class: harrow.Permanent, Truncated: true},
		{ID: harrow.ID{3}, URL: "http://b.example/", BodyRow: 7, Headers: []harrow.Header{{Name: "C", Value: "d"}, {Name: "E", Value: "f"}}},
	}
}

// allocated is what fn allocates.
func allocated(fn func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	fn()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// damage reads a damaged part: it is an error that names the file or the same
// data, and it takes no more memory than the sound part.
func damage(t *testing.T, what string, at int, data []byte, want []string, most uint64) {
	t.Helper()
	var got []string
	var err error
	if n := allocated(func() { got, err = contents(t.Context(), data, "") }); n > most {
		t.Errorf("%s %d: reading it allocated %d bytes, want at most %d", what, at, n, most)
	}
	switch {
	case err == nil && strings.Join(got, "\n") != strings.Join(want, "\n"):
		t.Errorf("%s %d: other data", what, at)
	case err != nil && (!errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "dir/x.arrow")):
		t.Errorf("%s %d: %v; want one that is ErrCorrupt and names the file", what, at, err)
	}
}

func TestEveryFlippedByteIsFoundOrHarmless(t *testing.T) {
	flipped(t, partBytes(t, Bodies, bodies(5), []bool{true}, LZ4), 1, 0x01, 0x80, 0xff)
	flipped(t, partBytes(t, Captures, capturesForTests(), []bool{true}, LZ4), 11, 0x01)
}

// flipped damages a part at every step'th byte.
func flipped(t *testing.T, data []byte, step int, flips ...byte) {
	t.Helper()
	want, err := contents(t.Context(), data, "")
	check(t, err)
	most := 2*allocated(func() { _, _ = contents(t.Context(), data, "") }) + 1<<20 // pools of codecs come and go
	for _, flip := range flips {
		for i := 0; i < len(data); i += step {
			bad := bytes.Clone(data)
			bad[i] ^= flip
			damage(t, "byte", i, bad, want, most)
		}
	}
}

func TestEveryPrefixIsRefused(t *testing.T) {
	data := partBytes(t, Captures, capturesForTests(), []bool{true}, LZ4)
	for n := range data {
		_, err := contents(t.Context(), data[:n], "")
		wants(t, err, ErrCorrupt, "dir/x.arrow")
	}
	want, err := contents(t.Context(), data, "")
	check(t, err)
	for _, tail := range [][]byte{{0}, []byte(arrowMagic), data, data[len(data)-30:]} {
		damage(t, "longer by", len(tail), append(bytes.Clone(data), tail...), want, 1<<22)
	}
}

func TestRandomDamageIsFoundOrHarmless(t *testing.T) {
	data := partBytes(t, Bodies, bodies(3000), []bool{true, false, true}, Zstd)
	want, err := contents(t.Context(), data, "bodies")
	check(t, err)
	most := 2*allocated(func() { _, _ = contents(t.Context(), data, "") }) + 1<<20
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range 300 {
		bad := bytes.Clone(data)
		for range 1 + rnd.IntN(4) {
			at := rnd.IntN(len(bad))
			n := min(1+rnd.IntN(8), len(bad)-at)
			for j := range bad[at : at+n] {
				bad[at+j] = byte(rnd.Uint32())
			}
		}
		damage(t, "trial", i, bad, want, most)
	}
}

// The end of a file says how much to read: it can't say too much.
func TestLengthsInTheEndAreBounded(t *testing.T) {
	data := partBytes(t, Captures, capturesForTests(), nil, LZ4)
	footer := len(data) - arrowEnd
	sums := footer - int(binary.LittleEndian.Uint32(data[footer:])) - sumsEndSize
	for _, at := range []int{footer, sums} {
		for _, n := range []uint32{0, 1, 1 << 10, 1 << 20, 1 << 26, 1 << 31, 1<<32 - 1} {
			bad := bytes.Clone(data)
			binary.LittleEndian.PutUint32(bad[at:], n)
			if n == 1 && at == sums {
				continue // is what it says
			}
			if used := allocated(func() {
				_, err := contents(t.Context(), bad, "")
				wants(t, err, ErrCorrupt, "dir/x.arrow")
			}); used > 1<<20 {
				t.Errorf("length %d at %d: allocated %d bytes", n, at, used)
			}
		}
	}
}

func TestForeignFilesAreRefused(t *testing.T) {
	arrowFile := func(s *arrow.Schema) []byte {
		var buf bytes.Buffer
		w, err := ipc.NewFileWriter(&summer{w: &buf}, ipc.WithSchema(s))
		check(t, err)
		check(t, w.Close())
		return buf.Bytes()
	}
	ours := func(s *arrow.Schema) []byte {
		var buf bytes.Buffer
		w, err := newFileWriter(&buf, s, LZ4)
		check(t, err)
		check(t, w.close())
		return buf.Bytes()
	}
	newer := withMeta(Captures.Schema().Fields(), "captures", 2)
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"PNG":           {append([]byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"), make([]byte, 5000)...), "want an Arrow IPC file"},
		"empty":         {nil, "want an Arrow IPC file"},
		"magic only":    {[]byte(arrowMagic), "want an Arrow IPC file"},
		"zeros":         {make([]byte, 100), "want an Arrow IPC file"},
		"Arrow":         {arrowFile(Captures.Schema()), "no checksums"},
		"other's Arrow": {arrowFile(arrow.NewSchema([]arrow.Field{{Name: "x", Type: arrow.PrimitiveTypes.Int8}}, nil)), "no checksums"},
		"no table":      {ours(arrow.NewSchema(nil, nil)), "no harrow.table"},
		"unknown table": {ours(withMeta(nil, "pictures", 1)), `table "pictures" is not known`},
		"other table":   {ours(Links.Schema()), "holds table links, want captures"},
		"newer":         {ours(newer), "captures has version 2, this release reads 1 to 1"},
	} {
		_, err := OpenPart(t.Context(), memFile{data: c.data}, "dir/"+name, "captures")
		wants(t, err, ErrCorrupt, "dir/"+name, c.want)
	}
}

func TestDamagedCountersAreNamed(t *testing.T) {
	m := Captures.Schema().Metadata()
	meta := arrow.NewMetadata(append(m.Keys(), metaCounters), append(m.Values(), "{nonsense"))
	s := openTemp(t)
	w, err := NewPart(t.Context(), s, "p.arrow", arrow.NewSchema(Captures.Schema().Fields(), &meta), LZ4)
	check(t, err)
	_, err = w.Close()
	check(t, err)
	_, _, err = inspectPart(t.Context(), s, "p.arrow", "captures")
	wants(t, err, ErrCorrupt, "p.arrow", "counters")
}

func FuzzOpenPart(f *testing.F) {
	f.Add([]byte(arrowMagic))
	f.Add(make([]byte, 64))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := contents(t.Context(), data, ""); err != nil && !errors.Is(err, ErrCorrupt) {
			t.Error(err)
		}
	})
}
