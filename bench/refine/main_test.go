package main

import (
	"os"
	"strings"
	"testing"
)

func TestMain(m *testing.M) {
	roles.Child()
	os.Exit(m.Run())
}

func TestGeneratorKnowsWhatIsKept(t *testing.T) {
	for _, rows := range []int64{10, 1000, 99_990} {
		g := newGenerator(rows)
		type copyOf struct{ number, copy int64 }
		latest, seen := map[string]copyOf{}, map[copyOf]bool{}
		at := map[string]int64{}
		for i := range rows {
			values, o := g.row(i)
			c := copyOf{values[1].(int64), values[2].(int64)}
			if seen[c] {
				t.Fatalf("%d rows: %v comes twice", rows, c)
			}
			seen[c] = true
			if k := values[0].(string); o.FetchedAt.Unix() > at[k] {
				at[k], latest[k] = o.FetchedAt.Unix(), c
			} else if o.FetchedAt.Unix() == at[k] {
				t.Fatalf("%d rows: copies of %s are as old", rows, k)
			}
		}
		s := uint64(0)
		for _, c := range latest {
			s += sum(c.number, c.copy)
		}
		if int64(len(latest)) != g.distinct || s != g.want() {
			t.Errorf("%d rows: %d keys with checksum %x; want %d with %x", rows, len(latest), s, g.distinct, g.want())
		}
	}
}

// TestSmallCase is too small to spill: that is the only thing to be found
// wrong.
func TestSmallCase(t *testing.T) {
	var out strings.Builder
	_, err := bench(t.Context(), plan{rows: []int64{20_000}, limits: []int64{64 * mib}, shards: []int{3}}, t.TempDir(), &out)
	if err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + out.String())
	if s := out.String(); !strings.Contains(s, " 18000 ") || !strings.Contains(s, "FAILED: [did not spill]") {
		t.Errorf("got\n%s", s)
	}
}
