package fetch

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/transforms/fetch/round"
	"github.com/harrowdata/harrow/transforms/parts/engine"
)

const nextName = "fetch.next"

func init() { harrow.RegisterOperator(nextName, newNext) }

// nextConfig says how URLs are written and what limits apply to.
type nextConfig struct {
	Canonical harrow.Canonical `json:"canonical"`
	Key       string           `json:"key"`
}

func nextStep(c round.Config) engine.Step {
	data, err := json.Marshal(nextConfig{c.Canonical, c.Fetch.Politeness.Key})
	if err != nil {
		panic(fmt.Sprintf("fetch: config: %v", err))
	}
	return engine.Step{Operator: nextName, Config: data}
}

// next turns the links that leave their page's registered domain into the
// next round's requests. Of what a fetch shard's bundle left it hands on one row
// a part: the shard reads all of it from its record, the row starts it.
type next struct {
	cfg   nextConfig
	canon *canon.Canonicalizer
	b     *lakeio.Builder[harrow.Request]

	started bool // of what was left
}

func newNext(config json.RawMessage) (harrow.Operator, error) {
	n := &next{}
	if err := json.Unmarshal(config, &n.cfg); err != nil {
		return nil, fmt.Errorf("%s: %w", nextName, err)
	}
	var err error
	n.canon, err = canon.New(canon.Policy{Strip: n.cfg.Canonical.Strip, SortQuery: n.cfg.Canonical.SortQuery})
	n.b = lakeio.Requests.NewBuilder()
	return n, err
}

// Process implements harrow.Operator.
func (n *next) Process(_ context.Context, in harrow.Batch, out harrow.Output) error {
	if in.Table() == lakeio.Requests.Name() {
		return n.left(in)
	}
	for _, l := range lakeio.Links.Rows(in) {
		if l.SameDomain {
			continue
		}
		r, err := round.RequestOf(n.canon, n.cfg.Key, l)
		if err != nil {
			return err
		}
		n.b.Append(r)
		if n.b.Full() {
			if err := n.emit(out); err != nil {
				return err
			}
		}
	}
	return nil
}

// left takes one row of the part.
func (n *next) left(in harrow.Batch) error {
	if n.started {
		return nil
	}
	for _, r := range lakeio.Requests.Rows(in) {
		n.b.Append(r)
		n.started = true
		break
	}
	return nil
}

// Finish implements harrow.Operator.
func (n *next) Finish(_ context.Context, out harrow.Output) error { return n.emit(out) }

func (n *next) emit(out harrow.Output) error {
	b := n.b.Batch()
	defer b.Release()
	if b.Rows() == 0 {
		return nil
	}
	return out.Emit(lakeio.Requests.Name(), b)
}
