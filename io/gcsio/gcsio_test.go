package gcsio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/io/lakeio/storetest"
	"github.com/harrowdata/harrow/soak/fakegcs"
)

func openStore(t testing.TB, uri string) lakeio.Store {
	t.Helper()
	s, err := lakeio.Open(uri)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// each opens workspaces of their own, one after the other.
func each(server *fakegcs.Server) func(testing.TB) lakeio.Store {
	n := 0
	return func(t testing.TB) lakeio.Store {
		n++
		return openStore(t, server.Workspace("w"+strconv.Itoa(n)))
	}
}

func TestTheStoreKeepsTheContract(t *testing.T) {
	storetest.Run(t, each(fakegcs.Start(t)))
}

func TestAWholeBucketIsAWorkspace(t *testing.T) {
	server := fakegcs.Start(t)
	once := false
	storetest.Run(t, func(t testing.TB) lakeio.Store {
		if once { // it is not empty any more
			return openStore(t, server.Workspace(strings.ReplaceAll(t.Name(), "/", "-")))
		}
		once = true
		return openStore(t, "gs://"+fakegcs.Bucket)
	})
}

func TestTheStoreKeepsTheContractUnderFaults(t *testing.T) {
	seed := uint64(1)
	if text := os.Getenv("HARROW_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("HARROW_SEED=%d", seed)
	server := fakegcs.Start(t)
	server.Proxy.Random(seed, 12, fakegcs.Faults...)
	storetest.Run(t, each(server))
	for _, f := range fakegcs.Faults {
		if server.Proxy.Counts(false)["fault "+string(f)] == 0 {
			t.Errorf("there was no fault %s", f)
		}
	}
}

// once lets the first write that matches meet a fault.
func once(fault fakegcs.Fault, op string) func(string, *http.Request) fakegcs.Fault {
	done := false
	return func(got string, _ *http.Request) fakegcs.Fault {
		if done || got != op {
			return fakegcs.None
		}
		done = true
		return fault
	}
}

// The answer to a write is lost, its retry is told that the condition fails:
// it is our own object that is there.
func TestAWriteWhoseAnswerIsLostCounts(t *testing.T) {
	server := fakegcs.Start(t)
	s, ctx := openStore(t, server.Workspace("w")), t.Context()

	server.Proxy.Inject(once(fakegcs.Unanswered, "write"))
	if err := s.Create(ctx, "a", []byte("1")); err != nil {
		t.Fatal(err)
	}
	_, gen, err := s.Read(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	server.Proxy.Inject(once(fakegcs.Unanswered, "write"))
	next, err := s.Swap(ctx, "a", gen, []byte("2"), true)
	if err != nil {
		t.Fatal(err)
	}
	if data, now, err := s.Read(ctx, "a"); err != nil || string(data) != "2" || now != next || now == gen {
		t.Errorf("there is %q of generation %s, %v, want 2 of %s", data, now, err, next)
	}
	// Equal bytes of somebody else are not ours.
	server.Proxy.Inject(nil)
	if err := s.Create(ctx, "a", []byte("2")); !errors.Is(err, lakeio.ErrExists) {
		t.Errorf("created again: %v", err)
	}
	if _, err := s.Swap(ctx, "a", gen, []byte("2"), true); !errors.Is(err, lakeio.ErrConflict) {
		t.Errorf("swapped an old generation: %v", err)
	}
	if n := server.Proxy.Counts(false)["fault unanswered"]; n != 2 {
		t.Errorf("%d answers were lost, want 2", n)
	}
}

// Between a lost answer and its retry somebody else swaps: that one counts.
func TestAWriteWhoseAnswerIsLostLosesToALaterOne(t *testing.T) {
	server := fakegcs.Start(t)
	s, ctx := openStore(t, server.Workspace("w")), context.WithoutCancel(t.Context())
	swapped := make(chan error, 1)
	writes := 0
	server.Proxy.Inject(func(op string, _ *http.Request) fakegcs.Fault {
		if op != "write" {
			return fakegcs.None
		}
		switch writes++; writes {
		case 1:
			return fakegcs.Unanswered
		case 2: // the retry waits until the other has swapped
			go func() {
				_, gen, err := s.Read(ctx, "a")
				if err == nil {
					_, err = s.Swap(ctx, "a", gen, []byte("theirs"), true)
				}
				swapped <- err
			}()
			return fakegcs.Unavailable
		}
		return fakegcs.None
	})
	err := s.Create(ctx, "a", []byte("ours"))
	if serr := <-swapped; serr != nil {
		t.Fatal(serr)
	}
	data, _, rerr := s.Read(ctx, "a")
	if rerr != nil || string(data) != "theirs" {
		t.Fatalf("there is %q, %v", data, rerr)
	}
	if err != nil && !errors.Is(err, lakeio.ErrExists) {
		t.Errorf("%v, want success (it was there) or ErrExists", err)
	}
}

func TestAnUploadOfManyChunksSurvivesFaults(t *testing.T) {
	server := fakegcs.Start(t)
	s := openStore(t, server.Workspace("w"))
	data := strings.Repeat("0123456789abcdef", 1<<20) // 16 MiB, 5 chunks
	for i, fault := range []fakegcs.Fault{fakegcs.Lost, fakegcs.Unavailable, fakegcs.Slow} {
		server.Proxy.Inject(once(fault, "chunk"))
		uri := fmt.Sprintf("p/%d", i)
		w, err := s.Writer(t.Context(), uri)
		if err == nil {
			_, err = io.WriteString(w, data)
		}
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			t.Fatalf("%s: %v", fault, err)
		}
		if got, _, err := s.Read(t.Context(), uri); err != nil || string(got) != data {
			t.Errorf("%s: %d bytes, %v", fault, len(got), err)
		}
	}
	if n := chunks.Load(); n != 0 {
		t.Errorf("%d chunks were not given back", n)
	}
}

// What can't be known is an error, and nothing is written by halves.
func TestAStoreThatIsGoneIsNamed(t *testing.T) {
	server := fakegcs.Start(t)
	s := openStore(t, server.Workspace("w"))
	defer func(old time.Duration) { lookTimeout = old }(lookTimeout)
	lookTimeout = 100 * time.Millisecond
	server.Proxy.Inject(func(string, *http.Request) fakegcs.Fault { return fakegcs.Unavailable })
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	for what, err := range map[string]error{
		"create": s.Create(ctx, "a", nil),
		"delete": s.Delete(ctx, "a"),
	} {
		if err == nil || !strings.Contains(err.Error(), what+" gs://"+fakegcs.Bucket+"/w/a") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, _, err := s.Read(ctx, "a"); err == nil || errors.Is(err, lakeio.ErrNotFound) {
		t.Error(err)
	}
}

func TestWorkspacesThatCannotBeAreNamed(t *testing.T) {
	server := fakegcs.Start(t)
	for uri, want := range map[string]string{
		"gs://":                            "want gs://BUCKET",
		"gs://Upper/x":                     "want gs://BUCKET",
		"gs:///x":                          "want gs://BUCKET",
		"gs://a.b/x":                       "there is no bucket a.b",
		"gs://" + strings.Repeat("a", 300): "want gs://BUCKET",
		server.Workspace("a/../b"):         "can't be the prefix",
		server.Workspace("a//b"):           "can't be the prefix",
		server.Workspace("/b"):             "can't be the prefix",
		server.Workspace("a?b=c"):          "can't be the prefix",
		server.Workspace("a\nb"):           "can't be the prefix",
		server.Workspace(`a\b`):            "can't be the prefix",
		"gs://no-such-bucket/x":            "there is no bucket no-such-bucket",
	} {
		if _, err := lakeio.Open(uri); err == nil || !strings.Contains(err.Error(), want) || errors.Is(err, lakeio.ErrUnavailable) {
			t.Errorf("%s: %v, want %q", uri, err, want)
		}
	}
}

func TestARefusalSaysWhatIsMissing(t *testing.T) {
	for status, want := range map[int]string{http.StatusForbidden: "storage.objects.create", http.StatusUnauthorized: "credentials"} {
		server := fakegcs.Start(t)
		server.Proxy.Inject(func(string, *http.Request) fakegcs.Fault { return fakegcs.Fault(strconv.Itoa(status)) })
		_, err := lakeio.Open(server.Workspace("x"))
		if !errors.Is(err, lakeio.ErrUnavailable) || !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), want) {
			t.Errorf("%d: %v", status, err)
		}
	}
}

func TestReadingOnCostsFewRequests(t *testing.T) {
	server := fakegcs.Start(t)
	s := openStore(t, server.Workspace("w"))
	data := strings.Repeat("x", 8<<20)
	w, err := s.Writer(t.Context(), "a")
	if err == nil {
		_, err = io.WriteString(w, data)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	server.Proxy.Counts(true)
	r, err := s.Open(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	buf := make([]byte, 4<<10)
	for off := int64(0); off < r.Size(); off += int64(len(buf)) {
		if _, err := r.ReadAt(buf, off); err != nil {
			t.Fatal(err)
		}
	}
	// The end, then windows of 256 KiB, 512 KiB, 1, 2, 4 and 8 MiB.
	if n := server.Proxy.Counts(false)["read"]; n > 7 {
		t.Errorf("8 MiB in steps of 4 KiB took %d requests", n)
	}
}

// What a part's bytes cost: written and read in batches, here and on a disk.
func BenchmarkParts(b *testing.B) {
	server := fakegcs.Start(b)
	for name, uri := range map[string]string{"bucket": server.Workspace("bench"), "disk": b.TempDir()} {
		s := openStore(b, uri)
		batch := []byte(strings.Repeat("0123456789abcdef", 1<<16)) // 1 MiB
		const batches = 32
		b.Run("write/"+name, func(b *testing.B) {
			b.SetBytes(batches * int64(len(batch)))
			for b.Loop() {
				w, err := s.Writer(b.Context(), "p")
				for range batches {
					if err == nil {
						_, err = w.Write(batch)
					}
				}
				if err == nil {
					err = w.Close()
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("read/"+name, func(b *testing.B) {
			b.SetBytes(batches * int64(len(batch)))
			for b.Loop() {
				r, err := s.Open(b.Context(), "p")
				if err != nil {
					b.Fatal(err)
				}
				for i := range batches {
					if _, err := r.ReadAt(batch, int64(i*len(batch))); err != nil {
						b.Fatal(err)
					}
				}
				if err := r.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Two attempts at a stage commit at once, while answers are lost: one wins,
// and both see the winner's parts.
func TestOneOfTwoAttemptsCommits(t *testing.T) {
	server := fakegcs.Start(t)
	server.Proxy.Random(7, 4, fakegcs.Unanswered, fakegcs.Lost)
	for round := range 5 {
		var got [2]lakeio.Manifest
		var errs [2]error
		var all sync.WaitGroup
		for i := range got {
			all.Go(func() {
				l := lakeio.Lake{Store: openStore(t, server.Workspace("w")), Job: "shop", Run: fmt.Sprintf("run%d", round)}
				part := harrow.Part{Table: lakeio.Links.Name(), URI: fmt.Sprintf("%s/links/%d.arrow", l.Stage("parse"), i), Rows: 1}
				if errs[i] = l.Store.Put(t.Context(), part.URI, []byte("x")); errs[i] == nil {
					got[i], errs[i] = l.Commit(t.Context(), "parse", []harrow.Part{part}, nil, time.Now())
				}
			})
		}
		all.Wait()
		if err := errors.Join(errs[:]...); err != nil {
			t.Fatal(err)
		}
		if got[0].Digest != got[1].Digest || len(got[0].Parts) != 1 || got[0].Parts[0].URI != got[1].Parts[0].URI {
			t.Errorf("two manifests: %v and %v", got[0].Parts, got[1].Parts)
		}
	}
}
