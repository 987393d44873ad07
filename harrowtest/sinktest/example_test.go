package sinktest_test

import (
	"path/filepath"
	"testing"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/harrowtest/sinktest"
)

// The test of a plug-in whose sink writes to a folder. readAll stands for what
// reads that folder back as another program would.
func ExampleRun() {
	var readAll func(folder, record string) ([]map[string]any, error)

	_ = func(t *testing.T) { // func TestFolderIsASink(t *testing.T) {
		open, err := harrow.LookupSink("folder")
		if err != nil {
			t.Fatal(err)
		}
		sinktest.Run(t, func(tb testing.TB) sinktest.Store {
			env := harrow.SinkEnv{Job: "shop", Workspace: tb.TempDir()} // each demand has a store of its own
			return sinktest.Store{
				Open: func() (harrow.Sink, error) { return open(nil, env) },
				Rows: func(t harrow.RecordType) ([]map[string]any, error) {
					return readAll(filepath.Join(env.Workspace, "out"), t.Name)
				},
			}
		})
	}
}
