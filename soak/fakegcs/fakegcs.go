// Package fakegcs runs fake-gcs-server for tests, behind a proxy that can
// lose, delay and spoil what goes through it.
package fakegcs

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Bucket is the one bucket there is.
const Bucket = "harrow-test"

// Server is a fake-gcs-server with a bucket.
type Server struct {
	Proxy *Proxy
	// URL is the proxy's: what STORAGE_EMULATOR_HOST is set to.
	URL string

	host string
}

// loopback is where servers listen unless they are told otherwise.
const loopback = "127.0.0.1"

// Start starts a server, an empty bucket and the proxy, and lets
// STORAGE_EMULATOR_HOST point to it: in this process and those it starts. All
// ends with the test. Where the server is not installed, the test is skipped;
// with HARROW_TEST_REQUIRE=1 it fails.
func Start(t testing.TB) *Server {
	t.Helper()
	return StartOn(t, loopback)
}

// StartOn is Start on another of this machine's addresses, for clients that
// reach it there.
func StartOn(t testing.TB, host string) *Server {
	t.Helper()
	s, end, err := open(find(t), host, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(end)
	t.Setenv("STORAGE_EMULATOR_HOST", s.URL)
	return s
}

// one is what Shared starts.
var one struct {
	sync.Mutex
	server *Server
	end    func()
}

// Shared is Start of one server for all tests of a binary, which may then run
// beside each other: each has workspaces of its own and injects faults within
// them. [EndShared] ends it, from TestMain.
func Shared(t testing.TB) *Server {
	t.Helper()
	one.Lock()
	defer one.Unlock()
	if one.server != nil {
		return one.server
	}
	program := find(t)
	dir, err := os.MkdirTemp("", "fakegcs-*")
	if err != nil {
		t.Fatal(err)
	}
	s, end, err := open(program, loopback, dir)
	if err == nil {
		err = s.point()
	}
	if err != nil {
		t.Fatal(err)
	}
	one.server, one.end = s, func() {
		end()
		_ = os.RemoveAll(dir) // a temporary folder
	}
	return s
}

// point lets this process, and those it starts, go to the server from now on.
func (s *Server) point() error { return os.Setenv("STORAGE_EMULATOR_HOST", s.URL) }

// EndShared ends the server of Shared, if there is one.
func EndShared() {
	one.Lock()
	defer one.Unlock()
	if one.server != nil {
		one.end()
		one.server = nil
	}
}

// open starts a server that keeps its objects in dir.
func open(program, host, dir string) (_ *Server, end func(), err error) {
	proxy := &Proxy{counts: map[string]int{}}
	front, err := serve(host, proxy)
	if err != nil {
		return nil, nil, err
	}
	stop := func() {}
	end = func() { front.Close(); stop() }
	for range 5 { // the port that was free may be taken meanwhile
		if proxy.behind, stop, err = start(program, front.URL, dir); err == nil {
			break
		}
	}
	if err != nil {
		front.Close()
		return nil, nil, err
	}
	answer, err := http.Post(front.URL+"/storage/v1/b?project=test", "application/json", strings.NewReader(`{"name":"`+Bucket+`"}`))
	if err == nil {
		_ = answer.Body.Close() // nothing is read of it
		if answer.StatusCode != http.StatusOK {
			err = fmt.Errorf("fake-gcs-server: making a bucket: %s", answer.Status)
		}
	}
	if err != nil {
		end()
		return nil, nil, err
	}
	return &Server{Proxy: proxy, URL: front.URL, host: host}, end, nil
}

// serve serves a proxy on a free port of an address.
func serve(host string, proxy *Proxy) (*httptest.Server, error) {
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return nil, err
	}
	front := httptest.NewUnstartedServer(proxy)
	_ = front.Listener.Close() // the one on loopback
	front.Listener = listener
	front.Start()
	return front, nil
}

// Way is another proxy to the same server: faults of one way are not seen on
// the others.
type Way struct {
	*Proxy
	URL string
}

// Another opens another way to the server until the test ends. Uploads in
// chunks leave it after their first request.
func (s *Server) Another(t testing.TB) *Way {
	t.Helper()
	proxy := &Proxy{behind: s.Proxy.behind, counts: map[string]int{}}
	front, err := serve(s.host, proxy)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(front.Close)
	return &Way{proxy, front.URL}
}

// Workspace is the URI of a workspace of that name.
func (s *Server) Workspace(name string) string { return "gs://" + Bucket + "/" + name }

// find looks for the server in .build/bin of the folder with the product's
// go.mod, where tools/setup puts it.
func find(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	for ; err == nil; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil || dir == filepath.Dir(dir) {
			break
		}
	}
	program := filepath.Join(dir, ".build", "bin", "fake-gcs-server")
	if _, err = os.Stat(program); err == nil {
		return program
	}
	if os.Getenv("HARROW_TEST_REQUIRE") == "1" || !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("fake-gcs-server: %v; make setup installs it", err)
	}
	t.Skip("no fake-gcs-server; make setup installs it")
	return ""
}

// start starts the program on a free port and returns its URL once it answers,
// and what ends it.
func start(program, external, dir string) (url string, stop func(), err error) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	address := free.Addr().String()
	if err := free.Close(); err != nil {
		return "", nil, err
	}
	host, port, _ := strings.Cut(address, ":")
	p := exec.Command(program, "-scheme", "http", "-host", host, "-port", port, "-external-url", external, "-public-host", address,
		"-backend", "filesystem", "-filesystem-root", dir, "-log-level", "error")
	p.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	var out strings.Builder
	p.Stdout, p.Stderr = &out, &out
	if err := p.Start(); err != nil {
		return "", nil, err
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = p.Wait() }() // it is killed
	stop = func() { _ = p.Process.Kill(); <-ended }
	url = "http://" + address
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		select {
		case <-ended:
			return "", nil, fmt.Errorf("fake-gcs-server: %s", out.String())
		default:
		}
		if answer, err := http.Get(url + "/_internal/healthcheck"); err == nil {
			_ = answer.Body.Close() // nothing is read of it
			return url, stop, nil
		}
	}
	stop()
	return "", nil, errors.New("fake-gcs-server does not answer")
}
