package pipelines

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/expr"
	"github.com/harrowdata/harrow/internal/memory"
	"github.com/harrowdata/harrow/internal/refine"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/transforms/check"
	"github.com/harrowdata/harrow/transforms/dedup"
	"github.com/harrowdata/harrow/transforms/enrich"
	"github.com/harrowdata/harrow/transforms/enrich/lookup"
	"github.com/harrowdata/harrow/transforms/operate"
	"github.com/harrowdata/harrow/transforms/parts"
	"github.com/harrowdata/harrow/transforms/parts/engine"
)

// Lookups are the columns of lookup files, by the name the job file has.
type Lookups map[string][]expr.Column

// refine takes each record through the steps its entry names, and commits:
//
//	check ─► dedup ─► enrich ─► operators ─► check of what was added
//
// All of it is one chain behind one shuffle by the record's key; a lookup file
// that is too large for memory cuts it, since rows and file must meet in a
// shuffle of their own. A record without an entry goes on as it is.
func (p Plan) refine(s beam.Scope, parsed parts.Collection) parts.Collection {
	s, env := s.Scope("refine"), p.env("refine")
	tables := p.tables()
	for _, memory := range tables.held {
		env.Held += memory
	}
	if p.replays("refine") {
		parsed = parts.Flatten(s, parsed, p.replayed)
	}
	var outs []parts.Collection
	for _, t := range p.Types {
		in := parsed.Of(lakeio.RecordsPrefix + t.Name)
		r, err := newRefining(t, p.Job.Refine[t.Name], p.Lookups, &tables)
		if err != nil {
			panic(fmt.Errorf("refine.%s: %w", t.Name, err)) // the job was read and found right
		}
		made := r.compose(s.Scope(t.Name), env, in)
		if p.Run.Replay != nil {
			made = p.refinedBefore(s.Scope(t.Name+" replayed"), env, t, r, made)
		}
		outs = append(outs, made...)
	}
	return parts.Commit(s, env, outs...)
}

// lookupTables says where the run keeps lookup files and which of them fit
// into memory: those that are named first, as far as half of the shuffles'
// share goes.
type lookupTables struct {
	uri  map[string]string // by the name the job file has
	held map[string]int64  // bytes, of those in memory
}

func (p Plan) tables() lookupTables {
	t := lookupTables{uri: map[string]string{}, held: map[string]int64{}}
	lake := lakeio.Lake{Job: p.Run.Job, Run: p.Run.ID}
	left := memory.For(int64(p.Job.Limits.Memory)).Shuffle.Size() / 2
	for _, in := range p.Run.Inputs {
		if in.Use != lakeio.InputLookup {
			continue
		}
		t.uri[in.Path] = lake.InputURI(in.Digest)
		if in.Memory <= left {
			left -= in.Memory
			t.held[in.Path] = in.Memory
		}
	}
	return t
}

// refining is what is done to one record: chains, and before each but the
// first a file that it is joined with in a shuffle.
type refining struct {
	key    *parts.Key // of the first chain's shuffle; nil: there is none
	chains []refineChain
	counts []string
	after  harrow.RecordType
}

type refineChain struct {
	join  *enrich.Config
	links []engine.Link
}

// newRefining puts the steps of a record's entry in order. Without tables only
// the record's type is of interest.
func newRefining(t harrow.RecordType, r harrow.Refine, lookups Lookups, tables *lookupTables) (*refining, error) {
	out := &refining{chains: make([]refineChain, 1), after: t}
	early, late := refine.Split(r.Check, t)
	if err := out.check(early); err != nil {
		return nil, err
	}
	if len(r.Key) > 0 {
		cfg := duplicates(t, r)
		key := dedup.Key(cfg, 0)
		out.key = &key
		out.link(engine.Link{Step: dedup.Step(cfg), Makes: t})
	}
	for _, e := range r.Enrich {
		if err := out.enrich(e, lookups[e.Lookup.File], tables); err != nil {
			return nil, err
		}
	}
	for _, use := range r.Operators {
		link, err := operate.Link(use, out.after, len(r.Key) > 0)
		if err != nil {
			return nil, err
		}
		out.link(link)
	}
	if err := out.check(late); err != nil {
		return nil, err
	}
	if r.Thresholds != nil && len(r.Thresholds.Coverage) > 0 {
		return out, out.count(r.Thresholds.Coverage)
	}
	return out, nil
}

