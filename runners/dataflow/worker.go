package dataflow

import (
	"debug/buildinfo"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
)

// howToBuild says what makes a worker's program.
const howToBuild = "make one with `make worker`, or of a program of your own with `CGO_ENABLED=0 GOOS=linux GOARCH=amd64 " +
	"go build -trimpath -tags disable_grpc_modules -ldflags \"-s -w\" -o harrow-worker ./your/cmd`, and give --worker_binary=harrow-worker"

// beamModule is what both programs must have of one version: the graph is
// written by one and read by the other.
const beamModule = "github.com/apache/beam/sdks/v2"

// WorkerFile is the file of the worker's program; "" stands for the one that
// runs.
func WorkerFile(name string) (string, error) {
	if name != "" {
		return name, nil
	}
	return os.Executable()
}

// CheckWorker says why the program in a file can't be a worker's; "" stands
// for the one that runs. Workers have Google's container image, which has no C
// library: it must be a static program (an ELF file that names no
// interpreter, which would be the dynamic linker) for linux on x86-64, and one
// with the same Beam in it as this.
func CheckWorker(name string) error {
	file, err := WorkerFile(name)
	if err == nil {
		err = static(file)
	}
	if err == nil {
		err = sameBeam(file)
	}
	switch {
	case err == nil:
		return nil
	case name == "":
		return fmt.Errorf("--worker_binary is missing: the running program can't be the worker's: %w; %s", err, howToBuild)
	}
	return fmt.Errorf("--worker_binary=%s: %w; %s", name, err, howToBuild)
}

// static looks at the head of an ELF file.
func static(file string) (err error) {
	f, err := elf.Open(file)
	var format *elf.FormatError
	if errors.As(err, &format) {
		return errors.New("it is no program for linux")
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if f.Machine != elf.EM_X86_64 || f.Class != elf.ELFCLASS64 {
		return fmt.Errorf("it is for %s, want linux/amd64", f.Machine)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return errors.New("it is linked dynamically, and the container of workers has no libraries")
		}
	}
	return nil
}

// sameBeam looks at what a Go program is built from.
func sameBeam(file string) error {
	there, err := buildinfo.ReadFile(file)
	if err != nil {
		return errors.New("it is no Go program")
	}
	here, ok := debug.ReadBuildInfo()
	if !ok {
		return nil // tests of ours have it, so has whatever go build makes
	}
	want, got := versionOf(here, beamModule), versionOf(there, beamModule)
	if got == "" {
		return errors.New("it has no Beam in it, so it can't be Harrow")
	}
	if want != "" && got != want {
		return fmt.Errorf("it has Beam %s in it, this program %s", got, want)
	}
	return nil
}

func versionOf(b *debug.BuildInfo, module string) string {
	for _, m := range b.Deps {
		if m.Path == module {
			return m.Version
		}
	}
	return ""
}
