package compare_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/command/compare"
	"github.com/harrowdata/harrow/command/view"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/io/lakeio/laketest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var begun = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// shelf is a workspace with the runs of job shop.
type shelf struct {
	t     testing.TB
	store lakeio.Store
	spill string
	runs  int
	parts int
}

func newShelf(t testing.TB) *shelf {
	store, err := lakeio.Open(t.TempDir())
	check(t, err)
	s := &shelf{t: t, store: store, spill: t.TempDir()}
	t.Cleanup(func() {
		if left, _ := os.ReadDir(s.spill); len(left) != 0 {
			t.Errorf("limits.spill still has %v", left)
		}
	})
	return s
}

func runID(n int) string { return fmt.Sprintf("0198c0de-0000-7000-8000-%012d", n) }

// run makes a run whose record book has a key; change may alter the rest.
func (s *shelf) run(key []string, change ...func(*lakeio.Run, *harrow.Job)) lakeio.Lake {
	s.t.Helper()
	s.runs++
	j := harrow.Job{Name: "shop", Parse: []harrow.Rule{{Record: "book"}}}
	j.SetDefaults()
	j.Limits.Spill, j.Limits.Memory = s.spill, 64<<20
	if key != nil {
		j.Refine = map[string]harrow.Refine{"book": {Key: key}}
	}
	r := lakeio.Run{ID: runID(s.runs), Job: "shop", Digest: "d", Rounds: 1, FetchShards: 1, Shards: 1, CreatedAt: begun, State: lakeio.Done}
	for _, f := range change {
		f(&r, &j)
	}
	var err error
	r.Spec, err = json.Marshal(j)
	check(s.t, err)
	check(s.t, lakeio.CreateRun(s.t.Context(), s.store, r))
	return lakeio.Lake{Store: s.store, Job: "shop", Run: r.ID}
}

func (s *shelf) commit(l lakeio.Lake, stage string, parts ...harrow.Part) {
	s.t.Helper()
	_, err := l.Commit(s.t.Context(), stage, parts, nil, begun)
	check(s.t, err)
}

// row is one of a record: its values, and where it comes from.
type row struct {
	values  []any
	page    byte
	ordinal int64
}

func columns(words string) (list []harrow.Column) {
	for word := range strings.FieldsSeq(words) {
		name, kind, _ := strings.Cut(word, ":")
		t, err := harrow.ParseType(kind)
		if err != nil {
			panic(err)
		}
		list = append(list, harrow.Column{Name: name, Type: t})
	}
	return list
}

// part writes rows of a record, some a batch.
func (s *shelf) part(l lakeio.Lake, stage, record, cols string, rows ...row) harrow.Part {
	s.t.Helper()
	b := lakeio.NewRecordBuilder(harrow.RecordType{Name: record, Columns: columns(cols)})
	defer b.Release()
	s.parts++
	w, err := lakeio.NewPart(s.t.Context(), s.store, fmt.Sprintf("%s/%s/%d.arrow", l.Stage(stage), record, s.parts),
		lakeio.RecordSchema(harrow.RecordType{Name: record, Columns: columns(cols)}), lakeio.Zstd)
	check(s.t, err)
	for i, r := range rows {
		check(s.t, b.Append(r.values, lakeio.Origin{ID: harrow.ID{r.page}, URL: fmt.Sprintf("http://books.example/%03d", r.page), Ordinal: r.ordinal,
			Rule: record, FetchedAt: begun.Add(time.Duration(i) * time.Second), Run: l.Run}))
		if b.Rows() == 7 || i+1 == len(rows) {
			batch := b.Batch()
			check(s.t, w.Write(batch))
			batch.Release()
		}
	}
	p, err := w.Close()
	check(s.t, err)
	return p
}

// rejects writes dead letters.
func (s *shelf) rejects(l lakeio.Lake, stage string, rows ...harrow.Reject) harrow.Part {
	s.t.Helper()
	for i := range rows {
		rows[i].Stage = stage
	}
	return laketest.WriteRows(s.t, s.store, l.Stage(stage)+"/rejects/0.arrow", lakeio.Rejects, rows...)
}

func (s *shelf) find(l lakeio.Lake) view.Run {
	s.t.Helper()
	r, err := view.FindRun(s.t.Context(), s.store, l.Job, l.Run)
	check(s.t, err)
	return r
}

// diff compares two runs and returns what is printed.
func (s *shelf) diff(a, b lakeio.Lake, q compare.Query, out view.Output, paint view.Paint) (text string, sum compare.Summary, err error) {
	s.t.Helper()
	var printed strings.Builder
	out.W = &printed
	d, err := compare.Runs(s.t.Context(), s.find(a), s.find(b), q, out, paint)
	if err != nil {
		return "", sum, err
	}
	check(s.t, d.Write())
	check(s.t, d.Close())
	return printed.String(), d.Summary, nil
}

// must is diff without an error.
func (s *shelf) must(a, b lakeio.Lake, q compare.Query, f view.Format) (string, compare.Summary) {
	s.t.Helper()
	text, sum, err := s.diff(a, b, q, view.Output{Format: f}, false)
	check(s.t, err)
	return text, sum
}

// damage flips a bit of a part.
func (s *shelf) damage(p harrow.Part) {
	s.t.Helper()
	path := filepath.Join(s.store.Local(), filepath.FromSlash(p.URI))
	data, err := os.ReadFile(path)
	check(s.t, err)
	data[len(data)/3] ^= 1
	check(s.t, os.WriteFile(path, data, 0o666))
}
