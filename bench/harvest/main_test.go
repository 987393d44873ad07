package main

import (
	"os"
	"strings"
	"testing"
)

func TestMain(m *testing.M) {
	roles.Child()
	os.Exit(m.Run())
}

func TestFewPagesGiveTheSameRows(t *testing.T) {
	var out strings.Builder
	if _, err := bench(t.Context(), options{runs: 1, pages: 210, size: 9000, follow: true}, &out); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + out.String())
	for _, want := range []string{"same 210 rows", "loop ", "harrow ", "harrow, follow in listings", "harrow, follow in all", "loop, parsing again", "harrow, --from parse", "× the loop's CPU"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in:\n%s", want, out.String())
		}
	}
}
