package runners

import (
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
)

func pass(b []byte, emit func([]byte)) { emit(b) }

func keyed(b []byte, emit func(string, []byte)) { emit("", b) }

func init() {
	register.Function2x0(pass)
	register.Function2x0(keyed)
	register.Emitter2[string, []byte]()
}

// splits counts the Flattens of which some inputs are handed over and some are
// not: what Beam's fuser refuses.
func splits(p *pipepb.Pipeline) (n int) {
	g := indexed(p)
	for id, t := range g.all {
		if t.GetSpec().GetUrn() == urnFlatten && g.split(id) {
			n++
		}
	}
	return n
}

func TestFlattensThatTheFuserCantTakeAreMadeApart(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		build  func(s beam.Scope, some func() beam.PCollection) beam.PCollection
		before int // Flattens that are split
		edges  int // Reshuffles that are put in
	}{
		"all made in steps": {func(s beam.Scope, some func() beam.PCollection) beam.PCollection {
			return beam.Flatten(s, some(), some())
		}, 0, 0},
		"all handed over": {func(s beam.Scope, _ func() beam.PCollection) beam.PCollection {
			return beam.Flatten(s, beam.Impulse(s), beam.Impulse(s))
		}, 0, 0},
		"one is Flink's": {func(s beam.Scope, some func() beam.PCollection) beam.PCollection {
			return beam.Flatten(s, some(), beam.Impulse(s), some())
		}, 1, 2},
		"one is grouped, too": {func(s beam.Scope, some func() beam.PCollection) beam.PCollection {
			a := some()
			beam.GroupByKey(s, beam.ParDo(s, keyed, a)) // that is in a step
			b := some()
			beam.Reshuffle(s, b)
			return beam.Flatten(s, a, b)
		}, 1, 1},
		"one within another": {func(s beam.Scope, some func() beam.PCollection) beam.PCollection {
			return beam.Flatten(s, some(), beam.Flatten(s, some(), beam.Impulse(s)))
		}, 2, 2},
		"one's input is another's, too": {func(s beam.Scope, some func() beam.PCollection) beam.PCollection {
			b := some()
			beam.ParDo(s, pass, beam.Flatten(s, b, beam.Impulse(s)))
			return beam.Flatten(s, b, some())
		}, 1, 2},
	} {
		p, s := beam.NewPipelineWithRoot()
		beam.ParDo(s, pass, c.build(s, func() beam.PCollection { return beam.ParDo(s, pass, beam.Impulse(s)) }))
		pipeline, err := translate(t.Context(), p, "localhost:1")
		if err != nil {
			t.Fatal(err)
		}
		before := len(pipeline.GetComponents().GetTransforms())
		if n := splits(pipeline); n != c.before {
			t.Errorf("%s: %d Flattens are split, want %d", name, n, c.before)
		}
		apart(pipeline)
		if n := splits(pipeline); n != 0 {
			t.Errorf("%s: %d Flattens are split still", name, n)
		}
		if n := len(pipeline.GetComponents().GetTransforms()) - before; n != c.edges {
			t.Errorf("%s: %d Reshuffles were put in, want %d", name, n, c.edges)
		}
		for id, of := range pipeline.GetComponents().GetTransforms() {
			if pipeline.GetComponents().GetPcollections()[id] != nil {
				t.Errorf("%s: %s is a transform and a PCollection", name, id)
			}
			for _, in := range of.GetInputs() {
				if pipeline.GetComponents().GetPcollections()[in] == nil {
					t.Errorf("%s: %s reads %s, which there isn't", name, id, in)
				}
			}
		}
	}
}
