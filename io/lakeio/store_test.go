package lakeio

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestOneOfSeveralProcessesCreates(t *testing.T) {
	s := openTemp(t)
	var all []*process
	for i := range 5 {
		all = append(all, spawn(t, "create", s.Local(), fmt.Sprint(i)))
	}
	for _, p := range all {
		p.goOn()
	}
	won := -1
	for i, p := range all {
		if said := p.line(); said == "done" && won < 0 {
			won = i
		} else if said != "lost" {
			t.Errorf("process %d: %s", i, said)
		}
	}
	if data, _, err := s.Read(t.Context(), "once"); err != nil || string(data) != fmt.Sprint(won) {
		t.Errorf("read %q, %v; the winner wrote %d", data, err, won)
	}
}

func TestSwapsOfSeveralProcessesAreLinear(t *testing.T) {
	s := openTemp(t)
	var all []*process
	for range 4 {
		all = append(all, spawn(t, "count", s.Local()))
	}
	for _, p := range all {
		p.goOn()
	}
	for _, p := range all {
		if said := p.line(); said != "done" {
			t.Error(said)
		}
	}
	if c, err := addOne(t.Context(), s); err != nil || c.N != 201 {
		t.Errorf("counted to %d, %v, want 201", c.N, err)
	}
}

func TestSwapEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := openTemp(t)
	calls := 0
	_, err := swapJSON(ctx, s, "x", func(*counter) bool { return false }, func(c *counter) error {
		c.Version = jsonVersion
		if calls++; calls == 3 {
			cancel()
		}
		return s.Put(context.Background(), "x", fmt.Appendf(nil, `{"version":1,"n":%d}`, calls)) // always somebody else first
	})
	wants(t, err, context.Canceled)
}

func TestUnknownSchemesAreNamed(t *testing.T) {
	_, err := Open("s3://bucket/x")
	wants(t, err, nil, "workspace scheme s3 is not supported")
}

func TestRegisteredSchemesAreOpenedWhole(t *testing.T) {
	var asked string
	store := openTemp(t)
	RegisterScheme("lakeiotest", func(uri string) (Store, error) { asked = uri; return store, nil })
	if s, err := Open("lakeiotest://a/b"); err != nil || s != store || asked != "lakeiotest://a/b" {
		t.Errorf("%v, %v, asked for %s", s, err, asked)
	}
	for _, scheme := range []string{"lakeiotest", "file"} {
		func() {
			defer func() {
				if p := recover(); p == nil || !strings.Contains(fmt.Sprint(p), scheme) {
					t.Errorf("registered %s again: %v", scheme, p)
				}
			}()
			RegisterScheme(scheme, nil)
		}()
	}
}

// failures runs every way to write and wants each to fail and to name the file.
func failures(t *testing.T, s Store) {
	t.Helper()
	ctx := t.Context()
	big := make([]byte, 1<<20)
	file := filepath.Join(s.Local(), "d", "x")
	wants(t, s.Create(ctx, "d/x", big), nil, file)
	wants(t, s.Put(ctx, "d/x", big), nil, file)
	_, err := s.Swap(ctx, "d/x", "", big, true)
	wants(t, err, nil, file)
	w, err := s.Writer(ctx, "d/x")
	if err == nil {
		if _, err = w.Write(big); err == nil {
			err = w.Close()
		}
		w.Abort()
	}
	wants(t, err, nil, file)
	if names, err := s.List(ctx, "d/"); err == nil && len(names) > 0 {
		t.Errorf("left behind: %v", names)
	}
}

func TestUnwritableFoldersAreNamed(t *testing.T) {
	s := openTemp(t)
	// A file in the place of the folder stops root too.
	check(t, os.WriteFile(filepath.Join(s.Local(), "d"), nil, 0o666))
	failures(t, s)
	_, err := Open(filepath.Join(s.Local(), "d"))
	wants(t, err, nil, filepath.Join(s.Local(), "d"))
	if os.Geteuid() == 0 {
		return // may write anywhere
	}
	ro := openTemp(t)
	check(t, os.Mkdir(filepath.Join(ro.Local(), "d"), 0o555))
	failures(t, ro)
}

func TestFullDiskIsNamed(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("no small disk to fill: mount: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	s, err := Open(dir)
	check(t, err)
	check(t, os.Mkdir(filepath.Join(dir, "d"), 0o777))
	failures(t, s)
	left, err := os.ReadDir(filepath.Join(dir, "d"))
	check(t, err)
	if len(left) > 0 {
		t.Errorf("a full disk keeps %v", left)
	}
}
