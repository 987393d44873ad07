package gcsio

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"cloud.google.com/go/storage"
	"github.com/google/uuid"
	"google.golang.org/api/iterator"

	"github.com/harrowdata/harrow/io/lakeio"
)

// store is a workspace in a bucket, below a prefix.
type store struct {
	bucket *storage.BucketHandle
	name   string // of the bucket
	prefix string // without slashes at its ends
}

// object is the name of an object in the bucket; "" is the workspace with a
// slash at its end, or nothing.
func (s *store) object(uri string) string {
	if uri == "" && s.prefix != "" {
		return s.prefix + "/"
	}
	return path.Join(s.prefix, uri)
}

// uri names an object for people.
func (s *store) uri(uri string) string { return "gs://" + path.Join(s.name, s.prefix, uri) }

// handle checks the URI of an object; what would leave the workspace is
// refused.
func (s *store) handle(uri string) (*storage.ObjectHandle, error) {
	if !lakeio.ValidURI(uri) || !validName(s.object(uri)) {
		return nil, fmt.Errorf("%q is not the path of a file inside the workspace %s", uri, s.uri(""))
	}
	return s.bucket.Object(s.object(uri)), nil
}

func (s *store) Local() string { return "" }

// String is the workspace's URI.
func (s *store) String() string { return s.uri("") }

// Create implements lakeio.Store: an upload on the condition that there is no
// such object.
func (s *store) Create(ctx context.Context, uri string, data []byte) error {
	_, err := s.put(ctx, uri, data, &storage.Conditions{DoesNotExist: true})
	if failedCondition(err) {
		return fmt.Errorf("create %s: %w", s.uri(uri), lakeio.ErrExists)
	}
	return s.failed("create", uri, err)
}

// Swap implements lakeio.Store: an upload on the condition that the generation
// is still old. All uploads are durable.
func (s *store) Swap(ctx context.Context, uri string, old lakeio.Generation, data []byte, _ bool) (lakeio.Generation, error) {
	cond := &storage.Conditions{DoesNotExist: true}
	if old != "" {
		n, err := strconv.ParseInt(string(old), 10, 64)
		if err != nil || n <= 0 {
			return "", fmt.Errorf("swap %s: %q is no generation of an object", s.uri(uri), old)
		}
		cond = &storage.Conditions{GenerationMatch: n}
	}
	gen, err := s.put(ctx, uri, data, cond)
	if failedCondition(err) || old != "" && missing(err) {
		return "", fmt.Errorf("swap %s: %w", s.uri(uri), lakeio.ErrConflict)
	}
	return generation(gen), s.failed("swap", uri, err)
}

// Put implements lakeio.Store.
func (s *store) Put(ctx context.Context, uri string, data []byte) error {
	_, err := s.put(ctx, uri, data, nil)
	return s.failed("put", uri, err)
}

func generation(n int64) lakeio.Generation {
	if n == 0 {
		return ""
	}
	return lakeio.Generation(strconv.FormatInt(n, 10))
}

// put uploads an object in one request, again and again until there is an
// answer, or the object there says what became of it, or the deadline.
func (s *store) put(ctx context.Context, uri string, data []byte, cond *storage.Conditions) (int64, error) {
	o, err := s.handle(uri)
	if err != nil {
		return 0, err
	}
	if cond != nil {
		o = o.If(*cond)
	}
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	nonce := uuid.NewString() // of all attempts: the first may arrive last
	for attempt := 1; ; attempt++ {
		// One byte more than the data: an upload that fills its first chunk
		// takes three requests.
		u := s.upload(ctx, o, len(data)+1, nonce)
		u.CRC32C, u.SendCRC32C = crc32.Checksum(data, castagnoli), true
		_, werr := io.Copy(u, bytes.NewReader(data))
		err := errors.Join(werr, u.Close())
		if err == nil {
			return u.Attrs().Generation, nil
		}
		gen, again, err := s.settle(ctx, uri, nonce, cond, err)
		if !again || attempt == putAttempts || ctx.Err() != nil {
			return gen, err
		}
	}
}

// putAttempts is how often an upload is begun anew. What the server answers
// with "try again" is tried again within one attempt.
const putAttempts = 5

// nonceKey is where an object's metadata says which write made it.
const nonceKey = "harrow-write"

func (s *store) upload(ctx context.Context, o *storage.ObjectHandle, chunk int, nonce string) *storage.Writer {
	u := o.NewWriter(ctx)
	u.ChunkSize = chunk
	u.ContentType = "application/octet-stream"
	u.Metadata = map[string]string{nonceKey: nonce}
	u.ChunkRetryDeadline, u.ChunkTransferTimeout = opTimeout, opTimeout/2
	return u
}

