package lakeio_test

import (
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/io/lakeio/storetest"
)

func openAt(t testing.TB, uri string) lakeio.Store {
	t.Helper()
	s, err := lakeio.Open(uri)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nothingLeft(t, s.Local()) })
	return s
}

// nothingLeft: neither winners nor losers leave temporary files behind.
func nothingLeft(t testing.TB, root string) {
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if strings.Contains(p, ".tmp-") {
			t.Errorf("left behind: %s", p)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestLocalStoreKeepsTheContract(t *testing.T) {
	storetest.Run(t, func(t testing.TB) lakeio.Store { return openAt(t, t.TempDir()) })
}

func TestFileSchemeIsALocalStore(t *testing.T) {
	storetest.Run(t, func(t testing.TB) lakeio.Store { return openAt(t, "file://"+t.TempDir()) })
}
