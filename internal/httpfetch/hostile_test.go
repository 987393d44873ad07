package httpfetch

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/memory"
)

// hostile is a server that does one thing wrong, to each connection that asks.
type hostile struct {
	serve func(w io.Writer, stop <-chan struct{}) // an error of w: the client has had enough
	// What the client makes of it; class "" is an answer.
	class harrow.Class
	code  string
	body  string // of an answer
	cut   bool   // the answer is truncated
}

const okay = "HTTP/1.1 200 OK\r\n"

func says(text string) func(io.Writer, <-chan struct{}) {
	return func(w io.Writer, _ <-chan struct{}) { _, _ = io.WriteString(w, text) }
}

// dribbles sends a head at once, then a drop now and then.
func dribbles(head, drop string) func(io.Writer, <-chan struct{}) {
	return func(w io.Writer, stop <-chan struct{}) {
		_, err := io.WriteString(w, head)
		for err == nil {
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
				_, err = io.WriteString(w, drop)
			}
		}
	}
}

// pours sends a head, then one thing over and over as fast as it is taken.
func pours(head, drop string) func(io.Writer, <-chan struct{}) {
	return func(w io.Writer, _ <-chan struct{}) {
		_, err := io.WriteString(w, head)
		for err == nil {
			_, err = io.WriteString(w, drop)
		}
	}
}

func hangs(head string) func(io.Writer, <-chan struct{}) {
	return func(w io.Writer, stop <-chan struct{}) {
		_, _ = io.WriteString(w, head)
		<-stop
	}
}

// resets sends a head and ends the connection with RST.
func resetting(head string) func(io.Writer, <-chan struct{}) {
	return func(w io.Writer, _ <-chan struct{}) {
		_, _ = io.WriteString(w, head)
		_ = w.(*net.TCPConn).SetLinger(0)
	}
}

// attack makes one exchange with the server, and looks whether it ended within
// its deadline as it should, and whether anything was left behind.
func (h hostile) attack(t *testing.T) {
	t.Helper()
	before := runtime.NumGoroutine()
	stop := make(chan struct{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		if _, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
			h.serve(c, stop)
		}
	}()
	share := memory.NewShare("bodies", 1<<20)
	timeout := 20 * time.Second // of what has to end by itself
	if h.code == "timeout" {
		timeout = 100 * time.Millisecond
	}
	c, err := New(Config{Timeout: timeout, MaxBody: 100_000, MemoryBody: 64 << 10, SpillDir: t.TempDir(),
		Resolve: map[string]string{"*": l.Addr().String()}}, share)
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	out, err := do(t, c, Request{URL: "http://www.example/"})
	if took := time.Since(begun); took > 10*time.Second { // the deadline, and a machine that is busy
		t.Errorf("took %v", took)
	}
	h.judge(t, out, err)
	close(stop)
	c.Close()
	l.Close()
	<-done
	if used := share.Used(); used != 0 {
		t.Errorf("%d bytes are held", used)
	}
	for i := 0; runtime.NumGoroutine() > before; i++ {
		if i == 60_000 {
			t.Fatalf("%d goroutines where there were %d", runtime.NumGoroutine(), before)
		}
		time.Sleep(time.Millisecond) // net/http's own see the end of their connection
	}
}

func (h hostile) judge(t *testing.T, out *Response, err error) {
	t.Helper()
	if h.class != "" {
		wantError(t, err, h.class, h.code)
		return
	}
	if err != nil {
		t.Error(err)
		return
	}
	defer out.Body.Close()
	b, _ := out.Body.Bytes()
	if out.Truncated != h.cut || !h.cut && string(b) != h.body || h.cut && out.Body.Len() != 100_000 {
		t.Errorf("got %.50q and %d bytes, truncated %v", b, out.Body.Len(), out.Truncated)
	}
}

func slowly(code string, f func(io.Writer, <-chan struct{})) hostile {
	return hostile{serve: f, class: harrow.Transient, code: code}
}

func wrongly(code string, f func(io.Writer, <-chan struct{})) hostile {
	return hostile{serve: f, class: harrow.DataFault, code: code}
}

func answers(body string, f func(io.Writer, <-chan struct{})) hostile {
	return hostile{serve: f, body: body}
}

const chunked = okay + "Transfer-Encoding: chunked\r\n\r\n"

