package round

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/memory"
	"github.com/harrowdata/harrow/io/lakeio"
)

// numbers writes n lines, all different.
func numbers(w io.Writer, n int) error {
	for i := range n {
		if _, err := fmt.Fprintf(w, "%d,%d,some words that come again\n", i, i*i); err != nil {
			return err
		}
	}
	return nil
}

// TestBodiesOfManyBatchesAreStoredInPieces: a body far larger than a batch is
// read from its spill file batch by batch, and the part made of them.
func TestBodiesOfManyBatchesAreStoredInPieces(t *testing.T) {
	if testing.Short() {
		t.Skip("short: it is about sizes")
	}
	const n = 1_100_000 // 47 MB
	mux := http.NewServeMux()
	mux.HandleFunc("/plain", func(w http.ResponseWriter, _ *http.Request) { _ = numbers(w, n) })
	mux.HandleFunc("/coded", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_ = numbers(z, n+1)
		_ = z.Close()
	})
	b := newBench(t, mux)
	b.cfg.Fetch.MaxBody, b.cfg.Fetch.Timeout = 100<<20, harrow.Duration(5*time.Minute)
	b.cfg.Follow = nil
	parts, err := b.run(t.Context(), "http://one.example/plain", "http://one.example/coded")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int64{}
	for _, lines := range []int{n, n + 1} {
		sum := sha256.New()
		counted := &counting{w: sum}
		if err := numbers(counted, lines); err != nil {
			t.Fatal(err)
		}
		want[hex.EncodeToString(sum.Sum(nil))] = counted.n
	}
	byPart := map[string]harrow.Part{}
	for _, p := range parts {
		byPart[p.URI] = p
	}
	for _, c := range rowsOf(t, b.lake, lakeio.Captures, parts) {
		if c.Outcome != harrow.Fetched || c.Truncated || want[c.Digest] != c.BodyBytes {
			t.Fatalf("%+v", c)
		}
		if got := readBack(t, b.lake, byPart[c.BodyPart], c); got != c.Digest {
			t.Errorf("%s is stored as %s, want %s", c.URL, got, c.Digest)
		}
		delete(want, c.Digest)
	}
	if len(want) > 0 {
		t.Errorf("not stored: %v", want)
	}
	budget := memory.For(b.cfg.Env.Memory)
	if used := budget.Bodies.Used() + budget.Batches.Used(); used != 0 {
		t.Errorf("%d bytes are still held", used)
	}
}

// readBack returns the digest of a body as its part has it, whose batches must
// be small.
func readBack(t *testing.T, l lakeio.Lake, part harrow.Part, c harrow.Capture) string {
	t.Helper()
	sum, row := sha256.New(), int64(0)
	for batch, err := range lakeio.ReadBatches(t.Context(), l.Store, part) {
		if err != nil {
			t.Fatal(err)
		}
		if size := lakeio.BatchSize(batch); size > lakeio.BatchBytes+lakeio.ChunkBytes {
			t.Errorf("a batch of %d bytes", size)
		}
		for _, b := range lakeio.Bodies.Rows(batch) {
			if at := row - c.BodyRow; at >= 0 && at < c.BodyRows {
				if int64(b.Chunk) != at || b.Digest != c.Digest || len(b.Body) > lakeio.ChunkBytes {
					t.Errorf("row %d: chunk %d of %d bytes of %s", row, b.Chunk, len(b.Body), b.Digest)
				}
				sum.Write(b.Body)
			}
			row++
		}
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// counting counts what is written.
type counting struct {
	w io.Writer
	n int64
}

func (c *counting) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return c.w.Write(p)
}
