package round

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"path"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/idfile"
	"github.com/harrowdata/harrow/internal/memory/memorytest"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/transforms/parts/engine"
)

// knownPages is how many pages the benchmark knows.
const knownPages = 1_000_000

func benchID(i int) (id harrow.ID) {
	binary.BigEndian.PutUint64(id[:], uint64(i)*(1<<64/knownPages)) // ascending, spread as digests are
	binary.BigEndian.PutUint64(id[8:], rand.New(rand.NewPCG(uint64(i), 0)).Uint64())
	return id
}

func benchPage(i int) harrow.PageState {
	r := rand.New(rand.NewPCG(uint64(i), 1))
	url := fmt.Sprintf("http://shop-%d.example/catalogue/%s-%d/index.html", i%1000, []string{"the-harbour", "a-field", "the-plough-of-may"}[i%3], i)
	etag, date := fmt.Sprintf(`"%016x"`, r.Uint64()), time.Unix(1_770_000_000+r.Int64N(1e7), 0).UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT")
	return harrow.PageState{ID: benchID(i), URL: url, FinalURL: url, ETag: etag, LastModified: date, ContentType: "text/html; charset=utf-8",
		Headers: []harrow.Header{{Name: "Cache-Control", Value: "max-age=600"}, {Name: "Content-Type", Value: "text/html; charset=utf-8"}, {Name: "Date", Value: date},
			{Name: "Etag", Value: etag}, {Name: "Last-Modified", Value: date}, {Name: "Server", Value: "nginx"}, {Name: "Strict-Transport-Security", Value: "max-age=31536000"},
			{Name: "Vary", Value: "Accept-Encoding"}, {Name: "X-Request-Id", Value: fmt.Sprintf("%016x%016x", r.Uint64(), r.Uint64())}},
		Digest: fmt.Sprintf("%016x%016x%016x%016x", r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64()), BodyBytes: 29_000,
		BodyPart: fmt.Sprintf("job/runs/01a20185-4be8-7e64-9c38-2756d912a669/fetch-0/shard-00000/00001-%05d-9e3779b9.bodies.arrow", i%450), BodyRow: int64(i / 450),
		BodyRows: 1, FirstSeen: time.Unix(1_790_000_000, 0), LastSeen: time.Unix(1_790_000_000+int64(i), 0), Outcome: harrow.Fetched, Run: "01a20185-4be8-7e64-9c38-2756d912a669"}
}

// commitBenchPages commits a version of pages as the last step of fetch does.
func commitBenchPages(b *testing.B, l lakeio.Lake, shards int) (bytes int64) {
	b.Helper()
	var parts []harrow.Part
	for shard := range shards {
		w, err := lakeio.NewPart(b.Context(), l.Store, path.Join(l.Stage(lakeio.PagesStage), "pages", uuid.NewString()+".arrow"), lakeio.Pages.Schema(), lakeio.Zstd)
		if err != nil {
			b.Fatal(err)
		}
		builder := lakeio.Pages.NewBuilder()
		flush := func() {
			batch := builder.Batch()
			defer batch.Release()
			if err := w.Write(batch); err != nil {
				b.Fatal(err)
			}
		}
		for i := shard; i < knownPages; i += shards {
			builder.Append(benchPage(i))
			if builder.Rows() == lakeio.PagesBatchRows {
				flush()
			}
		}
		flush()
		builder.Release()
		part, err := w.Close()
		if err != nil {
			b.Fatal(err)
		}
		part.Shard = shard
		parts, bytes = append(parts, part), bytes+part.Bytes
	}
	if _, err := l.Commit(b.Context(), lakeio.PagesStage, parts, nil, time.Now()); err != nil {
		b.Fatal(err)
	}
	return bytes
}

// What it costs to know 1 M pages: reading the version into the local file,
// and a lookup.
func BenchmarkKnown(b *testing.B) {
	cfg := Config{Env: engine.Env{Workspace: b.TempDir(), Job: "job", Run: uuid.NewString(), Spill: b.TempDir()}}
	cfg.Fetch.MaxBody = 10 << 20
	l, err := cfg.Env.Open()
	if err != nil {
		b.Fatal(err)
	}
	table := commitBenchPages(b, l, 16)
	var file *idfile.File
	var heap int64
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			before := memorytest.LiveHeap()
			if file, err = readKnown(b.Context(), l, cfg); err != nil {
				b.Fatal(err)
			}
			heap = memorytest.LiveHeap() - before
		}
		b.ReportMetric(float64(table)/1e6, "MB-table")
		b.ReportMetric(float64(file.Bytes())/1e6, "MB-local")
		b.ReportMetric(float64(heap)/1e6, "MB-heap")
		b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/knownPages, "µs/page")
	})
	p := &Process{cfg: cfg, known: &known{file: file}}
	for _, c := range []struct {
		name string
		id   func(i int) harrow.ID
	}{{"found", benchID}, {"unknown", func(i int) harrow.ID { id := benchID(i); id[15] ^= 1; return id }}} {
		b.Run(c.name, func(b *testing.B) {
			r := rand.New(rand.NewPCG(1, 2))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.known.get(c.id(r.IntN(knownPages))); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	if err := file.Close(); err != nil {
		b.Error(err)
	}
}
