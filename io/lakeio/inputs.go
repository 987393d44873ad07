package lakeio

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"github.com/harrowdata/harrow"
)

// InputURI is where the run keeps the copy of an input.
func (l Lake) InputURI(digest string) string { return path.Join(l.RunDir(), "inputs", digest) }

// DigestFile returns what an Input says of a file on the local disk: its
// digest and size, under the given name.
func DigestFile(file, name string) (Input, error) {
	return eachByte(file, name, io.Discard)
}

// CopyInput copies a local file into the run, durably, and returns what it
// copied. The file is read twice, since its copy is named by its digest; one that changes
// in between is an error.
func (l Lake) CopyInput(ctx context.Context, file, name string) (Input, error) {
	in, err := DigestFile(file, name)
	if err != nil {
		return Input{}, err
	}
	w, err := l.Store.Writer(ctx, l.InputURI(in.Digest))
	if err != nil {
		return Input{}, err
	}
	copied, err := eachByte(file, name, w)
	if err == nil && copied.Digest != in.Digest {
		err = fmt.Errorf("%s changed while it was copied", file)
	}
	if err != nil {
		w.Abort()
		return Input{}, err
	}
	if err := w.Close(); err != nil {
		return Input{}, err
	}
	// run.json, which names it, is durable too.
	return in, l.syncParts(ctx, []harrow.Part{{URI: l.InputURI(in.Digest)}})
}

// eachByte copies a file to w and returns what it read.
func eachByte(file, name string, w io.Writer) (in Input, err error) {
	f, err := os.Open(file)
	if err != nil {
		return Input{}, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(w, h), f)
	if err != nil {
		return Input{}, fmt.Errorf("%s: %w", file, err)
	}
	return Input{Path: name, Digest: hex.EncodeToString(h.Sum(nil)), Bytes: n}, nil
}
