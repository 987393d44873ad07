package xpath

import (
	"fmt"
	"hash/fnv"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/harrowdata/harrow/internal/dom"
	"github.com/harrowdata/harrow/internal/html5"
	"github.com/harrowdata/harrow/internal/xmltree"
)

// TestResultsAreThoseOfTheNodeWalker compares with testdata/results.txt, which
// an evaluator has made that went from node to node of golang.org/x/net/html's
// trees and shared nothing with this one but the parser of expressions. Each
// line: page, context node, expression, result. Nodes are numbers in document
// order, attributes node@place; a long result is its size and a hash.
func TestResultsAreThoseOfTheNodeWalker(t *testing.T) {
	text, err := os.ReadFile("testdata/results.txt")
	if err != nil {
		t.Fatal(err)
	}
	trees := map[string]*dom.Tree{}
	lines := 0
	for line := range strings.Lines(string(text)) {
		part := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		file, expr, want := part[0], part[2], part[3]
		doc := trees[file]
		if doc == nil {
			doc = &dom.Tree{}
			parseFile(t, doc, "testdata/"+file)
			trees[file] = doc
		}
		at, _ := strconv.Atoi(part[1])
		lines++
		e, err := Compile(expr)
		if err != nil {
			t.Fatal(err)
		}
		v, err := e.Evaluate(doc, dom.ID(at), &Budget{1e7})
		if got := numbered(doc, v); err != nil || got != want {
			t.Errorf("%s at %d: %s: %s, %v; want %s", file, at, expr, got, err, want)
		}
	}
	if lines < 3000 {
		t.Errorf("only %d results", lines)
	}
}

func parseFile(t *testing.T, doc *dom.Tree, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(file, ".xml") {
		err = xmltree.Parse(doc, text, 0)
	} else {
		err = new(html5.Parser).Parse(doc, text)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// numbered is a result as results.txt has it.
func numbered(doc *dom.Tree, v any) string {
	s := fmt.Sprint(v)
	switch v := v.(type) {
	case []Node:
		parts := make([]string, len(v))
		for i, n := range v {
			parts[i] = strconv.Itoa(int(n.ID))
			if n.attr > 0 {
				parts[i] += "@" + strconv.Itoa(int(n.attr-1)-int(doc.Nodes[n.ID].A))
			}
		}
		if s = strings.Join(parts, " "); len(s) > 40 {
			s = fmt.Sprintf("%d nodes #%x", len(v), sum32(s))
		}
	case string:
		s = strconv.Quote(v)
	}
	if len(s) > 60 {
		s = fmt.Sprintf("%d bytes #%x", len(s), sum32(s))
	}
	return s
}

func sum32(s string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(s))
	return h.Sum32()
}
