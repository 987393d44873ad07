// Package suites finds the public test suites that lie beside the repository,
// in ../shared/suites. They belong to others and are never copied; a test that
// wants one is skipped where it is absent.
package suites

import (
	"os"
	"path/filepath"
	"testing"
)

// Path is where a file or folder of the suites lies, for example
// Path(t, "google-robotstxt", "allowed_cases.json"). It skips the test, with a
// message, where that is absent.
func Path(tb testing.TB, elem ...string) string {
	tb.Helper()
	path := filepath.Join(root(tb), "..", "shared", "suites", filepath.Join(elem...))
	if _, err := os.Stat(path); err != nil {
		tb.Skipf("what the test needs is not beside the repository: %v", err)
	}
	return path
}

// Read is the content of the file that Path finds.
func Read(tb testing.TB, elem ...string) []byte {
	tb.Helper()
	data, err := os.ReadFile(Path(tb, elem...))
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// root is the repository's folder: the first with a go.mod above the test's,
// in which the go command runs it.
func root(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			tb.Fatal("no go.mod above this folder")
		}
		dir = filepath.Dir(dir)
	}
}
