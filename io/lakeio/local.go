package lakeio

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"
)

// local is a Store on a local file system. Create links a finished temporary
// file; Swap compares and renames under a lock on the folder, which the
// kernel drops when its holder dies.
type local struct{ root string }

func openLocal(path string) (Store, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("workspace %s: %w", path, err)
	}
	if err := os.MkdirAll(abs, 0o777); err != nil {
		return nil, fmt.Errorf("workspace %s: %w", path, err)
	}
	return &local{root: abs}, nil
}

func (s *local) Local() string { return s.root }

// path maps the URI of an object into the workspace; what would leave it is
// refused.
func (s *local) path(uri string) (string, error) {
	if !ValidURI(uri) {
		return "", fmt.Errorf("%q is not the path of a file inside the workspace %s", uri, s.root)
	}
	return filepath.Join(s.root, filepath.FromSlash(uri)), nil
}

// folder does so for a folder, which may end in a slash; "./" is the
// workspace.
func (s *local) folder(uri string) (string, error) {
	if uri = path.Clean(uri); uri == "." {
		return s.root, nil
	}
	return s.path(uri)
}

// temporary is in the names of files that have not got theirs yet.
const temporary = ".tmp-"

// temp writes data beside path and returns the temporary file's name.
func temp(path string, data []byte, durable bool) (name string, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return "", err
	}
	name = path + temporary + uuid.NewString()
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return "", err
	}
	_, err = f.Write(data)
	if err == nil && durable {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(name))
	}
	return name, nil
}

func (s *local) Create(_ context.Context, uri string, data []byte) error {
	path, err := s.path(uri)
	if err != nil {
		return err
	}
	tmp, err := temp(path, data, true)
	if err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	err = os.Link(tmp, path)
	if errors.Is(err, fs.ErrExist) {
		err = fmt.Errorf("%s: %w", uri, ErrExists)
	} else if err == nil {
		err = s.syncNames(path)
	}
	if err = errors.Join(err, remove(tmp)); err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	return nil
}

// syncNames makes the names on the way from the workspace to a file survive a
// power cut: its folders may be new.
func (s *local) syncNames(path string) error {
	for path != s.root {
		path = filepath.Dir(path)
		if err := syncFile(path); err != nil {
			return err
		}
	}
	return nil
}

func generation(data []byte) Generation {
	sum := sha256.Sum256(data)
	return Generation(hex.EncodeToString(sum[:]))
}

func (s *local) Read(_ context.Context, uri string) ([]byte, Generation, error) {
	path, err := s.path(uri)
	if err != nil {
		return nil, "", err
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, "", fmt.Errorf("%s: %w", uri, ErrNotFound)
	}
	if err != nil {
		return nil, "", fmt.Errorf("read %s: %w", path, err)
	}
	return data, generation(data), nil
}

func (s *local) Swap(ctx context.Context, uri string, old Generation, data []byte, durable bool) (Generation, error) {
	path, err := s.path(uri)
	if err != nil {
		return "", err
	}
	tmp, err := temp(path, data, durable)
	if err != nil {
		return "", fmt.Errorf("swap %s: %w", path, err)
	}
	err = s.swap(ctx, uri, path, tmp, old)
	if err == nil && durable {
		err = s.syncNames(path)
	}
	if err = errors.Join(err, remove(tmp)); err != nil {
		return "", fmt.Errorf("swap %s: %w", path, err)
	}
	return generation(data), nil
}

// swap puts tmp into the place of path if that is still old.
func (s *local) swap(ctx context.Context, uri, path, tmp string, old Generation) (err error) {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	if err := flock(dir, unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	_, now, err := s.Read(ctx, uri)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	if now != old {
		return fmt.Errorf("%s: %w", uri, ErrConflict)
	}
	if old != "" {
		return os.Rename(tmp, path)
	}
	// Create takes no lock: a link, unlike a rename, gives way to it.
	if err = os.Link(tmp, path); errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s: %w", uri, ErrConflict)
	}
	return err
}

func (s *local) Put(_ context.Context, uri string, data []byte) error {
	path, err := s.path(uri)
	if err != nil {
		return err
	}
	tmp, err := temp(path, data, false)
	if err == nil {
		if err = os.Rename(tmp, path); err != nil {
			err = errors.Join(err, remove(tmp))
		}
	}
	if err != nil {
		return fmt.Errorf("put %s: %w", path, err)
	}
	return nil
}

func (s *local) Delete(_ context.Context, uri string) error {
	path, err := s.path(uri)
	if err != nil {
		return err
	}
	if err := remove(path); err != nil {
		return fmt.Errorf("delete %s: %w", path, err)
	}
	return nil
}

func (s *local) List(_ context.Context, folder string) ([]string, error) {
	path, err := s.folder(folder)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list %s: %w", path, err)
	}
	var names []string
	for _, e := range entries {
		name := e.Name()
		if strings.Contains(name, temporary) {
			continue
		}
		if e.IsDir() {
			name += "/"
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

func (s *local) Sync(_ context.Context, uri string) error {
	to := s.path
	if strings.HasSuffix(uri, "/") {
		to = s.folder
	}
	path, err := to(uri)
	if err == nil {
		if err = syncFile(path); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("sync %s: %w", uri, ErrNotFound)
		}
	}
	if err != nil {
		return fmt.Errorf("sync %s: %w", uri, err)
	}
	return nil
}

func (s *local) Writer(_ context.Context, uri string) (Writer, error) {
	path, err := s.path(uri)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return nil, fmt.Errorf("write %s: %w", path, err)
	}
	f, err := os.OpenFile(path+temporary+uuid.NewString(), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", path, err)
	}
	return &localWriter{f: f, buf: bufio.NewWriterSize(f, 64<<10), path: path}, nil
}

type localWriter struct {
	f    *os.File
	buf  *bufio.Writer
	path string
	done bool
}

func (w *localWriter) Write(p []byte) (int, error) {
	n, err := w.buf.Write(p)
	if err != nil {
		err = fmt.Errorf("write %s: %w", w.path, err)
	}
	return n, err
}

func (w *localWriter) Close() error {
	if w.done {
		return fmt.Errorf("write %s: closed twice", w.path)
	}
	w.done = true
	err := errors.Join(w.buf.Flush(), w.f.Close())
	if err == nil {
		err = os.Rename(w.f.Name(), w.path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", w.path, errors.Join(err, remove(w.f.Name())))
	}
	return nil
}

func (w *localWriter) Abort() {
	if !w.done {
		w.done = true
		// Nothing can be done about a failure here: the file does not count.
		_ = w.f.Close()
		_ = os.Remove(w.f.Name())
	}
}

func (s *local) Open(_ context.Context, uri string) (Reader, error) {
	path, err := s.path(uri)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", uri, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), f.Close())
	}
	return &localReader{f, info.Size()}, nil
}

type localReader struct {
	*os.File
	size int64
}

func (r *localReader) Size() int64 { return r.size }

var _ io.ReadSeeker = (*localReader)(nil)

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// syncFile makes the bytes of a file, or the names of a folder, survive a
// power cut.
func syncFile(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// flock takes the lock, however often a signal gets in between.
func flock(f *os.File, how int) error {
	for {
		err := unix.Flock(int(f.Fd()), how)
		if err != unix.EINTR {
			return err
		}
	}
}
