//go:build !linux

package flink

import (
	"os/exec"
	"strconv"
	"strings"
)

// bind makes a child die with this process where the system offers that. Here
// only a process that ends by itself ends its children.
func bind(*exec.Cmd) {}

// birth tells two processes apart that had the same id, one after the other.
// Empty: there is none, or it has ended and nobody has waited for it.
func birth(pid int) string {
	out, err := exec.Command("ps", "-o", "stat=,lstart=", "-p", strconv.Itoa(pid)).Output()
	state, started, ok := strings.Cut(strings.TrimSpace(string(out)), " ")
	if err != nil || !ok || strings.HasPrefix(state, "Z") {
		return ""
	}
	return strings.TrimSpace(started)
}
