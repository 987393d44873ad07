package lakeio

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
)

func testShard(t testing.TB) FetchShard { return FetchShard{Lake: testLake(t), Round: 2, Shard: 17} }

// closeRoll writes a roll's files as its owner does: captures last. The
// appending is left to the caller.
func closeRoll(t testing.TB, f FetchShard, name string) Roll {
	t.Helper()
	counters := map[string]int64{"links_not_taken.depth": 2}
	roll := Roll{Name: name, Counters: counters}
	roll.Parts = append(roll.Parts, writeRows(t.(fatal), f.Lake.Store, f.RollURI(name, "bodies"), Bodies, bodies(4), nil, LZ4))
	roll.Parts = append(roll.Parts, writeRows(t.(fatal), f.Lake.Store, f.RollURI(name, "links"), Links, []harrow.Link{{URL: "u"}}, nil, LZ4))
	w, err := NewPart(t.Context(), f.Lake.Store, f.RollURI(name, "captures"), WithCounters(Captures.Schema(), counters), LZ4)
	check(t, err)
	b := Captures.NewBuilder()
	defer b.Release()
	for _, c := range capturesForTests() {
		b.Append(c)
	}
	batch := b.Batch()
	defer batch.Release()
	check(t, w.Write(batch))
	part, err := w.Close()
	check(t, err)
	roll.Parts = append(roll.Parts, part)
	for i := range roll.Parts {
		roll.Parts[i].Shard = f.Shard
	}
	return roll
}

func rollNames(r ShardRecord) (names []string) {
	for _, roll := range r.Rolls {
		names = append(names, roll.Name)
	}
	return names
}

func take(t *testing.T, f FetchShard, owner string) ShardRecord {
	t.Helper()
	r, _, err := f.Claim(t.Context(), Claim{Owner: owner})
	check(t, err)
	return r
}

