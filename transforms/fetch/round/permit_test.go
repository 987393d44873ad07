package round

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// leaseStore is a local workspace whose locks are leases, as in a bucket.
// Renewals may be kept from it.
type leaseStore struct {
	lakeio.Store
	local string // where it is, if it is to be taken for a local one

	mu      sync.Mutex
	away    bool
	renewed time.Time // when the last swap of a lease that came through began
}

var leases sync.Map // path: *leaseStore

func init() {
	lakeio.RegisterScheme("lease", func(uri string) (lakeio.Store, error) {
		path := strings.TrimPrefix(uri, "lease://")
		local, err := lakeio.Open(path)
		s, _ := leases.LoadOrStore(path, &leaseStore{Store: local})
		return s.(*leaseStore), err
	})
}

func (s *leaseStore) Local() string { return s.local }

func (s *leaseStore) Swap(ctx context.Context, uri string, old lakeio.Generation, data []byte, durable bool) (lakeio.Generation, error) {
	s.mu.Lock()
	away := s.away
	s.mu.Unlock()
	lock, began := strings.HasSuffix(uri, "/lock") || strings.Contains(uri, "/workers/"), time.Now()
	if lock && away {
		return "", errors.New("no way to the bucket")
	}
	gen, err := s.Store.Swap(ctx, uri, old, data, durable)
	if lock && err == nil {
		s.mu.Lock()
		s.renewed = began
		s.mu.Unlock()
	}
	return gen, err
}

func (s *leaseStore) keepAway(away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = away
}

const (
	testTTL     = 2400 * time.Millisecond
	testTimeout = 1200 * time.Millisecond
)

// tree is a site without an end to speak of: each page links to two others.
func tree() http.Handler { return mortal(&atomic.Bool{}) }

// mortal is a tree whose pages lead nowhere once it is old.
func mortal(old *atomic.Bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/robots.txt", http.NotFound)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(2 * time.Millisecond)
		if old.Load() {
			_, _ = w.Write([]byte(page()))
			return
		}
		at := strings.TrimSuffix(r.URL.Path, "/")
		_, _ = w.Write([]byte(page(at+"/0", at+"/1"))) // who asked may be gone
	})
	return mux
}

// await waits until the site was asked for n things.
func (b *bench) await(n int) {
	b.t.Helper()
	for end := time.Now().Add(patience); len(b.log.Requests()) < n; time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("the site was asked for %d things, want %d", len(b.log.Requests()), n)
		}
	}
}

// leased is a round whose permit is a lease of testTTL.
func leased(t *testing.T) (*bench, *leaseStore, *Process, *Admission) {
	t.Helper()
	b := newBench(t, tree())
	b.cfg.Env.Workspace = "lease://" + b.cfg.Env.Workspace
	b.cfg.Fetch.Timeout = harrow.Duration(testTimeout)
	b.cfg.Status = 20 * time.Millisecond
	p, err := Join(t.Context(), b.cfg)
	if err != nil {
		t.Fatal(err)
	}
	a, err := p.Admit(t.Context(), 0, b.requests("http://one.example/"))
	if err != nil {
		t.Fatal(err)
	}
	return b, p.lake.Store.(*leaseStore), p, a
}

func TestAPermitThatIsNotRenewedEndsStarts(t *testing.T) {
	b, store, p, a := leased(t)
	b.await(10)
	store.keepAway(true)
	_, err := a.Wait(t.Context())
	if !errors.Is(err, errLapsed) || errors.Is(err, ErrStopped) {
		t.Errorf("ended with %v, want that the lock was not renewed, and no stop", err)
	}
	requests := b.log.Requests()
	store.mu.Lock()
	end := store.renewed.Add(testTTL)
	store.mu.Unlock()
	for _, r := range requests {
		if !r.Start.Before(end) {
			t.Errorf("%s was asked for %s after the permit's end", r.URL, r.Start.Sub(end))
		}
	}
	store.keepAway(false)
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if n := len(b.log.Requests()); n != len(requests) {
		t.Errorf("%d requests after the end", n-len(requests))
	}
}

// While the permit could end before an exchange does, none starts; once it is
// renewed they go on.
func TestStartsWaitForALateRenewal(t *testing.T) {
	b, store, p, a := leased(t)
	b.await(10)
	store.keepAway(true)
	lock := p.permit.(*heldPermit).right
	for lock.Left() > testTimeout-100*time.Millisecond {
		time.Sleep(5 * time.Millisecond)
	}
	held := len(b.log.Requests())
	store.keepAway(false)
	for lock.Left() <= testTimeout {
		time.Sleep(5 * time.Millisecond)
	}
	b.await(held + 10)
	p.stop(nil)
	if _, err := a.Wait(t.Context()); !errors.Is(err, ErrStopped) || errors.Is(err, errLapsed) {
		t.Errorf("ended with %v, want ErrStopped", err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

func TestAnotherRunsNameInTheLockEndsStarts(t *testing.T) {
	b, store, p, a := leased(t)
	b.await(10)
	theirs, err := json.Marshal(lakeio.Holder{Version: 1, Run: "another", Nonce: "n", TTL: time.Hour})
	if err == nil {
		err = store.Put(t.Context(), "test/lock", theirs)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Wait(t.Context()); !errors.Is(err, lakeio.ErrLocked) || !strings.Contains(err.Error(), "run another") {
		t.Errorf("ended with %v, want ErrLocked naming the other run", err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if data, _, err := store.Read(t.Context(), "test/lock"); err != nil || string(data) != string(theirs) {
		t.Errorf("the other's lock is %s, %v", data, err)
	}
}
