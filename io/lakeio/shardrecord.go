package lakeio

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
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
	Epoch   int64                    `json:"epoch"`            // how often it was taken
	Owner   string                   `json:"owner"`            // a nonce per admission
	Permit  string                   `json:"permit,omitempty"` // URI of the lease by which the owner may start exchanges; empty: the job lock is its permit
	Rolls   []Roll                   `json:"rolls,omitempty"`
	Delays  map[string]time.Duration `json:"delays,omitempty"` // politeness key: what its host asked for beyond the configuration, ns
	Holds   map[string]time.Time     `json:"holds,omitempty"`  // politeness key: until when its host asked for rest
	Done    bool                     `json:"done"`
	Process string                   `json:"process,omitempty"` // of the submission that the last owner worked for, as run.json has it
	Ended   time.Time                `json:"ended,omitzero"`    // when it was done, by the last owner's clock
	Bound   time.Duration            `json:"bound,omitempty"`   // least time its keys' limits allow for what the last owner asked, ns
	Wall    time.Duration            `json:"wall,omitempty"`    // time the last owner's process took, ns
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
	return ReadShardRecord(ctx, f.Lake.Store, f.URI())
}

// ReadShardRecord reads the shard record at a URI; the zero record where there
// is none.
func ReadShardRecord(ctx context.Context, s Store, uri string) (r ShardRecord, err error) {
	data, _, err := s.Read(ctx, uri)
	if errors.Is(err, ErrNotFound) || err == nil && len(data) == 0 { // see swapJSON
		return r, nil
	}
	if err == nil {
		err = unmarshal(uri, data, &r)
	}
	return r, err
}

// epochOf is the epoch of a roll's owner; 0: the name says none.
func epochOf(roll string) int64 {
	epoch, _, _ := strings.Cut(roll, "-")
	n, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// errDone ends a swap of a record that is done.
var errDone = fmt.Errorf("%w: it is done", ErrLost)

func named(rolls []Roll, name string) bool {
	return slices.ContainsFunc(rolls, func(r Roll) bool { return r.Name == name })
}

// Append makes a roll count, once however often it is called. ErrLost when the
// shard has another owner.
func (f FetchShard) Append(ctx context.Context, owner string, roll Roll) error {
	return f.own(ctx, owner, func(r *ShardRecord) {
		if !named(r.Rolls, roll.Name) {
			r.Rolls = append(r.Rolls, roll)
		}
	})
}

// Finish marks the shard done: no roll can be added any more. bound and wall
// are what efficiency is reckoned from. A done shard survives a power cut with
// its rolls.
func (f FetchShard) Finish(ctx context.Context, owner string, bound, wall time.Duration) error {
	r, err := f.Read(ctx)
	if err != nil {
		return err
	}
	if r.Owner == owner && !r.Done { // nobody else appends
		for _, roll := range r.Rolls {
			if err := f.Lake.syncParts(ctx, roll.Parts); err != nil {
				return err
			}
		}
	}
	err = f.own(ctx, owner, func(r *ShardRecord) { r.Done, r.Ended, r.Bound, r.Wall = true, time.Now().UTC(), bound, wall })
	if errors.Is(err, errDone) {
		return nil // by this owner, before
	}
	return err
}

// Notes are what the hosts of politeness keys asked for: more time between two
// starts than is configured, and rest until a moment (Retry-After).
type Notes struct {
	Delays map[string]time.Duration
	Holds  map[string]time.Time
}

// Note makes notes part of the record; it must return before the next start of
// any key they name, so that whoever goes on with the shard, or a later round,
// keeps to them. What the record says already is never made less.
func (f FetchShard) Note(ctx context.Context, owner string, n Notes) error {
	return f.own(ctx, owner, func(r *ShardRecord) {
		if r.Delays == nil && len(n.Delays) > 0 {
			r.Delays = map[string]time.Duration{}
		}
		for key, delay := range n.Delays {
			r.Delays[key] = max(r.Delays[key], delay)
		}
		if r.Holds == nil && len(n.Holds) > 0 {
			r.Holds = map[string]time.Time{}
		}
		for key, until := range n.Holds {
			if until.After(r.Holds[key]) {
				r.Holds[key] = until.UTC()
			}
		}
	})
}

func (f FetchShard) own(ctx context.Context, owner string, change func(*ShardRecord)) error {
	_, err := f.swap(ctx, func(r *ShardRecord) error {
		if r.Owner != owner {
			return fmt.Errorf("%s: %w: %s", f.URI(), ErrLost, r.Owner)
		}
		if r.Done {
			return fmt.Errorf("%s: %w", f.URI(), errDone)
		}
		change(r)
		return nil
	})
	return err
}

// lostRolls names the rolls with a file that is gone or has not the size it
// had: rolls are not synced before the shard is done, so a power cut may take
// them, and what they held is asked again.
func (f FetchShard) lostRolls(ctx context.Context, rolls []Roll) (names []string, err error) {
	for _, roll := range rolls {
		for _, part := range roll.Parts {
			whole, err := f.whole(ctx, part)
			if err != nil {
				return nil, err
			}
			if !whole {
				names = append(names, roll.Name)
				break
			}
		}
	}
	return names, nil
}

func (f FetchShard) whole(ctx context.Context, part harrow.Part) (bool, error) {
	in, err := f.Lake.Store.Open(ctx, part.URI)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return in.Size() == part.Bytes, in.Close()
}

// findRolls lists the complete rolls in the shard's folder that the record's
// owner left beyond those in the record: those whose captures file, written
// last, is there and whole. Where there is no record a power cut took it, and
// they may be anybody's.
func (f FetchShard) findRolls(ctx context.Context, rec ShardRecord) ([]Roll, error) {
	names, err := f.Lake.Store.List(ctx, f.name()+"/")
	if err != nil {
		return nil, err
	}
	byRoll := map[string][]string{}
	for _, n := range names {
		base, isPart := strings.CutSuffix(n, ".arrow")
		if roll, table, ok := strings.Cut(base, "."); ok && isPart {
			byRoll[roll] = append(byRoll[roll], table)
		}
	}
	var rolls []Roll
	for name, tables := range byRoll {
		if !slices.Contains(tables, Captures.Name()) || named(rec.Rolls, name) || rec.Epoch > 0 && epochOf(name) != rec.Epoch {
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
