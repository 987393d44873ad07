package round

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/harrowdata/harrow/io/lakeio"
)

// reopen lets this process fetch again, for the tests that follow.
func reopen() {
	processesMu.Lock()
	defer processesMu.Unlock()
	closed = false
}

func TestAProcessThatEndsKeepsWhatItHasAndHurries(t *testing.T) {
	var open atomic.Bool
	arrived := make(chan struct{}, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(page("/slow"))) })
	mux.HandleFunc("/slow", func(w http.ResponseWriter, r *http.Request) {
		if open.Load() {
			return
		}
		arrived <- struct{}{}
		<-r.Context().Done()
	})
	b := newBench(t, mux)
	p, err := Join(t.Context(), b.cfg)
	if err != nil {
		t.Fatal(err)
	}
	a, err := p.Admit(t.Context(), 0, b.requests("http://one.example/"))
	if err != nil {
		t.Fatal(err)
	}
	<-arrived
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	defer reopen()
	if err := ShutdownAll(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Wait(t.Context()); !errors.Is(err, ErrStopped) {
		t.Errorf("the bundle gets %v", err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := Join(t.Context(), b.cfg); !errors.Is(err, ErrStopped) {
		t.Errorf("a bundle that comes too late gets %v", err)
	}
	rec, err := (lakeio.FetchShard{Lake: b.lake, Round: 0, Shard: 0}).Read(t.Context())
	if err != nil || rec.Done || len(rec.Rolls) != 1 {
		t.Fatalf("the shard record: %+v, %v; want one roll", rec, err)
	}

	reopen()
	open.Store(true)
	parts, err := b.run(t.Context(), "http://one.example/")
	if err != nil {
		t.Fatal(err)
	}
	got := outcomes(rowsOf(t, b.lake, lakeio.Captures, parts))
	if len(got) != 2 || got["http://one.example/slow"] != "fetched" {
		t.Errorf("whoever goes on has %v", got)
	}
	for url, want := range map[string]int{"http://one.example/": 1, "http://one.example/slow": 2} {
		if n := b.log.Count(url); n != want {
			t.Errorf("%s was asked %d times, want %d", url, n, want)
		}
	}
}

func TestAProcessThatEndsLetsExchangesEnd(t *testing.T) {
	arrived := make(chan struct{}, 1)
	release := make(chan struct{})
	b := newBench(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/robots.txt" {
			return
		}
		arrived <- struct{}{}
		<-release
	}))
	p, err := Join(t.Context(), b.cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Admit(t.Context(), 0, b.requests("http://one.example/")); err != nil {
		t.Fatal(err)
	}
	<-arrived
	defer reopen()
	ended := make(chan error, 1)
	go func() { ended <- ShutdownAll(t.Context()) }()
	<-p.starts.Done()
	close(release)
	if err := errors.Join(<-ended, p.Close()); err != nil {
		t.Fatal(err)
	}
	rec, err := (lakeio.FetchShard{Lake: b.lake, Round: 0, Shard: 0}).Read(t.Context())
	if err != nil || len(rec.Rolls) != 1 {
		t.Fatalf("the shard record: %+v, %v; want the page's roll", rec, err)
	}
}
