package enrich

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/harrowdata/harrow/internal/refine"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/transforms/enrich/lookup"
)

// idle is how long a table stays in memory when nobody uses it: a process's
// tasks come one after the other.
const idle = 2 * time.Second

// tables are the process's: each is in memory once, whoever uses it. What they
// take was left to them by the stage's shuffles (engine.Env.Held).
var tables = struct {
	sync.Mutex
	by map[string]*shared
}{by: map[string]*shared{}}

type shared struct {
	ready chan struct{} // closed when table or err is there
	table *lookup.Table
	err   error
	users int
	drop  *time.Timer
}

// borrow returns the table of a lookup file and a function that gives it back.
// Who comes while it is being read waits for it.
func borrow(ctx context.Context, lake lakeio.Lake, uri, name, key string, e *refine.Enrichment) (*lookup.Table, func(), error) {
	key = fmt.Sprintf("%T %s %s %s", lake.Store, lake.Store.Local(), uri, key)
	tables.Lock()
	s, there := tables.by[key]
	if !there {
		s = &shared{ready: make(chan struct{})}
		tables.by[key] = s
	}
	s.users++
	if s.drop != nil {
		s.drop.Stop()
		s.drop = nil
	}
	tables.Unlock()
	back := func() { giveBack(key, s) }
	if !there {
		s.table, s.err = loadFrom(ctx, lake, uri, name, e)
		close(s.ready)
	}
	select {
	case <-s.ready:
	case <-ctx.Done():
		back()
		return nil, func() {}, ctx.Err()
	}
	if s.err != nil {
		back()
		return nil, func() {}, s.err
	}
	return s.table, back, nil
}

// giveBack drops a table that couldn't be read at once, and one that nobody
// uses after a while.
func giveBack(key string, s *shared) {
	tables.Lock()
	defer tables.Unlock()
	forget := func() {
		if s.users == 0 && tables.by[key] == s {
			delete(tables.by, key)
		}
	}
	if s.users--; s.users > 0 {
		if s.err != nil && tables.by[key] == s {
			delete(tables.by, key) // the next one tries again
		}
		return
	}
	if s.err != nil {
		forget()
		return
	}
	s.drop = time.AfterFunc(idle, func() {
		tables.Lock()
		defer tables.Unlock()
		forget()
	})
}

func loadFrom(ctx context.Context, lake lakeio.Lake, uri, name string, e *refine.Enrichment) (t *lookup.Table, err error) {
	in, err := lake.Store.Open(ctx, uri)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	return lookup.Load(ctx, in, name, e, nil)
}
