package lakeio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/ipc"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/harrowdata/harrow"
)

// bodies makes n rows.
func bodies(n int) (rows []harrow.Body) {
	for i := range n {
		rows = append(rows, harrow.Body{Digest: fmt.Sprint(i), Chunk: int32(i), Body: []byte(strings.Repeat(fmt.Sprint("body ", i), i%7))})
	}
	return rows
}

func TestPartsKeepTheirFigures(t *testing.T) {
	for _, codec := range []Codec{Zstd, LZ4} {
		s := openTemp(t)
		counters := map[string]int64{"requests": 7, "links.depth": 3}
		w, err := NewPart(t.Context(), s, "d/p.arrow", WithCounters(Bodies.Schema(), counters), codec)
		check(t, err)
		b := Bodies.NewBuilder()
		defer b.Release()
		raw := int64(0)
		for batch := range slices.Chunk(bodies(10), 4) {
			for _, r := range batch {
				b.Append(r)
			}
			rows := b.Batch()
			raw += BatchSize(rows)
			check(t, w.Write(rows))
			rows.Release()
		}
		none := b.Batch()
		check(t, w.Write(none)) // is no batch
		none.Release()
		if w.Rows() != 10 || w.Raw() != raw || w.URI() != "d/p.arrow" {
			t.Errorf("writer: %d rows, %d bytes, %s", w.Rows(), w.Raw(), w.URI())
		}
		part, err := w.Close()
		check(t, err)
		w.Abort() // does nothing now
		info, err := os.Stat(filepath.Join(s.Local(), "d", "p.arrow"))
		check(t, err)
		if want := (harrow.Part{Table: "bodies", URI: "d/p.arrow", Rows: 10, Bytes: info.Size(), Raw: raw}); part != want {
			t.Errorf("%+v, want %+v", part, want)
		}
		r, err := OpenPart(t.Context(), s, part.URI, "bodies")
		check(t, err)
		got, err := r.Counters()
		check(t, err)
		if r.Batches() != 3 || !maps.Equal(got, counters) {
			t.Errorf("%d batches, counters %v", r.Batches(), got)
		}
		for _, i := range []int{2, 0, 1, 2} { // in any order
			batch, err := r.Batch(i)
			check(t, err)
			if want := min(4, 10-4*i); batch.Rows() != want {
				t.Errorf("batch %d has %d rows, want %d", i, batch.Rows(), want)
			}
			batch.Release()
		}
		for _, i := range []int{-1, 3} {
			_, err := r.Batch(i)
			wants(t, err, nil, "d/p.arrow", fmt.Sprintf("batch %d wanted, has 3", i))
		}
		check(t, r.Close())
		back, counted, err := inspectPart(t.Context(), s, part.URI, "bodies")
		check(t, err)
		if back.Raw > part.Raw || back.Raw < part.Raw-50 { // a file has no bitmap where there are no nulls
			t.Errorf("inspected: %d bytes before compression, want about %d", back.Raw, part.Raw)
		}
		back.Raw = part.Raw
		if back != part || !maps.Equal(counted, counters) {
			t.Errorf("inspected: %+v, %v, want %+v", back, counted, part)
		}
	}
}

func TestSchemasWithoutCountersStayAsTheyAre(t *testing.T) {
	if WithCounters(Bodies.Schema(), nil) != Bodies.Schema() {
		t.Error("no counters made another schema")
	}
	s := openTemp(t)
	part := writeRows(t, s, "p.arrow", Bodies, nil, nil, Zstd)
	r, err := OpenPart(t.Context(), s, part.URI, "")
	check(t, err)
	defer r.Close()
	if counters, err := r.Counters(); counters != nil || err != nil || r.Batches() != 0 {
		t.Errorf("an empty part: %v, %v, %d batches", counters, err, r.Batches())
	}
}

