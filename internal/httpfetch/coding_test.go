package httpfetch

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/harrowdata/harrow"
	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"
)

func TestContentEncodings(t *testing.T) {
	t.Parallel()
	text := page(30_000)
	double := func(outer, inner string) string { return packed(t, outer, packed(t, inner, text)) }
	tests := map[string]struct{ encoding, sent, want string }{
		"gzip":             {"gzip", gzipped(t, text), text},
		"x-gzip":           {"X-GZIP", gzipped(t, text), text},
		"members":          {"gzip", gzipped(t, text, "", "more"), text + "more"},
		"trailing garbage": {"gzip", gzipped(t, text) + "\x00\x00garbage", text},
		"zlib":             {"deflate", packed(t, "deflate", text), text},
		"raw deflate":      {"deflate", packed(t, "raw", text), text},
		"identity":         {"identity, ", text, text},
		"brotli":           {"br", packed(t, "br", text), text},
		"brotli, garbage":  {"br", packed(t, "br", text) + "garbage", text},
		"zstd":             {"zstd", packed(t, "zstd", text), text},
		"frames":           {"zstd", packed(t, "zstd", text, "", "more"), text + "more"},
		"zstd, garbage":    {"zstd", packed(t, "zstd", text) + "garbage", text},
		"gzip in gzip":     {"gzip, gzip", double("gzip", "gzip"), text},
		"gzip in br":       {"gzip, identity, br", double("br", "gzip"), text},
		"br in gzip":       {"br,gzip", double("gzip", "br"), text},
		"zstd in br":       {"zstd, br", double("br", "zstd"), text},
		"empty gzip":       {"gzip", "", ""},
		"empty deflate":    {"deflate", "", ""},
		"empty brotli":     {"br", "", ""},
		"empty zstd":       {"zstd", "", ""},
		"empty frame":      {"zstd", packed(t, "zstd", ""), ""},
	}
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		test := tests[strings.ReplaceAll(r.URL.Path[1:], "_", " ")]
		w.Header().Set("Content-Encoding", test.encoding)
		if len(test.sent)%2 == 0 { // else in chunks
			_ = http.NewResponseController(w).Flush()
		}
		_, _ = io.WriteString(w, test.sent)
	})
	c := newClient(t, address, nil)
	for range 2 { // the second time with used decoders
		for name, test := range tests {
			out := get(t, c, "/"+strings.ReplaceAll(name, " ", "_"))
			if got, ok := out.Body.Bytes(); !ok || string(got) != test.want || out.Truncated || out.Body.Digest() != digest(test.want) {
				t.Errorf("%s: got %d bytes, truncated %v; want %d", name, len(got), out.Truncated, len(test.want))
			}
			if err := out.Body.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	if out, err := do(t, c, Request{Method: "HEAD", URL: "http://www.example/gzip"}); err != nil || out.Body.Len() != 0 {
		t.Errorf("HEAD: %v", err)
	}
}

func TestWhatIsAcceptedIsDecoded(t *testing.T) {
	for coding := range strings.SplitSeq(acceptEncoding, ", ") {
		h := http.Header{"Content-Encoding": {coding}}
		codes, err := codingsOf(h)
		if err != nil || codes.n != 1 || newBuffers(DefaultMemoryBody).coders[codes.names[0]] == nil {
			t.Errorf("%s: %v, %v", coding, codes, err)
		}
	}
}

// noise compresses, but not like a bomb.
func noise(n int) []byte {
	chunk := make([]byte, n)
	for i := range chunk {
		chunk[i] = 'a' + byte(rand.IntN(8))
	}
	return chunk
}

// endless writes what chunk returns, coded, until the client has had enough.
func endless(t testing.TB, chunk func() []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		to := io.Writer(w)
		if coding := r.URL.Path[1:]; coding != "endless" {
			w.Header().Set("Content-Encoding", strings.ReplaceAll(coding, "+", ", "))
			for _, coding := range slices.Backward(strings.Split(coding, "+")) {
				to = packer(t, coding, to)
			}
		}
		for {
			if _, err := to.Write(chunk()); err != nil || r.Context().Err() != nil {
				return
			}
		}
	}
}

func TestTooMuchIsTruncated(t *testing.T) {
	t.Parallel()
	const limit = 100_000
	address := serve(t, endless(t, func() []byte { return noise(16 << 10) }))
	c := newClient(t, address, func(c *Config) { c.MaxBody = limit })
	for _, coding := range []string{"endless", "gzip", "deflate", "br", "zstd", "zstd+gzip"} {
		if out := get(t, c, "/"+coding); !out.Truncated || out.Body.Len() != limit {
			t.Errorf("%s: %d bytes, truncated %v", coding, out.Body.Len(), out.Truncated)
		}
	}
	out, err := do(t, c, Request{URL: "http://www.example/endless", MaxBody: 10})
	if err != nil || !out.Truncated || out.Body.Len() != 10 {
		t.Fatal(err)
	}
	out.Body.Close()
}

