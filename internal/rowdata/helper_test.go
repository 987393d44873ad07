package rowdata

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// show reads all rows and writes them down, a line each: cells joined by "|",
// JSON values as JSON; a fault as "! code" with its line and text.
func show(t testing.TB, r Reader) string {
	t.Helper()
	var b strings.Builder
	for range 1 << 24 {
		row, err := r.Next()
		var fault *Fault
		switch {
		case err == io.EOF:
			return b.String()
		case errors.As(err, &fault):
			fmt.Fprintf(&b, "! %s %d %.20q\n", fault.Code, fault.Line, fault.Raw)
			if fault.End {
				return b.String()
			}
		case err != nil:
			fmt.Fprintf(&b, "error %v\n", err)
			return b.String()
		case row.IsJSON():
			value, err := json.Marshal(row.Value)
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&b, "%s\n", value)
		default:
			b.WriteString(strings.Join(row.Cells, "|") + "\n")
		}
	}
	t.Fatal("it never ends")
	return ""
}

// slowly are ways to hand out a text: what a reader makes of it must not
// depend on how it comes.
var slowly = map[string]func(io.Reader) io.Reader{
	"at once":     func(r io.Reader) io.Reader { return r },
	"by bytes":    iotest.OneByteReader,
	"by halves":   iotest.HalfReader,
	"end at once": iotest.DataErrReader,
}

// everyWay compares what is read of a text with what is wanted, however the
// text comes.
func everyWay(t *testing.T, text, want string, read func(io.Reader) Reader) {
	t.Helper()
	for how, slow := range slowly {
		if got := show(t, read(slow(strings.NewReader(text)))); got != want {
			t.Errorf("%.200q %s:\n got %.1000q\nwant %.1000q", text, how, got, want)
		}
	}
}

func pathReader(t testing.TB, path string, l Limits) func(io.Reader) Reader {
	t.Helper()
	p, err := CompilePath(path)
	if err != nil {
		t.Fatal(err)
	}
	return func(r io.Reader) Reader { return p.NewReader(r, l) }
}

// broken is a source that fails after its text.
func broken(text string) io.Reader {
	return io.MultiReader(strings.NewReader(text), iotest.ErrReader(errors.New("disk")))
}
