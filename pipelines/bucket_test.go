package pipelines

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/harrowdata/harrow/command/compare"
	"github.com/harrowdata/harrow/command/view"
	"github.com/harrowdata/harrow/internal/demosite"
	_ "github.com/harrowdata/harrow/io/gcsio"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/soak/fakegcs"
	"github.com/harrowdata/harrow/soak/stable"
)

// leaseTTL is short, since a dead process is waited for; exchanges of the
// demo's job take at most a second then.
const leaseTTL = 4 * time.Second

// inBucket is what the shop's job needs in a bucket.
func inBucket(t *testing.T) []string {
	return append(slices.Clone(exact), "timeout: 5s", "timeout: 1s\n  roll: {every: 200ms, bytes: 64KiB}",
		"job: shop\n", "job: shop\nlimits: {fetch_shards: 2, shards: 3}\n", "sqlite: {}", "parquet: {path: out/}")
}

// bucketShop is a shop whose workspace is in a bucket of its own, the nth of
// the server.
func bucketShop(t *testing.T, server *fakegcs.Server, n int, o demosite.Options, replace ...string) *bench {
	t.Helper()
	b := newShop(t, o, append(inBucket(t), replace...)...)
	b.dir, b.ttl = server.Workspace(fmt.Sprintf("%s/%d", place(t), n)), leaseTTL
	b.request.Workspace = b.dir
	return b
}

// place is where a test's workspaces are in the bucket: all share one.
func place(t *testing.T) string {
	name, _, _ := strings.Cut(t.Name(), "/")
	return name
}

// undisturbedShop is what the same job comes to on a disk.
func undisturbedShop(t *testing.T, o demosite.Options) map[string][]string {
	t.Helper()
	b := newShop(t, o, inBucket(t)...)
	return b.tables(b.must())
}

func TestABucketIsAWorkspaceAsADiskIs(t *testing.T) {
	meaning(t)
	t.Parallel()
	server := fakegcs.Shared(t)
	want := undisturbedShop(t, demosite.Options{Products: 40})
	for i, runner := range []string{"direct", "prism"} {
		b := bucketShop(t, server, i, demosite.Options{Products: 40})
		b.request.Runner = runner
		res, err := b.run(until("parse"))
		if err != nil || res.Run.State != lakeio.Paused {
			t.Fatalf("--until parse: %s, %v", res.Run.State, err)
		}
		waited := false
		res, err = b.run(func(r *Request) { r.Waiting = func(lakeio.Holder, time.Duration) { waited = true } })
		if err != nil || res.Run.State != lakeio.Done || !res.Resumed {
			t.Fatalf("resumed %v: %s, %v", res.Resumed, res.Run.State, err)
		}
		if waited {
			t.Error("a lock that was released was waited for")
		}
		same(t, runner, want, b.tables(res.Run))
		if rows := b.published(); len(rows["parquet book"]) == 0 {
			t.Error("nothing was published")
		}
		checkHits(b, b.site.Hits())
		if runner == "prism" {
			checkAgain(b, res.Run)
		}
	}
}

// checkAgain parses a run again: the same tables, and nobody is asked.
func checkAgain(b *bench, run lakeio.Run) {
	b.t.Helper()
	want, err := stable.Tables(b.t.Context(), b.lake(run.ID), run)
	if err != nil {
		b.t.Fatal(err)
	}
	before := len(b.log.Requests())
	again := b.must(from("parse"), which(run.ID))
	got, err := stable.Tables(b.t.Context(), b.lake(again.ID), again)
	if err != nil {
		b.t.Fatal(err)
	}
	same(b.t, "parsed again", want, got)
	if n := len(b.log.Requests()); n != before {
		b.t.Errorf("parsing again sent %d requests", n-before)
	}
	if again.Source("fetch") != run.ID || again.ID == run.ID {
		b.t.Errorf("fetch of %s", again.Source("fetch"))
	}
	var sides [2]view.Run
	for i, r := range []lakeio.Run{run, again} {
		if sides[i], err = view.OpenRun(b.lake(r.ID).Store, r); err != nil {
			b.t.Fatal(err)
		}
	}
	d, err := compare.Runs(b.t.Context(), sides[0], sides[1], compare.Query{}, view.Output{W: io.Discard}, false)
	if err != nil {
		b.t.Fatal(err)
	}
	if d.Differ || len(d.Records) == 0 || d.Records[0].Equal == 0 {
		b.t.Errorf("diff says %+v", d.Summary)
	}
	if err := d.Close(); err != nil {
		b.t.Error(err)
	}
}

// Faults that pass are not seen from above: neither in the end, nor in what it
// comes to.
func TestFaultsOfABucketThatPassAreNotSeen(t *testing.T) {
	meaning(t)
	t.Parallel()
	server := fakegcs.Shared(t)
	want := undisturbedShop(t, demosite.Options{Products: 40})
	b := bucketShop(t, server, 0, demosite.Options{Products: 40})
	server.Proxy.InjectWithin(place(t), fakegcs.Sometimes(random(t).Uint64(), 15, fakegcs.Faults...))
	run := b.must()
	server.Proxy.InjectWithin(place(t), nil)
	same(t, "with faults", want, b.tables(run))
}

