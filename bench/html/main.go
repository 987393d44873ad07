// Bench-html measures what reading pages costs: with Harrow's own parser and
// selectors, with goquery (golang.org/x/net/html and cascadia), and, for
// orientation, with selectolax (lexbor, in C) and lxml (libxml2, in C).
//
//	go run ./bench/html [-small] [-rounds N] [-profile FILE] [-md FILE]
//
// Products, listings and articles of 5, 30 and 250 KB are generated from a seed
// with eight values each, which all sides must find. Each side works in a
// process of its own and takes CPU by that process's clock, garbage collection
// included; in each round all sides have their turn, and medians of the rounds
// count. Then pages that are made to be expensive are parsed, at 1 and at 4 MB,
// within a limit of time and memory.
//
// Harrow must take at most a quarter of goquery's CPU and a fiftieth of its
// allocations for the product of 30 KB with its eight fields, and be ahead of
// selectolax; and four times a hostile page at most ten times as long.
//
// -small is for continuous integration: one page of each kind and size in one
// round, and small hostile pages; values and allocations are judged, time is
// not. Without Python in .build/venv (make setup), Go's two sides are compared.
//
// It ends with exit code 1 when something does not hold, and 2 when something
// went wrong.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/harrowdata/harrow/internal/html5/pages"
)

// seed of the pages.
const seed = 20261122

// Sides.
const (
	ours       = "harrow"
	goquery    = "goquery"
	selectolax = "selectolax"
	lxml       = "lxml"
)

// python has selectolax and lxml in it: make setup installs them.
const python = ".build/venv/bin/python"

// plan is how much is measured.
type plan struct {
	sizes    []int // KB
	pages    int   // of each kind and size
	every    int   // so manieth page of PostgreSQL's manual
	rounds   int
	cpu      float64       // seconds a measurement takes at least
	kept     int           // bytes of pages whose trees are kept to see what they take; 0: that isn't asked
	hostile  []int         // KB; the second is four times the first
	patience time.Duration // CPU for one hostile page
	judge    bool          // time
}

var (
	full = plan{sizes: []int{5, 30, 250}, pages: 4, every: 25, rounds: 9, cpu: 0.1, kept: 16 << 20, hostile: []int{1_000, 4_000}, patience: 5 * time.Second, judge: true}
	few  = plan{sizes: []int{5, 30, 250}, pages: 2, every: 100, rounds: 1, hostile: []int{10, 40}, patience: 5 * time.Second}
)

func main() {
	roles.Child()
	small := flag.Bool("small", false, "CI's size: time is not judged")
	rounds := flag.Int("rounds", full.rounds, "how often each side is measured")
	profile := flag.String("profile", "", "write a profile of Harrow on products of 30 KB to this file, and do nothing else")
	md := flag.String("md", "", "file to write a report to")
	flag.Parse()
	p := full
	p.rounds = *rounds
	if *small {
		p = few
	}
	if *profile != "" {
		if err := profiled(*profile); err != nil {
			fmt.Fprintln(os.Stderr, "bench-html:", err)
			os.Exit(2)
		}
		return
	}
	r, err := bench(context.Background(), p, os.Stdout)
	if err == nil && *md != "" {
		err = r.write(*md)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-html:", err)
		os.Exit(2)
	}
	if len(r.wrong) > 0 {
		os.Exit(1)
	}
}

