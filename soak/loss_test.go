package soak

import (
	"errors"
	"path"
	"strings"
	"time"

	"github.com/harrowdata/harrow/io/lakeio"
)

// loss is what is known, from the disk alone, when a process has ended before
// its run was done.
type loss struct {
	killed bool
	onDisk map[string]bool // URLs asked and final URLs of the captures in complete rolls
	round  int             // of fetch that had begun and not committed; -1: none
	hosts  map[string]bool // that were asked in that round
}

// loss looks at the workspace as the last process left it.
func (h *harvest) loss(killed bool) loss {
	h.t.Helper()
	l := loss{killed: killed, onDisk: map[string]bool{}, round: -1, hosts: map[string]bool{}}
	lake, run, ok := h.lake()
	if !ok {
		return l
	}
	began := time.Time{}
	for r := range run.Rounds {
		for shard := range run.FetchShards {
			h.complete(lakeio.FetchShard{Lake: lake, Round: r, Shard: shard}, l.onDisk)
		}
		m, err := lake.Manifest(h.t.Context(), lakeio.FetchStage(r))
		if errors.Is(err, lakeio.ErrNotFound) {
			l.round = r
			break
		}
		if err != nil {
			h.t.Fatal(err)
		}
		began = m.At
	}
	if l.round >= 0 {
		for _, e := range h.site.log.Requests() {
			if e.Start.After(began) {
				l.hosts[e.Host] = true
			}
		}
	}
	return l
}

// complete gathers the URLs of a shard's complete rolls: those whose captures
// file is there, in the shard record or not.
func (h *harvest) complete(at lakeio.FetchShard, urls map[string]bool) {
	h.t.Helper()
	const suffix = ".captures.arrow"
	folder := path.Dir(at.RollURI("x", "captures")) + "/"
	names, err := h.store.List(h.t.Context(), folder)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, name := range names {
		if !strings.HasSuffix(name, suffix) {
			continue
		}
		r, err := lakeio.OpenPart(h.t.Context(), h.store, folder+name, lakeio.Captures.Name())
		if err != nil {
			h.t.Fatal(err)
		}
		for i := range r.Batches() {
			b, err := r.Batch(i)
			if err != nil {
				h.t.Fatal(err)
			}
			for _, c := range lakeio.Captures.Rows(b) {
				urls[strings.Clone(c.URL)], urls[strings.Clone(c.FinalURL)] = true, true
			}
			b.Release()
		}
		if err := r.Close(); err != nil {
			h.t.Fatal(err)
		}
	}
}
