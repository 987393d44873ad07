package soak

import (
	"bufio"
	"database/sql"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	_ "modernc.org/sqlite" // the sink's database is read

	"github.com/harrowdata/harrow/soak/rig"
)

const (
	rowsMemory = 256 << 20 // limits.memory in testdata/rows.yaml
	// rowsBeside is what a process may hold beside limits.memory, however
	// large its data files are: the Go runtime, Beam, the program itself, and
	// one row with the buffers it passes through.
	rowsBeside   = 192 << 20
	badEvery     = 10_000 // one row in so many is a bad one
	rowsPatience = time.Hour
)

// dataFile is a file that is made while it is sent.
type dataFile struct {
	name        string
	contentType string
	size        int64 // at least
	head, tail  string
	row         func(b []byte, i int64) []byte
	bad         string // a row that is none
	rows        int64  // sent, the bad ones too
	sent        int64
}

// filler compresses as text does, not as zeros do.
func filler(b []byte, i int64, n int) []byte {
	words := [...]string{"north ", "harvest ", "of ", "barley ", "and ", "oats ", "sold ", "by ", "weight ", "in ", "Thurso ", "market, "}
	for x := uint64(i)*2654435761 + 1; n > 0; n-- {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b = append(b, words[x%uint64(len(words))]...)
	}
	return b
}

func csvFile(size int64) *dataFile {
	return &dataFile{name: "sales.csv", contentType: "text/csv", size: size, head: "id,name,amount,note\r\n", bad: "this,line,is,far,too,long\r\n",
		row: func(b []byte, i int64) []byte {
			b = strconv.AppendInt(b, i, 10)
			b = append(b, ",\"Name "...)
			b = strconv.AppendInt(b, i%1000, 10)
			b = append(b, " \"\"x\"\"\","...)
			b = strconv.AppendInt(b, i%100_000, 10)
			b = append(b, ".25,\""...)
			return append(filler(b, i, 330), "\"\r\n"...)
		}}
}

func jsonFile(size int64) *dataFile {
	return &dataFile{name: "sales.json", contentType: "application/json", size: size, head: `{"data": {"count": 1, "items": [`, tail: `0], "more": {}}}`,
		bad: `{"id": "none"},`,
		row: func(b []byte, i int64) []byte {
			b = append(b, `{"id": `...)
			b = strconv.AppendInt(b, i, 10)
			b = append(b, `, "name": "Name `...)
			b = strconv.AppendInt(b, i%1000, 10)
			b = append(b, ` \"x\"", "amount": `...)
			b = strconv.AppendInt(b, i%100_000, 10)
			b = append(b, `.25, "note": {"text": "`...)
			return append(filler(b, i, 160), "\"}},\n"...)
		}}
}

func (f *dataFile) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/"+f.name {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", f.contentType)
	out := bufio.NewWriterSize(w, 256<<10)
	write := func(b []byte) bool {
		n, err := out.Write(b)
		f.sent += int64(n)
		return err == nil // else the client has gone, and will be asked why
	}
	write([]byte(f.head))
	var b []byte
	for f.rows, f.sent = 0, 0; f.sent < f.size; f.rows++ {
		if b = f.row(b[:0], f.rows); f.rows%badEvery == badEvery-1 {
			b = append(b[:0], f.bad...)
		}
		if !write(b) {
			return
		}
	}
	write([]byte(f.tail))
	_ = out.Flush() // as above
}

// TestDataFilesLargerThanMemoryAreHarvestedWithinIt fetches, stores, parses
// and loads a CSV file and a JSON document.
func TestDataFilesLargerThanMemoryAreHarvestedWithinIt(t *testing.T) {
	csvBytes, jsonBytes := int64(200e6), int64(100e6)
	if rig.Long() {
		csvBytes, jsonBytes = 5e9, 2e9
	}
	for _, f := range []*dataFile{csvFile(csvBytes), jsonFile(jsonBytes)} {
		t.Run(f.name, func(t *testing.T) { f.harvest(t) })
	}
}

func (f *dataFile) harvest(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: f, ReadHeaderTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	defer func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		<-served
	}()
	dir := t.TempDir()
	p := start(t, "run", filepath.Join("testdata", "rows.yaml"), "--workspace", dir, "--param", "site="+listener.Addr().String(),
		"--param", "file="+f.name, "--param", "spill="+t.TempDir())
	peak := peakOf(t, p, rowsPatience)
	p.Want(rig.ExitDone)

	bad := f.rows / badEvery
	if f.tail != "" {
		bad++ // the 0 at its end
	}
	var rows, ids, least, most int64
	f.query(t, dir, &rows, &ids, &least, &most)
	n := f.rows
	sum := n * (n - 1) / 2
	for i := int64(badEvery - 1); i < n; i += badEvery {
		sum -= i
	}
	if want := n - n/badEvery; rows != want || ids != sum || least != 0 {
		t.Errorf("%d rows with ids from %d to %d that add up to %d; want %d from 0 that add up to %d", rows, least, most, ids, want, sum)
	}
	if got := rejected(t, dir); got != bad {
		t.Errorf("%d rejects, want %d", got, bad)
	}
	if limit := int64(rowsMemory + rowsBeside); peak > limit {
		t.Errorf("%d MiB at most, want at most %d", peak>>20, limit>>20)
	}
	t.Logf("%d rows, %d MB, peak %d MiB, %v", n, f.sent/1e6, peak>>20, p.Ended.Sub(p.Began).Round(time.Second))
	rig.Report(t, rig.Seed(t), "%d rows, %d MB with limits.memory %d MiB: peak %d MiB, %v", n, f.sent/1e6, rowsMemory>>20, peak>>20,
		p.Ended.Sub(p.Began).Round(time.Second))
}

// query asks the sink's database for what its rows come to.
func (f *dataFile) query(t *testing.T, dir string, into ...any) {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(dir, "rows", "rows.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := db.QueryRowContext(t.Context(), "SELECT count(*), sum(id), min(id), max(id) FROM sale").Scan(into...); err != nil {
		t.Fatal(err)
	}
}

// rejected counts the rejects of parse.
func rejected(t *testing.T, dir string) (n int64) {
	t.Helper()
	cat(t, func([]byte) { n++ }, dir, "rejects", "--job", "rows", "--stage", "parse")
	return n
}

// peakOf waits for the end of the process and returns the most memory that was
// resident, in bytes (VmHWM, proc(5)).
func peakOf(t *testing.T, p *rig.Process, patience time.Duration) (most int64) {
	t.Helper()
	status := filepath.Join("/proc", strconv.Itoa(p.Cmd.Process.Pid), "status")
	deadline, tick := time.After(patience), time.NewTicker(50*time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-p.Exited:
			return most
		case <-deadline:
			p.Signal(unix.SIGQUIT) // for the goroutines' stacks
			return most
		case <-tick.C:
		}
		text, err := os.ReadFile(status)
		if err != nil {
			continue // it has just ended
		}
		for line := range strings.Lines(string(text)) {
			kib := int64(0)
			if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &kib); err == nil {
				most = max(most, kib<<10)
			}
		}
	}
}
