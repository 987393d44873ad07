package html

import (
	"bytes"
	"testing"

	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/html5"
	"github.com/harrowdata/harrow/internal/html5/pages"
)

// cost is what a page costs end to end: parsed and asked for all selectors.
type cost struct {
	size, nodes, attrs, footprint int
	allocations                   float64 // of a page like the one before
}

func (c cost) of(what string) int {
	switch what {
	case "nodes":
		return c.nodes
	case "attributes":
		return c.attrs
	}
	return c.footprint
}

func costOf(t *testing.T, text []byte) cost {
	t.Helper()
	var (
		parser html5.Parser
		tree   dom.Tree
	)
	f, err := newFinder()
	if err != nil {
		t.Fatal(err)
	}
	once := func() {
		if err := parser.Parse(&tree, text); err != nil {
			t.Fatal(err)
		}
		if err := f.matcher.Run(&tree, f.want); err != nil {
			t.Fatal(err)
		}
	}
	once()
	if err := check(&tree); err != nil {
		t.Fatal(err)
	}
	return cost{len(text), tree.Len(), len(tree.Attrs), tree.Footprint(), testing.AllocsPerRun(1, once)}
}

// What docs/html.md says a page takes at most, whatever is in it.
const (
	freeEntries  = 9000 // nodes and attributes, beside one for each byte
	bytesPerByte = 120  // of the tree's arrays
)

// TestHostilePagesCostInProportion parses pages of a size and of twice the size,
// and asks all selectors of them: what they cost may at most double, too.
func TestHostilePagesCostInProportion(t *testing.T) {
	size := 64 << 10
	if testing.Short() {
		size = 16 << 10
	}
	for _, h := range pages.Hostiles {
		t.Run(h.Name, func(t *testing.T) {
			one, two := costOf(t, h.Make(size)), costOf(t, h.Make(2*size))
			t.Logf("%+v, %+v", one, two)
			for _, what := range []string{"nodes", "attributes", "footprint"} {
				if a, b := one.of(what), two.of(what); float64(b) > 2.3*float64(a)+1000 {
					t.Errorf("%s: %d for %d bytes, %d for %d", what, a, one.size, b, two.size)
				}
			}
			for _, c := range []cost{one, two} {
				if c.nodes+c.attrs > freeEntries+c.size || c.footprint > bytesPerByte*c.size {
					t.Errorf("%d bytes take %d nodes, %d attributes, %d bytes", c.size, c.nodes, c.attrs, c.footprint)
				}
			}
			if two.allocations > one.allocations+50 {
				t.Errorf("%v allocations for %d bytes, %v for %d", one.allocations, one.size, two.allocations, two.size)
			}
		})
	}
}

// TestAPageIsNeverLostForItsNesting: goquery has nothing of such a page.
func TestAPageIsNeverLostForItsNesting(t *testing.T) {
	var (
		parser html5.Parser
		tree   dom.Tree
	)
	text := append(bytes.Repeat([]byte("<div><i>"), 20000), "<p id=last>x"...)
	if _, err := ask(text); err == nil {
		t.Error("x/net/html takes it now: explained_test.go has a rule too many")
	}
	if err := parser.Parse(&tree, text); err != nil {
		t.Fatal(err)
	}
	f, err := newFinder()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.matcher.Run(&tree, f.want); err != nil {
		t.Fatal(err)
	}
	last := dom.ID(tree.Len() - 2)
	if got := ourNode(&tree, last); got != `<p id="last">` || tree.TextOf(last, 0) != "x" {
		t.Errorf("the last element is %s", got)
	}
}
