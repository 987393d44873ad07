package lakeio

import (
	"context"
	"errors"
	"slices"
	"time"
)

// Claim is who wants a fetch shard.
type Claim struct {
	Owner   string // a nonce per admission
	Permit  string // URI of the permit by which it may start exchanges; empty: the job lock
	Process string // of the submission it works for

	clock func() time.Duration // sinceBoot, but in tests
}

// Claim makes the claimant the shard's owner: it raises the epoch and, in the
// same swap, adopts the complete rolls that its last owner left in the folder
// and drops those whose files a power cut took. Rolls of owners before the last
// do not count: what they wrote after the shard was taken from them may have
// been asked again since. A done shard is returned as it is.
//
// held says that another worker, whose permit the record names, may start
// exchanges of it yet. Claim it again, every [Lake.LookEvery]: the other may have
// done it, have ended or be dead. Dead is a permit that this process has seen
// unchanged for as long as it lasts; it is ended before the shard is taken, so
// that its owner, who may only sleep, can't renew it.
func (f FetchShard) Claim(ctx context.Context, c Claim) (r ShardRecord, held bool, err error) {
	for {
		r, held, err = f.claim(ctx, c)
		if errors.Is(err, errTaken) {
			continue // the rolls of that one were not looked for
		}
		if errors.Is(err, errDone) {
			err = nil
		}
		return r, held, err
	}
}

// errTaken ends a swap of a record that somebody took while the folder was
// listed.
var errTaken = errors.New("taken meanwhile")

func (f FetchShard) claim(ctx context.Context, c Claim) (r ShardRecord, held bool, err error) {
	if r, err = f.Read(ctx); err != nil || r.Done {
		return r, false, err
	}
	if r.Permit != "" && r.Permit != c.Permit {
		_, over, err := overWorker(ctx, f.Lake.Store, r.Permit, LockConfig{clock: c.clock}.of(f.Lake.Job))
		if !over || err != nil {
			return r, true, err
		}
	}
	lost, found, err := f.left(ctx, r)
	if err != nil {
		return r, false, err
	}
	before := r.Epoch
	r, err = f.swap(ctx, func(r *ShardRecord) error {
		switch {
		case r.Done:
			return errDone
		case r.Epoch != before:
			return errTaken
		}
		for _, roll := range found { // of a record that was lost: it was taken before
			r.Epoch = max(r.Epoch, epochOf(roll.Name))
		}
		r.Epoch++
		r.Owner, r.Permit, r.Process = c.Owner, c.Permit, c.Process
		r.Rolls = slices.DeleteFunc(r.Rolls, func(roll Roll) bool { return slices.Contains(lost, roll.Name) })
		for _, roll := range found {
			if !named(r.Rolls, roll.Name) {
				r.Rolls = append(r.Rolls, roll)
			}
		}
		return nil
	})
	return r, false, err
}

// left is what the last owner left: rolls of the record whose files are gone,
// which are deleted, and whole ones that are not in it.
func (f FetchShard) left(ctx context.Context, r ShardRecord) (lost []string, found []Roll, err error) {
	if lost, err = f.lostRolls(ctx, r.Rolls); err != nil {
		return nil, nil, err
	}
	for _, name := range lost { // so that no later owner adopts what is left of it
		if err := f.Lake.Store.Delete(ctx, f.RollURI(name, Captures.Name())); err != nil {
			return nil, nil, err
		}
	}
	found, err = f.findRolls(ctx, r)
	return lost, found, err
}
