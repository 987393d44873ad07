// Package gcsio keeps workspaces on Google Cloud Storage, at
// gs://BUCKET/PREFIX: a [lakeio.Store] over cloud.google.com/go/storage.
// Importing it registers the scheme.
//
// Credentials are Application Default Credentials. They need
// storage.objects.create, delete, get and list on the bucket, as in the role
// Storage Object Admin; the bucket itself is never changed. Where
// STORAGE_EMULATOR_HOST is set, that server is asked instead, without
// credentials.
//
// # What it does
//
// A generation of lakeio is the object's generation number. Create and Swap
// are uploads with a precondition on it, so that among writers who saw the
// same, one wins. Every upload carries a nonce in the object's metadata: when
// an answer is lost and the retry is told that the precondition fails, the
// nonce says whose object is there.
//
// All requests are retried, with backoff, until their operation's deadline:
// with a precondition, or a name that one writer alone uses, a repeated
// request does no harm. Uploads are checked by CRC-32C, and so is what is read
// in one go from its first byte to its last; ranges are not, parts have
// checksums of their own.
//
// # Memory
//
// A Writer keeps up to [smallBytes] until it knows that its object is larger;
// then it uploads in chunks of [chunkBytes], while all such chunks of the
// process take no more than [chunksBytes], and of smallBytes beyond that. A
// Reader keeps the last [tailBytes] of its object. Small objects (Create,
// Read, Swap, Put) are held whole, once or twice.
package gcsio

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"cloud.google.com/go/storage"
	"github.com/googleapis/gax-go/v2"
	"google.golang.org/api/iterator"

	"github.com/harrowdata/harrow/io/lakeio"
)

func init() { lakeio.RegisterScheme("gs", open) }

const (
	// opTimeout bounds an operation on a small object, retries included.
	opTimeout = time.Minute
	// openTimeout bounds the first look at a workspace.
	openTimeout = 30 * time.Second
)

// lookTimeout bounds the look at what became of a write; shorter in tests.
var lookTimeout = 15 * time.Second

// opened holds what this process opened: workers open the workspace over and
// over. Clients live as long as the process.
var opened struct {
	sync.Mutex
	clients map[string]*storage.Client // by emulator
	stores  map[string]*store          // by emulator and URI
}

// emulatorEnv names the server to be asked instead of Google's.
const emulatorEnv = "STORAGE_EMULATOR_HOST"

// open is what lakeio.Open calls. That the bucket is there and can be listed
// is looked at once.
func open(uri string) (lakeio.Store, error) {
	bucket, prefix, err := split(uri)
	if err != nil {
		return nil, err
	}
	host := os.Getenv(emulatorEnv)
	id := host + " gs://" + path.Join(bucket, prefix)
	opened.Lock()
	defer opened.Unlock()
	if s, ok := opened.stores[id]; ok {
		return s, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	client, ok := opened.clients[host]
	if !ok {
		if client, err = newClient(ctx); err != nil {
			return nil, fmt.Errorf("workspace %s: %w: %w", uri, lakeio.ErrUnavailable, err)
		}
	}
	s := &store{bucket: client.Bucket(bucket), name: bucket, prefix: prefix}
	if err := s.look(ctx); err != nil {
		return nil, err
	}
	if opened.stores == nil {
		opened.stores, opened.clients = map[string]*store{}, map[string]*storage.Client{}
	}
	opened.clients[host], opened.stores[id] = client, s
	return s, nil
}

func newClient(ctx context.Context) (*storage.Client, error) {
	// Reads by the JSON API, as all else: an emulator need not know two.
	c, err := storage.NewClient(context.WithoutCancel(ctx), storage.WithJSONReads())
	if err != nil {
		return nil, fmt.Errorf("Google Cloud Storage: %w", err)
	}
	c.SetRetry(storage.WithPolicy(storage.RetryAlways), storage.WithErrorFunc(storage.ShouldRetry),
		storage.WithBackoff(gax.Backoff{Initial: 100 * time.Millisecond, Max: 5 * time.Second, Multiplier: 2}))
	return c, nil
}

// look finds out whether the workspace can be read at all.
func (s *store) look(ctx context.Context) error {
	it := s.bucket.Objects(ctx, &storage.Query{Prefix: s.object("")})
	it.PageInfo().MaxSize = 1
	switch _, err := it.Next(); {
	case err == nil, errors.Is(err, iterator.Done):
		return nil
	case missing(err):
		return fmt.Errorf("workspace %s: there is no bucket %s", s.uri(""), s.name)
	default:
		return fmt.Errorf("workspace %s: %w: %w", s.uri(""), lakeio.ErrUnavailable, explain(err))
	}
}

// bucketName is what Google allows, but for dotted names' details.
var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$`)

// split takes a workspace's URI apart.
func split(uri string) (bucket, prefix string, err error) {
	rest, ok := strings.CutPrefix(uri, "gs://")
	bucket, prefix, _ = strings.Cut(rest, "/")
	prefix = strings.TrimSuffix(prefix, "/")
	switch {
	case !ok || !bucketName.MatchString(bucket):
		return "", "", fmt.Errorf("workspace %q: want gs://BUCKET or gs://BUCKET/PREFIX", uri)
	case prefix != "" && (!lakeio.ValidURI(prefix) || !validName(prefix) || strings.ContainsAny(prefix, "?#*[]")):
		return "", "", fmt.Errorf("workspace %q: %q can't be the prefix of a workspace: want names with single slashes between them, without . and .., and none of ?#*[]", uri, prefix)
	}
	return bucket, prefix, nil
}

// validName follows "Object name requirements" of Cloud Storage.
func validName(name string) bool {
	return len(name) <= 1024 && utf8.ValidString(name) && !strings.ContainsFunc(name, unicode.IsControl)
}
