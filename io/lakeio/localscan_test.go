package lakeio

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestScanTellsOfWhatKilledWritersLeft(t *testing.T) {
	s := openTemp(t)
	w, err := s.Writer(t.Context(), "d/part.arrow")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	if err := os.Symlink(t.TempDir(), filepath.Join(s.Local(), "d", "link")); err != nil {
		t.Fatal(err)
	}
	temporary, links := 0, 0
	if err := s.Scan(t.Context(), "d/", func(e Entry) error {
		if e.Temporary {
			temporary++
		}
		if e.Name == "link" && e.Foreign { // not "link/": nobody goes into it
			links++
		}
		if time.Since(e.Modified) > time.Hour {
			t.Errorf("%s was modified at %s", e.Name, e.Modified)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if temporary != 1 || links != 1 {
		t.Errorf("%d temporary files, %d links, want one of each", temporary, links)
	}
}

func TestAFolderThatIsRemovedBesideAScanEndsIt(t *testing.T) {
	s := openTemp(t)
	const files = scanChunk + 1 // so that the folder is read once more
	for i := range files {
		if err := s.Put(t.Context(), fmt.Sprintf("d/%04d", i), nil); err != nil {
			t.Fatal(err)
		}
	}
	seen := 0
	if err := s.Scan(t.Context(), "d/", func(Entry) error {
		seen++
		return os.RemoveAll(filepath.Join(s.Local(), "d"))
	}); err != nil || seen != 1 {
		t.Errorf("%v after %d entries, want no error after 1", err, seen)
	}
}

func TestOnlyEmptyFoldersGo(t *testing.T) {
	s := openTemp(t)
	if err := s.Put(t.Context(), "d/e/f", nil); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"d/e/", "none/"} {
		if err := RemoveEmpty(s, folder); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Delete(t.Context(), "d/e/f"); err != nil { // it is still there
		t.Fatal(err)
	}
	if err := RemoveEmpty(s, "d/e"); err != nil {
		t.Fatal(err)
	}
	if names, err := s.List(t.Context(), "d/"); err != nil || len(names) != 0 {
		t.Errorf("%v, %v stay", names, err)
	}
	if err := RemoveEmpty(s, "../x"); err == nil {
		t.Error("a folder outside of the workspace: want a refusal")
	}
}
