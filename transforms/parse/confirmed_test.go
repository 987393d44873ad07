package parse

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/transforms/parts"
	"github.com/harrowdata/harrow/transforms/parts/engine"
)

func confirmedCapture(n byte, part string, row int64, bytes int) harrow.Capture {
	c := capture(n, row, 1, bytes)
	c.Outcome, c.Status, c.BodyPart = harrow.NotModified, 304, part
	return c
}

func TestConfirmedCapturesAreLeftToTheirOwnStep(t *testing.T) {
	cfg := bookConfig()
	cfg.Confirmed = true
	beside := &shelf{rows: []harrow.Body{body("<article><h1>One</h1></article>")}}
	in := batchOf(capture(1, 0, 1, 30), confirmedCapture(2, "bodies-1", 0, 30))
	o, out := made(t, cfg), &outcome{}
	if err := errors.Join(o.ProcessBeside(t.Context(), in, beside, out), o.Finish(t.Context(), out)); err != nil {
		t.Fatal(err)
	}
	if len(out.rows) != 1 || !strings.Contains(out.rows[0], "_url=http://books.example/1 ") {
		t.Errorf("beside the shuffle: %q", out.rows)
	}
	create, err := harrow.LookupOperator(confirmedName)
	if err != nil {
		t.Fatal(err)
	}
	filter, err := create(nil)
	if err != nil {
		t.Fatal(err)
	}
	kept := &ids{}
	if err := errors.Join(filter.Process(t.Context(), in, kept), filter.Process(t.Context(), batchOf(), kept), filter.Finish(t.Context(), kept)); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(kept.ids, []harrow.ID{{2}}) {
		t.Errorf("to the shuffle go %v", kept.ids)
	}
}

type ids struct {
	outcome
	ids []harrow.ID
}

func (o *ids) Emit(_ string, b harrow.Batch) error {
	for _, c := range lakeio.Captures.Rows(b) {
		o.ids = append(o.ids, c.ID)
	}
	return nil
}

// gone is a second table that can't be read any more.
type gone struct{ err error }

func (g gone) Rows(part string, _, _ int64) iter.Seq2[engine.Row, error] {
	return func(yield func(engine.Row, error) bool) { yield(engine.Row{}, fmt.Errorf("%s: %w", part, g.err)) }
}

func TestAConfirmedBodyThatIsGoneIsAnErrorThatSaysWhatToDo(t *testing.T) {
	for _, why := range []error{lakeio.ErrNotFound, lakeio.ErrCorrupt} {
		err := made(t, bookConfig()).ProcessBeside(t.Context(), batchOf(confirmedCapture(1, "old-part", 0, 30)), gone{why}, &outcome{})
		for _, part := range []string{"http://books.example/1", "old-part", "fetch.conditional: false"} {
			if !errors.Is(err, why) || !strings.Contains(err.Error(), part) {
				t.Errorf("%v: %v; want %s in it", why, err, part)
			}
		}
		err = made(t, bookConfig()).ProcessBeside(t.Context(), batchOf(capture(1, 0, 1, 30)), gone{why}, &outcome{})
		if !errors.Is(err, why) || strings.Contains(err.Error(), "conditional") {
			t.Errorf("a body of this run: %v", err)
		}
	}
}

// Captures of one roll whose bodies lie in several old parts, in no order, make
// the same records as fetched ones.
func TestConfirmedAndFetchedCapturesMakeTheSameRecords(t *testing.T) {
	const n = 60
	var want []string
	for _, confirmed := range []bool{false, true} {
		env := engine.Env{Workspace: t.TempDir(), Job: "job", Run: "run", Stage: "parse", Memory: 64 << 20, Spill: t.TempDir(), Shards: 3}
		var captures []harrow.Capture
		for p := range 3 {
			bodies := lakeio.Bodies.NewBuilder()
			uri := fmt.Sprintf("job/runs/old/%d.arrow", p)
			for i := range n / 3 {
				text := fmt.Sprintf("<article><h1>Book %d in %d</h1><b>%d</b></article>", i, p, i)
				bodies.Append(body(text))
				c := capture(byte(len(captures)+1), int64(i), 1, len(text))
				if c.BodyPart = uri; confirmed && i%4 > 0 {
					c = confirmedCapture(byte(len(captures)+1), uri, int64(i), len(text))
				}
				captures = append(captures, c)
			}
			written(t, env, uri, bodies.Batch())
		}
		slices.SortFunc(captures, func(a, b harrow.Capture) int { return int(a.ID[0]*37) - int(b.ID[0]*37) })
		in := []harrow.Part{written(t, env, "job/runs/run/a.arrow", batchOf(captures...))}
		cfg := bookConfig()
		cfg.Confirmed = confirmed
		p, s := beam.NewPipelineWithRoot()
		parts.Commit(s, env, Records(s, env, cfg, parts.Collection{Col: beam.CreateList(s, in)}))
		if _, err := beam.Run(t.Context(), "direct", p); err != nil {
			t.Fatal(err)
		}
		rows, rejects := committed(t, env)
		if len(rows) != n || len(rejects) != 0 {
			t.Errorf("confirmed %v: %d rows, %d rejects", confirmed, len(rows), len(rejects))
		}
		if !confirmed {
			want = rows
		} else if !slices.Equal(rows, want) {
			t.Errorf("got %q\nwant %q", rows, want)
		}
	}
}
