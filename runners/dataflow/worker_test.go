package dataflow

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
)

var programs struct {
	sync.Once
	dir string
	err error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if programs.dir != "" {
		if err := os.RemoveAll(programs.dir); err != nil {
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// program is a small static one: with a little of Beam in it, or other
// without.
func program(t testing.TB, name string) string {
	t.Helper()
	programs.Do(func() {
		if programs.dir, programs.err = os.MkdirTemp("", "harrow-dataflow-"); programs.err != nil {
			return
		}
		for name, source := range map[string]string{
			"worker": "package main\nimport _ \"github.com/apache/beam/sdks/v2/go/pkg/beam/core/util/ioutilx\"\nfunc main() {}\n",
			"other":  "package main\nfunc main() {}\n",
		} {
			file := filepath.Join(programs.dir, name)
			if programs.err = os.WriteFile(file+".go", []byte(source), 0o600); programs.err != nil {
				return
			}
			build := exec.Command("go", "build", "-o", file, file+".go")
			build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
			if out, err := build.CombinedOutput(); err != nil {
				t.Logf("%s", out)
				programs.err = err
				return
			}
		}
	})
	if programs.err != nil {
		t.Fatal(programs.err)
	}
	return filepath.Join(programs.dir, name)
}

func staticProgram(t testing.TB) string { return program(t, "worker") }

// edited is the static program with some of its bytes changed.
func edited(t *testing.T, name string, edit func([]byte) []byte) string {
	t.Helper()
	data, err := os.ReadFile(staticProgram(t))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, edit(data), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestWhyAProgramCantBeAWorkers(t *testing.T) {
	for _, c := range []struct{ file, want string }{
		{edited(t, "dynamic", interpreted), "linked dynamically"},
		{edited(t, "arm64", func(b []byte) []byte { return poke(b, 18, uint16(elf.EM_AARCH64)) }), "it is for EM_AARCH64, want linux/amd64"},
		{edited(t, "script", func([]byte) []byte { return []byte("#!/bin/sh\nexec harrow \"$@\"\n") }), "no program for linux"},
		{edited(t, "half", func(b []byte) []byte { return b[:40] }), ""},
		{edited(t, "empty", func([]byte) []byte { return nil }), ""},
		{program(t, "other"), "no Beam in it"},
		{filepath.Join(t.TempDir(), "none"), "no such file"},
	} {
		err := CheckWorker(c.file)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "--worker_binary="+c.file) || !strings.Contains(err.Error(), "make worker") {
			t.Errorf("%s: got %v, want %q in it, the flag, and what to do", filepath.Base(c.file), err, c.want)
		}
	}
	if err := CheckWorker(staticProgram(t)); err != nil {
		t.Error(err)
	}
}

func TestProgramsOfDifferentVersionsDontGoTogether(t *testing.T) {
	of := func(harrow, beam string) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Path: harrowModule, Version: harrow}, Deps: []*debug.Module{{Path: "example.com/other", Version: "v9"}, {Path: beamModule, Version: beam}}}
	}
	plugin := &debug.BuildInfo{Main: debug.Module{Path: "example.com/own"}, Deps: []*debug.Module{{Path: beamModule, Version: "v2"}, {Path: harrowModule, Version: "v1"}}}
	for _, c := range []struct {
		here, there *debug.BuildInfo
		want        string
	}{
		{of("v1", "v2"), of("v1", "v2"), ""},
		{of("v1", "v2"), plugin, ""},
		{plugin, of("v1", "v2"), ""},
		{of("v1", "v2"), of("v1", "v3"), "it has Beam v3 in it, this program v2"},
		{of("v1", "v2"), of("v2", "v2"), "it has Harrow v2 in it, this program v1"},
		{plugin, of("v3", "v2"), "it has Harrow v3 in it, this program v1"},
		{of("v1", "v2"), of("v1", ""), "no Beam in it"},
	} {
		if err := compare(c.here, c.there); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}

func poke(b []byte, at int, value uint16) []byte {
	b = bytes.Clone(b)
	binary.LittleEndian.PutUint16(b[at:], value)
	return b
}

// interpreted makes an interpreter of the notes' program header.
func interpreted(b []byte) []byte {
	headers := int(binary.LittleEndian.Uint64(b[32:]))
	for i := range int(binary.LittleEndian.Uint16(b[56:])) {
		at := headers + i*int(binary.LittleEndian.Uint16(b[54:]))
		if elf.ProgType(binary.LittleEndian.Uint32(b[at:])) == elf.PT_NOTE {
			return poke(b, at, uint16(elf.PT_INTERP))
		}
	}
	panic("no notes")
}
