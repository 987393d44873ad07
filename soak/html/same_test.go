package html

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/html5"
	"github.com/harrowdata/harrow/soak/rig"
)

// judge compares one page after the other.
type judge struct {
	parser html5.Parser
	tree   dom.Tree
	finder *finder

	pages, same, nodes int
	explained          map[string]int // differing trees by rule
	examples           map[string]string
}

func newJudge() (*judge, error) {
	f, err := newFinder()
	return &judge{finder: f, explained: map[string]int{}, examples: map[string]string{}}, err
}

// errTree says that trees differ without a reason.
type errTree struct{ *difference }

func (e errTree) Error() string { return "the tree differs: " + e.String() }

// judge compares what both sides make of a page. Where the trees differ with
// good reason, the selectors are held to what cascadia selects in ours.
func (j *judge) judge(seed uint64, p page) error {
	if err := j.parser.Parse(&j.tree, p.text); err != nil {
		return err
	}
	t := &j.tree
	if err := check(t); err != nil {
		return err
	}
	o, err := ask(p.text)
	var d *difference
	if err != nil {
		d = &difference{text: p.text, limit: err.Error()}
	} else {
		d = compare(t, o, p.text)
	}
	name := ""
	if d != nil {
		r := explain(d)
		if r == nil {
			return errTree{d}
		}
		name = r.name
		root, _ := t.NetHTML()
		o = listed(root)
		if again := compare(t, o, p.text); again != nil {
			return fmt.Errorf("the copy of the tree is another one: %v", again)
		}
	}
	if err := j.finder.compare(rig.Random(seed, len(p.text)), t, o); err != nil {
		return err
	}
	j.pages++
	j.nodes += t.Len()
	if name == "" {
		j.same++
	} else {
		j.explained[name]++
		j.examples[name] = p.name
	}
	return nil
}

// add adds what another judge came to.
func (j *judge) add(other *judge) {
	j.pages, j.same, j.nodes = j.pages+other.pages, j.same+other.same, j.nodes+other.nodes
	for name, n := range other.explained {
		j.explained[name] += n
	}
	maps.Copy(j.examples, other.examples)
	for i, n := range other.finder.found {
		j.finder.found[i] += n
	}
	for name, n := range other.finder.explained {
		j.finder.explained[name] += n
	}
}

// judgeAll compares pages on all cores. A page that fails is made small and
// shown; of more than a few, no more than the number.
func judgeAll(t *testing.T, seed uint64, pages func(yield func(page))) (total *judge, byKind map[string]int) {
	t.Helper()
	total, err := newJudge()
	if err != nil {
		t.Fatal(err)
	}
	byKind = map[string]int{}
	queue := make(chan page, 64)
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		failed int
	)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			j, err := newJudge()
			if err != nil {
				t.Error(err)
			}
			for p := range queue {
				if err := j.judge(seed, p); err != nil {
					mu.Lock()
					failed++
					n := failed
					mu.Unlock()
					if n <= 10 {
						t.Error(shown(t, seed, p, err))
					}
				}
			}
			mu.Lock()
			defer mu.Unlock()
			total.add(j)
		})
	}
	pages(func(p page) {
		byKind[p.kind]++
		queue <- p
	})
	close(queue)
	wg.Wait()
	if failed > 0 {
		t.Errorf("%d of %d pages differ without a reason", failed, total.pages+failed)
	}
	return total, byKind
}

// shown is a failure with a page that is as small as can be; the page as it was
// is kept in the folder that HARROW_PAGES_FAILED names.
func shown(t *testing.T, seed uint64, p page, err error) string {
	t.Helper()
	if dir := os.Getenv("HARROW_PAGES_FAILED"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, strings.ReplaceAll(p.name, "/", "_")), p.text, 0o600); err != nil {
			t.Error(err)
		}
	}
	_, tree := errors.AsType[errTree](err)
	fresh, ferr := newJudge()
	if ferr != nil {
		return ferr.Error()
	}
	last := err
	small := minimise(p.text, func(text []byte) bool {
		err := fresh.judge(seed, page{p.kind, p.name, text})
		if _, again := errors.AsType[errTree](err); err == nil || again != tree {
			return false
		}
		last = err
		return true
	})
	return fmt.Sprintf("%s: %v\nsmallest: %q: %v", p.name, err, small, last)
}

func TestPagesAreAsGoqueryHasThem(t *testing.T) {
	seed := rig.Seed(t)
	perSource, makes, mutants := 40, 300, 300
	if testing.Short() {
		perSource, makes, mutants = 10, 80, 80
	}
	if rig.Long() {
		perSource, makes, mutants = perPackage, 8000, 8000
	}
	var originals [][]byte // what mutated pages are made of: a part of all
	total, byKind := judgeAll(t, seed, func(yield func(page)) {
		number := 0
		both := func(p page) {
			yield(p)
			if number++; len(originals) < 500 {
				originals = append(originals, p.text)
			} else if at := rig.Random(seed, number).IntN(number); at < len(originals) {
				originals[at] = p.text
			}
		}
		documentation(t, seed, perSource, both)
		demo(t, seed, perSource, both)
		made(seed, makes, both)
		for i := range mutants {
			r := rig.Random(seed, 1<<33+i)
			yield(mutated(seed, i, page{"mutated", "page", originals[r.IntN(len(originals))]}, originals[r.IntN(len(originals))]))
		}
	})
	var rules []string
	for _, r := range explained {
		if n := total.explained[r.name]; n > 0 {
			rules = append(rules, fmt.Sprintf("%s %d", r.name, n))
		}
		t.Logf("%s: %d pages, as %s", r.name, total.explained[r.name], total.examples[r.name])
	}
	for _, r := range explainedSelectors {
		if n := total.finder.explained[r.name]; n > 0 {
			rules = append(rules, fmt.Sprintf("%s %d elements", r.name, n))
		}
		t.Logf("%s: %d elements", r.name, total.finder.explained[r.name])
	}
	for i, n := range total.finder.found {
		if i < len(selectors) && n == 0 && !slices.Contains(nowhere, selectors[i]) {
			t.Errorf("%s selects nothing on any page", selectors[i])
		}
	}
	var counts []string
	for _, kind := range slices.Sorted(maps.Keys(byKind)) {
		counts = append(counts, fmt.Sprintf("%d %s", byKind[kind], kind))
	}
	t.Logf("seed %d: %d pages (%s), %d nodes, %d trees equal; selected by: %v", seed, total.pages, strings.Join(counts, ", "), total.nodes, total.same, total.finder.found)
	if rig.Long() && total.pages < 20000 {
		t.Errorf("%d pages, want 20000 at least", total.pages)
	}
	rig.Report(t, seed, "%d pages (%s), %d nodes: %d trees equal, %d differ with a reason (%s); %d selectors and %d paths select the same",
		total.pages, strings.Join(counts, ", "), total.nodes, total.same, total.pages-total.same, strings.Join(rules, ", "), len(selectors), len(paths))
}
