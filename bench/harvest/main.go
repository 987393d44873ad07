// Bench-harvest compares a whole harvest with the loop that somebody would
// write by hand for the one site: net/http, goquery, SQLite.
//
//	go run ./bench/harvest [-n 3] [-pages 5000] [-size 30000] [-cpuprofile FILE]
//
// The pages are given as seeds and come without latency, so CPU decides. Site,
// Harrow and loop run in processes of their own; Harrow and loop take turns
// and the medians are compared. Both ask 16 pages at once and take the same 8
// fields; Harrow keeps the raw pages besides, obeys robots.txt, and can go on
// after a kill. Before anything is printed, the rows in both databases must be
// the same. The loop's CPU is counted from main on, Harrow's from the start of
// the process. Then both parse the pages that a run of Harrow has kept again, as
// after a change of the rules.
//
// It ends with exit code 1 when Harrow takes more CPU than the loop for the whole
// harvest. The other lines are printed only: with follow it is the same pages,
// found through listings, and in the last of these every page is looked into for
// links.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"github.com/harrowdata/harrow/bench/internal/measure"
)

// bound is the most CPU that Harrow may take, as a multiple of the loop's.
const bound = 1.0

func main() {
	roles.Child()
	o := options{}
	flag.IntVar(&o.runs, "n", 3, "runs of each; the medians count")
	flag.IntVar(&o.pages, "pages", 5000, "product pages")
	flag.IntVar(&o.size, "size", 30000, "bytes of a page")
	flag.StringVar(&o.profile, "cpuprofile", "", "write a CPU profile of Harrow's last run to this file")
	flag.BoolVar(&o.follow, "follow", true, "print the lines with follow too")
	flag.Parse()
	ok, err := bench(context.Background(), o, os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-harvest:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

type options struct {
	runs, pages, size int
	profile           string
	follow            bool
}

// outcome is one child's run.
type outcome struct {
	result
	measure.Cost
}

func (o outcome) msPerPage() float64 { return float64(o.CPU.Microseconds()) / 1000 / float64(o.Pages) }

func (o outcome) pagesPerSecond() float64 { return float64(o.Pages) / o.Elapsed.Seconds() }

// bench runs everything and prints the table; ok is false when the bound does
// not hold.
func bench(ctx context.Context, o options, out io.Writer) (ok bool, err error) {
	addr, stop, err := measure.Start(ctx, "site", siteConfig{o.pages, o.size})
	if err != nil {
		return false, err
	}
	defer func() {
		if e := stop(); err == nil {
			err = e
		}
	}()
	dir, err := os.MkdirTemp("", "harrow-bench-harvest-")
	if err != nil {
		return false, err
	}
	defer func() {
		if e := os.RemoveAll(dir); err == nil {
			err = e
		}
	}()
	b := &benchmark{options: o, addr: addr, dir: dir}
	var harrow, loop []outcome
	for i := range o.runs {
		l, err := b.run(ctx, "loop", "")
		if err != nil {
			return false, err
		}
		h, err := b.run(ctx, "harrow", "", i == o.runs-1)
		if err != nil {
			return false, err
		}
		loop, harrow = append(loop, l), append(harrow, h)
	}
	lines := []line{{"loop", median(loop), 0}, {"harrow", median(harrow), 0}}
	again, err := b.again(ctx)
	if err != nil {
		return false, err
	}
	if o.follow {
		for _, follow := range []string{"listings", "all"} {
			h, err := b.run(ctx, "harrow", follow)
			if err != nil {
				return false, err
			}
			lines = append(lines, line{"harrow, follow in " + follow, h, 0})
		}
	}
	lines = append(lines, again...)
	return report(out, o, lines)
}

// benchmark is what its runs share.
type benchmark struct {
	options
	addr, dir string
	runs      int
	digest    string // of the rows every run must make
}

// run runs one child in a folder of its own, which it removes.
func (b *benchmark) run(ctx context.Context, role, follow string, profile ...bool) (o outcome, err error) {
	c, err := b.folder(follow)
	if err != nil {
		return o, err
	}
	if len(profile) > 0 && profile[0] {
		c.Profile = b.profile
	}
	defer func() {
		if e := os.RemoveAll(c.Dir); err == nil {
			err = e
		}
	}()
	return b.play(ctx, role, c)
}

// folder makes the folder of a run.
func (b *benchmark) folder(follow string) (config, error) {
	b.runs++
	c := config{Addr: b.addr, Pages: b.pages, Dir: filepath.Join(b.dir, fmt.Sprint(b.runs)), Follow: follow}
	return c, os.Mkdir(c.Dir, 0o777)
}

// again has both parse again what a harvest has kept, in turns.
func (b *benchmark) again(ctx context.Context) ([]line, error) {
	c, err := b.folder("")
	if err != nil {
		return nil, err
	}
	if _, err := b.play(ctx, "harrow", c); err != nil {
		return nil, err
	}
	var loop, harrow []outcome
	for range b.options.runs {
		l, err := b.play(ctx, "loop again", c)
		if err != nil {
			return nil, err
		}
		h, err := b.play(ctx, "harrow again", c)
		if err != nil {
			return nil, err
		}
		loop, harrow = append(loop, l), append(harrow, h)
	}
	beside := median(loop)
	return []line{{"loop, parsing again", beside, beside.msPerPage()}, {"harrow, --from parse", median(harrow), beside.msPerPage()}}, nil
}

// play plays one role in a folder, and checks its rows.
func (b *benchmark) play(ctx context.Context, role string, c config) (o outcome, err error) {
	if o.Cost, err = measure.Run(ctx, role, c, &o.result); err != nil {
		return o, err
	}
	o.CPU -= o.Uncounted
	if o.Rows != int64(b.pages) {
		return o, fmt.Errorf("%s stored %d rows; want %d", role, o.Rows, b.pages)
	}
	if b.digest == "" {
		b.digest = o.Digest
	}
	if o.Digest != b.digest {
		return o, fmt.Errorf("%s stored other rows than the run before it: digest %s, not %s", role, o.Digest, b.digest)
	}
	return o, nil
}

// median takes each figure's median by itself.
func median(runs []outcome) outcome {
	var cpu, elapsed []time.Duration
	var peak []int64
	for _, r := range runs {
		cpu, elapsed, peak = append(cpu, r.CPU), append(elapsed, r.Elapsed), append(peak, r.Peak)
	}
	m := runs[len(runs)-1]
	m.CPU, m.Elapsed, m.Peak = measure.Median(cpu), measure.Median(elapsed), measure.Median(peak)
	return m
}

type line struct {
	name string
	outcome
	beside float64 // ms a page of what it is compared with; 0: the loop
}

func report(out io.Writer, o options, lines []line) (ok bool, err error) {
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "%d pages of %d bytes, same %d rows (digest %.12s), medians of %d\n", o.pages, o.size, o.pages, lines[0].Digest, o.runs)
	fmt.Fprintln(w, "\tCPU ms/page\tratio\tpages/s\tpeak MiB\traw pages MiB\tstored MiB")
	loop := lines[0].msPerPage()
	for _, l := range lines {
		kept, stored := "-", "-"
		if l.RawBytes > 0 {
			kept, stored = measure.MiB(l.RawBytes), measure.MiB(l.StoredBytes)
		}
		fmt.Fprintf(w, "%s\t%.2f\t%.2f\t%.0f\t%s\t%s\t%s\n", l.name, l.msPerPage(), l.msPerPage()/cmp.Or(l.beside, loop), l.pagesPerSecond(), measure.MiB(l.Peak), kept, stored)
	}
	ratio := lines[1].msPerPage() / loop
	ok = ratio <= bound
	verdict := fmt.Sprintf("%.2f × the loop's CPU, at most %.1f: ok", ratio, bound)
	if !ok {
		verdict = fmt.Sprintf("%.2f × the loop's CPU, at most %.1f: FAILED", ratio, bound)
	}
	fmt.Fprintln(w, verdict)
	if err := w.Flush(); err != nil {
		return ok, err
	}
	return ok, measure.SoakRow("harvest", "-", fmt.Sprintf("%d pages of %d B, median of %d", o.pages, o.size, o.runs),
		fmt.Sprintf("%.2f ms a page, loop %.2f: %s; %s MiB peak", lines[1].msPerPage(), loop, verdict, measure.MiB(lines[1].Peak)))
}
