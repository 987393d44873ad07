package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Report appends what a test came to to the table of results, if one is
// wanted.
func Report(t testing.TB, seed uint64, counts string, args ...any) {
	t.Helper()
	file := os.Getenv("HARROW_SOAK_TABLE")
	if !Long() || file == "" {
		return
	}
	result := "passed"
	if t.Failed() {
		result = "failed"
	}
	if !filepath.IsAbs(file) {
		file = filepath.Join(Root(t), file) // make is started at the top
	}
	if err := appendRow(context.WithoutCancel(t.Context()), file, t.Name(), seed, fmt.Sprintf(counts, args...), result); err != nil {
		t.Errorf("HARROW_SOAK_TABLE: %v", err)
	}
}

const tableHead = "| test | seed | counts | result | commit |\n|---|---|---|---|---|\n"

func appendRow(ctx context.Context, file, test string, seed uint64, counts, result string) (err error) {
	commit, err := exec.CommandContext(ctx, "git", "rev-parse", "--short", "HEAD").Output()
	if err != nil {
		return fmt.Errorf("git rev-parse: %w", err)
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o666)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	row := fmt.Sprintf("| %s | %d | %s | %s | %s |\n", test, seed, counts, result, strings.TrimSpace(string(commit)))
	if info.Size() == 0 {
		row = tableHead + row
	}
	_, err = f.WriteString(row)
	return err
}
