package lakeio

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// flocked is a lock file that this process holds.
type flocked struct{ f *os.File }

func takeFlock(ctx context.Context, file string, h Holder, job string) (_ *flocked, prior Holder, err error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
		return nil, prior, fmt.Errorf("job lock: %w", err)
	}
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, prior, fmt.Errorf("job lock: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	lockErr := tryLock(ctx, f)
	if lockErr != nil && !errors.Is(lockErr, unix.EWOULDBLOCK) {
		return nil, prior, fmt.Errorf("job lock %s: %w", file, lockErr)
	}
	if prior, err = readHolder(file); err != nil {
		return nil, prior, err
	}
	if lockErr != nil {
		return nil, prior, lockedBy(job, prior)
	}
	j := &flocked{f}
	return j, prior, j.write(h)
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

func readHolder(file string) (Holder, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return Holder{}, fmt.Errorf("job lock: %w", err)
	}
	return decodeHolder(data), nil
}

// write rewrites the file in place: the lock is on its inode. It does so in
// one write, with spaces over what was longer, so that who reads it meanwhile
// finds a holder.
func (j *flocked) write(h Holder) error {
	data, err := json.Marshal(h)
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

// release notes when the lock was given up, and gives it up.
func (j *flocked) release(h Holder) error { return errors.Join(j.write(h), j.f.Close()) }

// readFlock says who holds, or held, a lock file.
func readFlock(file string) (h Holder, held bool, err error) {
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
