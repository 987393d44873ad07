package soak

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/harrowdata/harrow/soak/postgres"
	"github.com/harrowdata/harrow/soak/rig"
)

// failsWith waits for the end of a process that must fail in good order: with
// exit 1, an error that names the place and has one of these words, and no
// password.
func (l *loads) failsWith(p *rig.Process, words ...string) {
	l.t.Helper()
	p.Want(1)
	out := p.Out.String()
	named := false
	for _, word := range words {
		named = named || strings.Contains(out, word)
	}
	if !named || !strings.Contains(out, l.server.Address()) {
		l.t.Errorf("want an error that names %s and has one of %q:\n%s", l.server.Address(), words, rig.Tail(out))
	}
	if strings.Contains(out, postgres.Password) {
		l.t.Error("the password is in the output")
	}
}

func TestAServerThatIsReadOnlyIsNamedAndLoadedLater(t *testing.T) {
	u := theUpserts(t)
	s, c := u.server, u.calm
	standby := filepath.Join(s.Dir, "data", "standby.signal")
	for _, way := range []struct {
		name     string
		settings []string
		signal   bool
	}{{"default_transaction_read_only", []string{"default_transaction_read_only=on"}, false}, {"a standby", nil, true}} {
		if way.signal && !rig.Long() {
			continue
		}
		t.Run(way.name, func(t *testing.T) {
			l := u.fresh(t, s.Database(t))
			if way.signal {
				if err := s.Stop("fast"); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(standby, nil, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Restart(way.settings...); err != nil {
				t.Fatal(err)
			}
			l.failsWith(l.run(), "read-only")
			if err := s.Stop("fast"); err != nil {
				t.Fatal(err)
			}
			if err := os.RemoveAll(standby); err != nil {
				t.Fatal(err)
			}
			if err := s.Restart(); err != nil {
				t.Fatal(err)
			}
			if n := l.sql("SELECT count(*) FROM pg_namespace WHERE nspname = '" + upsertsJob + "'"); n[0] != "0" {
				t.Error("something was made on a read-only server")
			}
			// It becomes read-only while it is loaded into, as after a failover.
			p := l.run()
			if !l.loading(p) {
				t.Fatal("nothing was loaded")
			}
			if err := s.Restart("default_transaction_read_only=on"); err != nil {
				t.Fatal(err)
			}
			l.failsWith(p, "read-only")
			if err := s.Restart(); err != nil {
				t.Fatal(err)
			}
			l.run().Want(rig.ExitDone)
			l.equals(c)
		})
	}
	rig.Report(t, 0, "before and during the load; loaded later, equal")
}

// mount mounts a file system of so many MiB in memory for the server; where
// that isn't allowed, the test is skipped.
func mount(t *testing.T, mib int) (dir string, resize func(mib int)) {
	t.Helper()
	dir, err := os.MkdirTemp("", "harrow-small-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
	})
	if err := unix.Mount("none", dir, "tmpfs", 0, fmt.Sprintf("size=%dm,mode=777", mib)); err != nil {
		rig.Missing(t, "mounting a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir, func(mib int) {
		t.Helper()
		if err := unix.Mount("none", dir, "tmpfs", unix.MS_REMOUNT, fmt.Sprintf("size=%dm,mode=777", mib)); err != nil {
			t.Fatal(err)
		}
	}
}

// The disk with the tables is full: the server refuses, and lives on.
func TestAFullDiskIsNamedAndLoadedOnceThereIsSpace(t *testing.T) {
	dir, resize := mount(t, 20)
	u := theUpserts(t)
	u.onSmallDisk(t, dir)
	l := u.fresh(t, u.server.URL("small"))
	l.failsWith(l.run(), "No space left on device", "disk full")
	marked := l.marks()
	l.failsWith(l.run(), "No space left on device", "disk full") // and again
	resize(200)
	l.run().Want(rig.ExitDone)
	l.equals(u.calm)
	t.Logf("%d shards were marked when it failed", marked)
	rig.Report(t, 0, "failed twice with the disk full, then loaded: equal")
}

// onSmallDisk makes a database that lies on the small disk.
func (u *upserts) onSmallDisk(t *testing.T, dir string) {
	t.Helper()
	dir = filepath.Join(dir, "tables")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := u.server.Give(dir); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{"CREATE TABLESPACE small LOCATION '" + dir + "'", "CREATE DATABASE small TABLESPACE small"} {
		if _, err := u.server.SQL(t.Context(), "postgres", statement); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, statement := range []string{"DROP DATABASE IF EXISTS small WITH (FORCE)", "DROP TABLESPACE small"} {
			if _, err := u.server.SQL(context.Background(), "postgres", statement); err != nil { // the test's is over by then
				t.Error(err)
			}
		}
	})
}

// All that the server has is on the full disk, its log too.
func TestAServerWithoutAnySpaceIsNamedAndLoadedLater(t *testing.T) {
	if !rig.Long() {
		t.Skip("much like the one before; with HARROW_SOAK=1")
	}
	dir, resize := mount(t, 400)
	u, s := theUpserts(t), postgres.StartIn(t, dir)
	l := u.fresh(t, s.Database(t))
	l.server = s
	if _, err := s.SQL(t.Context(), "postgres", "CHECKPOINT"); err != nil {
		t.Fatal(err)
	}
	p := l.run()
	if !l.loading(p) {
		t.Fatal("nothing was loaded")
	}
	var used unix.Statfs_t
	if err := unix.Statfs(dir, &used); err != nil {
		t.Fatal(err)
	}
	resize(int((used.Blocks-used.Bfree)*uint64(used.Bsize)>>20) + 1)
	l.failsWith(p, "could not extend file", "could not write", "No space left on device")
	resize(400)
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	l.run().Want(rig.ExitDone)
	l.equals(u.calm)
	rig.Report(t, 0, "loaded later, equal")
}
