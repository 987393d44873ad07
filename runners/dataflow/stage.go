package dataflow

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"os"
	"path"
	"strings"

	"cloud.google.com/go/storage"
	"google.golang.org/api/googleapi"
)

// Stage is where files for Dataflow are put: Cloud Storage.
type Stage struct{ client *storage.Client }

// OpenStage takes the credentials of this process. Where STORAGE_EMULATOR_HOST
// is set, that server is asked instead.
func OpenStage(ctx context.Context) (*Stage, error) {
	// Credentials are renewed after ctx is over, too.
	client, err := storage.NewClient(context.WithoutCancel(ctx), storage.WithJSONReads())
	if err != nil {
		return nil, fmt.Errorf("Google Cloud Storage: %w", err)
	}
	client.SetRetry(storage.WithPolicy(storage.RetryAlways))
	return &Stage{client}, nil
}

// Close lets go of connections.
func (s *Stage) Close() error { return s.client.Close() }

// Staged is a file that was put there.
type Staged struct{ URL, SHA256 string }

// Worker stages the worker's program, named by its digest: one that is there
// is not sent again. "" stands for the program that runs.
func (s *Stage) Worker(ctx context.Context, folder, name string) (staged Staged, err error) {
	file, err := WorkerFile(name)
	if err != nil {
		return Staged{}, err
	}
	f, err := os.Open(file)
	if err != nil {
		return Staged{}, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	digest, crc := sha256.New(), crc32.New(castagnoli)
	size, err := io.Copy(io.MultiWriter(digest, crc), f)
	if err != nil {
		return Staged{}, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return Staged{}, err
	}
	sum := hex.EncodeToString(digest.Sum(nil))
	// The container's boot program wants the name worker.
	staged = Staged{Join(folder, "harrow", "workers", sum, "worker"), sum}
	return staged, s.put(ctx, staged.URL, f, size, crc.Sum32())
}

// Put stages bytes under a name that nobody else has used.
func (s *Stage) Put(ctx context.Context, url string, data []byte) (Staged, error) {
	sum := sha256.Sum256(data)
	return Staged{url, hex.EncodeToString(sum[:])}, s.put(ctx, url, strings.NewReader(string(data)), int64(len(data)), crc32.Checksum(data, castagnoli))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// put creates an object, unless there is one with these bytes.
func (s *Stage) put(ctx context.Context, url string, from io.Reader, size int64, crc uint32) error {
	bucket, name, _ := strings.Cut(strings.TrimPrefix(url, "gs://"), "/")
	object := s.client.Bucket(bucket).Object(name)
	there, err := object.Attrs(ctx)
	if err == nil && there.Size == size && there.CRC32C == crc {
		return nil
	}
	if err == nil {
		object = object.If(storage.Conditions{GenerationMatch: there.Generation})
	} else if errors.Is(err, storage.ErrObjectNotExist) {
		object = object.If(storage.Conditions{DoesNotExist: true})
	} else {
		return staging(url, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // an upload that is given up must not appear half
	w := object.NewWriter(ctx)
	w.CRC32C, w.SendCRC32C = crc, true
	if _, err := io.Copy(w, from); err != nil {
		cancel()
		return staging(url, errors.Join(err, w.Close()))
	}
	if err := w.Close(); err != nil && !raced(err) {
		return staging(url, err)
	}
	now, err := s.client.Bucket(bucket).Object(name).Attrs(ctx)
	if err == nil && (now.Size != size || now.CRC32C != crc) {
		err = errors.New("another process writes it at the same time; try again")
	}
	return staging(url, err)
}

// raced reports whether an object came or changed meanwhile.
func raced(err error) bool {
	var answer *googleapi.Error
	return errors.As(err, &answer) && answer.Code == http.StatusPreconditionFailed
}

func staging(url string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("staging %s: %w", url, err)
}

// Join appends names to a gs:// folder.
func Join(folder string, names ...string) string {
	return strings.TrimRight(folder, "/") + "/" + path.Join(names...)
}
