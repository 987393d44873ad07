package name_test

import (
	"bufio"
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
