package extension

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const source = "../../testdata/extension"

// patience is how long any one command may take: a cold build of Beam is
// minutes.
const patience = 9 * time.Minute

// module is a copy of the extension that is elsewhere, as a newcomer's is.
func module(t *testing.T) (dir string) {
	t.Helper()
	root, err := filepath.Abs("../..")
	check(t, err)
	look(t, root)
	dir = filepath.Join(t.TempDir(), "extension")
	check(t, os.CopyFS(dir, os.DirFS(source)))
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	check(t, err)
	moved := bytes.Replace(mod, []byte("=> ../..\n"), []byte("=> "+root+"\n"), 1)
	if bytes.Equal(moved, mod) {
		t.Fatal("go.mod has no line `replace github.com/harrowdata/harrow => ../..`")
	}
	check(t, os.WriteFile(filepath.Join(dir, "go.mod"), moved, 0o666))
	return dir
}

// look looks at each source of Harrow: go test takes a result from its cache
// when nothing has changed that the test itself looked at, and what go build
// looks at doesn't count.
func look(t *testing.T, root string) {
	t.Helper()
	check(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "harrow-workspace") {
			return filepath.SkipDir
		}
		return err
	}))
}

// command runs a program in a folder; what it wrote comes back, and its exit
// code. It dies with the test's process.
func command(t *testing.T, dir, name string, args ...string) (stdout, stderr string, exit int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c := exec.CommandContext(ctx, name, args...)
	var out, errs bytes.Buffer
	c.Dir, c.Stdout, c.Stderr = dir, &out, &errs
	c.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
	c.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := c.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatalf("%s %s: %v", name, strings.Join(args, " "), err)
	}
	return out.String(), errs.String(), c.ProcessState.ExitCode()
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestTheModulesOwnTestsPass(t *testing.T) {
	if out, errs, exit := command(t, module(t), "go", "test", "./extras"); exit != 0 {
		t.Errorf("go test ./extras: exit %d\n%s%s", exit, out, errs)
	}
}

// TestItsGoModIsTidy holds the module's requirements to the root's: where they
// drift apart, a newcomer who copies it gets a module that doesn't build.
func TestItsGoModIsTidy(t *testing.T) {
	const mend = "run: cd testdata/extension && go mod tidy"
	// What is missing or too old, go says without the network.
	c := exec.CommandContext(t.Context(), "go", "list", "-mod=readonly", "-deps", "-test", "./...")
	c.Dir = source
	c.Env = append(os.Environ(), "GOFLAGS=", "GOPROXY=off", "GOWORK=off")
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v\n%.2000s\n%s", err, out, mend)
	}
	root, own := requires(t, "../../go.mod"), requires(t, filepath.Join(source, "go.mod"))
	for path, version := range own {
		if want, ok := root[path]; ok && version != want {
			t.Errorf("testdata/extension/go.mod requires %s %s, go.mod requires %s; %s", path, version, want, mend)
		}
	}
	if len(own) < 10 || len(root) < 10 {
		t.Errorf("%d and %d requirements found: is the pattern still right?", len(own), len(root))
	}
}

// requires reads which versions a go.mod requires.
func requires(t *testing.T, file string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(file)
	check(t, err)
	versions := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\t(\S+) (v\S+)`).FindAllStringSubmatch(string(text), -1) {
		versions[m[1]] = m[2]
	}
	return versions
}
