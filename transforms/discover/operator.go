package discover

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/io/lakeio"
)

const operatorName = "discover"

func init() { harrow.RegisterOperator(operatorName, newOperator) }

// firstOfAll is the priority of what an earlier run deferred.
const firstOfAll = 1 << 20

type operator struct {
	cfg   Config
	canon *canon.Canonicalizer
	b     *lakeio.Builder[harrow.Request]
}

func newOperator(config json.RawMessage) (harrow.Operator, error) {
	o := &operator{b: lakeio.Requests.NewBuilder()}
	if err := json.Unmarshal(config, &o.cfg); err != nil {
		return nil, fmt.Errorf("discover: %w", err)
	}
	var err error
	o.canon, err = canon.New(canon.Policy{Strip: o.cfg.Canonical.Strip, SortQuery: o.cfg.Canonical.SortQuery})
	return o, err
}

// Process is not used: discover reads no table.
func (o *operator) Process(context.Context, harrow.Batch, harrow.Output) error {
	return errors.New("discover reads seeds, not batches")
}

// ReadSource implements engine.Source: one source of seeds.
func (o *operator) ReadSource(ctx context.Context, lake lakeio.Lake, part harrow.Part, out harrow.Output) error {
	switch {
	case part.Tag == "deferred":
		return o.deferred(ctx, lake, part.URI, out)
	case part.URI != "":
		in, err := lake.Store.Open(ctx, part.URI)
		if err != nil {
			return err
		}
		err = EachSeed(ctx, part.Tag, io.NewSectionReader(in, 0, in.Size()),
			func(url string) error { return o.seed(url, part.Tag, out) },
			func(line int, text, why string) error {
				return o.reject(text, fmt.Sprintf("%s:%d: %s", part.Tag, line, why), out)
			})
		return errors.Join(err, in.Close())
	}
	for _, url := range o.cfg.URLs {
		if err := o.seed(url, "job file", out); err != nil {
			return err
		}
	}
	return nil
}

// seed emits the request of a seed; a text that is no URL is a reject.
func (o *operator) seed(text, where string, out harrow.Output) error {
	u, err := o.canon.Parse(text)
	if err != nil {
		return o.reject(text, where+": "+err.Error(), out)
	}
	url := u.String()
	return o.emit(harrow.Request{ID: canon.ID("GET", url, nil, nil), URL: url, Method: "GET", Key: canon.Key(o.cfg.Key, u),
		Domain: canon.Domain(u.Host()), Kind: harrow.KindPage}, out)
}

func (o *operator) reject(text, why string, out harrow.Output) error {
	payload, err := json.Marshal(map[string]string{"url": text})
	if err != nil {
		return fmt.Errorf("discover: %w", err)
	}
	return out.Reject(harrow.Reject{Class: harrow.DataFault, Code: "url", Reason: why, Field: "url", Value: text, Payload: string(payload)})
}

func (o *operator) emit(r harrow.Request, out harrow.Output) error {
	o.b.Append(r)
	if !o.b.Full() {
		return nil
	}
	return o.flush(out)
}

// Finish implements harrow.Operator.
func (o *operator) Finish(_ context.Context, out harrow.Output) error { return o.flush(out) }

func (o *operator) flush(out harrow.Output) error {
	if o.b.Rows() == 0 {
		return nil
	}
	b := o.b.Batch()
	defer b.Release()
	return out.Emit(lakeio.Requests.Name(), b)
}

// deferred emits what the previous run deferred and did not ask in a later
// round.
func (o *operator) deferred(ctx context.Context, lake lakeio.Lake, run string, out harrow.Output) error {
	for r := 0; ; r++ {
		m, err := lakeio.Lake{Store: lake.Store, Job: lake.Job, Run: run}.Manifest(ctx, lakeio.FetchStage(r))
		if errors.Is(err, lakeio.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, part := range m.TablesOf(lakeio.DeferredRequests.Name()) {
			for req, err := range lakeio.ReadRows(ctx, lake.Store, lakeio.DeferredRequests, part) {
				if err != nil {
					return err
				}
				req.Priority, req.Body = firstOfAll, bytes.Clone(req.Body)
				if err := o.emit(req, out); err != nil {
					return err
				}
			}
		}
	}
}