func TestSlowHeaders(t *testing.T)  { slowly("timeout", dribbles(okay+"X: ", "x")).attack(t) }
func TestSlowBody(t *testing.T)     { slowly("timeout", dribbles(okay+"\r\n", "x")).attack(t) }
func TestSlowChunks(t *testing.T)   { slowly("timeout", dribbles(chunked, "1\r\nx\r\n")).attack(t) }
func TestSlowTrailers(t *testing.T) { slowly("timeout", dribbles(chunked+"0\r\nX: ", "x")).attack(t) }
func TestSilence(t *testing.T)      { slowly("timeout", hangs("")).attack(t) }
func TestSilentBody(t *testing.T) {
	slowly("timeout", hangs(okay+"Content-Length: 10\r\n\r\n12345")).attack(t)
}
func TestAnswerCutOff(t *testing.T) { slowly("reset", says("")).attack(t) }
func TestResetAtOnce(t *testing.T)  { slowly("reset", resetting("")).attack(t) }
func TestResetMidBody(t *testing.T) {
	slowly("reset", resetting(okay+"Content-Length: 100\r\n\r\nshort")).attack(t)
}
func TestResetMidChunk(t *testing.T) { slowly("reset", resetting(chunked+"64\r\nshort")).attack(t) }

func TestInfiniteHeaderLine(t *testing.T) {
	wrongly("protocol", pours(okay+"X: ", page(1000))).attack(t)
}
func TestInfiniteHeaders(t *testing.T) {
	wrongly("protocol", pours(okay, "X: "+page(90)[:80]+"\r\n")).attack(t)
}
func TestInfiniteStatusLine(t *testing.T) {
	wrongly("protocol", pours("HTTP/1.1 200 ", strings.ReplaceAll(page(1000), "\n", " "))).attack(t)
}
func TestInfiniteTrailers(t *testing.T) {
	wrongly("protocol", pours(chunked+"0\r\n", "X: "+page(90)[:80]+"\r\n")).attack(t)
}
func TestInfiniteChunkExtension(t *testing.T) {
	wrongly("protocol", pours(chunked+"1;", "x")).attack(t)
}
func TestStormOfInterimAnswers(t *testing.T) {
	wrongly("protocol", pours("", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")).attack(t)
}
func TestStormOfContinues(t *testing.T) {
	wrongly("protocol", pours("", "HTTP/1.1 100 Continue\r\n\r\n")).attack(t)
}
func TestAFewInterimAnswers(t *testing.T) {
	answers("ok", says(strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 3)+okay+"Content-Length: 2\r\n\r\nok")).attack(t)
}

func TestInfiniteBody(t *testing.T) {
	hostile{serve: pours(okay+"\r\n", page(1000)), cut: true}.attack(t)
}
func TestInfiniteChunks(t *testing.T) {
	hostile{serve: pours(chunked, "3e8\r\n"+page(1000)+"\r\n"), cut: true}.attack(t)
}
func TestInfiniteTinyChunks(t *testing.T) {
	wrongly("protocol", pours(chunked, "1;"+page(90)[:60]+"\r\nx\r\n")).attack(t)
}
func TestAnswerThatPromisesPetabytes(t *testing.T) {
	slowly("timeout", hangs(okay+"Content-Length: 1000000000000000\r\n\r\nx")).attack(t)
}
func TestContentLengthTooLong(t *testing.T) {
	wrongly("truncated", says(okay+"Content-Length: 100\r\n\r\nshort")).attack(t)
}
func TestContentLengthTooShort(t *testing.T) { // the rest belongs to nobody
	answers("he", says(okay+"Content-Length: 2\r\n\r\nhello HTTP/1.1 200 OK\r\n\r\n")).attack(t)
}
func TestContentLengthThatIsNone(t *testing.T) {
	for _, v := range []string{"-1", "1x", "1, 2", "18446744073709551617", "0x10", "+1"} {
		wrongly("protocol", says(okay+"Content-Length: "+v+"\r\n\r\nhello")).attack(t)
	}
}
func TestTwoContentLengths(t *testing.T) {
	wrongly("protocol", says(okay+"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab")).attack(t)
}
func TestLengthAndChunks(t *testing.T) { // chunks count (RFC 9112, 6.3)
	answers("hello", says(okay+"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")).attack(t)
}
func TestTransferCodingWeDoNotRead(t *testing.T) {
	wrongly("protocol", says(okay+"Transfer-Encoding: gzip\r\n\r\nhello")).attack(t)
}
func TestTruncatedChunk(t *testing.T) { wrongly("truncated", says(chunked+"64\r\nshort")).attack(t) }
func TestChunksWithoutAnEnd(t *testing.T) {
	wrongly("truncated", says(chunked+"5\r\nhello\r\n")).attack(t)
}
func TestBadChunkSizes(t *testing.T) {
	for _, size := range []string{"zz", "-5", "0x5", "", "fffffffffffffffff", " 5"} {
		wrongly("protocol", says(chunked+size+"\r\nhello\r\n0\r\n\r\n")).attack(t)
	}
}
func TestChunkLongerThanItsSize(t *testing.T) {
	wrongly("protocol", says(chunked+"2\r\nhello\r\n0\r\n\r\n")).attack(t)
}
func TestTrailers(t *testing.T) {
	answers("hello", says(chunked+"5\r\nhello\r\n0\r\nX-Trailer: v\r\n\r\n")).attack(t)
}
func TestTrailersThatAreNone(t *testing.T) {
	wrongly("protocol", says(chunked+"5\r\nhello\r\n0\r\nno field\r\n\r\n")).attack(t)
}

func TestHTTP09(t *testing.T) { wrongly("protocol", says("<html>hello</html>\n")).attack(t) }
func TestGarbage(t *testing.T) {
	wrongly("protocol", says("\x00\xff\x16\x03\x01\r\n\r\n\x00")).attack(t)
}
func TestBadStatus(t *testing.T) {
	for _, status := range []string{"two", "2", "-20", "20000", "099999"} {
		wrongly("protocol", says("HTTP/1.1 "+status+" OK\r\n\r\n")).attack(t)
	}
}
func TestHeaderWithoutAColon(t *testing.T) {
	wrongly("protocol", says(okay+"no colon\r\n\r\nhello")).attack(t)
}
func TestHeaderNameWithASpace(t *testing.T) { // a field we never send back
	answers("hello", says(okay+"X Y: z\r\n\r\nhello")).attack(t)
}
func TestSwitchingProtocols(t *testing.T) {
	wrongly("protocol", says("HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")).attack(t)
}

// A field that tries to be two, and control characters, stay within one value
// or make the answer none; they never become a field of their own.
func TestHeaderInjection(t *testing.T) {
	for _, value := range []string{"a\rSet-Cookie: x=y", "a\x00b", "a\r\r\nSet-Cookie: x=y"} {
		c := newClient(t, listen(t, okay+"X: "+value+"\r\nContent-Length: 2\r\n\r\nok", false), nil)
		out, err := do(t, c, Request{URL: "http://www.example/"})
		if err != nil {
			wantError(t, err, harrow.DataFault, "protocol")
			continue
		}
		for _, h := range out.Headers {
			if h.Name == "Set-Cookie" || strings.ContainsAny(h.Value, "\r\n\x00") {
				t.Errorf("%q became %q: %q", value, h.Name, h.Value)
			}
		}
		out.Body.Close()
	}
}

func coded(coding, data string) string {
	return fmt.Sprintf("%sContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n%s", okay, coding, len(data), data)
}

func TestBombs(t *testing.T) {
	zeros := strings.Repeat("\x00", 200_000)
	wrongly("bomb", says(coded("gzip, gzip", packed(t, "gzip", packed(t, "gzip", zeros))))).attack(t)
	for _, coding := range []string{"gzip", "deflate", "br", "zstd"} {
		data := packed(t, coding, zeros)
		wrongly("bomb", says(coded(coding, data))).attack(t)
		slowly("timeout", hangs(okay+"Content-Encoding: "+coding+"\r\nContent-Length: 100000\r\n\r\n"+data[:8])).attack(t)
		wrongly("truncated", says(coded(coding, packed(t, coding, page(5000))[:40]))).attack(t)
	}
}
func TestSlowCompressedBody(t *testing.T) {
	slowly("timeout", dribbles(okay+"Content-Encoding: gzip\r\n\r\n", gzipped(t, ""))).attack(t)
}
