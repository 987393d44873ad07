package rowdata

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/transform"
)

func latin1([]byte) transform.Transformer { return charmap.ISO8859_1.NewDecoder() }

func gzipped(t testing.TB, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTextOfAFile(t *testing.T) {
	long := strings.Repeat("0123456789", 50_000)
	for _, test := range []struct {
		name, file, want string
		encoding         func([]byte) transform.Transformer
	}{
		{"plain", "a,b", "a,b", nil},
		{"empty", "", "", nil},
		{"one byte", "\x1f", "\x1f", nil},
		{"byte order mark", "\uFEFFa", "a", nil},
		{"gzip", gzipped(t, long), long, nil},
		{"gzip with a mark inside", gzipped(t, "\uFEFFa"), "a", nil},
		{"gzip in members", gzipped(t, "a") + gzipped(t, "b"), "ab", nil},
		{"gzip with something behind it", gzipped(t, "a") + "\x00\x00\x00", "a", nil},
		{"another encoding", "caf\xe9" + long, "café" + long, latin1},
		{"another encoding in gzip", gzipped(t, "caf\xe9"), "café", latin1},
	} {
		for how, slow := range slowly {
			text, err := Open(slow(strings.NewReader(test.file)), test.encoding)
			var got []byte
			if err == nil {
				got, err = io.ReadAll(text)
			}
			if err != nil || string(got) != test.want {
				t.Errorf("%s %s: %.50q %v", test.name, how, got, err)
			}
		}
	}
}

func TestEncodingIsAskedWithTheBeginningOfTheText(t *testing.T) {
	long := strings.Repeat("x", 2*HeadBytes)
	for _, file := range []string{long, gzipped(t, long)} {
		asked := 0
		_, err := Open(iotest.HalfReader(strings.NewReader(file)), func(head []byte) transform.Transformer { asked = len(head); return nil })
		if err != nil || asked != HeadBytes {
			t.Errorf("asked with %d bytes, %v", asked, err)
		}
	}
}

func TestRowsBeforeAFaultOfGzipStay(t *testing.T) {
	rows := strings.Repeat("1\n", 100_000)
	whole := gzipped(t, rows)
	for name, file := range map[string]string{"cut": whole[:len(whole)-20], "damaged": whole[:len(whole)-6] + "xxxxxx"} {
		text, err := Open(strings.NewReader(file), nil)
		if err != nil {
			t.Fatal(err)
		}
		got := show(t, NewJSONLines(text, Limits{}))
		if n := strings.Count(got, "1\n"); n < 50_000 || !strings.HasSuffix(got, "\n! data 0 \"\"\n") {
			t.Errorf("%s: %d rows, ends with %q", name, n, got[max(0, len(got)-40):])
		}
	}
}

func TestErrorsOfACompressedSourceAreItsOwn(t *testing.T) {
	whole := gzipped(t, strings.Repeat("1\n", 100_000))
	for _, file := range []string{"", "\x1f\x8b", whole[:len(whole)/2], whole} {
		text, err := Open(broken(file), nil)
		if err == nil {
			_, err = io.ReadAll(text)
		}
		var fault *Fault
		if err == nil || errors.As(err, &fault) || err.Error() != "disk" {
			t.Errorf("after %d bytes: %v", len(file), err)
		}
	}
}

// zeros is a source of n zero bytes.
func zeros(n int64) io.Reader { return io.LimitReader(zero{}, n) }

type zero struct{}

func (zero) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestHostileFilesStayWithinMemory reads what is made to take memory or time:
// each ends in a fault or rows, and no reader holds more than a few times the
// limit.
func TestHostileFilesStayWithinMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("short: it is about sizes")
	}
	const size = 200 << 20
	l := Limits{Row: 1 << 20}
	many := func(text string, n int) io.Reader { return io.LimitReader(repeated(text), int64(n)) }
	for name, r := range map[string]Reader{
		"a cell of 200 MB":              NewCSV(io.MultiReader(strings.NewReader("a\n\""), many("x", size), strings.NewReader("\"\n1\n")), nil, false, l),
		"a cell of a million lines":     NewCSV(io.MultiReader(strings.NewReader("a,b\n\""), many("x\n", size/100), strings.NewReader("\"\n1\n")), nil, false, l),
		"a row of a million columns":    NewCSV(io.MultiReader(strings.NewReader("a\n"), many("x,", 2<<20), strings.NewReader("\n1\n")), nil, false, l),
		"a million names":               NewCSV(many("x,", size), nil, false, l),
		"zeros":                         NewCSV(zeros(size), nil, false, l),
		"quotes":                        NewCSV(io.MultiReader(strings.NewReader("a\n"), many("\"", size/4)), nil, false, l),
		"open quotes":                   NewCSV(io.MultiReader(strings.NewReader("a\n"), many("\"x\n", size/16)), nil, false, l),
		"a line of 200 MB":              NewJSONLines(many("x", size), l),
		"a line of brackets":            NewJSONLines(many("[", size), l),
		"brackets":                      pathReader(t, "$[*]", l)(many("[", size/4)),
		"objects":                       pathReader(t, "$[*]", l)(many(`{"a":`, size/4)),
		"a text of 200 MB":              pathReader(t, "$[*]", l)(io.MultiReader(strings.NewReader(`[1, "`), many("x", size), strings.NewReader(`", 2]`))),
		"a number of 200 MB":            pathReader(t, "$[*]", l)(io.MultiReader(strings.NewReader(`[1, `), many("1", size), strings.NewReader(`, 2]`))),
		"a name of 200 MB":              pathReader(t, "$.a[*]", l)(io.MultiReader(strings.NewReader(`{"`), many("a", size), strings.NewReader(`": 1}`))),
		"white space":                   pathReader(t, "$.a[*]", l)(many(" ", size)),
		"a row of many values":          pathReader(t, "$[*]", l)(io.MultiReader(strings.NewReader(`[[1`), many(",[]", 900_000), strings.NewReader(`]]`))),
		"UTF-16 taken for UTF-8":        NewCSV(many("a\x00,\x00\n\x00", 1<<20), nil, false, l),
		"lines of bytes that are wrong": NewCSV(io.MultiReader(strings.NewReader("a\n"), many("\xff\n", 1<<20)), nil, false, l),
	} {
		t.Run(name, func(t *testing.T) {
			var before, now runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			most := uint64(0)
			for n := 0; ; n++ {
				_, err := r.Next()
				if n%(64<<10) == 0 {
					runtime.GC()
					runtime.ReadMemStats(&now)
					most = max(most, now.HeapAlloc-min(now.HeapAlloc, before.HeapAlloc))
				}
				var fault *Fault
				if err == io.EOF || errors.As(err, &fault) && fault.End {
					break
				}
				if err != nil && fault == nil {
					t.Fatal(err)
				}
				if fault != nil && len(fault.Raw) > maxRaw {
					t.Fatalf("a fault of %d bytes", len(fault.Raw))
				}
			}
			runtime.KeepAlive(r)
			if most > 64<<20 {
				t.Errorf("%d MiB in use", most>>20)
			}
		})
	}
}

// repeated is a text again and again.
func repeated(text string) io.Reader {
	return &repeat{text: []byte(strings.Repeat(text, max(1, 64<<10/len(text))))}
}

type repeat struct {
	text []byte
	at   int
}

func (r *repeat) Read(p []byte) (int, error) {
	n := copy(p, r.text[r.at:])
	r.at = (r.at + n) % len(r.text)
	return n, nil
}
