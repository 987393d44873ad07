package build_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/harrowdata/harrow/internal/build"
)

// program is a module of its own with a main package.
func program(t *testing.T, text string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, data := range map[string]string{"go.mod": "module example.com/mine\n\ngo 1.26\n",
		"main.go": "package main\n\nfunc main() { println(\"" + text + "\") }\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func compile(t *testing.T, dir string, flags ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	cmd := exec.CommandContext(t.Context(), "go", append(append([]string{"build", "-o", path}, flags...), ".")...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

func of(t *testing.T, path string) string {
	t.Helper()
	name, err := build.Of(path)
	if err != nil {
		t.Fatal(err)
	}
	return name
}

func TestABuildIsKnownByWhatItWasMadeOf(t *testing.T) {
	one, other := program(t, "one"), program(t, "other")
	same := program(t, "one")
	first := of(t, compile(t, one, "-trimpath"))
	if !regexp.MustCompile(`^example.com/mine \(devel\) \(build [0-9a-f]{16}\)$`).MatchString(first) {
		t.Errorf("got %q", first)
	}
	for _, c := range []struct {
		name, path string
		equal      bool
	}{
		{"made elsewhere of the same files", compile(t, same, "-trimpath"), true},
		{"made of other files", compile(t, other, "-trimpath"), false},
	} {
		if got := of(t, c.path); (got == first) != c.equal {
			t.Errorf("%s: %s, and the first was %s", c.name, got, first)
		}
	}
}

func TestABuildWithoutAnIDIsKnownByItsBytes(t *testing.T) {
	one, other := program(t, "one"), program(t, "other")
	first := of(t, compile(t, one, "-trimpath", "-ldflags=-buildid="))
	if got := of(t, compile(t, other, "-trimpath", "-ldflags=-buildid=")); got == first {
		t.Errorf("two programs are both %s", got)
	}
}

func TestAFileThatIsNoProgramHasANameOfItsOwn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(path, []byte("\x7fELF and no more"), 0o666); err != nil {
		t.Fatal(err)
	}
	if got := of(t, path); !strings.HasPrefix(got, "an unnamed program (build ") {
		t.Errorf("got %q", got)
	}
	if _, err := build.Of(path + "-gone"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("of no file: %v", err)
	}
}

func TestOnlyTheSameBuildPasses(t *testing.T) {
	own, err := build.Self()
	if err != nil {
		t.Fatal(err)
	}
	if path, err := os.Executable(); err != nil || of(t, path) != own {
		t.Errorf("itself is %s, its file (%v) another", own, err)
	}
	for _, same := range []string{"", own} {
		if err := build.Check(same); err != nil {
			t.Errorf("%q: %v", same, err)
		}
	}
	const want = "harrow v9.9.9 (build 0123456789abcdef)"
	if err := build.Check(want); !errors.Is(err, build.ErrOther) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), own) {
		t.Errorf("another build: %v; want both names", err)
	}
}
