package lakeio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// scanChunk is how many names of a folder are in memory.
const scanChunk = 1024

func (s *local) Scan(ctx context.Context, folder string, each func(Entry) error) (err error) {
	path, err := s.folder(folder)
	if err != nil {
		return err
	}
	dir, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("scan %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	for {
		entries, rerr := dir.ReadDir(scanChunk)
		for _, e := range entries {
			if err := ctx.Err(); err != nil {
				return err
			}
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return fmt.Errorf("scan %s: %w", path, err)
			}
			if err := each(entryOf(info)); err != nil {
				return err
			}
		}
		if errors.Is(rerr, io.EOF) || errors.Is(rerr, fs.ErrNotExist) { // the folder itself was removed meanwhile
			return nil
		}
		if rerr != nil {
			return fmt.Errorf("scan %s: %w", path, rerr)
		}
	}
}

func entryOf(info fs.FileInfo) Entry {
	e := Entry{Name: info.Name(), Modified: info.ModTime()}
	switch {
	case info.IsDir():
		e.Name += "/"
	case info.Mode().IsRegular():
		e.Bytes, e.Temporary = info.Size(), strings.Contains(e.Name, temporary)
	default:
		e.Foreign = true
	}
	return e
}

// RemoveEmpty removes a folder that has nothing in it; one that has, or is not
// there, is no error. Where a store has no folders it does nothing.
func RemoveEmpty(s Store, folder string) error {
	root := s.Local()
	if root == "" {
		return nil
	}
	l := local{root: root}
	path, err := l.path(strings.TrimSuffix(folder, "/"))
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("remove folder %s: %w", path, err)
	}
	return nil
}
