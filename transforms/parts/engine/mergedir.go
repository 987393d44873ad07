package engine

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// mergePrefix begins the names of the folders that merges keep in
// limits.spill. Everything else there is unlinked as soon as it is made.
const mergePrefix = "harrow-merge-"

// mergeDir is a folder in limits.spill. It is locked as long as it is in use,
// and the kernel frees the lock of a process that was killed: the next one on
// this machine removes what it left.
type mergeDir struct {
	path string
	lock *os.File
}

// swept are the folders that this process has looked through.
var swept sync.Map // of string: *sync.Once

func newMergeDir(spill string) (d mergeDir, err error) {
	spill = cmp.Or(spill, os.TempDir())
	if err := os.MkdirAll(spill, 0o777); err != nil {
		return d, fmt.Errorf("limits.spill: %w", err)
	}
	once, _ := swept.LoadOrStore(spill, &sync.Once{})
	once.(*sync.Once).Do(func() { err = sweepMerges(spill) })
	for err == nil {
		if d.path, err = os.MkdirTemp(spill, mergePrefix); err != nil {
			break
		}
		if d.lock, err = lockDir(d.path, unix.LOCK_EX); err == nil {
			return d, nil
		}
		if errors.Is(err, fs.ErrNotExist) { // swept before it was locked
			err = nil
		}
	}
	return d, fmt.Errorf("limits.spill: %w", err)
}

// lockDir locks a folder that is there; fs.ErrNotExist when it was removed
// meanwhile.
func lockDir(path string, how int) (_ *os.File, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	for {
		if err = unix.Flock(int(f.Fd()), how); !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// sweepMerges removes the folders of processes that are gone. Those of other
// users are theirs.
func sweepMerges(spill string) error {
	entries, err := os.ReadDir(spill)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), mergePrefix) {
			continue
		}
		d := mergeDir{path: filepath.Join(spill, e.Name())}
		d.lock, err = lockDir(d.path, unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			err = d.remove()
		}
		if err != nil && !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// remove deletes the folder; the zero mergeDir is none.
func (d mergeDir) remove() error {
	if d.lock == nil {
		return nil
	}
	if err := errors.Join(os.RemoveAll(d.path), d.lock.Close()); err != nil {
		return fmt.Errorf("limits.spill: %w", err)
	}
	return nil
}
