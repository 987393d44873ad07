// Package rig is what the long tests stand on: the command built once and
// started as a process of its own, what is random about a test and seeded, and
// the table that a long test's result goes into. Package soak says which
// environment variables they go by.
package rig

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Exit codes of the command.
const (
	ExitDone     = 0
	ExitFailed   = 1
	ExitDeferred = 3
	ExitStopped  = 130
)

// Long reports whether the tests are to run at their full counts.
func Long() bool { return os.Getenv("HARROW_SOAK") == "1" }

// Seed is of everything random in a test: HARROW_SEED, default 1.
func Seed(t testing.TB) uint64 {
	t.Helper()
	text := os.Getenv("HARROW_SEED")
	if text == "" {
		return 1
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("HARROW_SEED=%q: want a number from 0", text)
	}
	return n
}

// Random is what the seed and a case's number decide.
func Random(seed uint64, number int) *rand.Rand { return rand.New(rand.NewPCG(seed, uint64(number))) }

// Missing ends a test whose means are not installed: it is skipped, with
// HARROW_TEST_REQUIRE=1 it fails.
func Missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv("HARROW_TEST_REQUIRE") == "1" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// Root is the folder with the product's go.mod.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod in this folder or above")
		}
	}
}

// Program is the command, built once for all tests of a process that runs
// [Main].
type Program struct {
	Name    string
	Flags   []string // of go build
	Package string   // empty: ./cmd/harrow

	once sync.Once
	err  error
}

// LeaseTTL is how long the leases of a process that was killed are waited for
// where [Harrow] is the command.
const LeaseTTL = 6 * time.Second

var (
	// Harrow is the command with short leases.
	Harrow = &Program{Name: "harrow", Flags: []string{"-ldflags", "-X github.com/harrowdata/harrow/io/lakeio.minTTL=" + LeaseTTL.String()}}
	// Released is the command as it is.
	Released = &Program{Name: "released"}
)

// Dir is a folder that lives as long as the test's process: programs are built
// there. [Main] makes it.
var Dir string

// Main runs a package's tests, as its TestMain.
func Main(m *testing.M) {
	dir, err := os.MkdirTemp("", "harrow-soak-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	Dir = dir
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// Path builds the program if need be.
func (b *Program) Path(t testing.TB) string {
	t.Helper()
	path := filepath.Join(Dir, b.Name)
	b.once.Do(func() {
		build := exec.Command("go", append(append([]string{"build", "-o", path}, b.Flags...), cmp.Or(b.Package, "./cmd/harrow"))...)
		build.Dir = Root(t)
		if out, err := build.CombinedOutput(); err != nil {
			b.err = fmt.Errorf("%s: %w\n%s", strings.Join(build.Args, " "), err, out)
		}
	})
	if b.err != nil {
		t.Fatal(b.err)
	}
	return path
}
