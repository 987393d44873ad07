package cluster

import (
	"fmt"
	"testing"
	"time"

	"github.com/harrowdata/harrow/soak/postgres"
	"github.com/harrowdata/harrow/soak/rig"
)

// crowdDelay spreads the crowd's forty pages a host over seconds, so that there
// is a middle of fetching.
const crowdDelay = 200 * time.Millisecond

// here is a place of this machine's: a folder and a database on loopback.
func here(t *testing.T) place {
	t.Helper()
	url := postgres.Shared(t).Database(t)
	return place{workspace: t.TempDir(), database: url, seen: url}
}

// databaseAt is the address of the database server.
func databaseAt(t *testing.T) string { return postgres.Shared(t).Address() }

// undisturbed harvests on the direct runner: what all others are held against.
func (s *site) undisturbed(t *testing.T) (h *harvest, tables map[string][]string) {
	t.Helper()
	h = s.harvest(t, direct, here(t))
	h.run().Want(rig.ExitDone)
	h.judge(true)
	tables = h.tables()
	t.Logf("%d requests, %d rows to compare", len(s.log.Requests()), count(tables))
	return h, tables
}

// The demo's harvest comes to the same tables wherever it runs. In CI pipelines
// and soak/workers hold Prism to that, and the larger harvest a cluster.
func TestParityOfRunners(t *testing.T) {
	if !rig.Long() {
		t.Skip("HARROW_SOAK=1 runs it: minutes")
	}
	_, want := demoSite(t, loopback).undisturbed(t)
	external := newMachine(t, "external")
	for _, w := range []way{
		{name: "prism", flags: []string{"--runner", "prism"}},
		{name: "prism with external workers", flags: []string{"--runner", "prism"}, pool: external},
		{name: "embedded Flink", flags: []string{"--runner", "flink", "--flink-master", "local"}, beam: []string{fmt.Sprintf("--parallelism=%d", slots)}},
	} {
		t.Run(w.name, func(t *testing.T) {
			p := here(t)
			if w.pool != nil {
				w.pool.startPool(t, "DATABASE_URL="+p.seen)
				w.beam = append(w.beam, "--environment_type=EXTERNAL", "--environment_config="+w.pool.poolAt)
			}
			h := demoSite(t, loopback).harvest(t, w, p)
			h.run().Want(rig.ExitDone)
			h.equals(want, true)
			t.Logf("committed after %s", h.legs())
		})
	}
}

// maxHarvests is how many may be needed until each stroke of a trial came before
// the end.
const maxHarvests = 3

// The demo's harvest, a larger one, and that one again while whatever there is
// is killed, on a real cluster of two TaskManagers: they come to what they come
// to in one process undisturbed, and no host is asked sooner than it was
// promised.
func TestHarvestsOnACluster(t *testing.T) {
	seed, trials := rig.Seed(t), 1
	if rig.Long() {
		trials = 5
	}
	c := plain(t)
	if rig.Long() { // minutes
		t.Run("demo", func(t *testing.T) {
			_, want := demoSite(t, loopback).undisturbed(t)
			c.calm(t, demoSite(t, loopback), here(t), want)
		})
	}
	s := crowdSite(t, loopback, crowdDelay)
	undisturbed, want := s.undisturbed(t)
	p := undisturbed.pace()
	if rig.Long() { // else the failures stand for it, and the machines
		t.Run("crowd", func(t *testing.T) {
			h := c.calm(t, s, here(t), want)
			h.spread()
			p = h.pace()
		})
	}
	for number := range trials {
		if t.Failed() {
			break // its pace is unknown, or it hurt the cluster
		}
		t.Run(fmt.Sprintf("failures-%d", number), func(t *testing.T) {
			r := rig.Random(seed, 3000+number)
			list := strokes(r, number)
			t.Logf("seed %d: %v", seed, list)
			for range maxHarvests {
				x := &trial{harvest: c.harvest(t, s, here(t)), c: c, r: r, pace: p}
				list = x.suffer(list)
				x.equals(want, false)
				c.end(t)
				if len(list) == 0 {
					return
				}
			}
			t.Errorf("%d harvests were done before %v", maxHarvests, list)
		})
	}
	rig.Report(t, seed, "%d of each of %d kinds of failure, %d rows equal", trials, len(kinds), count(want))
}

// calm harvests on the cluster undisturbed.
func (c *cluster) calm(t *testing.T, s *site, p place, want map[string][]string) *harvest {
	t.Helper()
	h := c.harvest(t, s, p)
	h.run().Want(rig.ExitDone)
	t.Logf("committed after %s", h.legs())
	h.equals(want, true)
	c.end(t)
	return h
}
