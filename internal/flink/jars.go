package flink

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// pom names what Maven is asked for.
//
//go:embed pom.xml
var pom string

// list has a line for each jar: its sha256, its bytes, and its path below the
// installation's folder. Flink's jars lie in lib, those of Beam's runner and of
// what it needs beside Flink in beam.
//
//go:embed jars.txt
var list string

// The folders of an installation.
const (
	flinkFolder = "lib"
	beamFolder  = "beam"
)

// jar is a line of the list.
type jar struct {
	sum  string // sha256 in hex
	size int64
	path string // lib/NAME or beam/NAME
}

func (j jar) name() string { return filepath.Base(j.path) }

// parseList reads a list of jars.
func parseList(text string) (jars []jar, err error) {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if len(fields) != 3 || len(fields[0]) != sha256.Size*2 {
			return nil, fmt.Errorf("list of jars: %q: want sha256, bytes, path", line)
		}
		size, err := strconv.ParseInt(fields[1], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("list of jars: %q: %w", line, err)
		}
		jars = append(jars, jar{fields[0], size, fields[2]})
	}
	return jars, nil
}

// Installation is a folder with all of the jars, as they were checked, and the
// Java that runs them.
type Installation struct {
	// Dir is the folder.
	Dir string
	// Java is the program.
	Java string
}

// flinkClasses is the class path of a JobManager or TaskManager as Flink is
// distributed: what a job needs of Beam the job brings along.
func (i *Installation) flinkClasses() string { return filepath.Join(i.Dir, flinkFolder, "*") }

// allClasses is the class path of the job server, and that of a JobManager or
// TaskManager that has Beam's runner itself.
func (i *Installation) allClasses() string {
	return i.flinkClasses() + string(filepath.ListSeparator) + filepath.Join(i.Runner(), "*")
}

// Runner is the folder of Beam's runner and what it needs beside Flink: a
// cluster with these jars in its own lib folder is [Equipped].
func (i *Installation) Runner() string { return filepath.Join(i.Dir, beamFolder) }

// source is what is to be installed: the embedded pom and list, unless a test
// brings its own.
type source struct {
	pom, list string
}

func (s source) digest() string {
	sum := sha256.Sum256([]byte(s.pom + "\x00" + s.list))
	return hex.EncodeToString(sum[:])[:12]
}

// folder is where it belongs: a folder of its own for each list, so that what is
// there never changes under a running process.
func (s source) folder(cache string) string {
	return filepath.Join(cache, "flink-"+Version+"-beam-"+BeamVersion+"-"+s.digest())
}

// stamp is the file in an installation's folder that is written last.
const stamp = "checked"

// Find looks for the jars, quickly: that all of them, and nothing else, were
// installed and checked, and have their sizes. What is missing, or was changed
// since, is ErrMissing.
func Find(ctx context.Context, c Config) (*Installation, error) {
	return find(ctx, c, source{pom, list})
}

func find(ctx context.Context, c Config, s source) (*Installation, error) {
	cache, err := c.cache()
	if err != nil {
		return nil, err
	}
	dir := s.folder(cache)
	if err := s.look(dir); err != nil {
		if errors.Is(err, fs.ErrNotExist) && !exists(dir) {
			return nil, fmt.Errorf("flink: %w: no jars of Flink %s and Beam's job server in %s: run harrow flink install once", ErrMissing, Version, cache)
		}
		return nil, fmt.Errorf("flink: %w: the jars in %s are not as they were installed: %w: run harrow flink install", ErrMissing, dir, err)
	}
	java, err := c.java(ctx)
	if err != nil {
		return nil, err
	}
	return &Installation{Dir: dir, Java: java}, nil
}

func exists(path string) bool { _, err := os.Lstat(path); return err == nil }

// look compares names and sizes.
func (s source) look(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, stamp)); err != nil {
		return err
	}
	jars, err := parseList(s.list)
	if err != nil {
		return err
	}
	for _, j := range jars {
		info, err := os.Stat(filepath.Join(dir, j.path))
		if err != nil {
			return err
		}
		if info.Size() != j.size {
			return fmt.Errorf("%s has %d bytes; want %d", j.path, info.Size(), j.size)
		}
	}
	return onlyThese(dir, jars)
}

// onlyThese refuses what was put beside the jars: it would be on the class path.
func onlyThese(dir string, jars []jar) error {
	known := map[string]bool{}
	for _, j := range jars {
		known[filepath.Clean(j.path)] = true
	}
	for _, folder := range []string{flinkFolder, beamFolder} {
		entries, err := os.ReadDir(filepath.Join(dir, folder))
		if err != nil {
			return err
		}
		for _, e := range entries {
			if path := filepath.Join(folder, e.Name()); !known[path] {
				return fmt.Errorf("%s is not one of them", path)
			}
		}
	}
	return nil
}

// check compares a file with its line of the list.
func (j jar) check(path string) error {
	sum, size, err := digest(path)
	if err != nil {
		return err
	}
	if sum != j.sum || size != j.size {
		return fmt.Errorf("%s: its checksum is sha256 %s (%d bytes); want %s (%d bytes)", j.name(), sum, size, j.sum, j.size)
	}
	return nil
}

func digest(path string) (sum string, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer func() { _ = f.Close() }() // only read
	h := sha256.New()
	size, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), size, err
}
