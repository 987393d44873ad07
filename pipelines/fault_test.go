package pipelines

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/harrowdata/harrow/internal/demosite"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/soak/fault"
)

// many are rolls and shards enough for many files.
func many(t *testing.T) []string {
	return append(slices.Clone(exact), "timeout: 5s", "timeout: 5s\n  roll: {every: 200ms, bytes: 64KiB}", "job: shop\n", "job: shop\nlimits: {fetch_shards: 2, shards: 3}\n")
}

// onDisk moves the bench's workspace to a disk that may die.
func (b *bench) onDisk() *fault.Disk {
	b.t.Helper()
	d, err := fault.New(b.dir)
	if err != nil {
		b.t.Fatal(err)
	}
	b.request.Workspace = d.URI()
	return d
}

// Wherever a run's disk dies, the run fails and says where, and goes on to the
// same end once there is a disk again.
func TestARunWhoseDiskDiesGoesOnToTheSameEnd(t *testing.T) {
	t.Parallel()
	meaning(t)
	undisturbed := newShop(t, demosite.Options{Products: 40}, many(t)...)
	disk := undisturbed.onDisk()
	want := undisturbed.tables(undisturbed.must())
	writes := disk.Writes()
	t.Logf("a run has %d writes", writes)
	var all []int
	for n := 1; n <= writes; n++ {
		all = append(all, n)
	}
	if os.Getenv("HARROW_SOAK") != "1" {
		r := random(t)
		r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		all = append(all[:22], 1, 2, writes) // the first and the last ones always
		slices.Sort(all)
		all = slices.Compact(all)
	}
	for _, n := range all {
		t.Run(fmt.Sprintf("write %d", n), func(t *testing.T) {
			dieAndGoOn(t, n, n%2 == 0, want)
		})
	}
}

func dieAndGoOn(t *testing.T, n int, reads bool, want map[string][]string) {
	b := newShop(t, demosite.Options{Products: 40}, many(t)...).beside()
	disk := b.onDisk()
	disk.FailFrom(n, reads)
	res, err := b.run()
	if disk.Writes() < n {
		// The number of writes varies a little from run to run.
		if err != nil {
			t.Fatalf("the disk did not die: %v", err)
		}
		same(t, "undisturbed", want, b.tables(res.Run))
		return
	}
	if err == nil || errors.Is(err, ErrUsage) || errors.Is(err, ErrStopped) {
		t.Fatalf("ended with %v, want a failure that is neither usage nor a stop", err)
	}
	if !strings.Contains(err.Error(), b.dir+"/") || !strings.Contains(err.Error(), fault.ErrDisk.Error()) {
		t.Errorf("the error names no path or no reason: %v", err)
	}
	b.request.Workspace = b.dir
	run := b.must()
	if run.State != lakeio.Done {
		t.Errorf("the run is %s", run.State)
	}
	same(t, "after a dead disk", want, b.tables(run))
}

// The same with a file system that is really full.
func TestAFullDiskIsResumable(t *testing.T) {
	b := newShop(t, demosite.Options{Products: 40}, exact...)
	if err := os.MkdirAll(b.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", b.dir, "tmpfs", 0, "size=128k"); err != nil {
		t.Skipf("can't mount a small file system (%v); TestARunWhoseDiskDiesGoesOnToTheSameEnd has its like", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(b.dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	_, err := b.run()
	if err == nil || errors.Is(err, ErrUsage) || errors.Is(err, ErrStopped) ||
		!strings.Contains(err.Error(), b.dir+"/") || !strings.Contains(err.Error(), unix.ENOSPC.Error()) {
		t.Fatalf("a full disk ended the run with %v", err)
	}
	if err := unix.Mount("tmpfs", b.dir, "tmpfs", unix.MS_REMOUNT, "size=64m"); err != nil {
		t.Fatal(err)
	}
	b.site.SetRevision(0) // pages that fail at first do so again: what was asked before is lost
	run := b.must()
	checkPages(b, run, b.site.Pages())
	checkRejects(b, run, b.site.Rejects())
	checkRecords(b, run, b.site.Books(), b.site.Offers())
}
