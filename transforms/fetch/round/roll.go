package round

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/httpfetch"
	"github.com/harrowdata/harrow/io/lakeio"
)

// roll gathers the rows of one shard until they are closed together. It
// belongs to the writer.
type roll struct {
	shard    *shard
	name     string
	opened   time.Time
	held     int64 // bytes in memory
	size     int64 // bytes in all, before compression
	bodies   *lakeio.PartWriter
	builder  *lakeio.Builder[harrow.Body] // one for all batches: it knows how much room they take
	bodyRows int64
	stored   map[string]place // by digest, in the bodies part
	open     []*entry         // bodies not encoded yet
	openSize int64
	captures []*harrow.Capture
	links    tableWriter[harrow.Link]
	exchange tableWriter[harrow.Exchange]
	rejects  tableWriter[harrow.Reject]
	deferred tableWriter[harrow.Request]
	left     tableWriter[harrow.Request]
	counters map[string]int64
}

// place is where a body lies in the bodies part.
type place struct{ row, rows int64 }

// entry is a body that waits for its batch: in memory, or still in the file
// it was spilled to.
type entry struct {
	capture *harrow.Capture
	sortBy  string // host and path: pages of one template side by side compress best
	data    []byte
	spilled *httpfetch.Body
}

func newRoll(s *shard, seq int, now time.Time) *roll {
	r := &roll{shard: s, name: fmt.Sprintf("%05d-%05d-%s", s.epoch, seq, uuid.NewString()[:8]), opened: now,
		stored: map[string]place{}, counters: map[string]int64{}}
	l, at := s.at.Lake, s.at
	r.links.init(l, at.RollURI(r.name, "links"), lakeio.Links)
	r.exchange.init(l, at.RollURI(r.name, "exchanges"), lakeio.Exchanges)
	r.rejects.init(l, at.RollURI(r.name, "rejects"), lakeio.Rejects)
	r.deferred.init(l, at.RollURI(r.name, "deferred"), lakeio.DeferredRequests)
	r.left.init(l, at.RollURI(r.name, "requests"), lakeio.Requests)
	return r
}

// add takes over a result; its body's memory goes back to the share of bodies
// in flight.
func (r *roll) add(ctx context.Context, res *result) error {
	before := r.rowBytes()
	if res.capture != nil {
		if err := r.addCapture(res); err != nil {
			return err
		}
	}
	if res.exchange != nil {
		r.exchange.append(*res.exchange)
	}
	for _, l := range res.links {
		r.links.append(l)
	}
	if res.reject != nil {
		r.rejects.append(*res.reject)
	}
	if res.deferred != nil {
		r.deferred.append(*res.deferred)
	}
	if res.left != nil {
		r.left.append(*res.left)
	}
	for reason, n := range res.skipped {
		r.counters["links_not_taken."+reason] += n
	}
	grown := r.rowBytes() - before
	r.held += grown
	r.size += grown
	return r.flushRows(ctx)
}

func (r *roll) rowBytes() int64 {
	return r.links.bytes() + r.exchange.bytes() + r.rejects.bytes() + r.deferred.bytes() + r.left.bytes()
}

// captureBytes is about what a captures row takes.
func captureBytes(c *harrow.Capture) int64 {
	n := 400 + len(c.URL) + len(c.FinalURL) + len(c.Carry)
	for _, h := range c.Headers {
		n += len(h.Name) + len(h.Value) + 40
	}
	return int64(n)
}

func (r *roll) addCapture(res *result) error {
	c := res.capture
	r.captures = append(r.captures, c)
	n := captureBytes(c)
	if res.body != nil && res.body.Len() > 0 {
		e := &entry{capture: c, sortBy: strings.TrimPrefix(strings.TrimPrefix(c.FinalURL, "https://"), "http://")}
		if data, ok := res.body.Bytes(); ok {
			e.data = slices.Clone(data)
			n += int64(len(e.data))
			if err := res.body.Close(); err != nil {
				return err
			}
		} else {
			e.spilled = res.body
		}
		r.open = append(r.open, e)
		r.openSize += c.BodyBytes
	} else if res.body != nil {
		if err := res.body.Close(); err != nil {
			return err
		}
	}
	r.held += n
	r.size += n
	if e := res.body; e != nil && e.Len() > 0 {
		r.size += c.BodyBytes - min(c.BodyBytes, n)
	}
	return nil
}

// flushRows encodes the tables whose batch is full.
func (r *roll) flushRows(ctx context.Context) error {
	if r.openSize >= lakeio.BatchBytes || len(r.open) >= lakeio.BatchRows {
		if err := r.encodeBodies(ctx); err != nil {
			return err
		}
	}
	for _, t := range r.tables() {
		freed, err := t.flushFull(ctx)
		if err != nil {
			return err
		}
		r.held -= freed
	}
	return nil
}

type anyTable interface {
	flushFull(ctx context.Context) (int64, error)
	close(ctx context.Context) (*harrow.Part, error)
	abort()
}

func (r *roll) tables() []anyTable {
	return []anyTable{&r.links, &r.exchange, &r.rejects, &r.deferred, &r.left}
}

