package soak

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/harrowdata/harrow/soak/fakegcs"
	"github.com/harrowdata/harrow/soak/rig"
)

// The command as it is, its lease of 30 s and all. Kills at any moment, with a
// shorter lease, are above.
func TestSIGKILLOfTheReleasedCommandWithTheWorkspaceInABucket(t *testing.T) {
	if !rig.Long() {
		t.Skip("waits for a lease to end: HARROW_SOAK=1")
	}
	s, seed := newSite(t), rig.Seed(t)
	c := s.calm(t)
	h := s.harvestInto(t, way{runner: "direct", postgres: true, bucket: true}, fakegcs.Start(t).Workspace("killed"))
	h.program = rig.Released
	p := h.run()
	asked := 1 + rig.Random(seed, 0).IntN(1000)
	p.Eventually(func() bool { return len(s.log.Requests()) >= asked })
	p.Signal(unix.SIGKILL)
	if code := p.Wait(); code != -1 {
		t.Fatalf("it ended with %d before it was killed", code)
	}
	lost := []loss{h.loss(true)}
	h.run().Want(rig.ExitDone)
	repeats := h.equals(c, lost)
	rig.Report(t, seed, "1 kill, %d URLs asked twice, %d rows equal", repeats, count(c.tables))
}
