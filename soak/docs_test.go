package soak

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/harrowdata/harrow/soak/rig"
)

// docsFolder is where Debian's postgresql-doc-15 lies.
const docsFolder = "/usr/share/doc/postgresql-doc-15/html"

const nginxConf = `daemon off;
master_process off;
pid %[1]s/pid;
error_log %[1]s/error.log;
events {}
http {
	types { text/html html; text/css css; image/svg+xml svg; }
	log_format asked '$request_method $uri $status';
	access_log %[1]s/access.log asked;
	client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
	server { listen %[2]s; root %[3]s; }
}
`

// nginx serves a folder on loopback; log returns its access log.
func nginx(t *testing.T, folder string) (addr string, log func() []string) {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		program = "/usr/sbin/nginx"
	}
	if _, err := os.Stat(program); err != nil {
		rig.Missing(t, "nginx is not installed: apt-get install nginx-light")
	}
	if _, err := os.Stat(folder); err != nil {
		rig.Missing(t, "%s is not there: apt-get install postgresql-doc-15", folder)
	}
	dir := t.TempDir()
	for range 5 { // somebody else may take the port meanwhile
		addr = freeAddr(t)
		conf := filepath.Join(dir, "nginx.conf")
		if err := os.WriteFile(conf, fmt.Appendf(nil, nginxConf, dir, addr, folder), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(program, "-c", conf, "-p", dir, "-e", filepath.Join(dir, "error.log"))
		cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		if !answers(addr, ended) {
			continue
		}
		t.Cleanup(func() {
			if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
				t.Error(err)
			}
			<-ended
		})
		return addr, func() []string { return lines(t, filepath.Join(dir, "access.log")) }
	}
	t.Fatalf("nginx did not start:\n%s", strings.Join(lines(t, filepath.Join(dir, "error.log")), "\n"))
	return "", nil
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// answers waits until a server takes connections; false: it ended instead.
func answers(addr string, ended <-chan error) bool {
	for {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			_ = conn.Close() // nothing was sent
			return true
		}
		select {
		case <-ended:
			return false
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func lines(t *testing.T, file string) []string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
}

// cat is what `harrow cat` prints of a table.
func cat(t *testing.T, each func(row []byte), workspace string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), rig.Harrow.Path(t), append([]string{"cat", "--json", "--workspace", workspace}, args...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewScanner(out)
	in.Buffer(nil, 64<<20)
	for in.Scan() {
		each(in.Bytes())
	}
	if err := in.Err(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("cat %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
}

func TestRealPagesAreHarvestedAsLxmlCrawlsTheirFiles(t *testing.T) {
	addr, log := nginx(t, docsFolder)
	var want map[string]string
	python(t, &want, "crawl.py", docsFolder)
	dir := t.TempDir()
	p := start(t, "run", filepath.Join("testdata", "docs.yaml"), "--workspace", dir, "--param", "site="+addr)
	p.Want(rig.ExitDone)

	got := map[string]string{}
	cat(t, func(row []byte) {
		var page struct{ URL, Title string }
		if err := json.Unmarshal(row, &page); err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(page.URL, "http://docs.example/")
		if _, twice := got[name]; twice {
			t.Errorf("%s is two records", name)
		}
		got[name] = page.Title
	}, dir, "records/page")
	for name, title := range want {
		if have, ok := got[name]; !ok {
			t.Errorf("%s was not harvested", name)
		} else if have != title {
			t.Errorf("%s: title %q, lxml has %q", name, have, title)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s was harvested; lxml did not come to it", name)
		}
	}

	asked := map[string]int{}
	for _, line := range log() {
		asked[line]++
	}
	for line, n := range asked {
		fields := strings.Fields(line) // method, path, status
		switch name := strings.TrimPrefix(fields[1], "/"); {
		case name == "robots.txt":
		case n != 1:
			t.Errorf("nginx was asked %d times: %s", n, line)
		case want[name] == "" || fields[0] != "GET" || fields[2] != "200":
			t.Errorf("nginx was asked: %s, which lxml did not come to", line)
		}
	}
	for name := range want {
		if asked["GET /"+name+" 200"] == 0 {
			t.Errorf("nginx was not asked for %s", name)
		}
	}
	took := p.Ended.Sub(p.Began)
	t.Logf("%d pages in %v", len(got), took.Round(time.Millisecond))
	rig.Report(t, rig.Seed(t), "%d pages of postgresql-doc-15, %d with lxml", len(got), len(want))
}
