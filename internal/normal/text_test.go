package normal

import (
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

func TestSpace(t *testing.T) {
	for in, want := range map[string]string{
		"": "", " ": "", "a": "a", "a b": "a b", " a": "a", "a ": "a", "a  b": "a b", "a\tb": "a b", "\n a \r\n b\u00a0\u2003c\u3000": "a b c", "é è": "é è", "a\u0085b": "a b", "a\xff b": "a\xff b", "\u200b": "\u200b",
	} {
		if got := Space(in); got != want {
			t.Errorf("Space(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestSpaceIsFieldsJoined(t *testing.T) {
	text := rapid.SliceOfN(rapid.SampledFrom([]string{" ", "a", "é", "\t", "\u00a0", "\u2028", "\xff", "\xe2\x80", "\x85"}), 0, 12)
	rapid.Check(t, func(t *rapid.T) {
		s := strings.Join(text.Draw(t, "text"), "")
		got := Space(s)
		if got != strings.Join(strings.Fields(s), " ") || Space(got) != got {
			t.Fatalf("Space(%q) = %q", s, got)
		}
	})
}

func TestTidyTextIsNotCopied(t *testing.T) {
	for _, s := range []string{"a light in the attic", "é è"} {
		if n := testing.AllocsPerRun(10, func() { UTF8(Space(s)) }); n > 0 {
			t.Errorf("%q: %v allocations", s, n)
		}
	}
}

func TestUTF8(t *testing.T) {
	for in, want := range map[string]string{"": "", "é": "é", "a\xffb": "a\uFFFDb", "a\x00b\x00": "ab", "\xed\xa0\x80": "\uFFFD", "\xff\x00\xfe": "\uFFFD\uFFFD"} {
		if got := UTF8(in); got != want {
			t.Errorf("UTF8(%q) = %q, want %q", in, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		got := UTF8(string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")))
		if !utf8.ValidString(got) || strings.Contains(got, "\x00") || UTF8(got) != got {
			t.Fatalf("%q", got)
		}
	})
}
