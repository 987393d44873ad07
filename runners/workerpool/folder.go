package workerpool

import (
	"cmp"
	"fmt"
	"os"

	"github.com/harrowdata/harrow/internal/scratch"
)

// folderPrefix begins the names of the folders that pools keep their workers'
// temporary files in. One is in use as long as the pool or a worker of it lives.
const folderPrefix = "harrow-pool-"

func newFolder(in string) (f *scratch.Folder, err error) {
	in = cmp.Or(in, os.TempDir())
	if err = scratch.Sweep(in, folderPrefix); err == nil {
		f, err = scratch.New(in, folderPrefix)
	}
	if err != nil {
		return nil, fmt.Errorf("temporary files: %w", err)
	}
	return f, nil
}
