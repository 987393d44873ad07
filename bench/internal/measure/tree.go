package measure

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Usage is what the processes of one kind took together.
type Usage struct {
	CPU       time.Duration // user and system
	Peak      int64         // resident bytes of all of them at once, at most
	Processes int           // so many there were, but for those that were over at once
}

// tree watches the processes that descend from this one, by reading /proc.
type tree struct {
	kind func(process Process) string
	seen map[int]*watched
	used map[string]*Usage
}

// Process is what a kind is told by.
type Process struct {
	Args []string
	Role string // of a child started by Run or Start
}

// watched is a process that was seen.
type watched struct {
	kind  string
	known bool          // it was seen twice
	cpu   time.Duration // when it was seen last
}

// lookEvery is how often /proc is read. What a process did after it was seen for
// the last time is not counted.
const lookEvery = 100 * time.Millisecond

// tick is the unit of CPU time in /proc: USER_HZ, 100 a second wherever Linux
// runs.
const tick = 10 * time.Millisecond

// Watch counts what descendants take until the returned function is called,
// which returns it by kind; it must be called. A kind "" is not counted. CPU of
// processes that were there before counts from now on.
func Watch(kind func(Process) string) (used func() (map[string]Usage, error)) {
	t := &tree{kind: kind, seen: map[int]*watched{}, used: map[string]*Usage{}}
	err := t.look(true)
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		for err == nil {
			select {
			case <-stop:
				err = t.look(false)
				return
			case <-tick.C:
				err = t.look(false)
			}
		}
	}()
	return func() (map[string]Usage, error) {
		close(stop)
		<-ended
		all := map[string]Usage{}
		for kind, u := range t.used {
			all[kind] = *u
		}
		return all, err
	}
}

// look reads the process table once.
func (t *tree) look(first bool) error {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(stats) == 0 {
		return fmt.Errorf("/proc: no processes to be seen: %w", os.ErrNotExist)
	}
	table := map[int]stat{}
	for _, name := range stats {
		if s, ok := readStat(name); ok {
			table[s.pid] = s
		}
	}
	resident := map[string]int64{}
	for pid, s := range table {
		if !descends(table, pid, os.Getpid()) {
			continue
		}
		w, ok := t.seen[pid]
		if !ok {
			w = &watched{kind: t.kind(processOf(pid))}
			t.seen[pid] = w
			if first {
				w.cpu = s.cpu
			}
		} else if !w.known { // now it has become what it was started for
			w.kind, w.known = t.kind(processOf(pid)), true
			if w.kind != "" {
				t.of(w.kind).Processes++
			}
		}
		if w.kind == "" {
			continue
		}
		t.of(w.kind).CPU += max(0, s.cpu-w.cpu)
		w.cpu = s.cpu
		resident[w.kind] += s.resident
	}
	for kind, bytes := range resident {
		t.of(kind).Peak = max(t.of(kind).Peak, bytes)
	}
	return nil
}

func (t *tree) of(kind string) *Usage {
	if t.used[kind] == nil {
		t.used[kind] = &Usage{}
	}
	return t.used[kind]
}

// stat is a line of /proc/PID/stat.
type stat struct {
	pid, parent int
	cpu         time.Duration
	resident    int64
}

func readStat(name string) (s stat, ok bool) {
	data, err := os.ReadFile(name)
	if err != nil {
		return s, false // it is gone
	}
	open, end := bytes.IndexByte(data, '('), bytes.LastIndexByte(data, ')') // around the name, which may hold anything
	if open < 0 || end < 0 {
		return s, false
	}
	fields := strings.Fields(string(data[end+1:])) // from the third on, see proc(5)
	if len(fields) < 22 {
		return s, false
	}
	number := func(text string) int64 {
		n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
		ok = ok && err == nil
		return n
	}
	ok = true
	s.pid, s.parent = int(number(string(data[:open]))), int(number(fields[1]))
	s.cpu = time.Duration(number(fields[11])+number(fields[12])) * tick
	s.resident = number(fields[21]) * int64(os.Getpagesize())
	return s, ok
}

// Taken is the CPU that a process has taken so far; false: there is none, or no
// /proc.
func Taken(pid int) (time.Duration, bool) {
	s, ok := readStat(fmt.Sprintf("/proc/%d/stat", pid))
	return s.cpu, ok
}

func descends(table map[int]stat, pid, from int) bool {
	for range len(table) { // a table that is read while it changes may have a circle
		s, ok := table[pid]
		if !ok || pid == from {
			return false
		}
		if s.parent == from {
			return true
		}
		pid = s.parent
	}
	return false
}

func processOf(pid int) (p Process) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	if data, err := os.ReadFile(filepath.Join(dir, "cmdline")); err == nil {
		p.Args = strings.Split(strings.TrimRight(string(data), "\x00"), "\x00")
	}
	data, err := os.ReadFile(filepath.Join(dir, "environ"))
	if err != nil {
		return p
	}
	for _, entry := range strings.Split(string(data), "\x00") {
		if role, ok := strings.CutPrefix(entry, roleEnv+"="); ok {
			p.Role = role
		}
	}
	return p
}
