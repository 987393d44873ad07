package gunzip

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func zip(t testing.TB, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestBodiesAreDecompressed(t *testing.T) {
	one, two := zip(t, "one "), zip(t, "two")
	for name, body := range map[string][]byte{
		"one two": append(append([]byte{}, one...), two...), "one ": append(append([]byte{}, one...), "\x00\x00junk"...), "": zip(t, ""),
	} {
		got, err := Bytes(body, 100)
		if err != nil || string(got) != name || !Is(body) {
			t.Errorf("%q: %q, %v", name, got, err)
		}
	}
}

func TestBrokenAndLargeBodiesAreErrors(t *testing.T) {
	bomb := zip(t, strings.Repeat("\x00", 64<<20))
	if _, err := Bytes(bomb, 1<<20); !errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), "over 1048576 bytes") {
		t.Error(err)
	}
	whole := zip(t, "0123456789")
	if got, err := Bytes(whole, 10); err != nil || len(got) != 10 {
		t.Errorf("%q, %v", got, err)
	}
	for _, body := range [][]byte{nil, []byte("<html>"), whole[:5], whole[:len(whole)-1], append(bytes.Clone(whole), whole[:12]...), append(bytes.Clone(whole), whole[:5]...)} {
		if got, err := Bytes(body, 100); err == nil || errors.Is(err, ErrTooLarge) {
			t.Errorf("%q: %q, %v", body, got, err)
		}
	}
	flipped := bytes.Clone(whole)
	flipped[len(flipped)-8] ^= 1
	if _, err := Bytes(flipped, 100); err == nil {
		t.Error("a wrong checksum is read")
	}
}

// zeros are endless.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestACompressionBombIsAnError(t *testing.T) {
	if testing.Short() {
		t.Skip("short: it is about sizes")
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.CopyN(z, zeros{}, 256<<20); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	read, err := io.Copy(io.Discard, NewReader(&b, 16<<20))
	var broken *Error
	if !errors.Is(err, ErrBomb) || !errors.As(err, &broken) || broken.After != read || read < 16<<20 || read > 17<<20 {
		t.Errorf("%d bytes, %v", read, err)
	}
}

func TestErrorsOfTheSourceAreItsOwn(t *testing.T) {
	disk := errors.New("disk")
	whole := zip(t, strings.Repeat("0123456789", 100_000))
	for _, head := range [][]byte{nil, whole[:2], whole[:len(whole)/2], whole, append(bytes.Clone(whole), whole[:5]...)} {
		_, err := io.Copy(io.Discard, NewReader(io.MultiReader(bytes.NewReader(head), iotest.ErrReader(disk)), 1<<20))
		var broken *Error
		if !errors.Is(err, disk) || errors.As(err, &broken) {
			t.Errorf("after %d bytes: %v", len(head), err)
		}
	}
}

func FuzzBytes(f *testing.F) {
	f.Add(zip(f, "some text"))
	f.Add([]byte{0x1f, 0x8b, 8, 0})
	f.Fuzz(func(t *testing.T, body []byte) {
		if got, err := Bytes(body, 1000); err == nil && len(got) > 1000 {
			t.Fatalf("%d bytes", len(got))
		}
	})
}
