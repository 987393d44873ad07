package lakeio

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
)

// benchBodies writes 64 MiB of pages that share a template, in batches of
// 16 MiB.
func benchBodies(tb testing.TB, codec Codec) (Store, harrow.Part) {
	tb.Helper()
	s, err := Open(tb.TempDir())
	if err != nil {
		tb.Fatal(err)
	}
	w, err := NewPart(tb.Context(), s, "bodies.arrow", Bodies.Schema(), codec)
	if err != nil {
		tb.Fatal(err)
	}
	b := Bodies.NewBuilder()
	defer b.Release()
	rnd := rand.New(rand.NewPCG(1, 2))
	template := make([]byte, 24<<10)
	for i := range template {
		template[i] = byte('a' + rnd.IntN(26))
	}
	for w.Raw() < 64<<20 {
		for !b.Full() {
			page := append([]byte(nil), template...)
			for range 5 << 10 {
				page = append(page, byte('a'+rnd.IntN(26)))
			}
			b.Append(harrow.Body{Digest: fmt.Sprintf("%064x", rnd.Uint64()), Body: page})
		}
		batch := b.Batch()
		err := w.Write(batch)
		batch.Release()
		if err != nil {
			tb.Fatal(err)
		}
	}
	part, err := w.Close()
	if err != nil {
		tb.Fatal(err)
	}
	return s, part
}

// BenchmarkReadBodies reads a part of 64 MiB; it reports the largest heap seen.
func BenchmarkReadBodies(b *testing.B) {
	for name, codec := range map[string]Codec{"zstd": Zstd, "lz4": LZ4} {
		b.Run(name, func(b *testing.B) {
			s, part := benchBodies(b, codec)
			var peak atomic.Uint64
			stop := make(chan struct{})
			go func() {
				for {
					select {
					case <-stop:
						return
					case <-time.After(2 * time.Millisecond):
						var m runtime.MemStats
						runtime.ReadMemStats(&m)
						peak.Store(max(peak.Load(), m.HeapInuse))
					}
				}
			}()
			runtime.GC()
			b.ReportAllocs()
			b.SetBytes(part.Raw)
			for b.Loop() {
				for _, err := range ReadBatches(b.Context(), s, part) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
			close(stop)
			b.ReportMetric(float64(peak.Load())/(1<<20), "peak-MiB")
			b.ReportMetric(float64(part.Bytes), "file-B")
		})
	}
}

// BenchmarkRowCopier copies captures with headers into batches of 512 KiB, as
// a shuffle does.
func BenchmarkRowCopier(b *testing.B) {
	in := Captures.NewBuilder()
	defer in.Release()
	for range 1000 {
		in.Append(harrow.Capture{ID: harrow.ID{1}, URL: "http://a.example/" + strings.Repeat("x", 40), FinalURL: "http://a.example/", Method: "GET",
			Kind: harrow.KindPage, Key: "a.example", Status: 200, Outcome: harrow.Fetched, ContentType: "text/html", BodyPart: strings.Repeat("p", 60),
			Headers: []harrow.Header{{Name: "Content-Type", Value: "text/html"}, {Name: "Date", Value: "Mon, 01 Jan 2024 00:00:00 GMT"}}})
	}
	batch := in.Batch()
	defer batch.Release()
	c, err := NewRowCopier(Captures.Schema())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Release()
	b.ReportAllocs()
	for b.Loop() {
		for i := range batch.Rows() {
			c.Append(batch, i)
			if c.Bytes() >= 512<<10 {
				c.Batch().Release()
			}
		}
	}
}