func TestBombsAreErrors(t *testing.T) {
	t.Parallel()
	zeros := strings.Repeat("\x00", 1<<20)
	bombs := map[string]string{}
	for _, coding := range []string{"gzip", "deflate", "br", "zstd"} {
		bombs[coding] = packed(t, coding, zeros)
	}
	bombs["gzip, gzip"] = packed(t, "gzip", bombs["gzip"])
	bombs["gzip, br"] = packed(t, "br", bombs["gzip"])
	bombs["zstd, gzip"] = packed(t, "gzip", bombs["zstd"])
	// Of members that hold nothing no byte comes out: the coded ones count.
	members := strings.Repeat(gzipped(t, ""), 10_000)
	bombs["gzip, deflate"] = packed(t, "deflate", members)
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		coding, length, _ := strings.Cut(r.URL.Path[1:], "/")
		coding = strings.ReplaceAll(coding, "+", ", ")
		w.Header().Set("Content-Encoding", coding)
		if length != "" {
			w.Header().Set("Content-Length", strconv.Itoa(len(bombs[coding])))
		}
		_, _ = io.WriteString(w, bombs[coding])
	})
	c := newClient(t, address, func(c *Config) { c.MaxBody = 100_000 })
	for coding := range bombs {
		want := "bomb"
		if coding == "gzip, deflate" {
			want = "protocol"
		}
		for _, length := range []string{"", "length"} {
			_, err := do(t, c, Request{URL: "http://www.example/" + strings.ReplaceAll(coding, ", ", "+") + "/" + length})
			wantError(t, err, harrow.DataFault, want)
		}
	}
}

// A bomb without an end is known for one long before the deadline: what a
// decoder waits to have whole is looked at on the way.
func TestAnEndlessBombIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	begun := map[string][]byte{}
	for _, coding := range []string{"gzip", "br", "zstd"} {
		var b bytes.Buffer
		w := packer(t, coding, &b)
		_, _ = w.Write(make([]byte, 4<<20))
		for range probeAt / 1024 {
			_, _ = io.CopyN(w, crand.Reader, 1024)
		}
		_ = w.(interface{ Flush() error }).Flush()
		begun[coding] = b.Bytes()
	}
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		coding := r.URL.Path[1:]
		w.Header().Set("Content-Encoding", coding)
		_, _ = w.Write(begun[coding])
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	c := newClient(t, address, func(c *Config) { c.MaxBody = 1 << 20 })
	for coding := range begun {
		_, err := do(t, c, Request{URL: "http://www.example/" + coding})
		wantError(t, err, harrow.DataFault, "bomb")
	}
}

// A payload that just fits is no truncated one, whatever it came in.
func TestTheLimitItselfFits(t *testing.T) {
	t.Parallel()
	const limit = 100_000
	text := string(noise(limit))
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		coding, more, _ := strings.Cut(r.URL.Path[1:], "/")
		w.Header().Set("Content-Encoding", coding)
		_, _ = io.WriteString(w, packed(t, coding, text+more))
	})
	c := newClient(t, address, func(c *Config) { c.MaxBody = limit })
	for _, coding := range []string{"gzip", "deflate", "br", "zstd"} {
		for _, more := range []string{"", "x"} {
			out := get(t, c, "/"+coding+"/"+more)
			if out.Truncated != (more != "") || out.Body.Digest() != digest(text) {
				t.Errorf("%s and %d bytes more: %d bytes, truncated %v", coding, len(more), out.Body.Len(), out.Truncated)
			}
		}
	}
}

// However many servers send br at once, and however slowly, the decoders that
// hold megabytes are few, and a slow payload holds none.
func TestFewWideDecodersRunAtOnce(t *testing.T) {
	t.Parallel()
	begun, stop := make(chan struct{}, 16), make(chan struct{})
	text := page(100_000)
	address := serve(t, func(w http.ResponseWriter, r *http.Request) {
		data := packed(t, "br", text)
		w.Header().Set("Content-Encoding", "br")
		if r.URL.Path == "/slow" {
			_, _ = io.WriteString(w, data[:len(data)/2])
			_ = http.NewResponseController(w).Flush()
			begun <- struct{}{}
			<-stop
			data = data[len(data)/2:]
		}
		_, _ = io.WriteString(w, data)
	})
	c := newClient(t, address, nil)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			out, err := do(t, c, Request{URL: "http://www.example/slow"})
			if err != nil || out.Body.Digest() != digest(text) {
				t.Error(err)
				return
			}
			out.Body.Close()
		})
	}
	for range 16 {
		<-begun
	}
	get(t, c, "/fast")
	close(stop)
	wg.Wait()

	for range cap(c.buffers.wide) {
		c.buffers.wide <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		res, err := c.Reserve(ctx)
		if err == nil {
			_, err = c.Do(ctx, Request{URL: "http://www.example/fast"}, res)
		}
		done <- err
	}()
	select {
	case err := <-done:
		t.Errorf("a payload was decoded beyond the bound: %v", err)
	default:
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("waiting for a decoder ended with %v", err)
	}
}

