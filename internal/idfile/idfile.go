// Package idfile gives bytes for an id out of a file on the local disk that is
// written once, in ascending order of ids, and then only read, at random. In
// memory are 24 bytes for each block of about 16 KiB before compression. It is
// how a fetching process looks up what earlier runs know of a request.
//
// The file is unlinked as soon as it is made: however the process ends, nothing
// stays behind.
package idfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sort"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/scratch"
)

const (
	// blockBytes is about the size of a block before compression: a lookup
	// decompresses one. A block ends with the value that reaches it.
	blockBytes = 16 << 10
	// maxBlock bounds what a block may claim to be.
	maxBlock = 64 << 20
	idSize   = len(harrow.ID{})
)

// A block is a zstd frame of entries: id, length of the value (uvarint), value.
// zstd's own checksum guards it.

// Writer makes a File. It belongs to one goroutine.
type Writer struct {
	file  *File
	enc   *zstd.Encoder
	block []byte
	out   []byte
	last  harrow.ID
}

// Create starts a file in a folder; empty: the default temporary folder.
func Create(dir string) (*Writer, error) {
	f, err := scratch.File(dir, "harrow-ids")
	if err != nil {
		return nil, fmt.Errorf("file of ids: %w", err)
	}
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(64<<10))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("file of ids: %w", err), f.Close())
	}
	return &Writer{file: &File{file: f, at: []int64{0}}, enc: enc}, nil
}

// Add appends an id that is greater than all before it.
func (w *Writer) Add(id harrow.ID, value []byte) error {
	if w.file.count > 0 && bytes.Compare(id[:], w.last[:]) <= 0 {
		return fmt.Errorf("file of ids: %s comes after %s", id, w.last)
	}
	if len(value) > maxBlock/2 {
		return fmt.Errorf("file of ids: the value of %s has %d bytes; want at most %d", id, len(value), maxBlock/2)
	}
	if len(w.block) == 0 {
		w.file.first = append(w.file.first, id)
	}
	w.block = append(w.block, id[:]...)
	w.block = binary.AppendUvarint(w.block, uint64(len(value)))
	w.block = append(w.block, value...)
	w.last = id
	w.file.count++
	if len(w.block) >= blockBytes {
		return w.flush()
	}
	return nil
}

func (w *Writer) flush() error {
	if len(w.block) == 0 {
		return nil
	}
	w.out = w.enc.EncodeAll(w.block, w.out[:0])
	at := w.file.at[len(w.file.at)-1]
	if _, err := w.file.file.WriteAt(w.out, at); err != nil {
		return fmt.Errorf("file of ids: %w", err)
	}
	w.file.at = append(w.file.at, at+int64(len(w.out)))
	w.block = w.block[:0]
	return nil
}

// Finish returns the file, to be read and closed. After an error there is
// none.
func (w *Writer) Finish() (*File, error) {
	err := w.flush()
	if err == nil {
		w.file.dec, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(runtime.GOMAXPROCS(0)), zstd.WithDecoderMaxMemory(maxBlock))
	}
	if err != nil {
		return nil, errors.Join(err, w.Abort())
	}
	return w.file, w.enc.Close()
}

// Abort drops what was written.
func (w *Writer) Abort() error { return errors.Join(w.enc.Close(), w.file.Close()) }

// File is read by several goroutines at once.
type File struct {
	file    *os.File
	first   []harrow.ID // of each block
	at      []int64     // where each block begins; then the end of the file
	count   int64
	dec     *zstd.Decoder
	buffers sync.Pool // *buffer
}

type buffer struct{ packed, block []byte }

// Len is the number of ids.
func (f *File) Len() int64 { return f.count }

// Bytes is the size of the file.
func (f *File) Bytes() int64 { return f.at[len(f.at)-1] }

// Get returns a copy of an id's value; ok is false where the id is not there.
func (f *File) Get(id harrow.ID) (value []byte, ok bool, err error) {
	n := sort.Search(len(f.first), func(i int) bool { return bytes.Compare(f.first[i][:], id[:]) > 0 }) - 1
	if n < 0 {
		return nil, false, nil
	}
	b, _ := f.buffers.Get().(*buffer)
	if b == nil {
		b = &buffer{}
	}
	defer f.buffers.Put(b)
	if err := f.read(n, b); err != nil {
		return nil, false, err
	}
	for block := b.block; len(block) > 0; {
		if len(block) < idSize {
			return nil, false, f.corrupt(n)
		}
		size, used := binary.Uvarint(block[idSize:])
		from := idSize + used
		if used <= 0 || size > uint64(len(block)-from) {
			return nil, false, f.corrupt(n)
		}
		switch bytes.Compare(block[:idSize], id[:]) {
		case 0:
			return bytes.Clone(block[from : from+int(size)]), true, nil
		case 1:
			return nil, false, nil
		}
		block = block[from+int(size):]
	}
	return nil, false, nil
}

// read fills b.block with the nth block.
func (f *File) read(n int, b *buffer) (err error) {
	size := int(f.at[n+1] - f.at[n])
	if cap(b.packed) < size {
		b.packed = make([]byte, size)
	}
	b.packed = b.packed[:size]
	if _, err := f.file.ReadAt(b.packed, f.at[n]); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("file of ids: %w", err)
	}
	if b.block, err = f.dec.DecodeAll(b.packed, b.block[:0]); err != nil {
		return fmt.Errorf("%w: %w", f.corrupt(n), err)
	}
	return nil
}

func (f *File) corrupt(n int) error { return fmt.Errorf("file of ids: block %d is corrupt", n) }

// Close frees the file; nobody may be reading it.
func (f *File) Close() error {
	if f.dec != nil {
		f.dec.Close()
	}
	if err := f.file.Close(); err != nil {
		return fmt.Errorf("file of ids: %w", err)
	}
	return nil
}
