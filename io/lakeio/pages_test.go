package lakeio

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/harrowdata/harrow"
)

func newRunID(t *testing.T) string {
	t.Helper()
	id, err := NewRunID()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestTheCurrentPagesAreThoseOfTheLastRunThatCommittedSome(t *testing.T) {
	s := openTemp(t)
	current := func(want string) {
		t.Helper()
		if got, err := CurrentPages(t.Context(), s, "shop"); err != nil || got != want {
			t.Errorf("current is %q, %v; want %q", got, err, want)
		}
	}
	current("")
	one, two, three := newRunID(t), newRunID(t), newRunID(t)
	for _, run := range []string{two, one} { // order of commits doesn't matter
		l := Lake{Store: s, Job: "shop", Run: run}
		part := writeRows(t, s, l.Stage(PagesStage)+"/pages/a.arrow", Pages, []harrow.PageState{{ID: harrow.ID{1}, URL: run}}, nil, LZ4)
		if !strings.HasPrefix(part.URI, "shop/pages/"+run+"/") {
			t.Errorf("part is %s", part.URI)
		}
		if _, err := l.Commit(t.Context(), PagesStage, []harrow.Part{part}, nil, time.Now()); err != nil {
			t.Fatal(err)
		}
		current(two)
	}
	// A run that was killed before its commit, and what is no run.
	for _, uri := range []string{"shop/pages/" + three + "/shuffle/x.arrow", "shop/pages/zzz/manifest.json", "shop/pages/README"} {
		if err := s.Put(t.Context(), uri, []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	current(two)
}

// A version's rows come in the order of their ids, however they lie in shards,
// parts and batches.
func TestPagesAreReadInTheOrderOfTheirIDs(t *testing.T) {
	s := openTemp(t)
	rapid.Check(t, func(t *rapid.T) {
		run, err := NewRunID()
		if err != nil {
			t.Fatal(err)
		}
		l := Lake{Store: s, Job: "shop", Run: run}
		shards := map[int][]harrow.PageState{}
		var want []harrow.ID
		for i := range rapid.IntRange(0, 40).Draw(t, "rows") {
			var id harrow.ID
			binary.BigEndian.PutUint64(id[:], uint64(i+1)*0x9e3779b97f4a7c15)
			want = append(want, id)
			shard := rapid.IntRange(0, 3).Draw(t, "shard")
			shards[shard] = append(shards[shard], harrow.PageState{ID: id, URL: id.String(), Headers: []harrow.Header{{Name: "X", Value: id.String()}}})
		}
		slices.SortFunc(want, compareIDs)
		var parts []harrow.Part
		for shard, rows := range shards {
			slices.SortFunc(rows, func(a, b harrow.PageState) int { return compareIDs(a.ID, b.ID) })
			for len(rows) > 0 {
				n := rapid.IntRange(1, len(rows)).Draw(t, "rows of a part")
				name := l.Stage(PagesStage) + "/pages/" + rapid.StringMatching("[a-z]{12}").Draw(t, "name") + ".arrow"
				cuts := rapid.SliceOfN(rapid.Bool(), n, n).Draw(t, "cuts")
				p := writeRows(t, s, name, Pages, rows[:n], cuts, LZ4)
				p.Shard = shard
				parts, rows = append(parts, p), rows[n:]
			}
		}
		if _, err := l.Commit(t.Context(), PagesStage, parts, nil, time.Now()); err != nil {
			t.Fatal(err)
		}
		var got []harrow.ID
		err = l.EachPage(t.Context(), func(p harrow.PageState) error {
			if p.URL != p.ID.String() || len(p.Headers) != 1 || p.Headers[0].Value != p.URL {
				t.Fatalf("row of %s: %+v", p.ID, p)
			}
			got = append(got, p.ID)
			return nil
		})
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("%d ids, %v; want %d: %v, %v", len(got), err, len(want), got, want)
		}
	})
}

func TestPagesThatAreNotThereOrNotWhole(t *testing.T) {
	s := openTemp(t)
	l := Lake{Store: s, Job: "shop", Run: newRunID(t)}
	each := func() (n int, err error) {
		err = l.EachPage(t.Context(), func(harrow.PageState) error { n++; return nil })
		return n, err
	}
	if n, err := each(); n != 0 || err != nil {
		t.Errorf("no version: %d rows, %v", n, err)
	}
	rows := []harrow.PageState{{ID: harrow.ID{2}}, {ID: harrow.ID{1}}}
	part := writeRows(t, s, l.Stage(PagesStage)+"/pages/a.arrow", Pages, rows, nil, LZ4)
	if _, err := l.Commit(t.Context(), PagesStage, []harrow.Part{part}, nil, time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := each(); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), part.URI) {
		t.Errorf("out of order: %v, want ErrCorrupt and the part's name", err)
	}
	if err := s.Delete(t.Context(), part.URI); err != nil {
		t.Fatal(err)
	}
	if _, err := each(); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), part.URI) {
		t.Errorf("a part is gone: %v, want ErrNotFound and its name", err)
	}

	l.Run = newRunID(t)
	part = writeRows(t, s, l.Stage(PagesStage)+"/pages/a.arrow", Pages, []harrow.PageState{{ID: harrow.ID{1}}, {ID: harrow.ID{2}}}, []bool{true}, LZ4)
	part.Rows = 3
	if _, err := l.Commit(t.Context(), PagesStage, []harrow.Part{part}, nil, time.Now()); err != nil {
		t.Fatal(err)
	}
	if n, err := each(); !errors.Is(err, ErrCorrupt) || n != 2 {
		t.Errorf("a row is missing: %d rows, %v", n, err)
	}
	stop := errors.New("stop")
	if err := l.EachPage(t.Context(), func(harrow.PageState) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("do's error came back as %v", err)
	}
}
