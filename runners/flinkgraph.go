package runners

import (
	pipepb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/pipeline_v1"
)

// What of a pipeline the fuser looks at (model/pipeline_v1, StandardPTransforms).
const (
	urnParDo     = "beam:transform:pardo:v1"
	urnFlatten   = "beam:transform:flatten:v1"
	urnReshuffle = "beam:transform:reshuffle:v1"
)

// apart makes every Flatten one that Beam's fuser (GreedyPipelineFuser of
// 2.62.0) can take. It moves a Flatten into the steps before it, and leaves it
// to Flink where one of its inputs has to be handed over anyway: when it does
// both, what only the steps have is "consumed but never produced", and the job
// is refused. Such inputs get a Reshuffle, which on Flink is no operator but
// another edge, and always handed over.
func apart(p *pipepb.Pipeline) {
	for again := true; again; {
		again = handOver(p)
	}
}

// handOver does so for the Flattens that are split now. A Reshuffle takes its
// input, which is handed over from then on: that may split another Flatten that
// takes it, too. It reports whether there were any, which ends: inputs that are
// handed over stay so.
func handOver(p *pipepb.Pipeline) bool {
	g := indexed(p)
	ids := g.splitOnes()
	for _, id := range ids {
		t := g.all[id]
		for name, in := range t.GetInputs() {
			if g.handedOver(in) {
				continue
			}
			was := p.GetComponents().GetPcollections()[in]
			between := in + "-handed-over-to-" + id
			p.GetComponents().GetPcollections()[between] = &pipepb.PCollection{UniqueName: between, CoderId: was.GetCoderId(),
				IsBounded: was.GetIsBounded(), WindowingStrategyId: was.GetWindowingStrategyId()}
			// Beam sorts transforms and PCollections by their ids in one set
			// (QueryablePipeline): an id is one thing's.
			edge := "edge-" + between
			g.all[edge] = &pipepb.PTransform{UniqueName: edge, Spec: &pipepb.FunctionSpec{Urn: urnReshuffle},
				Inputs: map[string]string{"i0": in}, Outputs: map[string]string{"i0": between}}
			p.RootTransformIds = append(p.RootTransformIds, edge)
			t.Inputs[name] = between
		}
	}
	return len(ids) > 0
}

// fusing is who makes and who takes each PCollection, of those that the runner
// is shown: what a Reshuffle is made of is not.
type fusing struct {
	all  map[string]*pipepb.PTransform
	from map[string]string
	to   map[string][]string
}

func indexed(p *pipepb.Pipeline) fusing {
	g := fusing{all: p.GetComponents().GetTransforms(), from: map[string]string{}, to: map[string][]string{}}
	inside := map[string]bool{}
	for _, t := range g.all {
		if t.GetSpec().GetUrn() == urnReshuffle {
			for _, sub := range t.GetSubtransforms() {
				inside[sub] = true
			}
		}
	}
	for id, t := range g.all {
		if inside[id] || len(t.GetSubtransforms()) > 0 && t.GetSpec().GetUrn() != urnReshuffle {
			continue
		}
		for _, out := range t.GetOutputs() {
			g.from[out] = id
		}
		for _, in := range t.GetInputs() {
			g.to[in] = append(g.to[in], id)
		}
	}
	return g
}

// splitOnes lists the Flattens of which some inputs are handed over, and some are
// not.
func (g fusing) splitOnes() (ids []string) {
	for id, t := range g.all {
		if t.GetSpec().GetUrn() == urnFlatten && g.split(id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// split reports whether some of a Flatten's inputs are handed over, and some
// are not.
func (g fusing) split(id string) bool {
	handed, kept := false, false
	for _, in := range g.all[id].GetInputs() {
		if g.handedOver(in) {
			handed = true
		} else {
			kept = true
		}
	}
	return handed && kept
}

// handedOver reports whether a PCollection leaves the step that makes it: Flink
// made it, or something takes it that can't be in a step. That is the fuser's
// rule where no DoFn has side inputs, state or timers, and all are of one
// environment.
func (g fusing) handedOver(pc string) bool {
	maker := g.from[pc]
	switch g.all[maker].GetSpec().GetUrn() {
	case urnParDo:
	case urnFlatten:
		for _, in := range g.all[maker].GetInputs() {
			if g.handedOver(in) {
				return true
			}
		}
	default:
		return true
	}
	for _, taker := range g.to[pc] {
		if urn := g.all[taker].GetSpec().GetUrn(); urn != urnParDo && urn != urnFlatten {
			return true
		}
	}
	return false
}
