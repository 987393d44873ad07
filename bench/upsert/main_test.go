package main

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/soak/postgres"
)

func TestMain(m *testing.M) {
	roles.Child()
	os.Exit(m.Run())
}

// TestSmallCase loads few rows: all that is judged holds, but time.
func TestSmallCase(t *testing.T) {
	var out strings.Builder
	r, err := bench(t.Context(), plan{rows: 3_000, rounds: 1, memory: 128 * mib}, "", &out)
	if errors.Is(err, postgres.ErrMissing) && os.Getenv("HARROW_TEST_REQUIRE") != "1" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	if len(r.wrong) > 0 || len(r.all) != 4 {
		t.Errorf("%d loads of 4; wrong: %q\n%s", len(r.all), r.wrong, out.String())
	}
}

func TestResultsThatAreWrongAreFound(t *testing.T) {
	good := content{"20", "0", "1"}
	for _, c := range []struct {
		name string
		do   func(r *results)
		want string
	}{
		{"a count", func(r *results) { r.counted(empty, harrow.Counts{Added: 19, Changed: 1}) }, "load counted"},
		{"a count of the full table", func(r *results) { r.counted(full, harrow.Counts{Changed: 3, Unchanged: 17}) }, "load counted"},
		{"rows", func(r *results) { r.add(figures{kase: empty, side: by}, 0, content{"19", good.prices, good.sum}) }, "want 20"},
		{"prices", func(r *results) { r.add(figures{kase: full, side: by}, 1, good) }, "with prices of"},
		{"tables that differ", func(r *results) {
			r.add(figures{kase: empty, side: by}, 0, good)
			r.add(figures{kase: empty, side: harrowed}, 0, content{good.rows, good.prices, "2"})
		}, "differ"},
		{"memory", func(r *results) {
			f := figures{kase: empty, side: harrowed}
			f.Peak = r.memory + beyond + 1
			r.add(f, 0, good)
		}, "peak memory"},
		{"nothing", func(r *results) {
			r.counted(full, harrow.Counts{Changed: 2, Unchanged: 18})
			r.counted(empty, harrow.Counts{Added: 20})
			r.add(figures{kase: empty, side: by}, 0, good)
			r.add(figures{kase: empty, side: harrowed}, 0, good)
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &results{plan: plan{rows: 20, memory: 64 * mib}}
			good.prices = r.want(0)
			c.do(r)
			if got := strings.Join(r.wrong, "; "); c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q in it", got, c.want)
			}
		})
	}
}

func TestTextOfCOPY(t *testing.T) {
	for value, want := range map[string]string{
		`null`: `\N`, `12`: `12`, `true`: `true`, `"3.10"`: `3.10`, `"a\tb\\c\nd"`: `a\tb\\c\nd`, `["a","b c"]`: `{"a","b c"}`, `[]`: `{}`,
	} {
		got, err := appendText([]byte("x"), []byte(value))
		if err != nil || string(got) != "x"+want {
			t.Errorf("%s: got %q, %v; want x%s", value, got, err, want)
		}
	}
}

func TestTheSecondSetChangesATenth(t *testing.T) {
	for _, n := range []int64{1, 3, 4, 13, 14, 1000, 50_000} {
		count := int64(0)
		for i := range n {
			if set(0).price(i) != set(1).price(i) {
				count++
			}
		}
		if count != changed(n) {
			t.Errorf("%d rows: %d changed, want %d", n, count, changed(n))
		}
	}
}