// duplicates says which rows of a record are one.
func duplicates(t harrow.RecordType, r harrow.Refine) dedup.Config {
	return dedup.Config{Record: t.Name, Key: r.Key, Keep: r.Keep, Columns: columnNames(t)}
}

func (r *refining) link(l engine.Link) {
	last := &r.chains[len(r.chains)-1]
	last.links = append(last.links, l)
	r.after = l.Makes
}

func (r *refining) check(checks []harrow.Check) error {
	if len(checks) == 0 {
		return nil
	}
	return r.checked(checks)
}

func (r *refining) checked(checks []harrow.Check) error {
	step, err := check.Rows(check.Config{Record: r.after, Checks: checks})
	r.link(engine.Link{Step: step, Makes: r.after})
	return err
}

// count has values counted at the end; a record with no step gets one that
// lets all rows pass.
func (r *refining) count(coverage map[string]float64) error {
	r.counts = slices.Sorted(maps.Keys(coverage))
	if len(r.chains) == 1 && len(r.chains[0].links) == 0 {
		return r.checked(nil)
	}
	return nil
}

func (r *refining) enrich(e harrow.Enrich, file []expr.Column, tables *lookupTables) error {
	cfg := enrich.Config{Record: r.after, Entry: e, File: file}
	inMemory := true
	if tables != nil {
		cfg.URI = tables.uri[e.Lookup.File]
		_, inMemory = tables.held[e.Lookup.File]
	}
	step, after, err := enrich.Lookup(cfg)
	if err != nil {
		return err
	}
	if inMemory {
		r.link(engine.Link{Step: step, Makes: after})
		return nil
	}
	r.chains = append(r.chains, refineChain{join: &cfg})
	r.after = after
	return nil
}

// compose builds the steps; what is to be committed comes out.
func (r *refining) compose(s beam.Scope, env engine.Env, in parts.Collection) (outs []parts.Collection) {
	for i, c := range r.chains {
		last := i == len(r.chains)-1
		links := c.links
		var counts []string
		if last {
			counts = r.counts
		}
		switch {
		case c.join != nil:
			in = enrich.Shuffled(s.Scope(fmt.Sprint("lookup ", i)), env, *c.join, links, counts, in)
		case len(links) == 0:
		case r.key != nil:
			in = parts.Shuffle(s, "rows", env, *r.key, chained(links, counts), in)
		default:
			in = parts.Map(s, "rows", env, chained(links, counts), in)
		}
		if !last && len(links) > 0 {
			// What goes on to the next shuffle is the record's rows; rejects are
			// committed.
			outs = append(outs, parts.Collection{Col: in.Col}.Of(lakeio.Rejects.Name()))
		}
	}
	return append(outs, in)
}

func chained(links []engine.Link, counts []string) engine.Step {
	step, err := engine.Chain(engine.ChainConfig{Links: links, Counts: counts})
	if err != nil {
		panic(err)
	}
	return step
}

func columnNames(t harrow.RecordType) []string {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = c.Name
	}
	return names
}

// lookupFiles are the files that refine joins with, each once.
func (j *Job) lookupFiles() []string {
	files := map[string]bool{}
	for _, r := range j.Refine {
		for _, e := range r.Enrich {
			files[e.Lookup.File] = true
		}
	}
	return slices.Sorted(maps.Keys(files))
}

// checkLookups reads the lookup files of a new run as its workers will, before
// the first fetch: what is wrong with them is an error of usage. It notes what
// their tables take in memory.
func (d *decision) checkLookups(ctx context.Context, job *Job) error {
	if d.resumed || d.run.Source("refine") != d.run.ID {
		return nil
	}
	share := memory.For(int64(job.Limits.Memory)).Seen
	for _, t := range job.Types {
		before := t
		for _, e := range job.Refine[t.Name].Enrich {
			compiled, problems := refine.Enrich(e, before, job.Lookups[e.Lookup.File])
			if len(problems) > 0 {
				return usage{problems[0]}
			}
			before = compiled.Type(before)
			size, err := lookup.Check(ctx, beside(job.Path, e.Lookup.File), e.Lookup.File, compiled, share, job.Limits.Spill)
			if err != nil {
				return usage{err}
			}
			for i := range d.inputs {
				if f := &d.inputs[i]; f.use == lakeio.InputLookup && f.name == e.Lookup.File {
					f.memory += size.Memory // each use has a table of its own
				}
			}
		}
	}
	return nil
}
