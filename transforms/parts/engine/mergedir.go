package engine

import (
	"cmp"
	"fmt"
	"os"
	"sync"

	"github.com/harrowdata/harrow/internal/scratch"
)

// mergePrefix begins the names of the folders that merges keep in
// limits.spill. Everything else there is unlinked as soon as it is made.
const mergePrefix = "harrow-merge-"

// swept are the folders that this process has looked through.
var swept sync.Map // of string: *sync.Once

// newMergeDir makes a folder in limits.spill.
func newMergeDir(spill string) (dir *scratch.Folder, err error) {
	spill = cmp.Or(spill, os.TempDir())
	if err = os.MkdirAll(spill, 0o777); err == nil {
		once, _ := swept.LoadOrStore(spill, &sync.Once{})
		once.(*sync.Once).Do(func() { err = scratch.Sweep(spill, mergePrefix) })
	}
	if err == nil {
		dir, err = scratch.New(spill, mergePrefix)
	}
	if err != nil {
		return nil, fmt.Errorf("limits.spill: %w", err)
	}
	return dir, nil
}