// Wherever a bucket refuses, the run fails and says where, and goes on to the
// same end once it does not.
func TestARunWhoseBucketRefusesGoesOnToTheSameEnd(t *testing.T) {
	if testing.Short() {
		t.Skip("short: the same code as where faults pass, many times over")
	}
	t.Parallel()
	server := fakegcs.Shared(t)
	o := demosite.Options{Products: 12}
	want := undisturbedShop(t, o)
	first := bucketShop(t, server, 0, o)
	writes := 0
	isWrite := func(op string) bool { return op == "write" || op == "chunk" || op == "delete" }
	server.Proxy.InjectWithin(place(t)+"/0/", func(op string, _ *http.Request) fakegcs.Fault {
		if isWrite(op) {
			writes++
		}
		return fakegcs.None
	})
	same(t, "undisturbed", want, first.tables(first.must()))
	t.Logf("a run has %d writes", writes)
	cases := []int{1, writes}
	r := random(t)
	for range 3 {
		cases = append(cases, 1+r.IntN(writes))
	}
	if os.Getenv("HARROW_SOAK") == "1" {
		cases = nil
		for n := range writes {
			cases = append(cases, n+1)
		}
	}
	slices.Sort(cases)
	for i, n := range slices.Compact(cases) {
		t.Run(fmt.Sprintf("write %d", n), func(t *testing.T) {
			t.Parallel()
			b := bucketShop(t, server, i+1, o)
			seen, at := 0, fmt.Sprintf("%s/%d/", place(t), i+1)
			server.Proxy.InjectWithin(at, func(op string, _ *http.Request) fakegcs.Fault {
				if isWrite(op) {
					seen++
				}
				if seen >= n {
					return "403"
				}
				return fakegcs.None
			})
			res, err := b.run()
			server.Proxy.InjectWithin(at, nil)
			if seen < n && err == nil { // their number varies a little
				same(t, "undisturbed", want, b.tables(res.Run))
				return
			}
			if err == nil || errors.Is(err, ErrUsage) || errors.Is(err, ErrStopped) || !strings.Contains(err.Error(), "gs://"+fakegcs.Bucket) {
				t.Fatalf("ended with %v, want a failure that names an object", err)
			}
			if res.Run.State != lakeio.Done { // else only the lock was not released
				res.Run = b.must()
			}
			same(t, "after refusals", want, b.tables(res.Run))
		})
	}
}

// A process dies anywhere; the next waits until it is sure, and goes on.
func TestARunInABucketSurvivesKills(t *testing.T) {
	if testing.Short() {
		t.Skip("short: it is about other processes")
	}
	t.Parallel()
	server := fakegcs.Shared(t)
	o := demosite.Options{Products: 60, Latency: 10 * time.Millisecond}
	want := undisturbedShop(t, o)
	kills := 2
	if os.Getenv("HARROW_SOAK") == "1" {
		kills = 25
	}
	r := random(t)
	for i := range kills {
		share, later := r.Float64(), time.Duration(r.IntN(500))*time.Millisecond
		t.Run(fmt.Sprintf("kill %d", i), func(t *testing.T) {
			t.Parallel()
			b := bucketShop(t, server, i, o)
			other, id := b.elsewhere()
			// Anywhere from the first request to the last stages.
			b.await(1 + int(share*float64(len(b.site.Hits()))))
			time.Sleep(later)
			_ = other.Process.Kill()
			_ = other.Wait() // killed, or done before
			var waited lakeio.Holder
			res, err := b.run(func(r *Request) { r.Waiting = func(h lakeio.Holder, _ time.Duration) { waited = h } })
			if err != nil || res.Run.State != lakeio.Done {
				t.Fatalf("after its death: %v", err)
			}
			if res.Resumed && (waited.Run != id || res.Run.ID != id) {
				t.Errorf("run %s went on with %s, after waiting for %q", id, res.Run.ID, waited.Run)
			}
			same(t, "after a kill", want, b.tables(res.Run))
		})
	}
}

