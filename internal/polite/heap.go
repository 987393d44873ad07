package polite

// queue is a binary heap of keys, least order first. A key is in at most one
// queue and knows its place there, so that it can be moved or taken out.
type queue struct {
	in    place
	items []entry
}

// entry has a key's order beside it: most comparisons then read no key.
type entry struct {
	order int64
	key   *Key
}

// put inserts the key, or moves it to where order belongs.
func (q *queue) put(k *Key, order int64) {
	i := int(k.index)
	if k.in != q.in {
		i = len(q.items)
		q.items = append(q.items, entry{})
		k.in = q.in
	}
	q.items[i] = entry{order, k}
	k.index = int32(i)
	q.down(q.up(i))
}

// remove takes out a key that is in the queue.
func (q *queue) remove(k *Key) {
	i, last := int(k.index), len(q.items)-1
	k.in = nowhere
	moved := q.items[last]
	q.items[last] = entry{}
	q.items = q.items[:last]
	if i < last {
		q.items[i] = moved
		moved.key.index = int32(i)
		q.down(q.up(i))
	}
}

func (q *queue) up(i int) int {
	e := q.items[i]
	for i > 0 {
		parent := (i - 1) / 2
		if q.items[parent].order <= e.order {
			break
		}
		q.set(i, q.items[parent])
		i = parent
	}
	q.set(i, e)
	return i
}

func (q *queue) down(i int) {
	e := q.items[i]
	for {
		child := 2*i + 1
		if child >= len(q.items) {
			break
		}
		if child+1 < len(q.items) && q.items[child+1].order < q.items[child].order {
			child++
		}
		if q.items[child].order >= e.order {
			break
		}
		q.set(i, q.items[child])
		i = child
	}
	q.set(i, e)
}

func (q *queue) set(i int, e entry) {
	q.items[i] = e
	e.key.index = int32(i)
}
