package workerpool

import (
	"os/exec"
	"syscall"
)

// program is the executable of the workers: the one that runs, even where its
// file has been replaced since, unless another is named.
func program(path string) *exec.Cmd {
	if path != "" {
		return exec.Command(path)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Args[0] = "harrow"
	return cmd
}

// withPool puts a worker into a process group of its own, out of reach of a
// terminal's Ctrl-C, and ends it with its pool: as if it were told to end, so
// that it lets go of what it fetches.
func withPool() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
