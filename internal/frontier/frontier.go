// Package frontier is the queue of requests that a fetch shard has yet to
// start: one local file that holds, for each politeness key, chains of chunks
// of items. Memory is a small constant a key, whatever waits in it; the file
// reuses what has been taken out. It is a cache: a resumed shard builds it
// again from its tables.
package frontier

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
)

const (
	// MaxItem is the size of the largest item, in bytes.
	MaxItem = 1 << 20
	// chunkItems is the most items one chunk holds.
	chunkItems = 64
	// tailBytes is the most a key buffers in memory, all its chains together;
	// with the key's own fields that is at most 1 KiB. A longer item goes
	// straight to the file.
	tailBytes = 768 - headerSize
)

// Frontier holds items by key, the highest priority first, then in the order
// of their arrival. It is not safe for use by several goroutines. Any error
// but that of an item too long is a fault of the disk (class system), and what
// the frontier holds after it can't be relied on.
type Frontier struct {
	store *store
	keys  map[string]*key
	len   int64
}

// key is what is known of one politeness key: a chain for each priority that
// is waiting, the highest first, empty ones left out. There are few priorities
// as a rule; each one more costs about 120 bytes.
type key struct {
	count    int64
	buffered int // bytes in the tails of all chains
	chains   []*chain
}

// chain is a FIFO: chunks in the file, linked from first to last, then the
// tail in memory.
type chain struct {
	priority int32
	head     ref // chunk items are taken from; zero when all is in the tail
	last     int64
	off      uint32 // of the next item in head
	taken    uint16 // items of head that are gone

	tail      []byte // encoded items, from tailOff on
	tailOff   int
	tailItems uint16
}

// Open makes an empty frontier in a temporary file in dir (the default
// temporary folder when empty). The file is unlinked at once: nothing is left
// behind however the process ends.
func Open(dir string) (*Frontier, error) {
	s, err := openStore(dir)
	if err != nil {
		return nil, err
	}
	return &Frontier{store: s, keys: map[string]*key{}}, nil
}

// Len is the number of items of all keys.
func (f *Frontier) Len() int64 { return f.len }

// Count is the number of items of one key.
func (f *Frontier) Count(name string) int64 {
	if k := f.keys[name]; k != nil {
		return k.count
	}
	return 0
}

// Keys lists the keys that have items, sorted.
func (f *Frontier) Keys() []string { return slices.Sorted(maps.Keys(f.keys)) }

// Close gives up the file and all that is in it.
func (f *Frontier) Close() error {
	f.keys, f.len = nil, 0
	return f.store.close()
}

// Push appends an item to its key. The bytes are copied. An item longer than
// [MaxItem] is an error and changes nothing.
func (f *Frontier) Push(name string, priority int32, item []byte) error {
	if len(item) > MaxItem {
		return fmt.Errorf("frontier: an item of %d bytes for %.200s; want at most %d", len(item), name, MaxItem)
	}
	if f.keys == nil {
		return errors.New("frontier: used after Close")
	}
	k := f.keys[name]
	if k == nil {
		k = &key{}
	}
	c := k.chain(priority)
	if err := f.append(k, c, item); err != nil {
		return err
	}
	f.keys[name] = k
	k.count++
	f.len++
	return nil
}

// Move puts everything of one key behind what another has of the same
// priority: chains are linked, not copied, so it takes a few small writes
// however much it is.
func (f *Frontier) Move(from, to string) error {
	k := f.keys[from]
	if k == nil || from == to {
		return nil
	}
	t := f.keys[to]
	if t == nil {
		t = &key{}
	}
	for _, c := range k.chains {
		if err := f.join(t, t.chain(c.priority), k, c); err != nil {
			return fmt.Errorf("%w (key %.200s)", err, from)
		}
	}
	t.count += k.count
	delete(f.keys, from)
	f.keys[to] = t
	return nil
}

