package dedup

import (
	"fmt"
	"slices"
	"testing"

	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/direct"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/io/lakeio/laketest"
	"github.com/harrowdata/harrow/transforms/parts"
	"github.com/harrowdata/harrow/transforms/parts/engine"
)

func TestMain(m *testing.M) { ptest.Main(m) }

// TestByKey sends parts through the pipeline: duplicates meet, whatever part
// they were in and however many shards there are.
func TestByKey(t *testing.T) {
	for _, shards := range []int{1, 5} {
		env := engine.Env{Workspace: t.TempDir(), Job: "shop", Run: "r1", Stage: "refine", Memory: 64 << 20, Spill: t.TempDir(), Shards: shards}
		lake, err := env.Open()
		if err != nil {
			t.Fatal(err)
		}
		var in []harrow.Part
		for i := range 3 {
			var rows []row
			for k := range 20 {
				rows = append(rows, row{upc: fmt.Sprint(k), url: fmt.Sprintf("u%02d", k), ordinal: int64((k + i) % 3)})
			}
			if i == 1 {
				rows = append(rows, row{url: "null"})
			}
			in = append(in, writePart(t, lake, i, rows))
		}
		p, s := beam.NewPipelineWithRoot()
		all := parts.Collection{Col: beam.CreateList(s, in)}
		parts.Commit(s, env, ByKey(s, env, Config{Record: "book", Key: []string{"upc"}, Keep: harrow.Keep{Policy: harrow.KeepFirst}}, all))
		if _, err := direct.Execute(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		m, err := lake.Manifest(t.Context(), "refine")
		if err != nil {
			t.Fatal(err)
		}
		var got, want []string
		for _, p := range m.TablesOf("records/book") {
			for b, err := range lakeio.ReadBatches(t.Context(), lake.Store, p) {
				if err != nil {
					t.Fatal(err)
				}
				for i := range b.Rows() {
					got = append(got, fmt.Sprintf("%s#%d", b.Column("_url").(*array.String).Value(i), b.Column("_ordinal").(*array.Int64).Value(i)))
				}
			}
		}
		for k := range 20 {
			want = append(want, fmt.Sprintf("u%02d#0", k))
		}
		slices.Sort(got)
		if !slices.Equal(got, want) || m.Tables["rejects"].Rows != 1 {
			t.Errorf("%d shards: %v and %d rejects, want %v and 1", shards, got, m.Tables["rejects"].Rows, want)
		}
	}
}

func writePart(t *testing.T, lake lakeio.Lake, i int, rows []row) harrow.Part {
	t.Helper()
	b := batch(t, rows...)
	defer b.Release()
	return laketest.Write(t, lake.Store, fmt.Sprintf("%s/%d.arrow", lake.Stage("parse"), i), b)
}

func TestWithoutAKeyNothingIsDone(t *testing.T) {
	_, s := beam.NewPipelineWithRoot()
	in := parts.Collection{Col: parts.None(s).Col}
	out := ByKey(s, engine.Env{}, Config{Record: "book"}, in)
	if out.Col != in.Col || !slices.Equal(out.Tables, []string{"records/book"}) {
		t.Errorf("%+v", out)
	}
}