// encodeBodies writes the bodies that wait, sorted by host and path, and
// tells their captures where they lie.
func (r *roll) encodeBodies(ctx context.Context) error {
	if len(r.open) == 0 {
		return nil
	}
	slices.SortFunc(r.open, func(a, b *entry) int {
		return cmp.Or(strings.Compare(a.sortBy, b.sortBy), strings.Compare(a.capture.URL, b.capture.URL))
	})
	if r.bodies == nil {
		w, err := lakeio.NewPart(ctx, r.shard.at.Lake.Store, r.shard.at.RollURI(r.name, "bodies"), lakeio.Bodies.Schema(), lakeio.Zstd)
		if err != nil {
			return err
		}
		r.bodies, r.builder = w, lakeio.Bodies.NewBuilder()
	}
	for _, e := range r.open {
		if err := r.store(r.builder, e); err != nil {
			return err
		}
		r.held -= int64(len(e.data))
	}
	r.open, r.openSize = nil, 0
	return r.writeBodies(r.builder)
}

func (r *roll) freeBuilder() {
	if r.builder != nil {
		r.builder.Release()
		r.builder = nil
	}
}

func (r *roll) writeBodies(b *lakeio.Builder[harrow.Body]) error {
	batch := b.Batch()
	defer batch.Release()
	return r.bodies.Write(batch)
}

// store appends a body in chunks, unless the part holds it already.
func (r *roll) store(b *lakeio.Builder[harrow.Body], e *entry) (err error) {
	c := e.capture
	if e.spilled != nil {
		defer func() { err = errors.Join(err, e.spilled.Close()) }()
	}
	at, ok := r.stored[c.Digest]
	if !ok {
		at.row = r.bodyRows
		if e.spilled == nil {
			at.rows = r.chunk(b, c.Digest, 0, e.data)
		} else if at.rows, err = r.storeSpilled(b, e); err != nil {
			return err
		}
		r.bodyRows += at.rows
		r.stored[c.Digest] = at
	}
	c.BodyPart, c.BodyRow, c.BodyRows = r.bodies.URI(), at.row, at.rows
	return nil
}

// chunk appends data, which begins at a chunk's start, and returns how many
// rows it took.
func (r *roll) chunk(b *lakeio.Builder[harrow.Body], digest string, first int64, data []byte) (rows int64) {
	for len(data) > 0 {
		n := min(len(data), lakeio.ChunkBytes)
		b.Append(harrow.Body{Digest: digest, Chunk: int32(first + rows), Body: data[:n]})
		data = data[n:]
		rows++
	}
	return rows
}

func (r *roll) storeSpilled(b *lakeio.Builder[harrow.Body], e *entry) (rows int64, err error) {
	in := e.spilled.Open()
	defer func() { err = errors.Join(err, in.Close()) }()
	buf := make([]byte, lakeio.ChunkBytes)
	for {
		n, err := io.ReadFull(in, buf)
		rows += r.chunk(b, e.capture.Digest, rows, buf[:n])
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return rows, nil
		}
		if err != nil {
			return rows, fmt.Errorf("body of %s: %w", e.capture.URL, err)
		}
		if b.Bytes() >= lakeio.BatchBytes {
			if err := r.writeBodies(b); err != nil {
				return rows, err
			}
		}
	}
}

// close writes what is left, captures last, and returns the roll as it is to
// be appended to the shard record.
func (r *roll) close(ctx context.Context) (lakeio.Roll, error) {
	out := lakeio.Roll{Name: r.name, Counters: r.counters}
	if err := r.encodeBodies(ctx); err != nil {
		return out, err
	}
	r.freeBuilder()
	if r.bodies != nil {
		part, err := r.bodies.Close()
		if err != nil {
			return out, err
		}
		out.Parts = append(out.Parts, part)
	}
	for _, t := range r.tables() {
		part, err := t.close(ctx)
		if err != nil {
			return out, err
		}
		if part != nil {
			out.Parts = append(out.Parts, *part)
		}
	}
	part, err := r.writeCaptures(ctx)
	if err != nil {
		return out, err
	}
	out.Parts = append(out.Parts, part)
	for i := range out.Parts {
		out.Parts[i].Shard = r.shard.at.Shard
	}
	return out, nil
}

// writeCaptures writes the captures in the order of their bodies, which is
// how a reader walks both.
func (r *roll) writeCaptures(ctx context.Context) (harrow.Part, error) {
	slices.SortFunc(r.captures, func(a, b *harrow.Capture) int {
		return cmp.Or(strings.Compare(a.BodyPart, b.BodyPart), cmp.Compare(a.BodyRow, b.BodyRow), strings.Compare(a.URL, b.URL))
	})
	schema := lakeio.WithCounters(lakeio.Captures.Schema(), r.counters)
	w, err := lakeio.NewPart(ctx, r.shard.at.Lake.Store, r.shard.at.RollURI(r.name, "captures"), schema, lakeio.Zstd)
	if err != nil {
		return harrow.Part{}, err
	}
	b := lakeio.Captures.NewBuilder()
	defer b.Release()
	flush := func() error {
		batch := b.Batch()
		defer batch.Release()
		return w.Write(batch)
	}
	for _, c := range r.captures {
		b.Append(*c)
		if b.Full() {
			if err := flush(); err != nil {
				w.Abort()
				return harrow.Part{}, err
			}
		}
	}
	if err := flush(); err != nil {
		w.Abort()
		return harrow.Part{}, err
	}
	return w.Close()
}

// abort drops what was not closed; its requests are asked again.
func (r *roll) abort() {
	r.freeBuilder()
	if r.bodies != nil {
		r.bodies.Abort()
	}
	for _, t := range r.tables() {
		t.abort()
	}
	for _, e := range r.open {
		if e.spilled != nil {
			_ = e.spilled.Close() // the roll failed already
		}
	}
}
