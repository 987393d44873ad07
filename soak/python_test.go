package soak

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/harrowdata/harrow/soak/rig"
)

// python runs a script of testdata and decodes the JSON it prints. Where there
// is no Python with what the scripts need, the test ends.
func python(t *testing.T, result any, script string, args ...string) {
	t.Helper()
	interpreter := os.Getenv("HARROW_PYTHON")
	if interpreter == "" {
		interpreter = filepath.Join("..", ".build", "venv", "bin", "python")
	}
	if out, err := exec.CommandContext(t.Context(), interpreter, "-c", "import lxml, polars, pyarrow").CombinedOutput(); err != nil {
		rig.Missing(t, "no Python with lxml, Polars and pyarrow at %s (HARROW_PYTHON): %v %s", interpreter, err, out)
	}
	cmd := exec.CommandContext(t.Context(), interpreter, append([]string{filepath.Join("testdata", script)}, args...)...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, stderr.String())
	}
	if err := json.Unmarshal(out, result); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
}
