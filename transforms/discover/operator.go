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
	"github.com/harrowdata/harrow/internal/seedfile"
	"github.com/harrowdata/harrow/io/lakeio"
)

const (
	operatorName = "discover"
	seedTable    = "seeds"
)

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
		return errors.Join(o.file(ctx, part.Tag, io.NewSectionReader(in, 0, in.Size()), out), in.Close())
	}
	for _, url := range o.cfg.URLs {
		if err := o.seed(seedfile.Seed{URL: url, Method: "GET"}, harrow.KindPage, "discover.seeds.urls", out); err != nil {
			return err
		}
	}
	for _, url := range o.cfg.Sitemaps {
		if err := o.seed(seedfile.Seed{URL: url, Method: "GET"}, harrow.KindSitemap, "discover.seeds.sitemaps", out); err != nil {
			return err
		}
	}
	return nil
}

// file reads a seed file.
func (o *operator) file(ctx context.Context, name string, r io.Reader, out harrow.Output) error {
	at := func(line int) string { return fmt.Sprintf("%s:%d", name, line) }
	return seedfile.Each(ctx, name, r, seedfile.Taker{
		Seed: func(line int, s seedfile.Seed) error { return o.seed(s, harrow.KindPage, at(line), out) },
		Bad: func(line int, text, why string) error {
			return o.reject("line", "", text, map[string]string{"line": text}, at(line)+": "+why, out)
		},
	})
}

// seed emits the request of a seed; one whose URL is none is a reject.
func (o *operator) seed(s seedfile.Seed, kind, where string, out harrow.Output) error {
	u, err := o.canon.Parse(s.URL)
	if err != nil {
		return o.reject("url", "url", s.URL, s, where+": "+err.Error(), out)
	}
	url, priority := u.String(), int32(0)
	if kind == harrow.KindSitemap {
		priority = harrow.SitemapPriority
	}
	return o.emit(harrow.Request{ID: canon.ID(s.Method, url, s.Body, s.Headers), URL: url, Method: s.Method, Headers: s.Headers, Body: s.Body,
		Key: canon.Key(o.cfg.Key, u), Domain: canon.Domain(u.Host()), Kind: kind, Priority: priority, Carry: s.Carry}, out)
}

// reject is the dead letter of a seed, or of a line that holds none.
func (o *operator) reject(code, field, value string, what any, why string, out harrow.Output) error {
	payload, err := json.Marshal(what)
	if err != nil {
		return fmt.Errorf("discover: %w", err)
	}
	return out.Reject(harrow.Reject{Class: harrow.DataFault, Code: code, Reason: why, Field: field, Value: value, Payload: string(payload)})
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
				req.Priority, req.Reason, req.Body = firstOfAll, "", bytes.Clone(req.Body)
				if err := o.emit(req, out); err != nil {
					return err
				}
			}
		}
	}
}