// Other programs read parts too: arrow's own reader stands for them.
func TestPartsAreArrowFiles(t *testing.T) {
	s := openTemp(t)
	for _, rows := range [][]harrow.Body{nil, bodies(9)} {
		part := writeRows(t, s, "p.arrow", Bodies, rows, []bool{true, false, true}, Zstd)
		f, err := os.Open(filepath.Join(s.Local(), part.URI))
		check(t, err)
		r, err := ipc.NewFileReader(f)
		check(t, err)
		n := 0
		for i := range r.NumRecords() {
			rec, err := r.RecordAt(i)
			check(t, err)
			n += int(rec.NumRows())
			rec.Release()
		}
		if n != len(rows) || !r.Schema().Equal(Bodies.Schema()) {
			t.Errorf("arrow reads %d rows of %s", n, r.Schema())
		}
		check(t, f.Close())
		// And as a stream: it begins after the magic and ends by its marker.
		data, err := os.ReadFile(f.Name())
		check(t, err)
		stream, err := ipc.NewReader(strings.NewReader(string(data[8:])))
		check(t, err)
		n = 0
		for stream.Next() {
			n += int(stream.Record().NumRows())
		}
		if stream.Err() != nil || n != len(rows) {
			t.Errorf("as a stream: %d rows, %v", n, stream.Err())
		}
		stream.Release()
	}
}

// failingStore fails writes from the nth byte on, or closes.
type failingStore struct {
	Store
	room  int
	close error
}

type failingWriter struct {
	Writer
	s *failingStore
}

var errDisk = errors.New("disk is full")

func (s *failingStore) Writer(ctx context.Context, uri string) (Writer, error) {
	w, err := s.Store.Writer(ctx, uri)
	return &failingWriter{w, s}, err
}

func (w *failingWriter) Write(p []byte) (int, error) {
	if w.s.room -= len(p); w.s.room < 0 {
		return 0, errDisk
	}
	return w.Writer.Write(p)
}

func (w *failingWriter) Close() error {
	if w.s.close != nil {
		return w.s.close
	}
	return w.Writer.Close()
}

func TestPartsThatCouldNotBeWrittenLeaveNothing(t *testing.T) {
	b := Bodies.NewBuilder()
	defer b.Release()
	for _, r := range bodies(10) {
		b.Append(r)
	}
	batch := b.Batch()
	defer batch.Release()
	whole := openTemp(t)
	w, err := NewPart(t.Context(), whole, "d/p.arrow", Bodies.Schema(), Zstd)
	check(t, err)
	check(t, w.Write(batch))
	part, err := w.Close()
	check(t, err)
	rooms := []int64{part.Bytes}
	for room := int64(0); room < part.Bytes; room += 1 + room/9 {
		rooms = append(rooms, room)
	}
	for _, room := range rooms {
		s := &failingStore{Store: openTemp(t), room: int(room)}
		if room == part.Bytes {
			s.close = errDisk
		}
		w, err := NewPart(t.Context(), s, "d/p.arrow", Bodies.Schema(), LZ4)
		check(t, err)
		werr := w.Write(batch)
		got, err := w.Close()
		if err == nil || got != (harrow.Part{}) || werr != nil && !errors.Is(werr, errDisk) || werr == nil && !errors.Is(err, errDisk) {
			t.Fatalf("room for %d bytes: Write: %v, Close: %+v, %v", room, werr, got, err)
		}
		left, err := os.ReadDir(filepath.Join(s.Local(), "d"))
		check(t, err)
		if len(left) > 0 {
			t.Fatalf("room for %d bytes: left %v", room, left)
		}
	}
}

// oddRecord is a record that arrow's writer panics on.
type oddRecord struct{ arrow.Record }

func (oddRecord) NumRows() int64         { return 1 }
func (oddRecord) Columns() []arrow.Array { return nil }
func (oddRecord) Schema() *arrow.Schema  { panic("odd") }

func TestPartsThatArrowCannotWriteAreDropped(t *testing.T) {
	s := openTemp(t)
	for want, batch := range map[string]harrow.Batch{
		"odd":       harrow.NewBatch(oddRecord{}),
		"schema":    func() harrow.Batch { b := Links.NewBuilder(); b.Append(harrow.Link{}); return b.Batch() }(),
		"too large": hugeBatch(),
	} {
		schema := Bodies.Schema()
		if want == "too large" {
			schema = batch.Arrow().Schema()
		}
		w, err := NewPart(t.Context(), s, "d/p.arrow", schema, Zstd)
		check(t, err)
		err = w.Write(batch)
		wants(t, err, nil, "d/p.arrow", want)
		if errors.Is(err, ErrCorrupt) {
			t.Errorf("%v: nothing is corrupt", err)
		}
		_, err = w.Close()
		wants(t, err, nil, "d/p.arrow", "write that failed")
		w.Abort()
		if names, _ := os.ReadDir(filepath.Join(s.Local(), "d")); len(names) > 0 {
			t.Errorf("left %v", names)
		}
	}
	_, err := NewPart(t.Context(), s, "d/p.arrow", arrow.NewSchema(nil, nil), Zstd)
	wants(t, err, nil, "d/p.arrow", "harrow.table")
}

