// Package demo carries the demo's job file and what stands beside it.
package demo

import (
	"embed"
	"io/fs"
	"os"
	"path/filepath"
)

// Files are shop.yaml, the job that `harrow demo` runs, with one parameter,
// site; and the seed and lookup files that it names.
//
//go:embed shop.yaml rates.csv seeds
var Files embed.FS

// LayOut writes the files into a folder, over what was there.
func LayOut(dir string) error {
	return fs.WalkDir(Files, ".", func(path string, entry fs.DirEntry, err error) error {
		at := filepath.Join(dir, filepath.FromSlash(path))
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return os.MkdirAll(at, 0o777)
		}
		data, err := Files.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(at, data, 0o666)
	})
}
