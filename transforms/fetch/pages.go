package fetch

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/transforms/fetch/round"
	"github.com/harrowdata/harrow/transforms/parts"
	"github.com/harrowdata/harrow/transforms/parts/engine"
)

const (
	visitsName = "fetch.visits"
	pagesName  = "fetch.pages"
)

func init() {
	harrow.RegisterOperator(visitsName, newVisits)
	harrow.RegisterOperator(pagesName, newMemory)
}

// pagesConfig is what both operators go by.
type pagesConfig struct {
	Env     engine.Env `json:"env"`     // of this run
	Rounds  int        `json:"rounds"`  // fetch stages of this run
	Part    bool       `json:"part"`    // the run asks for a part of what there is: --limit, or a replay
	Variant string     `json:"variant"` // see round.Variant
}

// remember commits the run's version of pages, the job's memory: what is
// known of each request by the version that the run began with and by the
// captures of all its rounds. A version is never changed, and neither is what
// its rows point to. A repeated bundle does nothing once it is committed.
func remember(s beam.Scope, env engine.Env, cfg Config, captures parts.Collection) parts.Collection {
	s = s.Scope(lakeio.PagesStage)
	env.Stage = lakeio.PagesStage
	data, err := json.Marshal(pagesConfig{Env: env, Rounds: cfg.Discover.Rounds + 1, Part: cfg.Limit > 0 || len(cfg.Asked) > 0, Variant: round.Variant(cfg.Fetch)})
	if err != nil {
		panic(fmt.Sprintf("fetch: config: %v", err))
	}
	if cfg.Pages != "" {
		before := env
		before.Run = cfg.Pages
		captures = parts.Flatten(s, captures, parts.Stored(s, before))
	}
	// A request's rows come together: what was known, by its run, then this run's.
	byID := parts.Key{Columns: []string{"id"}, Order: []string{"run"}}
	out := parts.ShuffleOf(s, "by id", env, engine.Step{Operator: visitsName, Config: data}, byID,
		engine.Step{Operator: pagesName, Config: data}, captures.Of(lakeio.Captures.Name(), lakeio.Pages.Name()))
	return parts.Commit(s, env, out)
}

// visits makes rows of pages of captures; rows of pages it hands on.
type visits struct {
	cfg pagesConfig
	b   *lakeio.Builder[harrow.PageState]
}

func newVisits(config json.RawMessage) (harrow.Operator, error) {
	v := &visits{}
	if err := json.Unmarshal(config, &v.cfg); err != nil {
		return nil, fmt.Errorf("%s: %w", visitsName, err)
	}
	return v, nil
}

// Process implements harrow.Operator.
func (v *visits) Process(_ context.Context, in harrow.Batch, out harrow.Output) error {
	table, _, err := lakeio.TableOf(in.Arrow().Schema())
	if err != nil {
		return err
	}
	if table == lakeio.Pages.Name() {
		return out.Emit(table, in)
	}
	if v.b == nil {
		v.b = lakeio.Pages.NewBuilder()
	}
	for _, c := range lakeio.Captures.Rows(in) {
		if c.Readmitted() {
			continue
		}
		v.b.Append(round.StateOf(c, v.cfg.Env.Run, v.cfg.Variant))
		if v.b.Full() {
			if err := emitPages(v.b, out); err != nil {
				return err
			}
		}
	}
	return nil
}

// Finish implements harrow.Operator.
func (v *visits) Finish(_ context.Context, out harrow.Output) error {
	if v.b == nil {
		return nil
	}
	defer func() { v.b.Release(); v.b = nil }()
	return emitPages(v.b, out)
}

func emitPages(b *lakeio.Builder[harrow.PageState], out harrow.Output) error {
	if b.Rows() == 0 {
		return nil
	}
	batch := b.Batch()
	defer batch.Release()
	return out.Emit(lakeio.Pages.Name(), batch)
}

// memory makes one row of all that is known of a request. Rows come by id; of
// this run there may be several: a request that was deferred may be admitted
// again in a later round, so one that is not deferred is the last.
type memory struct {
	cfg pagesConfig
	b   *lakeio.Builder[harrow.PageState]

	old, now harrow.PageState // of the id at hand; zero: there is none
	asked    bool             // whether complete is known
	complete bool             // the run: an absence counts
}

func newMemory(config json.RawMessage) (harrow.Operator, error) {
	m := &memory{}
	if err := json.Unmarshal(config, &m.cfg); err != nil {
		return nil, fmt.Errorf("%s: %w", pagesName, err)
	}
	return m, nil
}

// Process implements harrow.Operator.
func (m *memory) Process(ctx context.Context, in harrow.Batch, out harrow.Output) error {
	if err := m.learn(ctx); err != nil {
		return err
	}
	for _, r := range lakeio.Pages.Rows(in) {
		if r.ID != m.old.ID && r.ID != m.now.ID {
			if err := m.flush(out); err != nil {
				return err
			}
		}
		switch {
		case r.Run != m.cfg.Env.Run:
			m.old = r
		case m.now.ID.IsZero() || m.now.Outcome == harrow.Deferred:
			m.now = r
		}
	}
	m.old, m.now = round.Keep(m.old), round.Keep(m.now) // the batch goes
	return nil
}

// flush writes the id at hand.
func (m *memory) flush(out harrow.Output) error {
	s := m.old
	switch {
	case !m.now.ID.IsZero():
		s = round.Learn(m.old, m.now)
	case s.ID.IsZero():
		return nil
	case m.complete:
		s.Absences++
	}
	m.old, m.now = harrow.PageState{}, harrow.PageState{}
	if m.b == nil {
		m.b = lakeio.Pages.NewBuilder()
	}
	m.b.Append(s)
	if m.b.Rows() < lakeio.PagesBatchRows && !m.b.Full() {
		return nil
	}
	return emitPages(m.b, out)
}

// Finish implements harrow.Operator.
func (m *memory) Finish(_ context.Context, out harrow.Output) error {
	err := m.flush(out)
	if m.b == nil {
		return err
	}
	defer func() { m.b.Release(); m.b = nil }()
	if err != nil {
		return err
	}
	return emitPages(m.b, out)
}

// learn reads from the manifests of the rounds, which are committed by now,
// whether the run asked for all there was: with --limit or in a replay, with
// requests that were deferred or pages over max_pages, one that was not asked for
// may be there.
func (m *memory) learn(ctx context.Context) error {
	if m.asked || m.cfg.Part {
		return nil
	}
	lake, err := m.cfg.Env.Open()
	if err != nil {
		return err
	}
	complete := true
	for r := range m.cfg.Rounds {
		manifest, err := lake.Manifest(ctx, lakeio.FetchStage(r))
		if err != nil {
			return err
		}
		if manifest.Tables[lakeio.DeferredRequests.Name()].Rows > 0 || manifest.Counters["links_not_taken.max_pages"] > 0 {
			complete = false
		}
	}
	m.asked, m.complete = true, complete
	return nil
}
