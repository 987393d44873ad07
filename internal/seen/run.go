package seen

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"slices"
	"sort"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/scratch"
)

// A run is a file of pages, each pageSize bytes: up to idsPerPage ids in
// ascending order, zero bytes up to offset 4080, then, little-endian, the
// number of ids (uint32), the number of the page (uint64) and the CRC-32C of
// all that comes before it (uint32). The file lives as long as the process: it
// has no header and no version.
const (
	pageSize   = 4096
	idSize     = 16
	idsPerPage = (pageSize - 16) / idSize
	trailer    = pageSize - 16
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// run is one sorted file. In memory it keeps the first id of each page, 1/255
// of the ids.
type run struct {
	file  *os.File
	name  string
	first []harrow.ID
	last  harrow.ID
	count int64
	tier  int // how often its ids have been merged
	page  []byte
}

func (r *run) close() error {
	if err := r.file.Close(); err != nil {
		return diskError("closing", r.name, err)
	}
	return nil
}

// has finds an id with one page read at most.
func (r *run) has(id harrow.ID) (bool, error) {
	n := sort.Search(len(r.first), func(i int) bool { return compare(r.first[i], id) > 0 }) - 1
	if n < 0 || compare(id, r.last) > 0 {
		return false, nil
	}
	if r.first[n] == id {
		return true, nil
	}
	count, err := r.read(n, r.page)
	if err != nil {
		return false, err
	}
	i := sort.Search(count, func(i int) bool { return compare(idAt(r.page, i), id) >= 0 })
	return i < count && idAt(r.page, i) == id, nil
}

// read fills page with the nth page and checks it; it returns the number of
// ids in it.
func (r *run) read(n int, page []byte) (int, error) {
	if _, err := r.file.ReadAt(page, int64(n)*pageSize); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, diskError("reading", r.name, err)
	}
	count := int(binary.LittleEndian.Uint32(page[trailer:]))
	switch {
	case crc32.Checksum(page[:pageSize-4], castagnoli) != binary.LittleEndian.Uint32(page[pageSize-4:]),
		binary.LittleEndian.Uint64(page[trailer+4:]) != uint64(n),
		count < 1 || count > idsPerPage,
		idAt(page, 0) != r.first[n]:
		return 0, fmt.Errorf("seen set: page %d of %s is corrupt", n, r.name)
	}
	return count, nil
}

func idAt(page []byte, i int) harrow.ID { return harrow.ID(page[i*idSize : (i+1)*idSize]) }

// writer makes a run out of ascending ids.
type writer struct {
	run   *run
	buf   []byte // whole pages, written writeBehind at a time
	inRow int    // ids in the page at the end of buf
	at    int64
}

const writeBehind = 64 * pageSize

func newWriter(dir string) (*writer, error) {
	f, err := scratch.File(dir, "harrow-seen")
	if err != nil {
		return nil, fmt.Errorf("seen set: making a run: %w", err)
	}
	return &writer{run: &run{file: f, name: f.Name(), page: make([]byte, pageSize)}}, nil
}

func (w *writer) add(id harrow.ID) error {
	if w.inRow == 0 {
		w.run.first = append(w.run.first, id)
	}
	w.buf = append(w.buf, id[:]...)
	w.run.last = id
	w.run.count++
	if w.inRow++; w.inRow == idsPerPage {
		return w.endPage()
	}
	return nil
}

// endPage pads and signs the page at the end of buf.
func (w *writer) endPage() error {
	start := len(w.buf) / pageSize * pageSize
	w.buf = append(w.buf, make([]byte, start+trailer-len(w.buf))...)
	w.buf = binary.LittleEndian.AppendUint32(w.buf, uint32(w.inRow))
	w.buf = binary.LittleEndian.AppendUint64(w.buf, uint64(len(w.run.first)-1))
	w.buf = binary.LittleEndian.AppendUint32(w.buf, crc32.Checksum(w.buf[start:], castagnoli))
	w.inRow = 0
	if len(w.buf) >= writeBehind {
		return w.flush()
	}
	return nil
}

func (w *writer) flush() error {
	n, err := w.run.file.WriteAt(w.buf, w.at)
	if err != nil {
		return diskError("writing", w.run.name, err)
	}
	w.at += int64(n)
	w.buf = w.buf[:0]
	return nil
}

// finish writes what is left and hands over the run.
func (w *writer) finish() (*run, error) {
	var err error
	if w.inRow > 0 {
		err = w.endPage()
	}
	if err == nil {
		err = w.flush()
	}
	if err != nil {
		return nil, errors.Join(err, w.abandon())
	}
	w.run.first = slices.Clip(w.run.first)
	return w.run, nil
}

// abandon closes the file of a run that failed.
func (w *writer) abandon() error { return w.run.close() }

// cursor walks a run in order.
type cursor struct {
	run   *run
	page  []byte
	next  int // page to read
	i     int // position in the page
	count int // ids in the page
}

// value returns the id the cursor stands on; ok is false at the end.
func (c *cursor) value() (id harrow.ID, ok bool, err error) {
	if c.i == c.count {
		if c.next == len(c.run.first) {
			return id, false, nil
		}
		if c.count, err = c.run.read(c.next, c.page); err != nil {
			return id, false, err
		}
		c.next, c.i = c.next+1, 0
	}
	return idAt(c.page, c.i), true, nil
}

// merge writes the ids of several runs as one; the runs stay as they are.
func merge(dir string, runs []*run) (*run, error) {
	w, err := newWriter(dir)
	if err != nil {
		return nil, err
	}
	cursors := make([]cursor, len(runs))
	for i, r := range runs {
		cursors[i] = cursor{run: r, page: make([]byte, pageSize)}
		w.run.tier = max(w.run.tier, r.tier+1)
	}
	if err := mergeInto(w, cursors); err != nil {
		return nil, errors.Join(err, w.abandon())
	}
	return w.finish()
}

// mergeInto moves the least id of the cursors to w until all are at their
// end. With fanOut cursors a heap wouldn't be faster.
func mergeInto(w *writer, cursors []cursor) error {
	for {
		var least *cursor
		var id harrow.ID
		for i := range cursors {
			v, ok, err := cursors[i].value()
			if err != nil {
				return err
			}
			if ok && (least == nil || compare(v, id) < 0) {
				least, id = &cursors[i], v
			}
		}
		if least == nil {
			return nil
		}
		least.i++
		if err := w.add(id); err != nil {
			return err
		}
	}
}
