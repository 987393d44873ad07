//go:build !linux

package workerpool

import (
	"os"
	"os/exec"
	"syscall"
)

// program is the executable of the workers: the one that was started, unless
// another is named.
func program(path string) *exec.Cmd {
	if path == "" {
		path, _ = os.Executable() // it was found when its build was named
	}
	return exec.Command(path)
}

// withPool puts a worker into a process group of its own. Where there is no
// signal that tells of a parent's death, a worker whose pool was killed ends
// with its control connection.
func withPool() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
