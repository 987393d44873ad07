// Package fault is a workspace whose disk dies, for tests: a local folder under
// the scheme fault, each of whose writes is counted, and which fails from one
// of them on.
package fault

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"

	"github.com/harrowdata/harrow/io/lakeio"
)

// ErrDisk is what a dead disk's operations fail with; each error names the
// file's path too.
const ErrDisk = syscall.ENOSPC

// Disk is a local folder that may die. It is safe for concurrent use.
type Disk struct {
	uri   string
	store lakeio.Store

	mu     sync.Mutex
	writes int
	from   int  // the write that fails first; 0: none
	reads  bool // once a write has failed, reads fail too
	died   chan struct{}
}

var (
	mu    sync.Mutex
	disks []*Disk
)

func init() {
	lakeio.RegisterScheme("fault", func(uri string) (lakeio.Store, error) {
		var i int
		if _, err := fmt.Sscanf(uri, "fault://%d", &i); err != nil {
			return nil, fmt.Errorf("workspace %s: want fault://NUMBER: %w", uri, err)
		}
		mu.Lock()
		defer mu.Unlock()
		if i >= len(disks) {
			return nil, fmt.Errorf("workspace %s: there are %d disks", uri, len(disks))
		}
		return disks[i], nil
	})
}

// New makes a disk of a local folder; it works until FailFrom is called.
func New(dir string) (*Disk, error) {
	store, err := lakeio.Open(dir)
	if err != nil {
		return nil, err
	}
	mu.Lock()
	defer mu.Unlock()
	d := &Disk{uri: "fault://" + strconv.Itoa(len(disks)), store: store, died: make(chan struct{})}
	disks = append(disks, d)
	return d, nil
}

// URI is the workspace to open.
func (d *Disk) URI() string { return d.uri }

// Writes is how many writes there were since the last FailFrom: Create, Swap,
// Put, the begin of a Writer and its Close are one each.
func (d *Disk) Writes() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.writes
}

// FailFrom counts from 0 again and lets the nth write from now on, from 1, and
// all after it fail; with reads, every other operation too. 0 mends the disk.
func (d *Disk) FailFrom(n int, reads bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.writes, d.from, d.reads, d.died = 0, n, reads, make(chan struct{})
}

// Died is closed when the first write fails after the last FailFrom.
func (d *Disk) Died() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.died
}

func (d *Disk) write(what, uri string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.writes++
	if d.writes == d.from {
		close(d.died)
	}
	return d.dead(what, uri)
}

func (d *Disk) read(what, uri string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.reads {
		return nil
	}
	return d.dead(what, uri)
}

func (d *Disk) dead(what, uri string) error {
	if d.from == 0 || d.writes < d.from {
		return nil
	}
	return fmt.Errorf("%s %s: %w", what, filepath.Join(d.store.Local(), filepath.FromSlash(uri)), ErrDisk)
}

// Create implements lakeio.Store.
func (d *Disk) Create(ctx context.Context, uri string, data []byte) error {
	if err := d.write("create", uri); err != nil {
		return err
	}
	return d.store.Create(ctx, uri, data)
}

// Read implements lakeio.Store.
func (d *Disk) Read(ctx context.Context, uri string) ([]byte, lakeio.Generation, error) {
	if err := d.read("read", uri); err != nil {
		return nil, "", err
	}
	return d.store.Read(ctx, uri)
}

// Swap implements lakeio.Store.
func (d *Disk) Swap(ctx context.Context, uri string, old lakeio.Generation, data []byte, durable bool) (lakeio.Generation, error) {
	if err := d.write("swap", uri); err != nil {
		return "", err
	}
	return d.store.Swap(ctx, uri, old, data, durable)
}

// Put implements lakeio.Store.
func (d *Disk) Put(ctx context.Context, uri string, data []byte) error {
	if err := d.write("put", uri); err != nil {
		return err
	}
	return d.store.Put(ctx, uri, data)
}

// Writer implements lakeio.Store.
func (d *Disk) Writer(ctx context.Context, uri string) (lakeio.Writer, error) {
	if err := d.write("write", uri); err != nil {
		return nil, err
	}
	w, err := d.store.Writer(ctx, uri)
	if err != nil {
		return nil, err
	}
	return &writer{w, d, uri}, nil
}

type writer struct {
	lakeio.Writer
	disk *Disk
	uri  string
}

// Close fails as a full disk does: what was buffered has no room.
func (w *writer) Close() error {
	if err := w.disk.write("close", w.uri); err != nil {
		w.Writer.Abort()
		return err
	}
	return w.Writer.Close()
}

// Open implements lakeio.Store.
func (d *Disk) Open(ctx context.Context, uri string) (lakeio.Reader, error) {
	if err := d.read("open", uri); err != nil {
		return nil, err
	}
	return d.store.Open(ctx, uri)
}

// Sync implements lakeio.Store.
func (d *Disk) Sync(ctx context.Context, uri string) error {
	if err := d.read("sync", uri); err != nil {
		return err
	}
	return d.store.Sync(ctx, uri)
}

// List implements lakeio.Store.
func (d *Disk) List(ctx context.Context, folder string) ([]string, error) {
	if err := d.read("list", folder); err != nil {
		return nil, err
	}
	return d.store.List(ctx, folder)
}

// Scan implements lakeio.Store.
func (d *Disk) Scan(ctx context.Context, folder string, each func(lakeio.Entry) error) error {
	if err := d.read("scan", folder); err != nil {
		return err
	}
	return d.store.Scan(ctx, folder, each)
}

// Delete implements lakeio.Store.
func (d *Disk) Delete(ctx context.Context, uri string) error {
	if err := d.read("delete", uri); err != nil {
		return err
	}
	return d.store.Delete(ctx, uri)
}

// Local implements lakeio.Store.
func (d *Disk) Local() string { return d.store.Local() }
