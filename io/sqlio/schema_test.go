package sqlio

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/harrowdata/harrow"
)

func TestAKeyIsMadeAnew(t *testing.T) {
	s := newSink(t, t.TempDir())
	rows := []row{bookRow("1", int64(1), day, "r1"), bookRow("2", int64(1), day, "r1")}
	load(t, s, bookShard(t, "r1", rows...), harrow.Counts{Added: 2})
	shard := bookShard(t, "r2", rows...)
	shard.Key = []string{"upc", "stock"}
	load(t, s, shard, harrow.Counts{Unchanged: 2})
	shard = bookShard(t, "r3", rows...)
	shard.Key = []string{"stock"}
	if _, err := s.Load(t.Context(), shard); err == nil || !strings.Contains(err.Error(), "key is (stock), but several stored rows have the same") {
		t.Error(err)
	}
	for _, key := range [][]string{{"none"}, {"upc", "upc"}} {
		shard.Key = key
		if _, err := s.Load(t.Context(), shard); err == nil || !strings.Contains(err.Error(), "the key names") {
			t.Error(err)
		}
	}
	shard.Key, shard.Latest = []string{"upc"}, "none"
	if _, err := s.Load(t.Context(), shard); err == nil || !strings.Contains(err.Error(), `latest names "none"`) {
		t.Error(err)
	}
}

func TestColumnsAreAddedAndOthersLeftAlone(t *testing.T) {
	s := newSink(t, t.TempDir())
	load(t, s, bookShard(t, "r1", bookRow("1", int64(1), day, "r1")), harrow.Counts{Added: 1})
	wider := harrow.RecordType{Name: "BOOK", Columns: []harrow.Column{book.Columns[0], {Name: "author", Type: harrow.Type{Kind: harrow.Text}}}}
	if err := s.Check(t.Context(), []harrow.RecordType{wider}); err != nil {
		t.Error(err)
	}
	wantRows(t, s, "SELECT count(*) FROM pragma_table_info('book') WHERE name = 'author'", "0")
	shard := harrow.Shard{Run: "r2", Record: wider, Key: []string{"upc"}, Input: "d", Shards: 1, Batches: batches(t, wider, []row{{[]any{"1", "A. Author"}, day, "r2"}})}
	load(t, s, shard, harrow.Counts{Changed: 1})
	wantRows(t, s, "SELECT upc, stock, author, _run FROM book", "1|1|A. Author|r2")
}

func TestCheckNamesWhatDiffers(t *testing.T) {
	dir := t.TempDir()
	s := newSink(t, dir)
	if err := s.Check(t.Context(), []harrow.RecordType{book}); err != nil {
		t.Error(err)
	}
	if found, _ := os.ReadDir(dir); len(found) != 0 {
		t.Errorf("Check made %v", found)
	}
	load(t, s, bookShard(t, "r1"), harrow.Counts{})
	column := func(name string, k harrow.Kind) harrow.Column {
		return harrow.Column{Name: name, Type: harrow.Type{Kind: k, Precision: 10, Scale: 2}}
	}
	for _, c := range []struct {
		rt   harrow.RecordType
		want string
	}{
		{harrow.RecordType{Name: "book", Columns: []harrow.Column{column("price", harrow.Decimal)}}, "table book: column price is stored as DECIMAL_TEXT(18,2), the job's type is decimal(10,2) (DECIMAL_TEXT(10,2))"},
		{harrow.RecordType{Name: "Book", Columns: []harrow.Column{column("day", harrow.Text)}}, "column day is stored as DATE_TEXT, the job's type is text (TEXT)"},
		{harrow.RecordType{Name: "_harrow_marks"}, "reserved"},
		{harrow.RecordType{Name: "sqlite_x"}, "reserved"},
		{harrow.RecordType{Name: "x", Columns: []harrow.Column{column("_Harrow_y", harrow.Text)}}, "reserved"},
		{harrow.RecordType{Name: "x", Columns: []harrow.Column{column("a\x00", harrow.Text)}}, "NUL"},
		{harrow.RecordType{Name: ""}, "without a name"},
		{harrow.RecordType{Name: "x", Columns: []harrow.Column{column("a", harrow.Text), column("A", harrow.Int)}}, `"a" and "A" would be one column`},
		{harrow.RecordType{Name: "_harrow_key_book"}, "has a index of this name"},
	} {
		err := s.Check(t.Context(), []harrow.RecordType{c.rt})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: error %v, want %q in it", c.rt, err, c.want)
		}
		shard := harrow.Shard{Run: "r", Record: c.rt, Input: "d", Batches: batches(t, c.rt, nil)}
		if _, err := s.Load(t.Context(), shard); err == nil {
			t.Errorf("%v was loaded", c.rt)
		}
	}
	if err := s.Check(t.Context(), []harrow.RecordType{{Name: "a"}, {Name: "A"}}); err == nil || !strings.Contains(err.Error(), `"a" and "A" would be one table`) {
		t.Error(err)
	}
}

