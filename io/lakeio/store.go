package lakeio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Errors of a Store. Each is wrapped with the URI it is about.
var (
	// ErrExists: Create found the object there already. Read the winner.
	ErrExists = errors.New("exists already")
	// ErrNotFound: there is no such object.
	ErrNotFound = errors.New("not found")
	// ErrConflict: Swap found another generation. Read it again and decide.
	// Where answers get lost on their way it may be one's own write, changed
	// by somebody since: a change must be such that it can be made twice.
	ErrConflict = errors.New("changed meanwhile")
	// ErrCorrupt: a file is truncated, foreign or damaged. It stays so.
	ErrCorrupt = errors.New("corrupt")
	// ErrUnavailable: a workspace can't be reached, or not with these
	// credentials: what was asked for may be right.
	ErrUnavailable = errors.New("not available")
)

// Generation names one version of an object; two versions with equal bytes
// may share it. The empty Generation means "does not exist".
type Generation string

// Store is a place for objects named by URIs relative to the workspace, with
// slashes, in their shortest form (no "." or ".."). All methods may be called at once from several goroutines and processes.
type Store interface {
	// Create writes an object if there is none, durably; else ErrExists.
	Create(ctx context.Context, uri string, data []byte) error
	// Read returns a small object and its generation; ErrNotFound.
	Read(ctx context.Context, uri string) ([]byte, Generation, error)
	// Swap replaces the object if its generation is still old; else
	// ErrConflict. Durable says whether it must survive a power cut.
	Swap(ctx context.Context, uri string, old Generation, data []byte, durable bool) (Generation, error)
	// Put replaces an object without asking (status files).
	Put(ctx context.Context, uri string, data []byte) error
	// Writer starts a new object; it appears whole when Close returns nil.
	Writer(ctx context.Context, uri string) (Writer, error)
	// Open opens an object for reading; ErrNotFound.
	Open(ctx context.Context, uri string) (Reader, error)
	// Sync makes an object that a Writer wrote survive a power cut, or, when
	// uri ends in a slash, the names in a folder. An object is safe when it
	// and each folder on the way to it are. Where all writes are durable it
	// does nothing; else what is not there is ErrNotFound.
	Sync(ctx context.Context, uri string) error
	// List returns the names directly below a folder, sorted; none when there
	// is no such folder. Folders end in a slash.
	List(ctx context.Context, folder string) ([]string, error)
	// Scan tells of everything directly below a folder, in no order, and of
	// what writers that were killed left there; nothing when there is no such
	// folder. An error of each ends it. What appears or goes meanwhile may be
	// told of or not; each may delete.
	Scan(ctx context.Context, folder string, each func(Entry) error) error
	// Delete removes an object; one that is not there is no error.
	Delete(ctx context.Context, uri string) error
	// Local returns the absolute path of the workspace's root on a local
	// disk, or "" where there is none.
	Local() string
}

// Entry is one name in a folder, as Scan tells of it.
type Entry struct {
	Name  string // folders end in a slash
	Bytes int64
	// Modified is when it was written, by the store's clock. Of a folder it is
	// when a name in it came or went, or zero where a store has no folders.
	Modified  time.Time
	Temporary bool // a writer has not closed it, or never will
	Foreign   bool // neither a file nor a folder, but a link, perhaps to either
}

// Name is what people know a store's workspace by: a path, or a URI where the
// store has a String method.
func Name(s Store) string {
	if named, ok := s.(fmt.Stringer); ok && s.Local() == "" {
		return named.String()
	}
	return s.Local()
}

// ValidURI reports whether a URI names an object within a workspace, in its
// shortest form: see [Store].
func ValidURI(uri string) bool {
	return filepath.IsLocal(uri) && !strings.Contains(uri, "\\") && uri == path.Clean(uri) && uri != "."
}

// Writer takes the bytes of a new object.
type Writer interface {
	io.Writer
	// Close makes the object appear; an error means it did not.
	Close() error
	// Abort drops what was written; after Close it does nothing.
	Abort()
}

// Reader reads an object at any offset.
type Reader interface {
	io.ReaderAt
	io.ReadSeeker
	io.Closer
	Size() int64
}

var (
	schemesMu sync.RWMutex
	schemes   = map[string]func(uri string) (Store, error){} // local paths and file:// aside
)

// RegisterScheme makes Open hand the URIs of a scheme ("gs" of gs://bucket/x)
// to open, whole. It is the one door for every workspace that is not a local
// folder. Call it from an init function; a scheme that is known already
// panics.
func RegisterScheme(scheme string, open func(uri string) (Store, error)) {
	schemesMu.Lock()
	defer schemesMu.Unlock()
	if _, dup := schemes[scheme]; dup || scheme == "file" {
		panic(fmt.Sprintf("lakeio: scheme %q registered twice", scheme))
	}
	schemes[scheme] = open
}

// Open opens the workspace at a path or URI. A scheme that is not built is an
// error that names it.
func Open(uri string) (Store, error) {
	scheme, rest, ok := strings.Cut(uri, "://")
	switch {
	case !ok:
		return openLocal(uri)
	case scheme == "file":
		return openLocal(rest)
	}
	schemesMu.RLock()
	open, ok := schemes[scheme]
	schemesMu.RUnlock()
	if !ok {
		return nil, fmt.Errorf("workspace scheme %s is not supported", scheme)
	}
	return open(uri)
}