// An old process that was only asleep finds that its run is another's: it
// asks for nothing more, and what it holds does not count.
func TestAProcessThatLostItsPermitStartsNothing(t *testing.T) {
	t.Parallel()
	server := fakegcs.Shared(t)
	o := demosite.Options{Products: 60, Latency: 20 * time.Millisecond}
	want := undisturbedShop(t, o)
	for i, how := range []string{"asleep", "cut off"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			b := bucketShop(t, server, i, o)
			theirs := server.Another(t) // a way of its own to the bucket
			b.drag(20)
			other, id := b.elsewhere("STORAGE_EMULATOR_HOST=" + theirs.URL)
			b.await(20)
			if how == "asleep" {
				signal(t, other.Process.Pid, unix.SIGSTOP)
			} else {
				theirs.Inject(func(string, *http.Request) fakegcs.Fault { return fakegcs.Lost })
			}
			b.drag(math.MaxInt32)
			// The taker sees no renewal for a TTL, and takes the run.
			b.log.Reset()
			run := b.must()
			if run.ID != id || run.State != lakeio.Done {
				t.Fatalf("run %s is %s, want %s done", run.ID, run.State, id)
			}
			b.log.Reset()
			theirs.Inject(nil)
			if how == "asleep" {
				signal(t, other.Process.Pid, unix.SIGCONT)
			}
			ended := make(chan error, 1)
			go func() { ended <- other.Wait() }()
			select {
			case err := <-ended:
				if err == nil {
					t.Error("the old process ended well")
				}
			case <-time.After(time.Minute):
				t.Fatal("the old process goes on")
			}
			for _, e := range b.log.Requests() {
				t.Errorf("the old process asked for %s at %s, after its permit's end", e.URL, e.Start)
			}
			after, err := lakeio.ReadRun(t.Context(), b.lake(id).Store, run.Job, id)
			if err != nil || after.State != lakeio.Done || after.Exit != 0 {
				t.Errorf("after it ended the run is %s, exit %d, %v", after.State, after.Exit, err)
			}
			same(t, "after it ended", want, b.tables(after))
		})
	}
}

func signal(t *testing.T, pid int, s unix.Signal) {
	t.Helper()
	if err := unix.Kill(pid, s); err != nil {
		t.Fatal(err)
	}
}

// A job in a bucket has one run at a time: who holds it is seen to be alive.
func TestAJobInABucketHasOneRunAtATime(t *testing.T) {
	t.Parallel()
	server := fakegcs.Shared(t)
	b := bucketShop(t, server, 0, demosite.Options{})
	b.drag(5)
	other, id := b.elsewhere()
	b.await(5)
	for _, run := range []string{"", "new"} {
		_, err := b.run(which(run))
		if !errors.Is(err, lakeio.ErrLocked) || errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), id) || !strings.Contains(err.Error(), fmt.Sprint(other.Process.Pid)) {
			t.Errorf("--run %q beside another process: %v", run, err)
		}
	}
	// A pause from any machine: it drains and lets go.
	if err := b.lake(id).Stop(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
	_ = other.Wait() // ends as stopped
	b.drag(math.MaxInt32)
	res, err := b.run(func(r *Request) { r.Waiting = func(lakeio.Holder, time.Duration) { t.Error("it was waited for") } })
	if err != nil || res.Run.ID != id {
		t.Fatalf("after the pause: run %s, %v", res.Run.ID, err)
	}
}

func TestSQLiteRefusesABucket(t *testing.T) {
	server := fakegcs.Start(t)
	b := newShop(t, demosite.Options{Products: 4}, exact...)
	b.request.Workspace = server.Workspace("x")
	_, err := b.run()
	wantUsage(t, "sqlite in a bucket", err, "load.sqlite", "postgres", "parquet")
	for uri, want := range map[string]string{"gs://no-such-bucket/x": "no bucket no-such-bucket", "gs://x": "want gs://BUCKET"} {
		b.request.Workspace = uri
		_, err := b.run()
		wantUsage(t, uri, err, want)
	}
	server.Proxy.Inject(func(string, *http.Request) fakegcs.Fault { return "403" })
	b.request.Workspace = server.Workspace("forbidden")
	if _, err := b.run(); errors.Is(err, ErrUsage) || !errors.Is(err, lakeio.ErrUnavailable) {
		t.Errorf("a bucket that refuses: %v", err)
	}
}

// Parquet in the bucket too: published once, the same rows.
func TestParquetIsPublishedInABucket(t *testing.T) {
	meaning(t)
	t.Parallel()
	server := fakegcs.Shared(t)
	b := bucketShop(t, server, 0, demosite.Options{Products: 40}, "parquet: {path: out/}", "parquet: {path: "+server.Workspace(place(t)+"/out")+"}")
	run := b.must()
	store, err := lakeio.Open(server.Workspace(place(t) + "/out"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	copyDown(t, store, "./", dir)
	b.request.JobFile = filepath.Join(dir, "job.yaml") // for published: beside out/
	got := b.published()
	counters := b.manifest(run, "load").Counters
	for _, record := range []string{"book", "offer"} {
		if n := int64(len(got["parquet "+record])); n == 0 || n != counters["load.parquet."+record+".added"] {
			t.Errorf("%s: %d rows, counted %v", record, n, maps.Collect(maps.All(counters)))
		}
	}
}

// copyDown copies a folder of a store to DIR/out.
func copyDown(t *testing.T, store lakeio.Store, folder, dir string) {
	t.Helper()
	names, err := store.List(t.Context(), folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		uri := strings.TrimPrefix(folder+name, "./")
		if strings.HasSuffix(name, "/") {
			copyDown(t, store, uri, dir)
			continue
		}
		to := filepath.Join(dir, "out", uri)
		data, err := readAll(t.Context(), store, uri)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(to), 0o777)
		}
		if err == nil {
			err = os.WriteFile(to, data, 0o666)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func readAll(ctx context.Context, store lakeio.Store, uri string) ([]byte, error) {
	r, err := store.Open(ctx, uri)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}