// bench measures all and prints it.
func bench(ctx context.Context, p plan, out io.Writer) (r *results, err error) {
	dir, err := os.MkdirTemp("", "harrow-bench-html-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b := &bencher{plan: p, dir: dir, results: &results{plan: p}}
	if err := b.prepare(out); err != nil {
		return nil, err
	}
	defer func() {
		for _, peer := range b.peers {
			err = errors.Join(err, peer.stop())
		}
	}()
	if err := b.values(ctx); err != nil {
		return nil, err
	}
	r = b.results
	for _, step := range []struct {
		do    func(context.Context) error
		shown func() table
		skip  bool
	}{{b.memory, r.memory, p.kept == 0}, {b.measure, r.cpu, false}, {b.torture, r.ordeals, false}} {
		if step.skip {
			continue
		}
		if err := step.do(ctx); err != nil {
			return nil, err
		}
		if err := step.shown().print(out); err != nil {
			return nil, err
		}
	}
	return r, r.conclude(out)
}

// bencher asks the sides.
type bencher struct {
	plan
	dir     string
	groups  []group
	want    [][][]string // by group, page and field; nil: what goquery finds
	peers   []*peer
	results *results
}

// prepare makes the pages and the sides.
func (b *bencher) prepare(out io.Writer) error {
	if err := b.generate(); err != nil {
		return err
	}
	if err := b.manual(out); err != nil {
		return err
	}
	manifest := filepath.Join(b.dir, "manifest.json")
	data, err := json.Marshal(b.groups)
	if err != nil {
		return err
	}
	if err := os.WriteFile(manifest, data, 0o666); err != nil {
		return err
	}
	b.results.sides = []string{ours, goquery}
	interpreter, err := filepath.Abs(python)
	if err == nil {
		_, err = os.Stat(interpreter)
	}
	switch {
	case err == nil:
		b.results.sides = append(b.results.sides, selectolax, lxml)
	case os.Getenv("HARROW_TEST_REQUIRE") == "1":
		return err
	default:
		fmt.Fprintf(out, "%s is not there: make setup installs selectolax and lxml\n", python)
	}
	for _, side := range b.results.sides {
		b.peers = append(b.peers, newPeer(side, interpreter, manifest, b.groups))
	}
	return nil
}

// patient is how much CPU any side may take for what is not hostile.
const patient = 2 * time.Minute

// values has every side read every page, which warms it too, and compares.
func (b *bencher) values(ctx context.Context) error {
	for i, g := range b.groups {
		found := map[string][][]string{}
		for _, p := range b.peers {
			a, err := p.ask(ctx, question{Do: "values", Group: i}, patient)
			if err != nil {
				return err
			}
			found[p.name] = a.Values
		}
		want := b.want[i]
		if want == nil {
			want = found[goquery]
		}
		for _, side := range b.results.sides {
			for page := range g.Files {
				b.results.compare(side, g, page, found[side], want[page])
			}
		}
	}
	return nil
}

// memory asks what trees take, of the largest pages.
func (b *bencher) memory(ctx context.Context) error {
	for _, p := range b.peers {
		for i, g := range b.groups {
			if !g.Largest {
				continue
			}
			a, err := p.ask(ctx, question{Do: "memory", Group: i, Keep: b.kept}, patient)
			if err != nil {
				return err
			}
			b.results.groups[i].side(p.name).memory = a.Memory
			// A process that has memory to spare would hide what the next trees take.
			if err := p.stop(); err != nil {
				return err
			}
		}
	}
	return nil
}

// measure measures all rounds; who begins changes from round to round.
func (b *bencher) measure(ctx context.Context) error {
	for round := range b.rounds {
		for i := range b.groups {
			for with := range what {
				for k := range b.peers {
					p := b.peers[(k+round)%len(b.peers)]
					a, err := p.ask(ctx, question{Do: "measure", Group: i, Fields: with == 1, CPU: b.cpu}, patient)
					if err != nil {
						return err
					}
					b.results.groups[i].side(p.name).add(with, a)
				}
			}
		}
	}
	return nil
}

// torture has the sides parse hostile pages. A side that could not do with the
// smaller one isn't asked for the larger.
func (b *bencher) torture(ctx context.Context) error {
	file := filepath.Join(b.dir, "hostile.html")
	for _, h := range pages.Hostiles {
		o := ordeal{name: h.Name, by: make(map[string][]answer)}
		for _, kb := range b.hostile {
			if err := os.WriteFile(file, h.Make(kb*1000), 0o666); err != nil {
				return err
			}
			for _, p := range b.peers {
				if did := o.by[p.name]; len(did) > 0 && did[len(did)-1].Refused != "" {
					continue
				}
				a, err := p.ask(ctx, question{Do: "hostile", File: file}, b.patience)
				switch {
				case errors.Is(err, errLate):
					a.Refused = fmt.Sprintf("not within %v", b.patience)
				case err != nil && ctx.Err() == nil:
					a.Refused = err.Error()
				case err != nil:
					return err
				}
				o.by[p.name] = append(o.by[p.name], a)
			}
		}
		b.results.hard = append(b.results.hard, o)
	}
	return nil
}
