// Package scratch makes temporary files and folders that outlive no process. A
// file has no name from the start; a folder that a killed process has left is
// removed by the next one on the machine.
package scratch

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// File makes a file in a folder (the default temporary folder when empty) and
// unlinks it at once: nothing is left behind however the process ends. Its
// errors show the name it had, which begins with the prefix.
func File(in, prefix string) (*os.File, error) {
	f, err := os.CreateTemp(in, prefix+"-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Folder is a folder that is locked as long as it is in use. The kernel frees
// the lock of processes that were killed.
type Folder struct {
	Path string
	// Lock is the open folder: a child that has it, too, keeps the lock.
	Lock *os.File
}

// New makes a folder in another, which is there, with a name that begins with
// the prefix.
func New(in, prefix string) (*Folder, error) {
	for {
		path, err := os.MkdirTemp(in, prefix)
		if err != nil {
			return nil, err
		}
		f, err := lock(path, unix.LOCK_EX)
		if errors.Is(err, fs.ErrNotExist) { // swept before it was locked
			continue
		}
		return f, err
	}
}

// lock locks a folder that is there; fs.ErrNotExist when it was removed
// meanwhile, with LOCK_NB unix.EWOULDBLOCK when it is in use.
func lock(path string, how int) (*Folder, error) {
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
	return &Folder{path, f}, nil
}

// Sweep removes the folders that begin with the prefix and are not in use.
// Those of other users are theirs.
func Sweep(in, prefix string) error {
	entries, err := os.ReadDir(in)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), prefix) {
			continue
		}
		f, err := lock(filepath.Join(in, e.Name()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			err = f.Remove()
		}
		if err != nil && !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, fs.ErrPermission) && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Remove deletes the folder and frees its lock.
func (f *Folder) Remove() error { return errors.Join(os.RemoveAll(f.Path), f.Lock.Close()) }
