package gcsio

import "testing"

func TestNamesThatWouldLeadOutOfAFolderAreNone(t *testing.T) {
	for name, want := range map[string]bool{
		"part.arrow": true, "shuffle/": true, "...": true, "..a/": true,
		"": false, "/": false, ".": false, "./": false, "..": false, "../": false,
	} {
		if got := nameInFolder(name); got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
}