// settle says what became of an upload that failed. Perhaps only its answer
// was lost, and a retry met its own object, so that the condition failed: the
// object that is there is asked for its nonce. again: nothing of it is there,
// it may be tried again.
func (s *store) settle(ctx context.Context, uri, nonce string, cond *storage.Conditions, err error) (gen int64, again bool, _ error) {
	if refused(err) {
		return 0, false, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTimeout)
	defer cancel()
	attrs, lerr := s.bucket.Object(s.object(uri)).Attrs(ctx)
	switch {
	case lerr == nil && attrs.Metadata[nonceKey] == nonce:
		return attrs.Generation, false, nil
	case lerr == nil:
		gen = attrs.Generation
	case !missing(lerr):
		// Not knowing whose it is, neither "exists" nor "conflict" is true.
		return 0, false, fmt.Errorf("%w; before that: %v", lerr, err)
	}
	switch {
	case failedCondition(err):
		return 0, false, err
	case cond != nil && gen != cond.GenerationMatch: // 0 is "does not exist"
		return 0, false, fmt.Errorf("%w: %w", errCondition, err)
	}
	return 0, !fatal(err), err
}

// Read implements lakeio.Store.
func (s *store) Read(ctx context.Context, uri string) ([]byte, lakeio.Generation, error) {
	o, err := s.handle(uri)
	if err != nil {
		return nil, "", err
	}
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	r, err := o.NewReader(ctx)
	if err != nil {
		return nil, "", s.failed("read", uri, err)
	}
	data := bytes.NewBuffer(make([]byte, 0, min(max(r.Attrs.Size, 0), 16<<20)+bytes.MinRead))
	_, err = data.ReadFrom(r)
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, "", s.failed("read", uri, err)
	}
	return data.Bytes(), generation(r.Attrs.Generation), nil
}

// Sync implements lakeio.Store: what was written is durable, but for what is
// not there.
func (s *store) Sync(ctx context.Context, uri string) error {
	if strings.HasSuffix(uri, "/") {
		_, err := s.folder(uri)
		return err
	}
	_, err := s.handle(uri)
	return err
}

// folder is the prefix of a folder's objects; "./" is the workspace.
func (s *store) folder(uri string) (string, error) {
	if path.Clean(uri) == "." {
		return s.object(""), nil
	}
	if _, err := s.handle(path.Clean(uri)); err != nil {
		return "", err
	}
	return s.object(path.Clean(uri)) + "/", nil
}

// List implements lakeio.Store: one request for each thousand names.
func (s *store) List(ctx context.Context, folder string) (names []string, err error) {
	err = s.each(ctx, "list", folder, []string{"Name"}, func(name string, _ *storage.ObjectAttrs) error {
		names = append(names, name)
		return nil
	})
	slices.Sort(names)
	return names, err
}

// Scan implements lakeio.Store. Uploads that were not finished are no objects:
// the server forgets them.
func (s *store) Scan(ctx context.Context, folder string, each func(lakeio.Entry) error) error {
	return s.each(ctx, "scan", folder, []string{"Name", "Size", "Updated"}, func(name string, attrs *storage.ObjectAttrs) error {
		return each(lakeio.Entry{Name: name, Bytes: attrs.Size, Modified: attrs.Updated})
	})
}

// each goes through the names in a folder: objects, and folders, of which
// nothing but the name is known.
func (s *store) each(ctx context.Context, what, folder string, attrs []string, do func(name string, attrs *storage.ObjectAttrs) error) error {
	prefix, err := s.folder(folder)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(listTimeout, func() { cancel(context.DeadlineExceeded) })
	defer timer.Stop()
	q := &storage.Query{Prefix: prefix, Delimiter: "/"}
	if err := q.SetAttrSelection(attrs); err != nil {
		return s.failed(what, folder, err)
	}
	for it := s.bucket.Objects(ctx, q); ; {
		timer.Reset(listTimeout) // what is done with a name takes its own time
		attrs, err := it.Next()
		if errors.Is(err, iterator.Done) {
			return nil
		}
		if err != nil {
			return s.failed(what, folder, err)
		}
		name := strings.TrimPrefix(attrs.Prefix+attrs.Name, prefix)
		if !nameInFolder(name) {
			continue
		}
		if err := do(name, attrs); err != nil {
			return err
		}
	}
}

// nameInFolder tells the name of an object or of a folder from what is none to
// us: a placeholder of the folder itself, and what a path would lead elsewhere
// by. A bucket's names are any text: a folder "..", once joined to a path and
// cleaned, would be the one above.
func nameInFolder(name string) bool {
	switch strings.TrimSuffix(name, "/") {
	case "", ".", "..":
		return false
	}
	return true
}

// listTimeout bounds the wait for the next names of a folder.
const listTimeout = 2 * time.Minute

// Delete implements lakeio.Store.
func (s *store) Delete(ctx context.Context, uri string) error {
	o, err := s.handle(uri)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, opTimeout)
	defer cancel()
	if err = o.Delete(ctx); missing(err) {
		return nil
	}
	return s.failed("delete", uri, err)
}