// join puts chain c of key k behind chain d of key t.
func (f *Frontier) join(t *key, d *chain, k *key, c *chain) error {
	for c.taken > 0 { // how far a chunk was read is known of a head only
		item, err := f.fromFile(c)
		if err == nil {
			err = f.append(t, d, item)
		}
		if err != nil {
			return err
		}
	}
	if c.head.items > 0 {
		if err := errors.Join(f.flush(t, d), f.flush(k, c)); err != nil {
			return err
		}
		if d.head.items == 0 {
			d.head, d.off, d.taken = c.head, headerSize, 0
		} else if err := f.store.link(d.last, c.head); err != nil {
			return err
		}
		d.last = c.last
		return nil
	}
	for c.tailItems > 0 {
		item, err := k.fromTail(c)
		if err == nil {
			err = f.append(t, d, item)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// append puts the item behind the chain's last one.
func (f *Frontier) append(k *key, c *chain, item []byte) error {
	size := itemHeader + len(item)
	if c.tailItems == chunkItems || k.buffered+size > tailBytes {
		if err := f.flush(k, c); err != nil {
			return err
		}
	}
	// Other priorities' tails hold the room: the largest ones go to the file.
	for size <= tailBytes && k.buffered+size > tailBytes {
		if err := f.flush(k, k.largest()); err != nil {
			return err
		}
	}
	if size > tailBytes {
		return f.write(c, encode(nil, item), 1)
	}
	c.makeRoom(size)
	c.tail = encode(c.tail, item)
	c.tailItems++
	k.buffered += size
	return nil
}

// makeRoom lets the tail take size more bytes: what was taken out of it is
// reused, and it grows in steps that fit most keys, where append would double.
func (c *chain) makeRoom(size int) {
	if len(c.tail)+size <= cap(c.tail) {
		return
	}
	waiting := c.tail[c.tailOff:]
	need, to := len(waiting)+size, c.tail[:0]
	if need > cap(c.tail) {
		to = make([]byte, 0, (need+255)/256*256)
	}
	c.tail, c.tailOff = append(to, waiting...), 0
}

// flush writes the chain's tail as a chunk.
func (f *Frontier) flush(k *key, c *chain) error {
	if c.tailItems == 0 {
		return nil
	}
	waiting := c.tail[c.tailOff:]
	if err := f.write(c, waiting, c.tailItems); err != nil {
		return err
	}
	k.buffered -= len(waiting)
	c.tail, c.tailOff, c.tailItems = nil, 0, 0
	return nil
}

// write makes a chunk of encoded items and links it behind the chain's last.
func (f *Frontier) write(c *chain, items []byte, n uint16) error {
	r, err := f.store.put(items, n)
	if err != nil {
		return err
	}
	if c.head.items == 0 {
		c.head, c.off, c.taken = r, headerSize, 0
	} else if err := f.store.link(c.last, r); err != nil {
		return err
	}
	c.last = r.pos
	return nil
}

// Pop takes the item out that comes first; ok is false when the key has none.
// The item is the caller's to keep.
func (f *Frontier) Pop(name string) (item []byte, ok bool, err error) {
	k := f.keys[name]
	if k == nil {
		return nil, false, nil
	}
	c := k.chains[0]
	if c.head.items == 0 {
		item, err = k.fromTail(c)
	} else {
		item, err = f.fromFile(c)
	}
	if err != nil {
		return nil, false, fmt.Errorf("%w (key %.200s)", err, name)
	}
	k.count--
	f.len--
	if c.empty() {
		k.chains = slices.Delete(k.chains, 0, 1)
	}
	if k.count == 0 {
		delete(f.keys, name)
	}
	if f.len == 0 {
		// Nothing is in use: the file starts again.
		err = f.store.reset()
	}
	return item, true, err
}

// fromTail takes the first item of the buffer.
func (k *key) fromTail(c *chain) ([]byte, error) {
	item, n, err := decode(c.tail[c.tailOff:])
	if err != nil {
		return nil, err
	}
	c.tailOff += n
	c.tailItems--
	k.buffered -= n
	if c.tailItems == 0 {
		c.tail, c.tailOff = c.tail[:0], 0
	}
	return item, nil
}

// fromFile takes the next item of the head chunk; when it was the last, the
// chunk is freed and the next one becomes the head.
func (f *Frontier) fromFile(c *chain) ([]byte, error) {
	item, n, err := f.store.item(c.head, c.off)
	if err != nil {
		return nil, err
	}
	c.off += uint32(n)
	c.taken++
	if c.taken < c.head.items {
		return item, nil
	}
	var next ref
	if c.head.pos != c.last {
		if next, err = f.store.next(c.head); err != nil {
			return nil, err
		}
	}
	if err := f.store.free(c.head); err != nil {
		return nil, err
	}
	c.head, c.off, c.taken = next, headerSize, 0
	return item, nil
}

func (c *chain) empty() bool { return c.head.items == 0 && c.tailItems == 0 }

// chain finds the chain of a priority or adds it in its place.
func (k *key) chain(priority int32) *chain {
	i := sort.Search(len(k.chains), func(i int) bool { return k.chains[i].priority <= priority })
	if i < len(k.chains) && k.chains[i].priority == priority {
		return k.chains[i]
	}
	c := &chain{priority: priority}
	k.chains = slices.Insert(k.chains, i, c)
	return c
}

// largest is the chain with the most bytes in its tail.
func (k *key) largest() *chain {
	return slices.MaxFunc(k.chains, func(a, b *chain) int {
		return (len(a.tail) - a.tailOff) - (len(b.tail) - b.tailOff)
	})
}
