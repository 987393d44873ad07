package engine

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/harrowdata/harrow/internal/scratch"
)

func TestFoldersOfMergesThatWereKilledGo(t *testing.T) {
	spill := t.TempDir()
	alive, err := newMergeDir(spill)
	if err != nil {
		t.Fatal(err)
	}
	killed := filepath.Join(spill, mergePrefix+"killed") // nobody has its lock
	foreign := filepath.Join(spill, "somebody-else")
	for _, dir := range []string{killed, foreign} {
		if err := os.MkdirAll(filepath.Join(dir, "below"), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "x.arrow"), []byte("x"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if err := scratch.Sweep(spill, mergePrefix); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]bool{alive.Path: true, killed: false, foreign: true} {
		if _, err := os.Stat(dir); (err == nil) != want {
			t.Errorf("%s: there is %v, want %v", dir, err == nil, want)
		}
	}
	if err := alive.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(alive.Path); err == nil {
		t.Errorf("%s stays", alive.Path)
	}
}

func TestAProcessLooksForLeftoversOnce(t *testing.T) {
	spill := t.TempDir()
	killed := filepath.Join(spill, mergePrefix+"killed")
	for range 2 {
		if err := os.MkdirAll(killed, 0o777); err != nil {
			t.Fatal(err)
		}
		d, err := newMergeDir(spill)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Remove(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(killed); err != nil {
		t.Errorf("looked again: %v", err)
	}
}
