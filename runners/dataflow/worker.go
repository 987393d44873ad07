package dataflow

import (
	"debug/buildinfo"
	"debug/elf"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
)

// howToBuild says what makes a worker's program.
const howToBuild = "make one with `make worker`, or of a program of your own with `CGO_ENABLED=0 GOOS=linux GOARCH=amd64 " +
	"go build -trimpath -tags disable_grpc_modules -ldflags \"-s -w\" -o harrow-worker ./your/cmd`, and give --worker_binary=harrow-worker"

// What both programs must have of one version: the graph is written by one and
// read by the other.
const (
	beamModule   = "github.com/apache/beam/sdks/v2"
	harrowModule = "github.com/harrowdata/harrow"
)

// WorkerFile is the file of the worker's program; "" stands for the one that
// runs, even if its file has been replaced since.
func WorkerFile(name string) (string, error) {
	if name != "" {
		return name, nil
	}
	if runtime.GOOS == "linux" {
		return "/proc/self/exe", nil
	}
	return os.Executable()
}

// CheckWorker says why the program in a file can't be a worker's; "" stands
// for the one that runs. Workers have Google's container image, which has no C
// library: it must be a static program (an ELF file that names no
// interpreter, which would be the dynamic linker) for linux on x86-64, and one
// with the same Beam and the same Harrow in it as this.
func CheckWorker(name string) error {
	file, err := WorkerFile(name)
	if err == nil {
		err = static(file)
	}
	if err == nil {
		err = sameModules(file)
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

// sameModules looks at what a Go program is built from.
func sameModules(file string) error {
	there, err := buildinfo.ReadFile(file)
	if err != nil {
		return errors.New("it is no Go program")
	}
	here, ok := debug.ReadBuildInfo()
	if !ok {
		return nil // tests of ours have it, so has whatever go build makes
	}
	return compare(here, there)
}

func compare(here, there *debug.BuildInfo) error {
	if versionOf(there, beamModule) == "" {
		return errors.New("it has no Beam in it, so it can't be Harrow")
	}
	for name, module := range map[string]string{"Beam": beamModule, "Harrow": harrowModule} {
		want, got := versionOf(here, module), versionOf(there, module)
		if want != "" && got != "" && got != want {
			return fmt.Errorf("it has %s %s in it, this program %s", name, got, want)
		}
	}
	return nil
}

// versionOf is a module's version in a program; "" if it is not in there.
func versionOf(b *debug.BuildInfo, module string) string {
	if b.Main.Path == module {
		return b.Main.Version
	}
	for _, m := range b.Deps {
		if m.Path == module {
			return m.Version
		}
	}
	return ""
}
