package soak

import (
	"os/exec"
	"testing"

	"github.com/harrowdata/harrow/soak/rig"
)

func TestMain(m *testing.M) { rig.Main(m) }

// start runs the command with arguments.
func start(t *testing.T, args ...string) *rig.Process {
	t.Helper()
	return rig.Launch(t, exec.Command(rig.Harrow.Path(t), args...))
}
