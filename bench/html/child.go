package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"

	"github.com/harrowdata/harrow/bench/internal/measure"
	"github.com/harrowdata/harrow/internal/html5/pages"
)

// roles of children: one for each side that is written in Go.
var roles = measure.Roles{
	ours:    measure.Role(func(_ context.Context, g []group) (any, error) { return nil, serve(g, newHarrow) }),
	goquery: measure.Role(func(_ context.Context, g []group) (any, error) { return nil, serve(g, newGoquery) }),
}

// question is a line that a child gets.
type question struct {
	Do     string  `json:"do"` // values, measure, memory or hostile
	Group  int     `json:"group"`
	Fields bool    `json:"fields"` // measure: not the tree alone
	CPU    float64 `json:"cpu"`    // measure: for so many seconds at least
	Keep   int     `json:"keep"`   // memory: trees of about so many bytes of pages
	File   string  `json:"file"`   // hostile
}

// answer is the line that it answers with; what is 0 was not asked for or can't
// be had.
type answer struct {
	Values   [][]string `json:"values,omitempty"` // by page
	CPU      float64    `json:"cpu"`              // microseconds a page
	Allocs   float64    `json:"allocs"`           // a page
	Memory   float64    `json:"memory"`           // bytes of a tree that is kept, by byte of its page
	Elements int        `json:"elements"`
	Refused  string     `json:"refused,omitempty"`
}

// parser is one way to read pages, used for one after the other.
type parser interface {
	// tree parses a page; what it returns keeps the tree alive.
	tree(page []byte) (any, error)
	// values are those of the fields that the parser was made for.
	values(page []byte) ([]string, error)
	// elements of a tree.
	elements(tree any) int
}

// most is how much address space a child may take: a page that needs more kills
// its parser.
const most = 8 << 30

// serve answers questions until there are none.
func serve(groups []group, newParser func([]pages.Field) (parser, error)) error {
	if err := syscall.Setrlimit(syscall.RLIMIT_AS, &syscall.Rlimit{Cur: most, Max: most}); err != nil {
		return fmt.Errorf("setrlimit: %w", err)
	}
	c := child{fresh: func() (parser, error) { return newParser(nil) }}
	for _, g := range groups {
		own := loaded{}
		for _, name := range g.Files {
			page, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			own.pages = append(own.pages, page)
		}
		var err error
		if own.parser, err = newParser(g.Fields); err != nil {
			return err
		}
		c.groups = append(c.groups, own)
	}
	in, out := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	for in.Scan() {
		var q question
		if err := json.Unmarshal(in.Bytes(), &q); err != nil {
			return err
		}
		a, err := c.answer(q)
		if err != nil {
			return fmt.Errorf("%s: %w", q.Do, err)
		}
		if err := out.Encode(a); err != nil {
			return err
		}
	}
	return in.Err()
}

type loaded struct {
	pages  [][]byte
	parser parser
}

type child struct {
	groups []loaded
	fresh  func() (parser, error) // one without memory of earlier pages
}

func (c *child) answer(q question) (answer, error) {
	switch q.Do {
	case "values":
		return c.groups[q.Group].values()
	case "measure":
		return c.groups[q.Group].measure(q.Fields, time.Duration(q.CPU*float64(time.Second)))
	case "memory":
		return c.memory(c.groups[q.Group].pages, q.Keep)
	case "hostile":
		page, err := os.ReadFile(q.File)
		if err != nil {
			return answer{}, err
		}
		return c.hostile(page)
	}
	return answer{}, fmt.Errorf("unknown question %q", q.Do)
}

func (l *loaded) values() (a answer, err error) {
	for _, page := range l.pages {
		values, err := l.parser.values(page)
		if err != nil {
			return a, err
		}
		a.Values = append(a.Values, values)
	}
	return a, nil
}

// measure reads the pages again and again. CPU is the process's, so what the
// garbage collector does beside it is in it.
func (l *loaded) measure(fields bool, least time.Duration) (a answer, err error) {
	read := func(page []byte) (err error) {
		if fields {
			_, err = l.parser.values(page)
		} else {
			_, err = l.parser.tree(page)
		}
		return err
	}
	for _, page := range l.pages { // so that all there is to be made once is there
		if err := read(page); err != nil {
			return a, err
		}
	}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began, err := measure.Own()
	if err != nil {
		return a, err
	}
	n, cpu := 0, time.Duration(0)
	for cpu < least || n == 0 {
		for range max(1, 1_000_000/total(l.pages)) { // not so often that asking for the time counts
			for _, page := range l.pages {
				if err := read(page); err != nil {
					return a, err
				}
				n++
			}
		}
		own, err := measure.Own()
		if err != nil {
			return a, err
		}
		cpu = own.CPU - began.CPU
	}
	runtime.ReadMemStats(&after)
	return answer{CPU: float64(cpu.Nanoseconds()) / 1000 / float64(n), Allocs: float64(after.Mallocs-before.Mallocs) / float64(n)}, nil
}

func total(pages [][]byte) (n int) {
	for _, page := range pages {
		n += len(page)
	}
	return max(n, 1)
}

// memory parses about keep bytes of pages, with a parser each, and looks at what
// is alive then.
func (c *child) memory(all [][]byte, keep int) (a answer, err error) {
	var before, after runtime.MemStats
	rounds := max(1, keep/total(all))
	trees := make([]any, 0, rounds*len(all))
	runtime.GC()
	runtime.ReadMemStats(&before)
	for range rounds {
		for _, page := range all {
			p, err := c.fresh()
			if err != nil {
				return a, err
			}
			t, err := p.tree(page)
			if err != nil {
				return a, err
			}
			trees = append(trees, t)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	a.Memory = float64(after.HeapAlloc-before.HeapAlloc) / float64(rounds*total(all))
	runtime.KeepAlive(trees)
	return a, nil
}

// hostile parses one page, up to three times where that is quick, and says what
// the quickest time took.
func (c *child) hostile(page []byte) (a answer, err error) {
	p, err := c.fresh()
	if err != nil {
		return a, err
	}
	spent := time.Duration(0)
	for i := 0; i < 3 && spent < time.Second; i++ {
		runtime.GC()
		began, err := measure.Own()
		if err != nil {
			return a, err
		}
		t, refused := p.tree(page)
		end, err := measure.Own()
		if err != nil {
			return a, err
		}
		took := end.CPU - began.CPU
		spent += took
		if us := float64(took.Nanoseconds()) / 1000; i == 0 || us < a.CPU {
			a.CPU = us
		}
		if refused != nil {
			a.Refused = refused.Error()
			return a, nil
		}
		a.Elements = p.elements(t)
	}
	return a, nil
}
