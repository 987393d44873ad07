package lakeio

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/harrowdata/harrow"
)

// ErrLost: another owner took the shard. Stop starting exchanges; what was
// not appended does not count.
var ErrLost = errors.New("the fetch shard has another owner")

// Roll is a set of files that a fetch shard's owner closed together.
type Roll struct {
	Name     string           `json:"name"` // <epoch>-<seq>-<nonce>
	Parts    []harrow.Part    `json:"parts"`
	Counters map[string]int64 `json:"counters,omitempty"`
}

// ShardRecord says, for a round, who owns a fetch shard and which of its
// rolls count. It changes only by compare-and-swap.
type ShardRecord struct {
	Version int                      `json:"version"`
	Epoch   int64                    `json:"epoch"` // how often it was taken
	Owner   string                   `json:"owner"` // a nonce per admission
	Rolls   []Roll                   `json:"rolls,omitempty"`
	Delays  map[string]time.Duration `json:"delays,omitempty"` // politeness key: what its host asked for beyond the configuration, ns
	Done    bool                     `json:"done"`
	Bound   time.Duration            `json:"bound,omitempty"` // least time its keys' limits allow for what the last owner asked, ns
	Wall    time.Duration            `json:"wall,omitempty"`  // time the last owner's process took, ns
}

// FetchShard is the place of one fetch shard in one round.
type FetchShard struct {
	Lake  Lake
	Round int
	Shard int
}

func (f FetchShard) name() string {
	return path.Join(f.Lake.Stage(FetchStage(f.Round)), fmt.Sprintf("shard-%05d", f.Shard))
}

// URI is that of the shard record.
func (f FetchShard) URI() string { return f.name() + ".json" }

// RollURI is that of a roll's file of a table.
func (f FetchShard) RollURI(roll, table string) string {
	return path.Join(f.name(), roll+"."+table+".arrow")
}

func (f FetchShard) swap(ctx context.Context, change func(*ShardRecord) error) (ShardRecord, error) {
	return swapJSON(ctx, f.Lake.Store, f.URI(),
		func(r *ShardRecord) bool { return r.Done },
		func(r *ShardRecord) error {
			r.Version = jsonVersion
			return change(r)
		})
}

// Read returns the shard record; the zero record where there is none.
func (f FetchShard) Read(ctx context.Context) (ShardRecord, error) {
	r, err := readJSON[ShardRecord](ctx, f.Lake.Store, f.URI())
	if errors.Is(err, ErrNotFound) {
		err = nil
	}
	return r, err
}

// Take makes owner the shard's owner: it raises the epoch and, in the same
// swap, adopts the complete rolls found in its folder. A done shard is
// returned as it is.
func (f FetchShard) Take(ctx context.Context, owner string) (ShardRecord, error) {
	found, err := f.findRolls(ctx)
	if err != nil {
		return ShardRecord{}, err
	}
	return f.swap(ctx, func(r *ShardRecord) error {
		if r.Done {
			return nil
		}
		r.Epoch++
		r.Owner = owner
		for _, roll := range found {
			if !slices.ContainsFunc(r.Rolls, func(have Roll) bool { return have.Name == roll.Name }) {
				r.Rolls = append(r.Rolls, roll)
			}
		}
		return nil
	})
}

// Append makes a roll count. ErrLost when the shard has another owner.
func (f FetchShard) Append(ctx context.Context, owner string, roll Roll) error {
	return f.own(ctx, owner, func(r *ShardRecord) { r.Rolls = append(r.Rolls, roll) })
}

// Finish marks the shard done: no roll can be added any more. bound and wall
// are what efficiency is reckoned from.
func (f FetchShard) Finish(ctx context.Context, owner string, bound, wall time.Duration) error {
	return f.own(ctx, owner, func(r *ShardRecord) { r.Done, r.Bound, r.Wall = true, bound, wall })
}

// Delay notes what a key's host asked for; it must return before that key's
// second start.
func (f FetchShard) Delay(ctx context.Context, owner, key string, delay time.Duration) error {
	return f.own(ctx, owner, func(r *ShardRecord) {
		if r.Delays == nil {
			r.Delays = map[string]time.Duration{}
		}
		r.Delays[key] = delay
	})
}

func (f FetchShard) own(ctx context.Context, owner string, change func(*ShardRecord)) error {
	_, err := f.swap(ctx, func(r *ShardRecord) error {
		if r.Owner != owner || r.Done {
			return fmt.Errorf("%s: %w: %s", f.URI(), ErrLost, r.Owner)
		}
		change(r)
		return nil
	})
	return err
}

// findRolls lists the complete rolls in the shard's folder: those whose
// captures file, written last, is there and whole.
func (f FetchShard) findRolls(ctx context.Context) ([]Roll, error) {
	names, err := f.Lake.Store.List(ctx, f.name()+"/")
	if err != nil {
		return nil, err
	}
	byRoll := map[string][]string{}
	for _, n := range names {
		if roll, table, ok := strings.Cut(strings.TrimSuffix(n, ".arrow"), "."); ok {
			byRoll[roll] = append(byRoll[roll], table)
		}
	}
	var rolls []Roll
	for name, tables := range byRoll {
		if !slices.Contains(tables, Captures.Name()) {
			continue
		}
		roll, err := f.inspectRoll(ctx, name, tables)
		if errors.Is(err, ErrCorrupt) {
			continue // its owner died in the middle of it: adopted whole or not at all
		}
		if err != nil {
			return nil, err
		}
		rolls = append(rolls, roll)
	}
	slices.SortFunc(rolls, func(a, b Roll) int { return strings.Compare(a.Name, b.Name) })
	return rolls, nil
}

func (f FetchShard) inspectRoll(ctx context.Context, name string, tables []string) (Roll, error) {
	roll := Roll{Name: name}
	for _, table := range tables {
		uri := f.RollURI(name, table)
		part, counters, err := inspectPart(ctx, f.Lake.Store, uri, table)
		if err != nil {
			return roll, err
		}
		part.Shard = f.Shard
		roll.Parts = append(roll.Parts, part)
		if table == Captures.Name() {
			roll.Counters = counters
		}
	}
	return roll, nil
}

// inspectPart reads a part's figures and counters back from its file.
func inspectPart(ctx context.Context, s Store, uri, table string) (harrow.Part, map[string]int64, error) {
	r, err := OpenPart(ctx, s, uri, table)
	if err != nil {
		return harrow.Part{}, nil, err
	}
	part := harrow.Part{Table: table, URI: uri, Bytes: r.in.Size()}
	for i := range r.Batches() {
		b, err := r.Batch(i)
		if err != nil {
			return part, nil, errors.Join(err, r.Close())
		}
		part.Rows += int64(b.Rows())
		part.Raw += BatchSize(b)
		b.Release()
	}
	counters, err := r.Counters()
	return part, counters, errors.Join(err, r.Close())
}
