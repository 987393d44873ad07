package lakeio

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/ipc"
)

// An Arrow file of ours has checksums between its last batch and its footer,
// where other readers don't look. Arrow v17 panics on damaged data, allocates
// what a file claims and takes many a flipped bit for data, so it gets to see
// only bytes whose checksum was right. See "Formats" in doc.go.

// section is what lies between the ends of two batches in a file.
type section struct {
	end int64  // offset after the batch
	sum uint32 // CRC-32C of the bytes since the end of the batch before
}

const (
	sumsMagic   = "HRW1"
	sumSize     = 16 // of a section: its end, its sum, zeros
	sumsEndSize = 16 // number of sections, sum of the sections, sum of footer and length, sumsMagic
	arrowEnd    = 10 // what follows the footer: its length and arrowMagic
	arrowMagic  = "ARROW1"
	// maxEnd bounds footer and checksums together: hundreds of thousands of
	// batches.
	maxEnd = 64 << 20
	// firstRead is enough for the end of nearly every file.
	firstRead = 16 << 10
)

var (
	castagnoli  = crc32.MakeTable(crc32.Castagnoli)
	endOfStream = []byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0} // see "IPC File Format" of the Arrow columnar format
)

func sumOf(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// fileWriter writes an Arrow file with checksums.
type fileWriter struct {
	ipc *ipc.FileWriter
	out *summer
}

func newFileWriter(w io.Writer, schema *arrow.Schema, codec Codec) (*fileWriter, error) {
	option := ipc.WithZstd()
	if codec == LZ4 {
		option = ipc.WithLZ4()
	}
	out := &summer{w: w}
	file, err := ipc.NewFileWriter(out, ipc.WithSchema(schema), option)
	if err != nil {
		return nil, err
	}
	if codec == Zstd {
		lendEncoder(file)
	}
	return &fileWriter{file, out}, nil
}

// giveBack returns the encoder; only a writer that never failed may.
func (w *fileWriter) giveBack(codec Codec) {
	if codec == Zstd {
		returnEncoder(w.ipc)
	}
}

func (w *fileWriter) write(rec arrow.Record) error {
	if err := w.ipc.Write(rec); err != nil {
		return err
	}
	w.out.cut()
	return nil
}

// close writes checksums and footer.
func (w *fileWriter) close() error {
	w.out.end = new(bytes.Buffer)
	if err := w.ipc.Close(); err != nil {
		return err
	}
	return w.out.close()
}

// summer is what arrow writes to. Arrow asks for a Seeker, but only ever asks
// it where it is.
type summer struct {
	w        io.Writer
	n        int64 // bytes so far
	sum      uint32
	sections []section
	end      *bytes.Buffer // takes all that follows the last batch
}

func (s *summer) Write(b []byte) (n int, err error) {
	if s.end != nil {
		n, err = s.end.Write(b)
	} else {
		n, err = s.w.Write(b)
		s.sum = crc32.Update(s.sum, castagnoli, b[:n])
	}
	s.n += int64(n)
	return n, err
}

func (s *summer) Seek(offset int64, whence int) (int64, error) {
	if offset != 0 || whence != io.SeekCurrent {
		return 0, errors.New("seek in a part being written")
	}
	return s.n, nil
}

// cut ends a section.
func (s *summer) cut() {
	s.sections = append(s.sections, section{s.n, s.sum})
	s.sum = 0
}

// close puts the checksums in front of the footer.
func (s *summer) close() error {
	data := s.end.Bytes() // in a file without batches also what is written first
	footer := len(data) - arrowEnd - int(binary.LittleEndian.Uint32(data[len(data)-arrowEnd:]))
	extra := slices.Concat(endOfStream, encodeSums(s.sections, data[footer:]))
	s.n += int64(len(extra))
	_, err := s.w.Write(slices.Concat(data[:footer], extra, data[footer:]))
	return err
}

func encodeSums(sections []section, footer []byte) []byte {
	var b []byte
	for _, s := range sections {
		b = binary.LittleEndian.AppendUint64(b, uint64(s.end))
		b = binary.LittleEndian.AppendUint64(b, uint64(s.sum))
	}
	sum := sumOf(b)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(sections)))
	b = binary.LittleEndian.AppendUint32(b, sum)
	b = binary.LittleEndian.AppendUint32(b, sumOf(footer))
	return append(b, sumsMagic...)
}

// fileReader reads an Arrow file with checksums, batch by batch. Errors are
// wrapped with the URI; what is wrong with the file itself is ErrCorrupt, a
// read that failed is not: it may succeed the next time.
type fileReader struct {
	uri      string
	in       Reader
	ipc      *ipc.FileReader
	sections []section
	have     span // the verified section in memory
	end      span // the verified footer
}

// span is a piece of a file in memory.
type span struct {
	from int64
	data []byte
}

func (s span) readAt(p []byte, off int64) bool {
	ok := off >= s.from && off-s.from <= int64(len(s.data)-len(p))
	if ok {
		copy(p, s.data[off-s.from:])
	}
	return ok
}

// openFile reads the end of a file. in stays the caller's.
func openFile(uri string, in Reader) (r *fileReader, err error) {
	defer recovered(uri, &err)
	r = &fileReader{uri: uri, in: in}
	if err := r.readEnd(); err != nil {
		return nil, err
	}
	if r.ipc, err = ipc.NewFileReader(r); err != nil {
		return nil, r.corrupt("%v", err)
	}
	if n := r.ipc.NumRecords(); n != len(r.sections) {
		return nil, r.corrupt("%d batches, but checksums of %d", n, len(r.sections))
	}
	return r, nil
}

