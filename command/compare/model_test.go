package compare_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/harrowdata/harrow/command/compare"
	"github.com/harrowdata/harrow/command/view"
)

// plain is a row of the model: a key that may be null and repeat, a value.
type plain struct {
	key, value string
	page       byte
	ordinal    int64
}

func (p plain) row() row {
	r := row{[]any{p.key, p.value}, p.page, p.ordinal}
	if p.key == "" {
		r.values[0] = nil
	}
	return r
}

// expected pairs rows of a key by their position in the order of page, ordinal
// and value.
func expected(a, b []plain) (r compare.Record, lines []string) {
	groups := map[string][2][]plain{}
	for i, rows := range [][]plain{a, b} {
		for _, p := range rows {
			g := groups[p.key]
			g[i] = append(g[i], p)
			groups[p.key] = g
		}
	}
	for _, key := range sorted(groups) {
		g := groups[key]
		for i := range g {
			slices.SortFunc(g[i], func(a, b plain) int {
				return cmp.Or(cmp.Compare(a.page, b.page), cmp.Compare(a.ordinal, b.ordinal), cmp.Compare(a.value, b.value))
			})
		}
		for i := range max(len(g[0]), len(g[1])) {
			switch {
			case i >= len(g[1]):
				r.Removed++
				lines = append(lines, "removed "+key+" "+g[0][i].value)
			case i >= len(g[0]):
				r.Added++
				lines = append(lines, "added "+key+" "+g[1][i].value)
			case g[0][i].value == g[1][i].value:
				r.Equal++
			default:
				r.Changed++
				lines = append(lines, fmt.Sprintf("changed %s %s %s", key, g[0][i].value, g[1][i].value))
			}
		}
	}
	return r, lines
}

func sorted[V any](m map[string]V) (keys []string) {
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// line is a row of the output, told like the model does.
func line(t testing.TB, text string) string {
	var l struct {
		Change string
		Key    struct{ Key *string }
		Row    struct{ Value string }
		Fields struct{ Value struct{ Old, New string } }
	}
	if err := json.Unmarshal([]byte(text), &l); err != nil {
		t.Fatal(err)
	}
	key := ""
	if l.Key.Key != nil {
		key = *l.Key.Key
	}
	if l.Change == "changed" {
		return fmt.Sprintf("changed %s %s %s", key, l.Fields.Value.Old, l.Fields.Value.New)
	}
	return fmt.Sprintf("%s %s %s", l.Change, key, l.Row.Value)
}

func TestDiffIsThatOfTheModelHoweverRowsLie(t *testing.T) {
	draw := rapid.Custom(func(t *rapid.T) plain {
		return plain{rapid.SampledFrom([]string{"", "a", "b", "c", "aa", "a\x00"}).Draw(t, "key"), rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "value"),
			rapid.Byte().Draw(t, "page"), rapid.Int64Range(0, 2).Draw(t, "ordinal")}
	})
	rows := rapid.SliceOfN(draw, 0, 30)
	for seed := range 20 { // a workspace each, whose files are synced: fewer than rapid takes
		a, b := rows.Example(2*seed), rows.Example(2*seed+1)
		random := rand.New(rand.NewPCG(1, uint64(seed)))
		want, lines := expected(a, b)
		s := newShelf(t)
		l, m := s.run([]string{"key"}), s.run([]string{"key"})
		for run, rows := range map[string][]plain{l.Run: a, m.Run: b} {
			lake := l
			lake.Run = run
			var parts [2][]row
			for _, i := range random.Perm(len(rows)) {
				half := random.IntN(2)
				parts[half] = append(parts[half], rows[i].row())
			}
			s.commit(lake, "refine", s.part(lake, "refine", "book", "key:text value:text", parts[0]...), s.part(lake, "refine", "book", "key:text value:text", parts[1]...))
		}
		got, sum := s.must(l, m, compare.Query{}, view.JSON)
		r := sum.Records[0]
		if r.Equal != want.Equal || r.Changed != want.Changed || r.Added != want.Added || r.Removed != want.Removed || sum.Differ != (len(lines) > 0) {
			t.Errorf("%+v, want %+v", r, want)
		}
		var told []string
		for text := range strings.Lines(got[strings.IndexByte(got, '\n')+1:]) {
			told = append(told, line(t, text))
		}
		if !slices.Equal(told, lines) {
			t.Errorf("got\n%q\nwant\n%q", told, lines)
		}
	}
}
