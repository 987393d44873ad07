package lakeio

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// ErrLocked: another process holds the job. The error names who.
var ErrLocked = errors.New("the job is held by another run")

// Holder is what the job lock says of who holds it.
type Holder struct {
	Version int       `json:"version"`
	Run     string    `json:"run"`
	Host    string    `json:"host"`
	PID     int       `json:"pid"`
	Since   time.Time `json:"since"`
	Ended   time.Time `json:"ended,omitzero"` // when a holder let go in good order
}

// String says who and since when.
func (h Holder) String() string {
	return fmt.Sprintf("run %s, process %d on %s since %s", h.Run, h.PID, h.Host, h.Since.Format(time.RFC3339))
}

// JobLock is the lock of a job on a local disk: held by flock, so the kernel
// frees it when its process dies. While it is held, its run has the permit to
// start exchanges, unless the run was asked to stop.
type JobLock struct {
	f      *os.File
	holder Holder
	prior  Holder
	shared *lockShare
}

// lockShare counts the holders within this process: workers of a run that
// live in its process share the command's lock.
type lockShare struct {
	lock *JobLock
	refs int
}

var (
	locksMu sync.Mutex
	locks   = map[string]*lockShare{} // by path of the lock file
)

// LockJob takes the job's lock for a run, or shares it when this process
// holds it for the same run. Another holder is ErrLocked.
func LockJob(ctx context.Context, l Lake, now time.Time) (*JobLock, error) {
	file, err := lockFile(l)
	if err != nil {
		return nil, err
	}
	locksMu.Lock()
	defer locksMu.Unlock()
	if s, ok := locks[file]; ok {
		if s.lock.holder.Run != l.Run {
			return nil, fmt.Errorf("job %s: %w: run %s in this process", l.Job, ErrLocked, s.lock.holder.Run)
		}
		s.refs++
		return s.lock, nil
	}
	lock, err := takeLock(ctx, file, l, now)
	if err != nil {
		return nil, err
	}
	lock.shared = &lockShare{lock: lock, refs: 1}
	locks[file] = lock.shared
	return lock, nil
}

// lockFile is the path of a job's lock file.
func lockFile(l Lake) (string, error) {
	root := l.Store.Local()
	if root == "" {
		return "", errors.New("the job lock needs a local workspace")
	}
	if !filepath.IsLocal(l.Job) {
		return "", fmt.Errorf("job lock: job %q has no place in the workspace %s", l.Job, root)
	}
	return filepath.Join(root, filepath.FromSlash(path.Join(l.Job, "lock"))), nil
}

func takeLock(ctx context.Context, file string, l Lake, now time.Time) (_ *JobLock, err error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		return nil, fmt.Errorf("job lock: %w", err)
	}
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, fmt.Errorf("job lock: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	lockErr := tryLock(ctx, f)
	if lockErr != nil && !errors.Is(lockErr, unix.EWOULDBLOCK) {
		return nil, fmt.Errorf("job lock %s: %w", file, lockErr)
	}
	prior, err := readHolder(file)
	if err != nil {
		return nil, err
	}
	if lockErr != nil {
		return nil, fmt.Errorf("job %s: %w: %s", l.Job, ErrLocked, prior)
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	lock := &JobLock{f: f, prior: prior, holder: Holder{Version: jsonVersion, Run: l.Run, Host: host, PID: os.Getpid(), Since: now.UTC()}}
	return lock, lock.write()
}

// tryLock takes the lock if nobody holds it. Who only looks (ReadHolder) holds
// it for an instant, so it is tried for a moment.
func tryLock(ctx context.Context, f *os.File) (err error) {
	for range 10 {
		if err = flock(f, unix.LOCK_EX|unix.LOCK_NB); !errors.Is(err, unix.EWOULDBLOCK) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
	return err
}

// readHolder reads a lock file; a holder that died while it wrote left
// nothing of worth.
func readHolder(file string) (Holder, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return Holder{}, fmt.Errorf("job lock: %w", err)
	}
	var h Holder
	if json.Unmarshal(data, &h) != nil {
		return Holder{}, nil
	}
	return h, nil
}

// write rewrites the file in place: the lock is on its inode. It does so in
// one write, with spaces over what was longer, so that who reads it meanwhile
// finds a holder.
func (j *JobLock) write() error {
	data, err := json.Marshal(j.holder)
	if err != nil {
		return fmt.Errorf("job lock: %w", err)
	}
	info, err := j.f.Stat()
	if err != nil {
		return fmt.Errorf("job lock: %w", err)
	}
	if over := int(min(info.Size(), 1<<16)) - len(data) - 1; over > 0 {
		data = append(data, bytes.Repeat([]byte{' '}, over)...)
	}
	if _, err := j.f.WriteAt(append(data, '\n'), 0); err != nil {
		return fmt.Errorf("job lock: %w", err)
	}
	return nil
}

// Prior is the holder before this one; the zero Holder when there was none.
func (j *JobLock) Prior() Holder { return j.prior }

// Release gives the lock up, or one share of it; the last one notes the time.
// What is released once more stays so.
func (j *JobLock) Release(now time.Time) error {
	locksMu.Lock()
	defer locksMu.Unlock()
	if j.shared.refs--; j.shared.refs != 0 {
		return nil // of others still, or released already
	}
	for file, s := range locks {
		if s == j.shared {
			delete(locks, file)
		}
	}
	j.holder.Ended = now.UTC()
	return errors.Join(j.write(), j.f.Close())
}

// ReadHolder says who holds, or held, a job's lock; the zero Holder when
// nobody ever did. held reports whether its process is alive.
func ReadHolder(l Lake) (h Holder, held bool, err error) {
	file, err := lockFile(l)
	if err != nil {
		return Holder{}, false, err
	}
	f, err := os.Open(file)
	if errors.Is(err, os.ErrNotExist) {
		return Holder{}, false, nil
	}
	if err != nil {
		return Holder{}, false, fmt.Errorf("job lock: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if h, err = readHolder(file); err != nil || !h.Ended.IsZero() {
		return h, false, err // it said so; no need to be in a taker's way
	}
	err = flock(f, unix.LOCK_SH|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		h, err = readHolder(file) // there may have been a change
		return h, true, err
	}
	return h, false, err
}