// hugeBatch claims more than 2 GiB: its columns share their bytes.
func hugeBatch() harrow.Batch {
	b := array.NewBinaryBuilder(memory.DefaultAllocator, arrow.BinaryTypes.LargeBinary)
	b.Append(make([]byte, 64<<20))
	a := b.NewArray()
	var fields []arrow.Field
	var cols []arrow.Array
	for i := range 40 {
		fields, cols = append(fields, arrow.Field{Name: fmt.Sprint(i), Type: a.DataType()}), append(cols, a)
	}
	return harrow.NewBatch(array.NewRecord(withMeta(fields, "records/huge", 1), cols, 1))
}

func TestReadersStopWhenTheyAreTold(t *testing.T) {
	s := &countingStore{Store: openTemp(t)}
	part := writeRows(t, s, "p.arrow", Bodies, bodies(10), []bool{true, true, true, true}, LZ4)
	for range ReadRows(t.Context(), s, Bodies, part) {
		break
	}
	for _, err := range ReadBatches(t.Context(), s, part) {
		check(t, err)
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	rows := 0
	var last error
	for _, err := range ReadBatches(ctx, s, part) {
		if last = err; err == nil {
			rows++
		}
		cancel()
	}
	if rows != 1 || !errors.Is(last, context.Canceled) {
		t.Errorf("%d batches, then %v", rows, last)
	}
	if s.open != 0 {
		t.Errorf("%d files are still open", s.open)
	}
}

// countingStore counts open readers and may give other readers.
type countingStore struct {
	Store
	open int
	wrap func(Reader) Reader
}

type countingReader struct {
	Reader
	s *countingStore
}

func (s *countingStore) Open(ctx context.Context, uri string) (Reader, error) {
	r, err := s.Store.Open(ctx, uri)
	if err != nil {
		return nil, err
	}
	s.open++
	if s.wrap != nil {
		r = s.wrap(r)
	}
	return &countingReader{r, s}, nil
}

func (r *countingReader) Close() error {
	r.s.open--
	return r.Reader.Close()
}

func TestRowsAreRecounted(t *testing.T) {
	s := &countingStore{Store: openTemp(t)}
	part := writeRows(t, s, "p.arrow", Bodies, bodies(10), nil, LZ4)
	part.Rows++
	var last error
	for _, err := range ReadRows(t.Context(), s, Bodies, part) {
		last = err
	}
	wants(t, last, ErrCorrupt, "p.arrow", "has 10 rows, want 11")
	if s.open != 0 {
		t.Error("a file is still open")
	}
}

// flaky fails one read with an error of the disk, or ends early.
type flaky struct {
	Reader
	until int // reads that succeed
	err   error
}

func (r *flaky) ReadAt(p []byte, off int64) (int, error) {
	if r.until--; r.until < 0 {
		return len(p) / 2, r.err
	}
	return r.Reader.ReadAt(p, off)
}

// A read that failed may succeed the next time; a file that ends too early
// stays so.
func TestReadErrorsAreNotCorruption(t *testing.T) {
	for _, kind := range []error{errDisk, io.EOF, io.ErrUnexpectedEOF} {
		s := &countingStore{Store: openTemp(t)}
		part := writeRows(t, s, "p.arrow", Bodies, bodies(10), []bool{true, true}, LZ4)
		for n := range 4 { // the end of the file and three batches
			s.wrap = func(r Reader) Reader { return &flaky{r, n, kind} }
			var last error
			for _, err := range ReadBatches(t.Context(), s, part) {
				last = err
			}
			if errors.Is(kind, errDisk) {
				wants(t, last, errDisk, "p.arrow")
			}
			if errors.Is(last, ErrCorrupt) == errors.Is(kind, errDisk) {
				t.Errorf("read %d fails with %v: got %v", n, kind, last)
			}
		}
		s.wrap = nil
		for _, err := range ReadBatches(t.Context(), s, part) {
			check(t, err)
		}
		if s.open != 0 {
			t.Errorf("%d files are still open", s.open)
		}
	}
	_, err := OpenPart(t.Context(), openTemp(t), "none.arrow", "")
	wants(t, err, ErrNotFound, "none.arrow")
}
