package parquetio

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/soak/fault"
)

func withType(rt harrow.RecordType, column, text string) harrow.RecordType {
	t, err := harrow.ParseType(text)
	if err != nil {
		panic(err)
	}
	rt.Columns = append([]harrow.Column{}, rt.Columns...)
	for i, c := range rt.Columns {
		if c.Name == column {
			rt.Columns[i].Type = t
		}
	}
	return rt
}

func TestCheckComparesWithTheNewestFile(t *testing.T) {
	dir := t.TempDir()
	s := newSink(t, dir, "text", "_run")
	old := all
	old.Columns = append([]harrow.Column{}, all.Columns...)
	for i, run := range []string{run1, run2} {
		rt := withType(old, "stock", []string{"text", "int"}[i]) // changed on the way
		shard := shardOf(t, rt, run, make([]any, len(rt.Columns)), append([]any{"z"}, make([]any, len(rt.Columns)-1)...))
		shard.Key = nil
		if i == 1 { // the newest is not the last by name
			shard.Batches = batches(t, rt, run, 1, [][]any{make([]any, len(rt.Columns))})
		}
		n, err := s.Load(t.Context(), shard)
		check(t, err)
		check(t, publish(t.Context(), s, run, map[string]harrow.Counts{"all": n}))
	}
	check(t, s.Check(t.Context(), []harrow.RecordType{all, book2()}))
	more := all
	more.Columns = append(more.Columns[1:len(more.Columns):len(more.Columns)], harrow.Column{Name: "added", Type: harrow.Type{Kind: harrow.Text}}, all.Columns[0])
	check(t, s.Check(t.Context(), []harrow.RecordType{more}))
	for _, c := range []struct{ column, to, want string }{
		{"stock", "text", "column stock is stored as int, the job's type is text"},
		{"price", "decimal(18,3)", "column price is stored as decimal(18,2), the job's type is decimal(18,3)"},
		{"large", "float", "column large is stored as decimal(38,9), the job's type is float"},
		{"day", "timestamp", "column day is stored as date, the job's type is timestamp"},
		{"listed", "date", "column listed is stored as timestamp, the job's type is date"},
		{"texts", "text", "column texts is stored as list, the job's type is text"},
		{"prices", "list(decimal(18,3))", "column prices is stored as list(decimal(18,2)), the job's type is list(decimal(18,3))"},
		{"new", "int", "column new is stored as bool, the job's type is int"},
	} {
		if err := s.Check(t.Context(), []harrow.RecordType{withType(all, c.column, c.to)}); err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), run2) {
			t.Errorf("%s: %v, want %q in it", c.column, err, c.want)
		}
	}
	for _, by := range [][]string{{"_run"}, {"text"}, {"_run", "text"}, {"day", "_run"}} {
		err := newSink(t, dir, by...).Check(t.Context(), []harrow.RecordType{all})
		if wrong := (*harrow.ConfigError)(nil); !errors.As(err, &wrong) || wrong.Key != "partition_by" || !strings.Contains(err.Error(), "is stored in folders by [text, run]") {
			t.Errorf("%v: %v", by, err)
		}
	}
	check(t, os.RemoveAll(filepath.Join(dir, "all", "text="+nullFolder, "run="+run2))) // somebody dropped the run
	if err := s.Check(t.Context(), []harrow.RecordType{all}); err == nil || !strings.Contains(err.Error(), "column stock is stored as text") {
		t.Errorf("the run before: %v", err)
	}
	check(t, os.RemoveAll(filepath.Join(dir, hidden))) // files of another program
	if err := s.Check(t.Context(), []harrow.RecordType{all}); err == nil || !strings.Contains(err.Error(), "column stock is stored as text") {
		t.Errorf("without an index: %v", err)
	}
	check(t, os.WriteFile(filepath.Join(dir, "all", "text=z", "run="+run1, "zz.parquet"), []byte("PAR1 not quite PAR1"), 0o666))
	if err := s.Check(t.Context(), []harrow.RecordType{all}); err == nil || !strings.Contains(err.Error(), "zz.parquet") {
		t.Errorf("a damaged file: %v", err)
	}
}

func book2() harrow.RecordType {
	rt := book
	rt.Name, rt.Columns = "other", append([]harrow.Column{{Name: "text", Type: harrow.Type{Kind: harrow.Text}}}, rt.Columns...)
	return rt
}

func TestCheckNamesTheColumnsThatCannotBeFolders(t *testing.T) {
	for _, c := range []struct {
		by   []string
		rt   harrow.RecordType
		key  string
		want string
	}{
		{[]string{"_run", "colour"}, book, "partition_by[1]", "record book has no column colour; expected one of upc, stock, or _run"},
		{[]string{"texts"}, all, "partition_by[0]", "column texts of record all is a list"},
		{[]string{"_run"}, harrow.RecordType{Name: "r", Columns: []harrow.Column{{Name: "Run", Type: harrow.Type{Kind: harrow.Int}}}}, "partition_by[0]", "record r has a column Run, and folders by _run are named run"},
	} {
		s := newSink(t, filepath.Join(t.TempDir(), "none"), c.by...)
		err := s.Check(t.Context(), []harrow.RecordType{c.rt})
		if wrong := (*harrow.ConfigError)(nil); !errors.As(err, &wrong) || wrong.Key != c.key || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q in it", c.by, err, c.want)
		}
	}
	s := newSink(t, t.TempDir())
	for _, rt := range []harrow.RecordType{{Columns: book.Columns}, {Name: strings.Repeat("x", 300)}, {Name: "r", Columns: []harrow.Column{{Name: ""}}},
		{Name: "r", Columns: []harrow.Column{{Name: "a\xff"}}}, {Name: "r", Columns: []harrow.Column{{Name: "a"}, {Name: "A"}}}, {Name: "r", Columns: []harrow.Column{{Name: "_ID"}}}} {
		if err := s.Check(t.Context(), []harrow.RecordType{rt}); err == nil {
			t.Errorf("%+v is fine", rt)
		}
	}
}

func TestCheckMakesNothingAndSaysWhatIsInTheWay(t *testing.T) {
	dir := t.TempDir()
	check(t, newSink(t, filepath.Join(dir, "new", "deep")).Check(t.Context(), []harrow.RecordType{book}))
	same(t, "files", everything(t, dir), nil)
	file := filepath.Join(dir, "file")
	check(t, os.WriteFile(file, nil, 0o666))
	for _, path := range []string{file, filepath.Join(file, "below")} {
		if err := newSink(t, path).Check(t.Context(), []harrow.RecordType{book}); err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := newSink(t, "s3://bucket/x").Check(t.Context(), []harrow.RecordType{book}); err == nil || !strings.Contains(err.Error(), "scheme s3 is not supported") {
		t.Error(err)
	}
	disk, err := fault.New(filepath.Join(dir, "disk"))
	check(t, err)
	s := newSink(t, disk.URI())
	check(t, s.Check(t.Context(), []harrow.RecordType{book}))
	same(t, "files", everything(t, filepath.Join(dir, "disk")), nil)
	disk.FailFrom(1, false)
	if err := s.Check(t.Context(), []harrow.RecordType{book}); !errors.Is(err, fault.ErrDisk) {
		t.Error(err)
	}
}
