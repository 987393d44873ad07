package frontier

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/bits"
	"os"

	"github.com/harrowdata/harrow/internal/scratch"
)

// The file is an array of chunks, each as long as its size class. A chunk is,
// little-endian, its header and then the items one after the other:
//
//	header  pos int64 · used uint32 · items uint16 · 0 uint16 · crc uint32
//	item    length uint32 · crc uint32 · bytes
//
// pos, used and items say where the next chunk of the chain lies and what is
// in it; they are written when there is a next one. In a freed chunk pos is
// the next free one of the class, or noChunk. Sums are CRC-32C, of the fields
// before it or of the item. The file lives as long as the process: it has no
// version.
const (
	headerSize = 20
	itemHeader = 8
	noChunk    = -1
	// freeInMemory is how many free chunks of a class are remembered; the
	// others are a list in the file.
	freeInMemory = 1024
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ref says where a chunk is, how many bytes of it are used and by how many
// items. The zero ref is no chunk.
type ref struct {
	pos   int64
	used  uint32
	items uint16
}

// freeList holds the free chunks of one class: the latest in memory, the
// others in the file.
type freeList struct {
	recent []int64
	older  int64
}

type store struct {
	file  *os.File
	end   int64
	lists map[uint32]*freeList
	buf   []byte // of the last read or write
}

func openStore(dir string) (*store, error) {
	f, err := scratch.File(dir, "harrow-frontier")
	if err != nil {
		return nil, fmt.Errorf("frontier: making its file: %w", err)
	}
	return &store{file: f, lists: map[uint32]*freeList{}}, nil
}

func (s *store) fault(doing string, err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("frontier: %s %s: %w", doing, s.file.Name(), err)
}

func (s *store) corrupt(pos int64) error {
	return fmt.Errorf("frontier: the chunk at %d of %s is corrupt", pos, s.file.Name())
}

func (s *store) close() error {
	if err := s.file.Close(); err != nil {
		return s.fault("closing", err)
	}
	return nil
}

// class rounds a chunk's size up: four classes in each power of two, from 256
// bytes on, so at most a fifth of a chunk is waste.
func class(size uint32) uint32 {
	if size <= 256 {
		return 256
	}
	step := uint32(1) << (bits.Len32(size-1) - 3)
	return (size + step - 1) / step * step
}

// put writes a chunk of encoded items.
func (s *store) put(items []byte, n uint16) (ref, error) {
	r := ref{used: uint32(headerSize + len(items)), items: n}
	pos, err := s.alloc(class(r.used))
	if err != nil {
		return ref{}, err
	}
	r.pos = pos
	s.buf = append(s.grow(headerSize)[:headerSize], items...)
	clear(s.buf[:headerSize])
	if _, err := s.file.WriteAt(s.buf, pos); err != nil {
		return ref{}, s.fault("writing", err)
	}
	return r, nil
}

// grow returns the buffer with room for n bytes. A buffer that an item of
// unusual size has blown up is not kept.
func (s *store) grow(n int) []byte {
	if cap(s.buf) < n || cap(s.buf) > 64<<10 && n <= 64<<10 {
		s.buf = make([]byte, max(n, 1024))
	}
	return s.buf[:n]
}

// alloc finds room for a chunk: a free one, or at the end of the file.
func (s *store) alloc(size uint32) (int64, error) {
	if l := s.lists[size]; l != nil {
		if n := len(l.recent); n > 0 {
			pos := l.recent[n-1]
			l.recent = l.recent[:n-1]
			return pos, nil
		}
		if l.older != noChunk {
			pos := l.older
			r, err := s.next(ref{pos: pos})
			if err != nil {
				return 0, err
			}
			l.older = r.pos
			return pos, nil
		}
	}
	pos := s.end
	s.end += int64(size)
	return pos, nil
}

// free gives a chunk back.
func (s *store) free(r ref) error {
	size := class(r.used)
	l := s.lists[size]
	if l == nil {
		l = &freeList{older: noChunk}
		s.lists[size] = l
	}
	if len(l.recent) < freeInMemory {
		l.recent = append(l.recent, r.pos)
		return nil
	}
	if err := s.link(r.pos, ref{pos: l.older}); err != nil {
		return err
	}
	l.older = r.pos
	return nil
}

// link writes what comes after the chunk at pos.
func (s *store) link(pos int64, next ref) error {
	b := s.grow(headerSize)[:0]
	b = binary.LittleEndian.AppendUint64(b, uint64(next.pos))
	b = binary.LittleEndian.AppendUint32(b, next.used)
	b = binary.LittleEndian.AppendUint32(b, uint32(next.items))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
	if _, err := s.file.WriteAt(b, pos); err != nil {
		return s.fault("writing", err)
	}
	return nil
}

// next reads what comes after a chunk that has been linked.
func (s *store) next(r ref) (ref, error) {
	b := s.grow(headerSize)
	if _, err := s.file.ReadAt(b, r.pos); err != nil {
		return ref{}, s.fault("reading", err)
	}
	le := binary.LittleEndian
	n := ref{pos: int64(le.Uint64(b)), used: le.Uint32(b[8:]), items: le.Uint16(b[12:])}
	if crc32.Checksum(b[:16], castagnoli) != le.Uint32(b[16:]) || n.pos != noChunk && (n.pos < 0 || n.pos >= s.end) {
		return ref{}, s.corrupt(r.pos)
	}
	return n, nil
}

// item reads one item with one read: what is left of its chunk. A chunk is
// either at most 768 bytes or a single item.
func (s *store) item(r ref, off uint32) (item []byte, n int, err error) {
	b := s.grow(int(r.used - off))
	if _, err := s.file.ReadAt(b, r.pos+int64(off)); err != nil {
		return nil, 0, s.fault("reading", err)
	}
	if item, n, err = decode(b); err != nil {
		return nil, 0, s.corrupt(r.pos)
	}
	return item, n, nil
}

// reset empties the file.
func (s *store) reset() error {
	if s.end == 0 {
		return nil
	}
	if err := s.file.Truncate(0); err != nil {
		return s.fault("emptying", err)
	}
	s.end = 0
	clear(s.lists)
	return nil
}

func encode(b, item []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(len(item)))
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(item, castagnoli))
	return append(b, item...)
}

// decode returns a copy of the first item and its encoded length.
func decode(b []byte) (item []byte, n int, err error) {
	if len(b) < itemHeader {
		return nil, 0, errors.New("frontier: an item is cut off")
	}
	size, sum := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:])
	if size > MaxItem || int(size) > len(b)-itemHeader {
		return nil, 0, errors.New("frontier: an item is cut off")
	}
	item = append(make([]byte, 0, size), b[itemHeader:itemHeader+size]...)
	if crc32.Checksum(item, castagnoli) != sum {
		return nil, 0, errors.New("frontier: an item is corrupt")
	}
	return item, itemHeader + int(size), nil
}
