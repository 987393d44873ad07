package pipelines

import (
	"reflect"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/graph"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/graphx"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners/vet"

	"github.com/harrowdata/harrow/io/lakeio"
)

// shopPlan is the demo's plan, and with from the plan of a run that takes
// stages over.
func shopPlan(t *testing.T, from string) Plan {
	t.Helper()
	p := newBench(t, smallSite(), shopJob(t)).plan()
	p.Run.Previous, p.Run.Inputs = "0190e000-0000-7000-8000-000000000001", []lakeio.Input{{Path: "seeds.txt", Digest: "d", Bytes: 1}}
	if from != "" {
		p.Run.Sources = map[string]string{}
		for _, stage := range lakeio.Stages {
			if after(from, stage) {
				p.Run.Sources[stage] = "0190e000-0000-7000-8000-000000000001"
			}
		}
	}
	return p
}

// plan is that of a new run; nothing is written.
func (b *bench) plan() Plan {
	b.t.Helper()
	job, err := ReadJob(b.request.JobFile, b.request.Params)
	if err != nil {
		b.t.Fatal(err)
	}
	store, err := openWorkspace(b.dir)
	if err != nil {
		b.t.Fatal(err)
	}
	d, err := decide(b.t.Context(), store, job, b.request)
	if err != nil {
		b.t.Fatal(err)
	}
	p, err := plan(b.request, b.dir, d, job)
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

// eachPlan tests the whole graph, and those of runs that take stages over.
func eachPlan(t *testing.T, test func(t *testing.T, p *beam.Pipeline)) {
	for _, from := range append([]string{""}, lakeio.Stages...) {
		t.Run("from "+from, func(t *testing.T) {
			p, root := beam.NewPipelineWithRoot()
			Harvest(root, shopPlan(t, from))
			test(t, p)
		})
	}
}

// A DoFn reaches its worker as JSON: what does not come back is lost, and shows
// no other sign.
func TestEveryDoFnSurvivesSerialisation(t *testing.T) {
	kinds := map[string]int{}
	eachPlan(t, func(t *testing.T, p *beam.Pipeline) {
		edges, _, err := p.Build()
		if err != nil {
			t.Fatal(err)
		}
		for _, edge := range edges {
			if edge.Op != graph.ParDo || edge.DoFn == nil {
				continue
			}
			sent, err := graphx.EncodeMultiEdge(edge)
			if err != nil {
				t.Fatalf("%s: %v", edge.Name(), err)
			}
			_, came, _, _, _, err := graphx.DecodeMultiEdge(sent)
			if err != nil {
				t.Fatalf("%s: %v", edge.Name(), err)
			}
			fn := (*graph.Fn)(edge.DoFn)
			if fn.Recv == nil {
				if fn.Fn.Fn.Name() != came.Fn.Fn.Name() {
					t.Errorf("function %s came back as %s", fn.Fn.Fn.Name(), came.Fn.Fn.Name())
				}
				continue
			}
			if !strings.HasPrefix(fn.Name(), "github.com/harrowdata/harrow/") {
				continue // Beam's own
			}
			kinds[fn.Name()]++
			checkTravelled(t, fn.Name(), fn.Recv, came.Recv)
		}
	})
	for _, name := range []string{"transforms/parts.mapFn", "transforms/parts.slicesFn", "transforms/parts.mergeFn", "transforms/parts.commitFn",
		"transforms/fetch.roundFn", "transforms/upsert.keyFn", "transforms/upsert.loadFn"} {
		if kinds["github.com/harrowdata/harrow/"+name] == 0 {
			t.Errorf("the graph has no %s; it has %v", name, kinds)
		}
		delete(kinds, "github.com/harrowdata/harrow/"+name)
	}
	if len(kinds) > 0 {
		t.Errorf("DoFns that this test does not know: %v", kinds)
	}
}

// checkTravelled holds a DoFn against what came of it: exported fields equal,
// and no unexported one set, since these stay behind.
func checkTravelled(t *testing.T, name string, sent, came any) {
	t.Helper()
	a, b := reflect.Indirect(reflect.ValueOf(sent)), reflect.Indirect(reflect.ValueOf(came))
	for i := range a.NumField() {
		field := a.Type().Field(i)
		switch {
		case !field.IsExported() && !a.Field(i).IsZero():
			t.Errorf("%s.%s is set and not exported: it stays behind", name, field.Name)
		case field.IsExported() && !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()):
			t.Errorf("%s.%s is %+v, came back as %+v", name, field.Name, a.Field(i).Interface(), b.Field(i).Interface())
		}
	}
}

// An emitter, iterator or function that is not registered runs by reflection,
// slowly: only the vet runner tells.
func TestEveryPipelinePassesTheVetRunner(t *testing.T) {
	eachPlan(t, func(t *testing.T, p *beam.Pipeline) {
		if _, err := vet.Execute(t.Context(), p); err != nil {
			t.Error(err)
		}
	})
}
