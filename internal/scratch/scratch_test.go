package scratch

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOnlyWhatNobodyUsesIsSwept(t *testing.T) {
	in := t.TempDir()
	alive, err := New(in, "ours-")
	if err != nil {
		t.Fatal(err)
	}
	killed, foreign := filepath.Join(in, "ours-killed"), filepath.Join(in, "theirs-1") // nobody has their locks
	for _, dir := range []string{killed, foreign} {
		if err := os.MkdirAll(filepath.Join(dir, "below"), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(in, "ours-file"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := Sweep(in, "ours-"); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{alive.Path: true, killed: false, foreign: true, filepath.Join(in, "ours-file"): true} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s: there is %v, want %v", path, err == nil, want)
		}
	}
	if err := alive.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(alive.Path); err == nil {
		t.Errorf("%s stays", alive.Path)
	}
}

func TestAFileLeavesNothingBehind(t *testing.T) {
	in := t.TempDir()
	f, err := File(in, "ours")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if entries, err := os.ReadDir(in); len(entries) > 0 || err != nil {
		t.Errorf("%v %v; want an empty folder", entries, err)
	}
	if _, err := f.WriteAt([]byte("text"), 8); err != nil {
		t.Error(err)
	}
	if dir, name := filepath.Split(f.Name()); filepath.Clean(dir) != in || !strings.HasPrefix(name, "ours-") {
		t.Errorf("it was called %s", f.Name())
	}
	if _, err := File(filepath.Join(in, "none"), "ours"); err == nil {
		t.Error("a file was made in a folder that is not there")
	}
}
