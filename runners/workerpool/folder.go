package workerpool

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// folderPrefix begins the names of the folders that pools keep their workers'
// temporary files in.
const folderPrefix = "harrow-pool-"

// folder is a pool's. It is locked as long as the pool or a worker of it lives,
// and the kernel frees the lock of those that were killed: the next pool on this
// machine removes what they left.
type folder struct {
	path string
	lock *os.File
}

func newFolder(in string) (*folder, error) {
	in = cmp.Or(in, os.TempDir())
	if err := sweep(in); err != nil {
		return nil, fmt.Errorf("temporary files: %w", err)
	}
	for {
		path, err := os.MkdirTemp(in, folderPrefix)
		if err != nil {
			return nil, fmt.Errorf("temporary files: %w", err)
		}
		f, err := lock(path)
		if err == nil {
			return f, nil
		}
		// Else another pool's sweep had it before it was locked, or has it now.
		if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("temporary files: %w", err)
		}
	}
}

// lock locks a folder that is there; fs.ErrNotExist when it was removed
// meanwhile, unix.EWOULDBLOCK when it is in use.
func lock(path string) (*folder, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &folder{path, f}, nil
}

// sweep removes the folders of pools that are gone. Those of other users are
// theirs.
func sweep(in string) error {
	entries, err := os.ReadDir(in)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), folderPrefix) {
			continue
		}
		f, err := lock(filepath.Join(in, e.Name()))
		if err == nil {
			err = f.remove()
		}
		if err != nil && !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// sub makes a worker's folder.
func (f *folder) sub() (string, error) { return os.MkdirTemp(f.path, "worker-") }

func (f *folder) remove() error { return errors.Join(os.RemoveAll(f.path), f.lock.Close()) }
