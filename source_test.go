package harrow_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// maxLines is the length at which a file has two purposes. Most keep under 400.
const maxLines = 600

func TestNoFileIsTooLongToRead(t *testing.T) {
	for _, f := range goFiles(t, product) {
		if n := f.set.File(f.ast.Pos()).LineCount(); n > maxLines {
			t.Errorf("%s has %d lines; want at most %d", f.path, n, maxLines)
		}
	}
}

func TestEveryExportedNameHasADocComment(t *testing.T) {
	packages := map[string]bool{} // by folder, whether a package comment was seen
	for _, f := range goFiles(t, product) {
		packages[f.folder] = packages[f.folder] || documented(f.ast.Doc)
		for _, name := range undocumented(f.ast) {
			t.Errorf("%s:%d: exported %s has no doc comment", f.path, f.set.Position(name.at).Line, name.text)
		}
	}
	for folder, ok := range packages {
		if !ok {
			t.Errorf("%s: no file has a package comment", folder)
		}
	}
}

func TestUndocumentedNamesAreFound(t *testing.T) {
	const source = `package p
const A = 1
// B is documented.
const B = 2
// Several.
const ( C = 1; D = 2 )
const (
	E = 1 // E is documented.
	F = 2
)
var ( g, H int )
type I struct{ J int }
// K is documented.
type K interface { L(); m() }
// R is documented.
type R interface { K; S() }
func N() {}
func (k *K) O() {}
func (k q[T]) P() {}
type q[T any] struct{}
func r() {}
`
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, "p.go", source, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, name := range undocumented(file) {
		got = append(got, name.text)
	}
	if want := []string{"A", "F", "H", "I", "K.L", "N", "K.O"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// named is an exported name and where it is declared.
type named struct {
	text string
	at   token.Pos
}

// undocumented lists a file's exported names without a comment: functions,
// types, constants, variables, methods of exported types and of exported
// interfaces. A group's comment stands for its constants and variables; so
// does one at the end of the line.
func undocumented(file *ast.File) (found []named) {
	miss := func(id *ast.Ident, text string, docs ...*ast.CommentGroup) {
		if id.IsExported() && !slices.ContainsFunc(docs, documented) {
			found = append(found, named{text, id.Pos()})
		}
	}
	for _, decl := range file.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			receiver := receiverOf(d)
			if receiver == "" {
				miss(d.Name, d.Name.Name, d.Doc)
			} else if ast.IsExported(receiver) {
				miss(d.Name, receiver+"."+d.Name.Name, d.Doc)
			}
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.ValueSpec:
					for _, id := range s.Names {
						miss(id, id.Name, d.Doc, s.Doc, s.Comment)
					}
				case *ast.TypeSpec:
					miss(s.Name, s.Name.Name, d.Doc, s.Doc, s.Comment)
					for _, m := range methods(s) {
						for _, id := range m.Names {
							miss(id, s.Name.Name+"."+id.Name, m.Doc, m.Comment)
						}
					}
				}
			}
		}
	}
	return found
}

// methods lists what an exported interface has of its own. Where that is one
// method, as in io.Reader, the type's comment stands for it.
func methods(s *ast.TypeSpec) (own []*ast.Field) {
	face, ok := s.Type.(*ast.InterfaceType)
	if !ok || !s.Name.IsExported() {
		return nil
	}
	for _, m := range face.Methods.List {
		if len(m.Names) > 0 {
			own = append(own, m)
		}
	}
	if len(own) == 1 {
		return nil
	}
	return own
}

// documented reports whether a comment says something: directives don't.
func documented(c *ast.CommentGroup) bool { return c != nil && strings.TrimSpace(c.Text()) != "" }

// receiverOf is the name of a method's type, empty for a function.
func receiverOf(d *ast.FuncDecl) string {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return ""
	}
	t := d.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.Name
		default:
			return "?"
		}
	}
}

// goFile is one parsed Go file of the module.
type goFile struct {
	path   string // with slashes, relative to the module
	folder string // "." for the root
	set    *token.FileSet
	ast    *ast.File
}

// Which files to look at.
func product(f goFile) bool { return !strings.HasSuffix(f.path, "_test.go") }
func all(goFile) bool       { return true }

var source = sync.OnceValues(parseModule)

// goFiles returns the module's own files for which want is true.
func goFiles(t *testing.T, want func(goFile) bool) (files []goFile) {
	t.Helper()
	parsed, err := source()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range parsed {
		if want(f) {
			files = append(files, f)
		}
	}
	if len(files) == 0 {
		t.Fatal("no Go files: is this run in the module's root?")
	}
	return files
}

// parseModule parses every Go file below the module's root but those of
// modules within it and in folders that Go leaves out (., _).
func parseModule() (files []goFile, err error) {
	set := token.NewFileSet()
	err = filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		p = filepath.ToSlash(p)
		if d.IsDir() {
			if p == "." {
				return nil
			}
			_, err := os.Stat(filepath.Join(p, "go.mod"))
			if err == nil || strings.HasPrefix(d.Name(), ".") || strings.HasPrefix(d.Name(), "_") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") || strings.HasPrefix(d.Name(), ".") {
			return nil
		}
		parsed, err := parser.ParseFile(set, p, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return fmt.Errorf("parse: %w", err)
		}
		files = append(files, goFile{p, path.Dir(p), set, parsed})
		return nil
	})
	return files, err
}
