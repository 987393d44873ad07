package lakeio

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// plain hides what a store offers beyond the interface.
type plain struct{ Store }

func TestACopyGivesWayToWhatIsThere(t *testing.T) {
	for name, s := range map[string]Store{"by the store": openTemp(t), "byte by byte": plain{openTemp(t)}} {
		t.Run(name, func(t *testing.T) {
			check(t, s.Put(t.Context(), "a/from", []byte("old")))
			check(t, Copy(t.Context(), s, "a/from", "b/c/to"))
			check(t, s.Put(t.Context(), "a/from", []byte("new"))) // changes no copy
			wants(t, Copy(t.Context(), s, "a/from", "b/c/to"), ErrExists, "b/c/to")
			if data, _, err := s.Read(t.Context(), "b/c/to"); err != nil || string(data) != "old" {
				t.Errorf("copy: %q %v", data, err)
			}
			wants(t, Copy(t.Context(), s, "a/none", "b/other"), ErrNotFound, "a/none")
			if names, err := s.List(t.Context(), "b/"); err != nil || len(names) != 1 {
				t.Errorf("%v %v", names, err)
			}
			if err := Copy(t.Context(), s, "a/from", "../out"); err == nil || errors.Is(err, ErrNotFound) {
				t.Errorf("a copy left the workspace: %v", err)
			}
		})
	}
}

func TestARemovedFolderIsGoneWithAllBelow(t *testing.T) {
	s := openTemp(t)
	for _, uri := range []string{"a/b/c/1", "a/b/2", "a/bb/3", "a/b.x"} {
		check(t, s.Put(t.Context(), uri, nil))
	}
	check(t, os.WriteFile(filepath.Join(s.Local(), "a", "b", "4.tmp-left"), nil, 0o666)) // by a writer that was killed
	check(t, RemoveFolder(t.Context(), s, "a/b"))
	names, err := s.List(t.Context(), "a/")
	if err != nil || len(names) != 2 || names[0] != "b.x" || names[1] != "bb/" {
		t.Errorf("%v %v", names, err)
	}
	if _, err := os.Stat(filepath.Join(s.Local(), "a", "b")); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	check(t, RemoveFolder(t.Context(), s, "a/b"))
	if err := RemoveFolder(t.Context(), s, "../x"); err == nil {
		t.Error("a folder outside the workspace was removed")
	}
}