func TestCodingsComeBackInTheirOrder(t *testing.T) {
	all := []string{"gzip", "deflate", "br", "zstd"}
	rapid.Check(t, func(r *rapid.T) {
		names := rapid.SliceOfN(rapid.SampledFrom(all), 0, 3).Draw(r, "codings")
		text := rapid.String().Draw(r, "text")
		sent := text
		for _, name := range names {
			sent = packed(t, name, sent)
		}
		codes, err := codingsOf(http.Header{"Content-Encoding": names})
		if (err != nil) != (len(names) > maxCodings) {
			r.Fatalf("%v: %v", names, err)
		}
		if err != nil {
			return
		}
		b, src := newBuffers(DefaultMemoryBody), io.Reader(strings.NewReader(sent))
		for _, name := range codes.names[:codes.n] {
			src = newDecoder(b, name, src, 1<<20)
		}
		if got, err := io.ReadAll(src); err != nil || string(got) != text {
			r.Fatalf("%v: %q, %v", names, got, err)
		}
	})
}

func FuzzDecoder(f *testing.F) {
	f.Add("gzip", []byte(gzipped(f, "hello", "world")))
	f.Add("deflate", []byte("x\x9c\x03\x00\x00\x00\x00\x01"))
	f.Add("deflate", []byte{3, 0})
	f.Add("br", []byte(packed(f, "br", "hello, hello, hello")))
	f.Add("br", []byte{0x21, 0xff, 0xff, 0x7f}) // a large meta-block that isn't there
	f.Add("zstd", []byte(packed(f, "zstd", "hello", "world")))
	f.Add("zstd", []byte("\x50\x2a\x4d\x18\x02\x00\x00\x00ab")) // a skippable frame
	f.Add("gzip, br", []byte(packed(f, "br", gzipped(f, "hello"))))
	b := newBuffers(DefaultMemoryBody)
	f.Fuzz(func(t *testing.T, coding string, data []byte) {
		const limit = 1 << 16
		codes, err := codingsOf(http.Header{"Content-Encoding": {coding}})
		if err != nil {
			return
		}
		var src io.Reader = bytes.NewReader(data)
		for _, name := range codes.names[:codes.n] {
			d := newDecoder(b, name, src, limit)
			defer d.close()
			src = d
		}
		n, err := io.CopyN(io.Discard, src, limit)
		if err == nil && n != limit {
			t.Fatal("no error at the end")
		}
		if err != nil {
			if _, again := src.Read(make([]byte, 1)); again == nil {
				t.Fatal("a byte after the end")
			}
		}
	})
}

// What a hostile frame makes a decoder allocate has to stay below what
// wideDecoders says.
func TestAFrameCannotAskForALargeWindow(t *testing.T) {
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b, zstd.WithWindowSize(16<<20), zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write(noise(1 << 20))
	_ = w.Flush()
	_, _ = w.Write(noise(1 << 20))
	_ = w.Close()
	large := packed(t, "br", "")
	for coding, data := range map[string]string{"zstd": b.String(), "br": "\x11" + large} { // 0x11: large windows
		d := newDecoder(newBuffers(DefaultMemoryBody), coding, strings.NewReader(data), 4<<20)
		if _, err := io.Copy(io.Discard, d); !errors.Is(err, errFormat) {
			t.Errorf("%s: %v; want %v", coding, err, errFormat)
		}
	}
}

// BenchmarkDecode weighs the codings against each other: their order in
// acceptEncoding comes from here.
func BenchmarkDecode(b *testing.B) {
	var text strings.Builder
	for text.Len() < 30_000 {
		text.WriteString("<li class=\"product\"><a href=\"/p/")
		text.Write(noise(12))
		text.WriteString("\">")
		text.Write(noise(40))
		text.WriteString("</a> <span>19.90</span></li>\n")
	}
	buffers := newBuffers(DefaultMemoryBody)
	for _, coding := range []string{"gzip", "deflate", "br", "zstd"} {
		data := packed(b, coding, text.String())
		b.Run(coding, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(text.Len()))
			for b.Loop() {
				d := newDecoder(buffers, coding, strings.NewReader(data), 1<<20)
				if n, err := io.Copy(io.Discard, d); err != nil || n != int64(text.Len()) {
					b.Fatal(n, err)
				}
				d.close()
			}
			b.ReportMetric(float64(len(data)), "coded-bytes")
		})
	}
}
