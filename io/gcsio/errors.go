package gcsio

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"net/http"

	"cloud.google.com/go/storage"
	"google.golang.org/api/googleapi"

	"github.com/harrowdata/harrow/io/lakeio"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// code is the HTTP status of an answer that is an error; 0: there is none.
func code(err error) int {
	var answer *googleapi.Error
	if errors.As(err, &answer) {
		return answer.Code
	}
	return 0
}

func missing(err error) bool {
	return errors.Is(err, storage.ErrObjectNotExist) || errors.Is(err, storage.ErrBucketNotExist) || code(err) == http.StatusNotFound
}

// errCondition: a write's condition does not hold any more, whether it was
// done before or not.
var errCondition = errors.New("the object is another one by now")

func failedCondition(err error) bool {
	return code(err) == http.StatusPreconditionFailed || errors.Is(err, errCondition)
}

// fatal reports whether another try will bring no other answer.
func fatal(err error) bool {
	c := code(err)
	return c >= 400 && c < 500 && c != http.StatusRequestTimeout && c != http.StatusTooManyRequests
}

// refused reports whether the server has said that it did nothing.
func refused(err error) bool {
	return code(err) == http.StatusBadRequest || code(err) == http.StatusUnauthorized || code(err) == http.StatusForbidden
}

// explain says what may be done about an error.
func explain(err error) error {
	switch code(err) {
	case http.StatusUnauthorized:
		return fmt.Errorf("%w: no valid Google credentials: see Application Default Credentials (gcloud auth application-default login, or GOOGLE_APPLICATION_CREDENTIALS): %w", fs.ErrPermission, err)
	case http.StatusForbidden:
		return fmt.Errorf("%w: want storage.objects.create, delete, get and list on the bucket: %w", fs.ErrPermission, err)
	}
	return err
}

// failed names the operation and the object of an error; nil stays nil.
func (s *store) failed(what, uri string, err error) error {
	switch {
	case err == nil:
		return nil
	case missing(err) && !errors.Is(err, storage.ErrBucketNotExist):
		return fmt.Errorf("%s %s: %w", what, s.uri(uri), lakeio.ErrNotFound)
	}
	return fmt.Errorf("%s %s: %w", what, s.uri(uri), explain(err))
}
