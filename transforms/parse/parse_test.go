package parse

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/direct"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/io/lakeio/laketest"
	"github.com/harrowdata/harrow/transforms/parts"
	"github.com/harrowdata/harrow/transforms/parts/engine"
)

func TestMain(m *testing.M) { ptest.Main(m) }

// fetched writes a workspace with captures and their bodies: books pages with
// two books each, the second of them without a title.
func fetched(t *testing.T, env engine.Env, books int) []harrow.Part {
	t.Helper()
	bodies, captures := lakeio.Bodies.NewBuilder(), lakeio.Captures.NewBuilder()
	for i := range books {
		text := fmt.Sprintf("<article><h1>Book %d</h1><b>%d</b></article><article><b>%d</b></article>", i, i, i)
		bodies.Append(harrow.Body{Digest: "d", Body: []byte(text)})
		c := capture(byte(i+1), int64(i), 1, len(text))
		c.BodyPart = "in/bodies.arrow"
		captures.Append(c)
	}
	return []harrow.Part{
		written(t, env, "in/captures.arrow", captures.Batch()),
		written(t, env, "in/bodies.arrow", bodies.Batch()),
		{}, // a reference without file
	}
}

func written(t *testing.T, env engine.Env, uri string, batch harrow.Batch) harrow.Part {
	t.Helper()
	defer batch.Release()
	lake, err := env.Open()
	if err != nil {
		t.Fatal(err)
	}
	return laketest.Write(t, lake.Store, uri, batch)
}

func TestRecordsOfAStage(t *testing.T) {
	env := engine.Env{Workspace: t.TempDir(), Job: "job", Run: "run", Stage: "parse", Memory: 64 << 20, Spill: t.TempDir(), Shards: 4}
	in := fetched(t, env, 50)
	cfg := bookConfig()
	cfg.Run = ""
	var before []string
	for range 2 { // the second time changes nothing
		p, s := beam.NewPipelineWithRoot()
		parts.Commit(s, env, Records(s, env, cfg, parts.Collection{Col: beam.CreateList(s, in)}))
		if _, err := beam.Run(t.Context(), "direct", p); err != nil {
			t.Fatal(err)
		}
		rows, rejects := committed(t, env)
		if len(rows) != 50 || !slices.Contains(rows, "records/book title=Book 7 stock=7 _url=http://books.example/8 _ordinal=0 _rule=book#1 _digest=d _run=run") {
			t.Errorf("%d rows: %q", len(rows), rows)
		}
		if len(rejects) != 50 || rejects[0].Stage != "parse" || rejects[0].Code != "required" || rejects[0].Field != "title" || rejects[0].ID.IsZero() || rejects[0].URL == "" {
			t.Errorf("%d rejects: %+v", len(rejects), rejects[:min(len(rejects), 1)])
		}
		if before != nil && !slices.Equal(rows, before) {
			t.Errorf("got %q; before %q", rows, before)
		}
		before = rows
	}
}

// committed reads what the stage's manifest names, sorted.
func committed(t *testing.T, env engine.Env) ([]string, []harrow.Reject) {
	t.Helper()
	lake, err := env.Open()
	if err != nil {
		t.Fatal(err)
	}
	m, err := lake.Manifest(t.Context(), env.Stage)
	if err != nil {
		t.Fatal(err)
	}
	var out outcome
	var rejects []harrow.Reject
	for _, part := range m.Parts {
		for b, err := range lakeio.ReadBatches(t.Context(), lake.Store, part) {
			if err != nil {
				t.Fatal(err)
			}
			if part.Table == "rejects" {
				for _, r := range lakeio.Rejects.Rows(b) {
					r.Reason = strings.Clone(r.Reason)
					rejects = append(rejects, r)
				}
				continue
			}
			if err := out.Emit(part.Table, b); err != nil {
				t.Fatal(err)
			}
		}
	}
	slices.Sort(out.rows)
	return out.rows, rejects
}

func TestRecordsRefusesABadConfig(t *testing.T) {
	defer func() {
		if p := fmt.Sprint(recover()); !strings.Contains(p, `parse.Records: parse[0].fields.stock: css "b["`) {
			t.Errorf("got %s", p)
		}
	}()
	cfg := bookConfig()
	cfg.Rules[0].Fields[1].CSS = "b["
	_, s := beam.NewPipelineWithRoot()
	Records(s, engine.Env{Workspace: "w", Job: "j", Run: "r", Stage: "parse"}, cfg, parts.None(s))
}
