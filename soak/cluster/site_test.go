package cluster

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/harrowdata/harrow/internal/demosite"
	"github.com/harrowdata/harrow/internal/serverlog"
	"github.com/harrowdata/harrow/testdata/demo"
)

// site is what a job is about: served by this process, with a log of what was
// asked.
type site struct {
	name     string // of the job
	log      *serverlog.Recorder
	addr     string
	promised func(host string) serverlog.Limits
	params   []string // of the job file
	// lay writes the job file and what stands beside it into a folder, and
	// returns it.
	lay func(t *testing.T, dir string) string
}

// serve opens a site on a free port of an address until the test ends.
func (s *site) serve(t *testing.T, address string, h http.Handler) *site {
	t.Helper()
	s.log = serverlog.Record(h)
	server := httptest.NewUnstartedServer(s.log)
	listener, err := net.Listen("tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Fatal(err)
	}
	_ = server.Listener.Close() // the one on loopback
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	s.addr = listener.Addr().String()
	s.params = append(s.params, "site="+s.addr)
	return s
}

// loopback is where everything listens that is asked by this machine alone.
const loopback = "127.0.0.1"

// demoSite is the demo's shop, and the demo's job with PostgreSQL for its
// database. Its pages are asked for the first time once for each call: some
// fail then.
func demoSite(t *testing.T, address string) *site {
	t.Helper()
	s := &site{name: "shop", lay: layDemo, promised: func(host string) serverlog.Limits {
		switch host {
		case demosite.Books:
			return serverlog.Limits{Concurrency: 4, Delay: 5 * time.Millisecond}
		case demosite.Partner:
			return serverlog.Limits{Concurrency: 1, Delay: 50 * time.Millisecond}
		}
		return serverlog.Limits{Concurrency: 1, Delay: 10 * time.Millisecond}
	}}
	return s.serve(t, address, demosite.New(demosite.Options{}).Handler())
}

func layDemo(t *testing.T, dir string) string {
	t.Helper()
	if err := demo.LayOut(dir); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "shop.yaml")
	edit(t, file, "  sqlite: {} ", "  postgres: {url: \"${DATABASE_URL}\"} ", 1)
	edit(t, file, "keep: latest\n", "keep: first\n", 2) // what is latest depends on timing
	return file
}

// edit replaces a text in a file, which must be in it so many times.
func edit(t *testing.T, file, old, text string, times int) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(data), old); n != times {
		t.Fatalf("%s: %q is in it %d times, want %d", file, old, n, times)
	}
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(data), old, text)), 0o666); err != nil {
		t.Fatal(err)
	}
}

// The crowd: so many pages in all, and its hosts' registered domains, each of
// which has two hosts, or three.
const (
	crowdHosts   = 50
	crowdDomains = 20
	crowdPages   = 2000
	crowdLatency = 5 * time.Millisecond
)

// hosts of the crowd.
func hosts() (names []string) {
	for i := range crowdHosts {
		names = append(names, fmt.Sprintf("%s.crowd-%02d.example", []string{"www", "shop", "m"}[i/crowdDomains], i%crowdDomains))
	}
	return names
}

// crowdSite is testdata/crowd.yaml's, which asks each host's pages at this
// pace.
func crowdSite(t *testing.T, address string, delay time.Duration) *site {
	t.Helper()
	s := &site{name: "crowd", lay: layCrowd, params: []string{"delay=" + delay.String()},
		promised: func(string) serverlog.Limits { return serverlog.Limits{Concurrency: 2, Delay: delay} }}
	bench := demosite.Bench(crowdPages/crowdHosts-1, 8<<10) // and the listing
	return s.serve(t, address, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(crowdLatency):
		case <-r.Context().Done():
			return
		}
		bench.ServeHTTP(w, r)
	}))
}

func layCrowd(t *testing.T, dir string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "crowd.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "crowd.yaml")
	if err := os.WriteFile(file, data, 0o666); err != nil {
		t.Fatal(err)
	}
	var seeds strings.Builder
	for _, host := range hosts() {
		fmt.Fprintf(&seeds, "http://%s/\n", host)
	}
	if err := os.WriteFile(filepath.Join(dir, "hosts.txt"), []byte(seeds.String()), 0o666); err != nil {
		t.Fatal(err)
	}
	return file
}
