package html

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/html5"
	"github.com/harrowdata/harrow/soak/rig"
)

// FuzzPage holds what holds of any page: it is parsed without a panic into a
// sound tree, the same one by a parser that has parsed another page before, the
// selectors select what cascadia selects, and a tree that golang.org/x/net/html
// reads back the same once it is written comes back the same here too.
func FuzzPage(f *testing.F) {
	for i := range 40 {
		g := &maker{Rand: rig.Random(1, i)}
		kinds[i%len(kinds)].write(g)
		f.Add(g.Bytes())
	}
	for _, odd := range oddities {
		f.Add([]byte("<p>a" + odd + "<b>c"))
	}
	used, err := newJudge()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if !utf8.Valid(text) || bytes.HasPrefix(text, []byte("\uFEFF")) || len(text) > 64<<10 {
			t.Skip("no page as the parser takes it")
		}
		if err := used.judge(1, page{"fuzz", "fuzz", text}); err != nil {
			if _, tree := errors.AsType[errTree](err); !tree {
				t.Fatal(err) // trees are compared by TestPagesAreAsGoqueryHasThem: a fuzzer finds more ways to differ than there are rules
			}
		}
		var (
			parser html5.Parser
			fresh  dom.Tree
		)
		if err := parser.Parse(&fresh, text); err != nil {
			t.Fatal(err)
		}
		if got, want := dump(&used.tree), dump(&fresh); !slices.Equal(got, want) {
			t.Fatalf("a parser that was used before makes\n%q, a new one\n%q", got, want)
		}
		comesBack(t, &fresh)
	})
}

// comesBack writes a tree as HTML 13.3 says and reads it back. The standard
// warns that not all trees come back; those that do for the oracle must here.
func comesBack(t *testing.T, tree *dom.Tree) {
	t.Helper()
	written := tree.AppendHTML(nil, dom.Root)
	theirs, err := ask(written)
	if err != nil || compare(tree, theirs, nil) != nil {
		return
	}
	var (
		parser html5.Parser
		again  dom.Tree
	)
	if err := parser.Parse(&again, written); err != nil {
		t.Fatal(err)
	}
	if d := compare(&again, theirs, written); d != nil && explain(d) == nil {
		t.Fatalf("written as %q the tree comes back another: %v", written, d)
	}
}

func dump(t *dom.Tree) (nodes []string) {
	for i := range t.Len() {
		nodes = append(nodes, ourPath(t, dom.ID(i))+" "+ourNode(t, dom.ID(i)))
	}
	return nodes
}
