package pipelines

import (
	"path/filepath"
	"testing"

	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/soak/fault"
)

// Workers may have another working directory: they get a local workspace by
// its absolute path, and any other by its URI as it was given.
func TestWorkersOpenTheWorkspaceByWhatHoldsEverywhere(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(filepath.Dir(dir))
	disk, err := fault.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	for given, want := range map[string]string{dir: dir, "./" + filepath.Base(dir): dir, "file://" + dir: dir, disk.URI(): disk.URI()} {
		store, err := lakeio.Open(given)
		if err != nil {
			t.Fatal(err)
		}
		if got := workspaceURI(given, store); got != want {
			t.Errorf("%s: workers open %s, want %s", given, got, want)
		}
	}
}

func TestASchemeIsRegisteredOnce(t *testing.T) {
	for _, scheme := range []string{"fault", "file"} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("scheme %s was registered twice", scheme)
				}
			}()
			lakeio.RegisterScheme(scheme, func(string) (lakeio.Store, error) { return nil, nil })
		}()
	}
}
