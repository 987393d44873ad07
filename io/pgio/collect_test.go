package pgio

import (
	"strings"
	"testing"

	"github.com/harrowdata/harrow"
)

// What is to be collected is looked for in the job's own place alone, and
// nothing is made for it.
func TestCollectMakesNothingAndTakesNothingOfOthers(t *testing.T) {
	t.Parallel()
	for _, isolation := range []string{bySchema, byDatabase} {
		c := home(t)
		c.Isolation = isolation
		s := newSink(t, c)
		collect := func(s *Sink, dry bool, want harrow.Collected) {
			t.Helper()
			if n, err := s.Collect(t.Context(), []string{"r1", "none"}, dry); err != nil || n != want {
				t.Errorf("%s: collected %+v, %v; want %+v", isolation, n, err, want)
			}
		}
		collect(s, false, harrow.Collected{})
		wantRows(t, newSink(t, home(t)), "SELECT (SELECT count(*) FROM pg_namespace WHERE nspname = '"+c.Schema+"') + (SELECT count(*) FROM pg_database WHERE datname = '"+c.Schema+"')", "0")

		for _, run := range []string{"r1", "r2"} {
			load(t, s, bookShard(t, run, bookRow(nil, nil, day, run), bookRow(run, nil, day, run)), harrow.Counts{Added: 1, Rejected: 1})
		}
		collect(s, true, harrow.Collected{Rows: 2})
		collect(s, false, harrow.Collected{Rows: 2})
		collect(s, false, harrow.Collected{})
		wantRows(t, s, "SELECT run FROM _harrow_marks UNION ALL SELECT run FROM _harrow_rejects", "r2", "r2")
		wantRows(t, s, "SELECT count(*) FROM book", "2")

		other, err := open(c, "shoes")
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		if _, err := other.Collect(t.Context(), []string{"r2"}, false); err == nil || !strings.Contains(err.Error(), "belongs to job shop, not to job shoes") {
			t.Error(err)
		}
	}
}