func TestAnyNameIsQuoted(t *testing.T) {
	s := newSink(t, t.TempDir())
	names := []string{"select", `a"b`, "ключ", "rowid", "x]y`z'", "a b; DROP TABLE book", "?1", "  "}
	for _, table := range names {
		rt := harrow.RecordType{Name: table}
		var r row
		for i, n := range names {
			rt.Columns = append(rt.Columns, harrow.Column{Name: n, Type: harrow.Type{Kind: harrow.Text}})
			r.values = append(r.values, fmt.Sprint("v", i))
		}
		r.at = day
		if err := s.Check(t.Context(), []harrow.RecordType{rt}); err != nil {
			t.Error(err)
		}
		shard := harrow.Shard{Run: "r1", Record: rt, Key: names[:3], Input: "d", Shards: 1, Batches: batches(t, rt, []row{r})}
		load(t, s, shard, harrow.Counts{Added: 1})
		r.values[4] = "other"
		shard.Run, shard.Batches = "r2", batches(t, rt, []row{r})
		load(t, s, shard, harrow.Counts{Changed: 1})
		wantRows(t, s, "SELECT "+quoteAll(names[:5])+" FROM "+quote(table), "v0|v1|v2|v3|other")
	}
}

func TestWhereTheFileIs(t *testing.T) {
	dir := t.TempDir()
	env := harrow.SinkEnv{Job: "shop", Workspace: dir}
	for config, want := range map[string]string{
		``: dir + "/shop/shop.db", `null`: dir + "/shop/shop.db", `{}`: dir + "/shop/shop.db",
		`{"path":"x/y ?#%41.db"}`: dir + "/shop/x/y ?#%41.db", `{"path":"` + dir + `/z.db"}`: dir + "/z.db",
	} {
		s, err := New(json.RawMessage(config), env)
		if err != nil {
			t.Errorf("%s: %v", config, err)
			continue
		}
		if got := s.(*Sink).Path(); got != want {
			t.Errorf("%s: %s, want %s", config, got, want)
		}
		load(t, s.(*Sink), bookShard(t, "r1"), harrow.Counts{})
		if _, err := os.Stat(want); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	for config, want := range map[string]string{`{"path":"../x.db"}`: "path: got \"../x.db\"; expected an absolute path", `{"file":"x"}`: "file: unknown key; expected path", `[]`: "got array; expected a mapping of path"} {
		if _, err := New(json.RawMessage(config), env); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", config, err)
		}
	}
	if _, err := New(nil, harrow.SinkEnv{Job: "shop"}); err == nil || !strings.Contains(err.Error(), "postgres or parquet") {
		t.Error(err)
	}
}

func TestErrorsNameTheFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "shop", "shop.db")
	s := newSink(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "shop"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	errs := []error{s.Check(t.Context(), []harrow.RecordType{book})}
	_, err := s.Load(t.Context(), bookShard(t, "r1"))
	errs = append(errs, err)
	if err := errors.Join(os.Remove(filepath.Join(dir, "shop")), os.Mkdir(filepath.Join(dir, "shop"), 0o777), os.WriteFile(file, []byte(strings.Repeat("not a database", 100)), 0o666)); err != nil {
		t.Fatal(err)
	}
	_, err = s.Load(t.Context(), bookShard(t, "r1"))
	errs = append(errs, err, s.Check(t.Context(), []harrow.RecordType{book}))
	for _, err := range errs {
		if err == nil || !strings.Contains(err.Error(), file) {
			t.Errorf("%v; want %s in it", err, file)
		}
	}
}
