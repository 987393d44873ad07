// Package build says which build of a program an executable is, so that a
// process can tell whether another one runs the same: steps travel between them
// as names and bytes, which another build may read differently.
package build

import (
	"bytes"
	"crypto/sha256"
	"debug/buildinfo"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
)

// ErrOther: another build than the one that was asked for. What to do: let the
// client and its workers run the same executable.
var ErrOther = errors.New("another build")

// self is the running executable, also when its file has been replaced since.
func self() (string, error) {
	if runtime.GOOS == "linux" {
		return "/proc/self/exe", nil
	}
	return os.Executable()
}

// Self names the build of the running executable, as [Of] does.
var Self = sync.OnceValues(func() (string, error) {
	path, err := self()
	if err != nil {
		return "", fmt.Errorf("which build this is: %w", err)
	}
	return Of(path)
})

// Check compares a build with the one that runs: nil if they are the same or
// none was named, else ErrOther with both names.
func Check(want string) error {
	if want == "" {
		return nil
	}
	runs, err := Self()
	if err != nil {
		return err
	}
	return Differ("this process runs", runs, want)
}

// Differ is ErrOther where who would do a job's work has another build than made
// it; who is the sentence's beginning: "its workers are".
func Differ(who, runs, want string) error {
	if runs == want {
		return nil
	}
	return fmt.Errorf("%w: %s %s, the job was made by %s; let both be the same executable", ErrOther, who, runs, want)
}

// Of names the build of an executable, in a form made to be read and compared:
// "harrow v0.3.0 (build 0123456789abcdef)". Two executables have the same name
// if and only if they were linked from the same objects for the same platform:
// the number is made from the linker's build ID, which depends on neither the
// file's place nor its symbols; of an executable without one, from all of it.
func Of(path string) (name string, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("which build %s is: %w", path, err)
		}
	}()
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	id, err := number(f)
	if err != nil {
		return "", err
	}
	// Without build information the number still tells builds apart.
	info, ierr := buildinfo.Read(f)
	if ierr != nil {
		return "an unnamed program (build " + id + ")", nil
	}
	return describe(info) + " (build " + id + ")", nil
}

// number is 64 bits of a digest.
func number(f *os.File) (string, error) {
	h := sha256.New()
	if id := buildID(f); id != "" {
		h.Write([]byte(id))
	} else if _, err := io.Copy(h, io.NewSectionReader(f, 0, 1<<40)); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)[:8]), nil
}

const harrowModule = "github.com/harrowdata/harrow"

// describe names the module that was built and the harrow in it.
func describe(info *buildinfo.BuildInfo) string {
	version := func(m *debug.Module) string {
		for m.Replace != nil {
			m = m.Replace
		}
		if m.Version == "" {
			return "(devel)"
		}
		return m.Version
	}
	name := "harrow "
	if info.Main.Path != harrowModule {
		name = info.Main.Path + " " + version(&info.Main)
		for _, dep := range info.Deps {
			if dep.Path == harrowModule {
				name += " with harrow " + version(dep)
			}
		}
		return name + revision(info)
	}
	return name + version(&info.Main) + revision(info)
}

// revision is that of a build of a checked-out tree.
func revision(info *buildinfo.BuildInfo) (text string) {
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			text = ", revision " + s.Value[:min(12, len(s.Value))] + text
		case s.Key == "vcs.modified" && s.Value == "true":
			text += ", modified"
		}
	}
	return text
}

// What an ELF note of Go's linker says of itself (cmd/internal/buildid).
const (
	noteName = "Go\x00\x00"
	noteType = 4
)

// headBytes is how far into a file of another format the linker's mark is
// looked for; it stands at the beginning of the code.
const headBytes = 64 << 10

// buildID is the ID that Go's linker left in an executable; empty if there is
// none.
func buildID(f *os.File) string {
	if e, err := elf.NewFile(f); err == nil {
		for _, p := range e.Progs {
			if p.Type != elf.PT_NOTE {
				continue
			}
			data := make([]byte, min(p.Filesz, headBytes))
			if _, err := p.ReadAt(data, 0); err != nil {
				continue
			}
			if id := noteID(e, data); id != "" {
				return id
			}
		}
		return ""
	}
	head := make([]byte, headBytes)
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return ""
	}
	_, rest, _ := bytes.Cut(head[:n], []byte("\xff Go build ID: \""))
	id, _, found := bytes.Cut(rest, []byte("\"\n \xff"))
	if !found {
		return ""
	}
	return string(id)
}

// noteID finds Go's note among those of a segment.
func noteID(e *elf.File, data []byte) string {
	pad := func(n uint64) uint64 { return (n + 3) &^ 3 }
	for len(data) >= 12 {
		name, desc, kind := uint64(e.ByteOrder.Uint32(data)), uint64(e.ByteOrder.Uint32(data[4:])), e.ByteOrder.Uint32(data[8:])
		data = data[12:]
		if pad(name)+pad(desc) > uint64(len(data)) {
			return ""
		}
		if kind == noteType && strings.HasPrefix(string(data), noteName) {
			return string(data[pad(name) : pad(name)+desc])
		}
		data = data[pad(name)+pad(desc):]
	}
	return ""
}
