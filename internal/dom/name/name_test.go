package name_test

import (
	"bufio"
	"encoding/binary"
	"os"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/harrowdata/harrow/internal/dom/name"
)

func TestNamesHaveTheirNumbers(t *testing.T) {
	file, err := os.Open("names.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	n := name.ID(0)
	for lines := bufio.NewScanner(file); lines.Scan(); {
		line := lines.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		if got, ok := name.Of(line); !ok || got != n || got.String() != line {
			t.Errorf("%s is %d %s, %v; want %d", line, got, got, ok, n)
		}
		for _, other := range []string{line + "\x00", line + "x-", line[:len(line)-1] + "!", strings.ToUpper(line)} {
			if got, ok := name.Of([]byte(other)); ok {
				t.Errorf("%q is known as %s", other, got)
			}
		}
		n++
	}
	if n != name.Count {
		t.Errorf("%d names, of %d", n, name.Count)
	}
}

func TestAnyTextIsKnownOnlyAsItself(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		if n, ok := name.Of(text); ok && n.String() != text {
			t.Fatalf("%q is known as %s", text, n)
		}
	})
}

func TestLettersCountsLowerCaseLettersFromTheFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		near := rapid.SampledFrom([]byte("aamzz`{AZ@[-09 =>\x00\x7F\x80\xE1\xFA\xFF"))
		text := rapid.SliceOfN(near, 8, 8).Draw(t, "bytes")
		want := 0
		for want < 8 && 'a' <= text[want] && text[want] <= 'z' {
			want++
		}
		if got := name.Letters(binary.LittleEndian.Uint64(text)); got != want {
			t.Fatalf("%q begins with %d letters, not %d", text, want, got)
		}
	})
}