func TestShardsAreNamedByRoundAndNumber(t *testing.T) {
	f := testShard(t)
	if got, want := f.URI(), f.Lake.RunDir()+"/fetch-2/shard-00017.json"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := f.RollURI("r", "bodies"), f.Lake.RunDir()+"/fetch-2/shard-00017/r.bodies.arrow"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestALifeOfAShard(t *testing.T) {
	f, ctx := testShard(t), t.Context()
	if r, err := f.Read(ctx); err != nil || !reflect.DeepEqual(r, ShardRecord{}) {
		t.Errorf("before: %+v, %v", r, err)
	}
	r := take(t, f, "one")
	if r.Epoch != 1 || r.Owner != "one" || r.Done || len(r.Rolls) > 0 || r.Version != 1 {
		t.Errorf("taken: %+v", r)
	}
	roll := closeRoll(t, f, "00001-00000-aa")
	check(t, f.Append(ctx, "one", roll))
	check(t, f.Append(ctx, "one", roll)) // its answer was lost, say
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	for _, n := range []Notes{
		{},
		{Delays: map[string]time.Duration{"a.example": 5 * time.Second, "b.example": time.Minute}},
		{Delays: map[string]time.Duration{"a.example": 7 * time.Second}, Holds: map[string]time.Time{"b.example": noon}},
		{Delays: map[string]time.Duration{"a.example": time.Second}, Holds: map[string]time.Time{"b.example": noon.Add(-time.Hour), "c.example": noon.In(time.FixedZone("", 3600))}},
	} {
		check(t, f.Note(ctx, "one", n))
	}
	check(t, f.Finish(ctx, "one", time.Second, time.Minute))
	check(t, f.Finish(ctx, "one", time.Second, time.Minute))
	r, err := f.Read(ctx)
	check(t, err)
	if since := time.Since(r.Ended); since < 0 || since > time.Hour {
		t.Errorf("ended at %v", r.Ended)
	}
	want := ShardRecord{Version: 1, Epoch: 1, Owner: "one", Ended: r.Ended, Rolls: []Roll{roll}, Done: true, Bound: time.Second, Wall: time.Minute,
		Delays: map[string]time.Duration{"a.example": 7 * time.Second, "b.example": time.Minute},
		Holds:  map[string]time.Time{"b.example": noon, "c.example": noon}}
	if !reflect.DeepEqual(r, want) {
		t.Errorf("%+v, want %+v", r, want)
	}
	// Nothing changes it any more.
	if got := take(t, f, "two"); !reflect.DeepEqual(got, want) {
		t.Errorf("taken when done: %+v", got)
	}
	closeRoll(t, f, "00001-00001-bb")
	if got := take(t, f, "three"); !reflect.DeepEqual(got, want) {
		t.Errorf("a done shard adopted a roll: %+v", got)
	}
	for _, owner := range []string{"one", "two"} {
		wants(t, f.Append(ctx, owner, Roll{Name: "late"}), ErrLost, f.URI())
		wants(t, f.Note(ctx, owner, Notes{}), ErrLost, f.URI())
	}
	wants(t, f.Finish(ctx, "two", 0, 0), ErrLost, f.URI())
}

func TestTheNextOwnerAdoptsWholeRolls(t *testing.T) {
	f, ctx := testShard(t), t.Context()
	take(t, f, "one")
	appended := closeRoll(t, f, "00001-00000-aa")
	check(t, f.Append(ctx, "one", appended))
	left := closeRoll(t, f, "00001-00001-bb") // closed, never appended
	check(t, f.Lake.Store.Put(ctx, f.RollURI("00001-00003-dd", "bodies"), []byte("no captures")))
	check(t, f.Lake.Store.Put(ctx, f.Lake.Stage("fetch-2")+"/shard-00017/notes.txt", nil))
	r := take(t, f, "two")
	if got := rollNames(r); r.Epoch != 2 || !slices.Equal(got, []string{appended.Name, left.Name}) {
		t.Errorf("epoch %d, rolls %v", r.Epoch, got)
	}
	adopted := r.Rolls[1]
	slices.SortFunc(adopted.Parts, func(a, b harrow.Part) int { return strings.Compare(a.URI, b.URI) })
	slices.SortFunc(left.Parts, func(a, b harrow.Part) int { return strings.Compare(a.URI, b.URI) })
	for i := range left.Parts { // files pad small columns and leave out bitmaps
		if got := adopted.Parts[i].Raw; got == 0 || got > left.Parts[i].Raw+2000 {
			t.Errorf("%d bytes before compression, the writer said %d", got, left.Parts[i].Raw)
		}
		adopted.Parts[i].Raw = left.Parts[i].Raw
	}
	if !reflect.DeepEqual(adopted, left) {
		t.Errorf("adopted %+v, want %+v", adopted, left)
	}
	// Once is enough.
	if got := rollNames(take(t, f, "three")); len(got) != 2 {
		t.Errorf("taken again: %v", got)
	}
	// And the zombie learns it.
	wants(t, f.Append(ctx, "one", left), ErrLost, f.URI(), "three")
	wants(t, f.Note(ctx, "one", Notes{Delays: map[string]time.Duration{"a.example": time.Second}, Holds: map[string]time.Time{"a.example": time.Now()}}), ErrLost)
	wants(t, f.Finish(ctx, "one", 0, 0), ErrLost)
	if r, _ := f.Read(ctx); r.Done || len(r.Delays)+len(r.Holds) > 0 || len(r.Rolls) != 2 {
		t.Errorf("the zombie changed it: %+v", r)
	}
}

// A process that was asleep closes its roll after the shard was taken from it.
// Its requests are asked again by whoever has the shard now, so whoever takes
// it next must not count them twice.
func TestARollThatWasClosedTooLateNeverCounts(t *testing.T) {
	f, ctx := testShard(t), t.Context()
	take(t, f, "asleep")
	take(t, f, "two")
	late := closeRoll(t, f, "00001-00000-aa")
	wants(t, f.Append(ctx, "asleep", late), ErrLost)
	again := closeRoll(t, f, "00002-00000-bb")
	check(t, f.Append(ctx, "two", again))
	left := closeRoll(t, f, "00002-00001-cc")
	for _, owner := range []string{"three", "four"} {
		if got, want := rollNames(take(t, f, owner)), []string{again.Name, left.Name}; !slices.Equal(got, want) {
			t.Errorf("%s has rolls %v, want %v", owner, got, want)
		}
	}
}

// A taker that was overtaken while it looked for rolls looks again: the other
// may have left some of its own.
func TestATakerLooksAgainWhenItWasOvertaken(t *testing.T) {
	f, ctx := testShard(t), t.Context()
	take(t, f, "one")
	slow := f
	left := ""
	slow.Lake.Store = &listHook{f.Lake.Store, sync.OnceFunc(func() {
		take(t, f, "quick")
		left = closeRoll(t, f, "00002-00000-bb").Name
	})}
	r, _, err := slow.Claim(ctx, Claim{Owner: "slow"})
	check(t, err)
	if r.Epoch != 3 || r.Owner != "slow" || !slices.Equal(rollNames(r), []string{left}) {
		t.Errorf("epoch %d of %s, rolls %v; want 3 with %s", r.Epoch, r.Owner, rollNames(r), left)
	}
}

// listHook does something after each listing.
type listHook struct {
	Store
	after func()
}

func (s *listHook) List(ctx context.Context, folder string) ([]string, error) {
	names, err := s.Store.List(ctx, folder)
	s.after()
	return names, err
}

// A roll is adopted whole or not at all: each file of it may be cut short.
func TestRollsThatAreNotWholeAreNotAdopted(t *testing.T) {
	for _, table := range []string{"bodies", "links", "captures"} {
		f := testShard(t)
		closeRoll(t, f, "00001-00000-aa")
		file := filepath.Join(f.Lake.Store.Local(), filepath.FromSlash(f.RollURI("00001-00000-aa", table)))
		data, err := os.ReadFile(file)
		check(t, err)
		for i := 0; i <= len(data); i += 1 + len(data)/10 {
			check(t, os.WriteFile(file, data[:i], 0o666))
			check(t, f.Lake.Store.Delete(t.Context(), f.URI()))
			if r := take(t, f, fmt.Sprint(i)); len(r.Rolls) > 0 {
				t.Errorf("%s cut to %d of %d bytes, and the roll was adopted", table, i, len(data))
			}
		}
		check(t, os.WriteFile(file, data, 0o666))
		check(t, f.Lake.Store.Delete(t.Context(), f.URI()))
		if r := take(t, f, "whole"); len(r.Rolls) != 1 {
			t.Error("a whole roll was not adopted")
		}
	}
	f := testShard(t)
	closeRoll(t, f, "00001-00000-aa")
	check(t, f.Lake.Store.Delete(t.Context(), f.RollURI("00001-00000-aa", "captures")))
	if r := take(t, f, "x"); len(r.Rolls) > 0 {
		t.Error("a roll without captures was adopted")
	}
}

func TestReadErrorsEndATake(t *testing.T) {
	f := testShard(t)
	closeRoll(t, f, "00001-00000-aa")
	sound := f.Lake.Store
	f.Lake.Store = &countingStore{Store: sound, wrap: func(r Reader) Reader { return &flaky{r, 0, errDisk} }}
	_, _, err := f.Claim(t.Context(), Claim{Owner: "x"})
	wants(t, err, errDisk, "00001-00000-aa")
	f.Lake.Store = sound
	if r := take(t, f, "y"); r.Epoch != 2 || len(r.Rolls) != 1 {
		t.Errorf("the roll was given up for a read that failed: %+v", r)
	}
}

func TestRollsThatAPowerCutTookAreDropped(t *testing.T) {
	f, ctx := testShard(t), t.Context()
	take(t, f, "one")
	names := []string{"00001-00000-aa", "00001-00001-bb", "00001-00002-cc", "00001-00003-dd"}
	for _, name := range names {
		check(t, f.Append(ctx, "one", closeRoll(t, f, name)))
	}
	file := func(name, table string) string {
		return filepath.Join(f.Lake.Store.Local(), filepath.FromSlash(f.RollURI(name, table)))
	}
	check(t, os.Truncate(file(names[0], "bodies"), 0))
	check(t, os.Remove(file(names[1], "links")))
	check(t, os.Truncate(file(names[3], "captures"), 10))
	for _, owner := range []string{"two", "three"} { // what is left of them stays out
		if got := rollNames(take(t, f, owner)); !slices.Equal(got, names[2:3]) {
			t.Errorf("%s has rolls %v, want %v", owner, got, names[2:3])
		}
	}
	// The record itself may be empty then. What the rolls say of who had the
	// shard before counts on.
	check(t, os.Truncate(filepath.Join(f.Lake.Store.Local(), filepath.FromSlash(f.URI())), 0))
	if r, err := f.Read(ctx); err != nil || r.Epoch != 0 {
		t.Errorf("an empty record: %+v, %v", r, err)
	}
	if r := take(t, f, "four"); r.Epoch != 2 || !slices.Equal(rollNames(r), names[2:3]) {
		t.Errorf("after an empty record: %+v", r)
	}
}

func TestDoneShardsAreSynced(t *testing.T) {
	f, ctx := testShard(t), t.Context()
	s := &syncedStore{Store: f.Lake.Store}
	f.Lake.Store = s
	take(t, f, "one")
	roll := closeRoll(t, f, "00001-00000-aa")
	check(t, f.Append(ctx, "one", roll))
	if len(s.synced) > 0 {
		t.Errorf("a roll was synced: %v", s.synced)
	}
	check(t, f.Finish(ctx, "one", 0, 0))
	for _, p := range roll.Parts {
		if !slices.Contains(s.synced, p.URI) {
			t.Errorf("%s was not synced", p.URI)
		}
	}
}

func TestDamagedRecordsAreNamed(t *testing.T) {
	f := testShard(t)
	for data, want := range map[string]string{"x": "want JSON", "{}": "version 0", `{"version":2}`: "version 2", `{"version":1,"epoch":"x"}`: "epoch"} {
		check(t, f.Lake.Store.Put(t.Context(), f.URI(), []byte(data)))
		_, _, err := f.Claim(t.Context(), Claim{Owner: "x"})
		wants(t, err, ErrCorrupt, f.URI(), want)
		_, err = f.Read(t.Context())
		wants(t, err, ErrCorrupt, f.URI(), want)
		wants(t, f.Append(t.Context(), "x", Roll{}), ErrCorrupt, f.URI(), want)
	}
}

// Many take a shard at once and append as long as they own it: each roll that
// was appended with success counts once, and no other one of theirs.
func TestTakersAtOnceLoseNothing(t *testing.T) {
	f, ctx := testShard(t), t.Context()
	var all sync.WaitGroup
	var mu sync.Mutex
	var counted []string
	var lost atomic.Int32
	for g := range 4 {
		all.Go(func() {
			for i := range 5 {
				owner := fmt.Sprintf("owner-%d-%d", g, i)
				if _, _, err := f.Claim(ctx, Claim{Owner: owner}); err != nil {
					t.Error(err)
				}
				for n := range 3 {
					roll := Roll{Name: fmt.Sprint(owner, "-", n)}
					switch err := f.Append(ctx, owner, roll); {
					case err == nil:
						mu.Lock()
						counted = append(counted, roll.Name)
						mu.Unlock()
					case errors.Is(err, ErrLost):
						lost.Add(1)
					default:
						t.Error(err)
					}
				}
			}
		})
	}
	all.Wait()
	r, err := f.Read(ctx)
	check(t, err)
	got := rollNames(r)
	slices.Sort(got)
	slices.Sort(counted)
	if r.Epoch != 20 || !slices.Equal(got, counted) {
		t.Errorf("epoch %d after 20 takes; rolls %v, want %v", r.Epoch, got, counted)
	}
}
