package workerpool

import (
	"bytes"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// maxLine bounds a line of a worker's; what is longer is cut.
const maxLine = 8 << 10

// logger writes whole lines, one at a time.
type logger struct {
	mu sync.Mutex
	w  io.Writer
}

func newLogger(w io.Writer) *logger {
	if w == nil {
		w = io.Discard
	}
	return &logger{w: w}
}

func (l *logger) line(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintln(l.w, "harrow: "+fmt.Sprintf(format, args...)) // a log that can't be written is nobody's fault
}

// of is where a worker writes to, with its id before each line.
func (l *logger) of(id string, cmd *exec.Cmd) *lines {
	return &lines{log: l, id: printable(id), cmd: cmd}
}

// lines cuts what a process writes into lines. It belongs to the goroutine that
// reads the process's output.
type lines struct {
	log  *logger
	id   string
	cmd  *exec.Cmd
	line []byte
	cut  int // bytes of the line that were left out
}

// Write implements io.Writer.
func (o *lines) Write(data []byte) (int, error) {
	n := len(data)
	for {
		text, rest, ended := bytes.Cut(data, []byte{'\n'})
		room := min(maxLine-len(o.line), len(text))
		o.line = append(o.line, text[:room]...)
		o.cut += len(text) - room
		if !ended {
			return n, nil
		}
		o.write()
		data = rest
	}
}

// flush writes a last line that has no end.
func (o *lines) flush() {
	if len(o.line) > 0 {
		o.write()
	}
}

func (o *lines) write() {
	text := printable(strings.TrimSuffix(string(o.line), "\r"))
	if o.cut > 0 {
		text += fmt.Sprintf(" … and %d bytes more", o.cut)
	}
	o.line, o.cut = o.line[:0], 0
	if text != "" {
		o.log.line("[%s %d] %s", o.id, o.cmd.Process.Pid, text)
	}
}

// printable makes of bytes from outside what a terminal and a log can bear.
func printable(text string) string {
	bad := func(r rune) bool { return r == utf8.RuneError || r != '\t' && !unicode.IsPrint(r) }
	if !strings.ContainsFunc(text, bad) {
		return text
	}
	return strings.Trim(strconv.Quote(text), `"`)
}