func (r *fileReader) corrupt(format string, args ...any) error {
	return fmt.Errorf("%s: %w: %s", r.uri, ErrCorrupt, fmt.Sprintf(format, args...))
}

// read fills p from an offset of the file.
func (r *fileReader) read(p []byte, off int64) error {
	n, err := r.in.ReadAt(p, off)
	switch {
	case n == len(p):
		return nil
	case err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return r.corrupt("ends at byte %d, want %d bytes", off+int64(n), r.in.Size())
	}
	return fmt.Errorf("%s: %w", r.uri, err)
}

// last returns the last n bytes of the file, of which have is a part already.
func (r *fileReader) last(have []byte, n int64) ([]byte, error) {
	if n <= int64(len(have)) {
		return have, nil
	}
	if n > min(r.in.Size(), maxEnd) {
		return nil, r.corrupt("its end claims %d of %d bytes", n, r.in.Size())
	}
	data := make([]byte, n)
	return data, r.read(data, r.in.Size()-n)
}

// readEnd reads and verifies the checksums and the footer.
func (r *fileReader) readEnd() error {
	size := r.in.Size()
	data, err := r.last(nil, min(size, firstRead))
	if err != nil {
		return err
	}
	if len(data) < arrowEnd || string(data[len(data)-len(arrowMagic):]) != arrowMagic {
		return r.corrupt("want an Arrow IPC file with its footer")
	}
	need := arrowEnd + int64(binary.LittleEndian.Uint32(data[len(data)-arrowEnd:]))
	foot := need
	need += sumsEndSize
	if data, err = r.last(data, need); err != nil {
		return err
	}
	head := data[int64(len(data))-need:][:sumsEndSize]
	if string(head[12:]) != sumsMagic {
		return r.corrupt("has no checksums in front of its footer: not written by Harrow")
	}
	sumsAt := sumSize * int64(binary.LittleEndian.Uint32(head))
	need += sumsAt
	if data, err = r.last(data, need); err != nil {
		return err
	}
	data = data[int64(len(data))-need:]
	sums, head, footer := data[:sumsAt], data[sumsAt:][:sumsEndSize], data[need-foot:]
	if sumOf(sums) != binary.LittleEndian.Uint32(head[4:]) || sumOf(footer) != binary.LittleEndian.Uint32(head[8:]) {
		return r.corrupt("the checksum of its footer is wrong")
	}
	r.end = span{size - foot, footer}
	return r.decodeSums(sums, size-need)
}

// decodeSums takes verified checksums; all sections end before limit.
func (r *fileReader) decodeSums(b []byte, limit int64) error {
	from := int64(0)
	for ; len(b) > 0; b = b[sumSize:] {
		s := section{int64(binary.LittleEndian.Uint64(b)), uint32(binary.LittleEndian.Uint64(b[8:]))}
		if s.end <= from || s.end > limit {
			return r.corrupt("a batch ends at byte %d, want %d to %d", s.end, from+1, limit)
		}
		r.sections, from = append(r.sections, s), s.end
	}
	return nil
}

// batch reads, verifies and decodes batch i.
func (r *fileReader) batch(i int) (rec arrow.Record, err error) {
	defer recovered(r.uri, &err)
	if i < 0 || i >= len(r.sections) {
		return nil, fmt.Errorf("%s: batch %d wanted, has %d", r.uri, i, len(r.sections))
	}
	if err := r.load(i); err != nil {
		return nil, err
	}
	if rec, err = r.ipc.RecordAt(i); err != nil {
		return nil, r.corrupt("batch %d: %v", i, err)
	}
	return rec, nil
}

// load brings a section into memory; arrow copies out of it.
func (r *fileReader) load(i int) error {
	from := int64(0)
	if i > 0 {
		from = r.sections[i-1].end
	}
	n := int(r.sections[i].end - from)
	data := slices.Grow(r.have.data[:0], n)[:n]
	r.have = span{} // not verified
	if err := r.read(data, from); err != nil {
		return err
	}
	if sumOf(data) != r.sections[i].sum {
		return r.corrupt("the checksum of batch %d is wrong", i)
	}
	r.have = span{from, data}
	return nil
}

func (r *fileReader) close() error { return r.ipc.Close() }

// ReadAt lets arrow read what was verified.
func (r *fileReader) ReadAt(p []byte, off int64) (int, error) {
	if r.have.readAt(p, off) || r.end.readAt(p, off) {
		return len(p), nil
	}
	return 0, fmt.Errorf("%d bytes at %d are outside of its batch", len(p), off)
}

// Seek tells arrow the size.
func (r *fileReader) Seek(offset int64, whence int) (int64, error) {
	if offset != 0 || whence != io.SeekEnd {
		return 0, errors.New("seek in a part being read")
	}
	return r.in.Size(), nil
}

// Read is never called: arrow reads at offsets.
func (r *fileReader) Read([]byte) (int, error) { return 0, errors.New("a part is read at offsets") }

// recovered turns a panic of arrow's reader into an error that names the
// file.
func recovered(uri string, err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%s: %w: %v", uri, ErrCorrupt, p)
	}
}
