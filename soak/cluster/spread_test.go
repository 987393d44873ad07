package cluster

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/soak/fakegcs"
	"github.com/harrowdata/harrow/soak/rig"
)

// owners are the worker processes that the fetch shards of the first round
// belonged to last, by their permits, with the number of shards of each that
// asked for something.
func (h *harvest) owners() map[string]int {
	h.t.Helper()
	lake, run, _ := h.lake()
	shards := map[string]int{}
	for shard := range run.FetchShards {
		r, err := lakeio.FetchShard{Lake: lake, Shard: shard}.Read(h.t.Context())
		if err != nil {
			h.t.Fatal(err)
		}
		if len(r.Rolls) == 0 {
			continue // nothing fell to it
		}
		text, _, err := h.store.Read(h.t.Context(), r.Permit)
		if err != nil {
			h.t.Fatalf("shard %d names the permit %q: %v", shard, r.Permit, err)
		}
		var holder lakeio.Holder
		if err := json.Unmarshal(text, &holder); err != nil {
			h.t.Fatalf("%s: %v", r.Permit, err)
		}
		if holder.Ended.IsZero() {
			h.t.Errorf("permit %s was not ended", r.Permit)
		}
		shards[fmt.Sprint(holder.PID, " ", path.Base(r.Permit))]++
	}
	return shards
}

// spread checks that the first round's shards were fetched by at least two
// workers, none of which had nearly all of them.
func (h *harvest) spread() {
	h.t.Helper()
	owners, total := h.owners(), 0
	for _, n := range owners {
		total += n
	}
	h.t.Logf("%d shards by worker: %v", total, owners)
	if len(owners) < taskManagers || slices.Max(slices.Collect(maps.Values(owners))) > total*3/4 {
		h.t.Errorf("shards by worker: %v: want them spread over %d at least", owners, taskManagers)
	}
}

// reads counts who read which stage's parts in a bucket.
type reads struct {
	mu    sync.Mutex
	parts map[string]map[string]map[string]bool // by stage, then reader: URIs
}

// watch lets a reader's way to the bucket be watched.
func (r *reads) watch(reader string, way *fakegcs.Way) {
	way.Inject(func(op string, q *http.Request) fakegcs.Fault {
		name := q.URL.Path
		_, rest, ok := strings.Cut(name, "/runs/")
		if fields := strings.Split(rest, "/"); op == "read" && ok && len(fields) > 2 && strings.HasSuffix(name, ".arrow") && fields[2] != "manifest.arrow" {
			r.mu.Lock()
			defer r.mu.Unlock()
			stage := fields[1]
			if r.parts == nil {
				r.parts = map[string]map[string]map[string]bool{}
			}
			if r.parts[stage] == nil {
				r.parts[stage] = map[string]map[string]bool{}
			}
			if r.parts[stage][reader] == nil {
				r.parts[stage][reader] = map[string]bool{}
			}
			r.parts[stage][reader][name] = true
		}
		return fakegcs.None
	})
}

// by is how many parts of a stage each reader read.
func (r *reads) by(stage string) map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	counts := map[string]int{}
	for reader, names := range r.parts[stage] {
		counts[reader] = len(names)
	}
	return counts
}

// askers are the addresses that each registered domain was asked from.
func (s *site) askers() map[string][]string {
	byDomain := map[string][]string{}
	for _, e := range s.log.Requests() {
		from, _, _ := net.SplitHostPort(e.Conn)
		if d := canon.Domain(e.Host); !slices.Contains(byDomain[d], from) {
			byDomain[d] = append(byDomain[d], from)
		}
	}
	return byDomain
}

// The machines of a cluster need nothing of each other but what they are told
// the addresses of: each has a network, a home and a temporary folder of its
// own.
func TestMachinesOfACluster(t *testing.T) {
	if !rig.Long() {
		t.Skip("HARROW_SOAK=1 runs it: minutes")
	}
	net := newNetwork(t)
	client, first, second := net.machine("jobmanager"), net.machine("taskmanager-1"), net.machine("taskmanager-2")
	bucket := fakegcs.StartOn(t, net.address)
	s := crowdSite(t, net.address, crowdDelay)
	_, want := s.undisturbed(t)

	p := here(t)
	p.workspace = bucket.Workspace("machines")
	p.seen = strings.Replace(p.database, databaseAt(t), net.forward(databaseAt(t)), 1)
	c := newCluster(t, true, client, first, second)
	read := &reads{}
	for _, m := range c.pools {
		way := bucket.Another(t)
		read.watch(m.name, way)
		m.poolAt, m.env = "127.0.0.1:50000", append(m.env, "STORAGE_EMULATOR_HOST="+way.URL)
	}
	c.calm(t, s, p, want).spread()

	addresses := map[string]int{}
	for domain, from := range s.askers() {
		if len(from) != 1 {
			t.Errorf("%s was asked from %v in one round", domain, from)
		}
		addresses[from[0]]++
	}
	t.Logf("registered domains by address: %v; parts read: of fetch-0 %v, of parse %v, of refine %v", addresses, read.by("fetch-0"), read.by("parse"), read.by("refine"))
	if addresses[first.address] == 0 || addresses[second.address] == 0 || len(addresses) != 2 {
		t.Errorf("registered domains by the address they were asked from: %v, want some from each of %s and %s", addresses, first.address, second.address)
	}
	for _, stage := range []string{"fetch-0", "parse", "refine"} {
		if by := read.by(stage); len(by) != taskManagers {
			t.Errorf("parts of %s were read by %v, want workers of %d machines", stage, by, taskManagers)
		}
	}
	rig.Report(t, 0, "3 network namespaces, %d domains asked from two addresses, %d rows equal", len(s.askers()), count(want))
}
