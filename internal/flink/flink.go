// Package flink has what Harrow needs of Flink on this machine: Beam's job
// server, which turns a pipeline into a Flink job, and a small cluster for
// trying and for tests. Both are jars that Maven fetches once into a cache
// folder, pinned by version and checksum; both are child processes with an end.
package flink

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

const (
	// Version is Flink's: of the cluster that Up starts and of the job
	// server's client, which speaks to clusters of this minor version.
	Version = "1.19.3"
	// BeamVersion is that of Beam's Flink runner, the job server. It is the
	// last one for Flink 1.19 whose parts are all published; pipelines of
	// newer Go SDKs run on it.
	BeamVersion = "2.62.0"
)

// ErrMissing is what fails for want of something on this machine: Java, Maven
// or the jars. The error says what to do.
var ErrMissing = errors.New("not installed")

// Config says where the jars lie and which programs run them. The zero value
// is right for a user.
type Config struct {
	// Cache is the folder for what is installed; empty: CacheDir.
	Cache string
	// Java and Maven are the programs to run; empty: $JAVA_HOME/bin/java, else
	// java in PATH; mvn in PATH.
	Java, Maven string
	// Log is told what takes time, a line at a time; nil: nobody is.
	Log io.Writer
}

// CacheDir is the folder for what is installed: HARROW_CACHE, else harrow in
// the user's cache folder.
func CacheDir() (string, error) {
	if dir := os.Getenv("HARROW_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no cache folder: %w; set HARROW_CACHE to one", err)
	}
	return filepath.Join(dir, "harrow"), nil
}

func (c Config) cache() (string, error) {
	if c.Cache != "" {
		return filepath.Abs(c.Cache)
	}
	return CacheDir()
}

func (c Config) say(format string, args ...any) {
	if c.Log != nil {
		fmt.Fprintf(c.Log, format+"\n", args...)
	}
}
