package lakeio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sync/errgroup"
)

// Copier is a Store that copies objects itself, without their bytes passing
// through this process.
type Copier interface {
	// Copy gives the object to the bytes of the object from, if there is no
	// such object yet; else ErrExists. ErrNotFound: there is no from.
	Copy(ctx context.Context, from, to string) error
}

// Copy gives the object to the bytes of the object from, if there is no such
// object yet; else ErrExists, and ErrNotFound where there is no from. It
// appears whole. Where the store is no [Copier], two copies at once may both
// succeed.
func Copy(ctx context.Context, s Store, from, to string) (err error) {
	if c, ok := s.(Copier); ok {
		return c.Copy(ctx, from, to)
	}
	return copyBytes(ctx, s, from, to)
}

func copyBytes(ctx context.Context, s Store, from, to string) (err error) {
	there, err := s.Open(ctx, to)
	if err == nil {
		return errors.Join(fmt.Errorf("copy %s: %s: %w", from, to, ErrExists), there.Close())
	}
	if !errors.Is(err, ErrNotFound) {
		return err
	}
	in, err := s.Open(ctx, from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := s.Writer(ctx, to)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Abort()
		return fmt.Errorf("copy %s to %s: %w", from, to, err)
	}
	return out.Close()
}

// Copy implements [Copier]: the file gets a second name.
func (s *local) Copy(ctx context.Context, from, to string) error {
	source, err := s.path(from)
	if err != nil {
		return err
	}
	target, err := s.path(to)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(target), 0o777); err != nil {
		return fmt.Errorf("copy %s to %s: %w", source, target, err)
	}
	switch err := os.Link(source, target); {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("copy %s: %s: %w", from, to, ErrExists)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: %w", from, ErrNotFound)
	}
	return copyBytes(ctx, s, from, to) // a file system without links
}

// Deletes is how many objects are deleted at once where that takes a request
// each.
const Deletes = 16

// RemoveFolder removes a folder and all below it; one that is not there is no
// error. What is being written into it meanwhile may stay.
func RemoveFolder(ctx context.Context, s Store, folder string) error {
	names, err := s.List(ctx, folder+"/")
	if err != nil {
		return err
	}
	files, each := errgroup.WithContext(ctx)
	files.SetLimit(Deletes)
	for _, name := range names {
		uri := path.Join(folder, name)
		if !strings.HasSuffix(name, "/") {
			files.Go(func() error { return s.Delete(each, uri) })
		} else if err = RemoveFolder(ctx, s, uri); err != nil {
			break
		}
	}
	if err = errors.Join(files.Wait(), err); err != nil {
		return err
	}
	root := s.Local()
	if root == "" || !filepath.IsLocal(folder) {
		return nil
	}
	// The folder itself, and what writers that were killed left in it.
	if err := os.RemoveAll(filepath.Join(root, filepath.FromSlash(folder))); err != nil {
		return fmt.Errorf("remove %s: %w", folder, err)
	}
	return nil
}
