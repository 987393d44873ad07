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
			payload, err := seedfile.LineLetter(name, text)
			if err != nil {
				return err
			}
			return out.Reject(harrow.Reject{Class: harrow.DataFault, Code: "line", Reason: at(line) + ": " + why, Value: text, Payload: payload})
		},
	})
}

// seed emits the request of a seed; one whose URL is none is a reject.
func (o *operator) seed(s seedfile.Seed, kind, where string, out harrow.Output) error {
	r, err := s.Request(o.canon, o.cfg.Key, kind)
	if err == nil {
		return o.emit(r, out)
	}
	payload, perr := s.Letter(kind)
	if perr != nil {
		return perr
	}
	return out.Reject(harrow.Reject{Class: harrow.DataFault, Code: "url", Reason: where + ": " + err.Error(), Field: "url", Value: s.URL, Payload: payload})
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

// deferred emits what a run leaves to the next one.
func (o *operator) deferred(ctx context.Context, lake lakeio.Lake, run string, out harrow.Output) error {
	r, err := lakeio.ReadRun(ctx, lake.Store, lake.Job, run)
	if err != nil {
		return fmt.Errorf("what run %s deferred: %w", run, err)
	}
	return lakeio.EachRow(ctx, lake.Store, lake.Job, r.Leaves(), lakeio.DeferredRequests, func(r harrow.Request) error {
		r.Priority, r.Reason, r.Body = firstOfAll, "", bytes.Clone(r.Body)
		return o.emit(r, out)
	})
}
