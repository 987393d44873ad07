package round

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// closed: this process has ended its rounds for good; under processesMu.
var closed bool

// errClosed is what a bundle gets that comes too late.
var errClosed = fmt.Errorf("this worker is ending: %w", ErrStopped)

// ShutdownAll ends what this process runs of any run, for good: no round can
// be joined any more. Starts end at once. Exchanges in flight may end by
// themselves until ctx does; those that haven't are cut off then, and are asked
// again by whoever goes on. It returns when what was fetched is appended to the
// shard records and the permits are given back.
func ShutdownAll(ctx context.Context) error {
	processesMu.Lock()
	closed = true
	for name, p := range processes {
		delete(processes, name)
		leaving[p] = true
	}
	left := slices.Collect(maps.Keys(leaving))
	processesMu.Unlock()
	for _, p := range left {
		defer context.AfterFunc(ctx, p.cut)()
	}
	ended := make(chan error, len(left))
	for _, p := range left {
		go func() { ended <- p.leave() }()
	}
	var errs []error
	for range left {
		errs = append(errs, <-ended)
	}
	return errors.Join(errs...)
}
