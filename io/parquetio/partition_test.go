package parquetio

import (
	"fmt"
	"math"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"github.com/harrowdata/harrow"
)

// hard are texts that a folder's name must not take as they are.
var hard = []string{"..", ".", "/", "../../etc/passwd", "a/b", "\x00", "\n", "a=b", "%2F", "%", "+", " ", "C:\\x", "*", "?", "[a]", "{a}", "#", "'", `"`, "~",
	"é", "漢字", "\u202e", "-", "_a", ".a", "~", "x.parquet", "$(id)", "`", "a b"}

func TestNoValueLeavesItsFolder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		column := rapid.OneOf(rapid.SampledFrom(hard), rapid.StringN(1, 8, -1)).Draw(rt, "column")
		a := rapid.OneOf(rapid.SampledFrom(hard), rapid.StringN(1, 60, -1)).Draw(rt, "value")
		b := rapid.OneOf(rapid.SampledFrom(hard), rapid.StringN(1, 60, -1)).Draw(rt, "other value")
		name := folderOf(column, a)
		if path.Base(path.Join("x", name)) != name || path.Dir(path.Join("x", name)) != "x" || !filepath.IsLocal(name) || strings.ContainsAny(name, "/\\\x00\r\n*?[]#") {
			rt.Errorf("%q is no name", name)
		}
		left, right, ok := strings.Cut(name, "=")
		if gotColumn, err := url.PathUnescape(left); err != nil || !ok || gotColumn != column && column != runColumn {
			rt.Errorf("%q says column %q, want %q", name, gotColumn, column)
		}
		if got, err := url.PathUnescape(right); err != nil || got != a && right != nullFolder {
			rt.Errorf("%q says value %q, want %q", name, got, a)
		}
		if a != b && folderOf(column, a) == folderOf(column, b) {
			rt.Errorf("%q and %q share %s", a, b, name)
		}
	})
	if folderOf("a", "") != "a="+nullFolder || folderOf("_run", "x") != "run=x" {
		t.Error(folderOf("a", ""), folderOf("_run", "x"))
	}
}

var shelf = harrow.RecordType{Name: "shelf", Columns: []harrow.Column{
	{Name: "upc", Type: harrow.Type{Kind: harrow.Text}},
	{Name: "genre", Type: harrow.Type{Kind: harrow.Text}},
	{Name: "stock", Type: harrow.Type{Kind: harrow.Int}},
}}

func TestRowsLieInTheFoldersOfTheirValues(t *testing.T) {
	dir := t.TempDir()
	s := newSink(t, dir, "genre", "_run")
	s.limits.openFiles, s.limits.rowBytes = 4, 1<<10
	var data [][]any
	perFolder := map[string]int{}
	for i := range 400 {
		var genre any
		switch g := i % (len(hard) + 2); g {
		case len(hard):
			genre = ""
		case len(hard) + 1: // null
		default:
			genre = hard[g]
		}
		text, _ := genre.(string)
		perFolder[folderOf("genre", text)]++
		data = append(data, []any{fmt.Sprint(i), genre, int64(i)})
	}
	load(t, s, shardOf(t, shelf, run1, data...), added(400))
	check(t, publish(t.Context(), s, run1, map[string]harrow.Counts{"shelf": added(400)}))
	var stocks []string
	for _, f := range visible(t, dir) {
		parts := strings.Split(f, "/")
		if len(parts) != 4 || parts[0] != "shelf" || parts[2] != "run="+run1 {
			t.Fatalf("file %q", f)
		}
		list := rowsOf(t, filepath.Join(dir, f))
		perFolder[parts[1]] -= len(list)
		for _, r := range list {
			if strings.Contains(r, `"genre"`) || !strings.Contains(r, `"_run":"`+run1+`"`) {
				t.Errorf("%s holds %s", f, r)
			}
		}
		stocks = append(stocks, rowsOf(t, filepath.Join(dir, f), "stock")...)
		if m := metaOf(t, filepath.Join(dir, f))["harrow.partition"]; strings.Contains(m, "null") != (strings.HasSuffix(parts[1], nullFolder) && !strings.Contains(m, `"genre":""`)) {
			t.Errorf("%s: partition %s", f, m)
		}
	}
	for folder, n := range perFolder {
		if n != 0 {
			t.Errorf("%s lacks %d rows", folder, n)
		}
	}
	slices.Sort(stocks)
	if stocks = slices.Compact(stocks); len(stocks) != 400 {
		t.Errorf("%d rows, want 400", len(stocks))
	}
}

func TestEveryScalarIsAFolder(t *testing.T) {
	rt := harrow.RecordType{Name: "r", Columns: []harrow.Column{
		{Name: "n", Type: harrow.Type{Kind: harrow.Int}}, {Name: "f", Type: harrow.Type{Kind: harrow.Float}}, {Name: "b", Type: harrow.Type{Kind: harrow.Bool}},
		{Name: "d", Type: harrow.DefaultDecimal}, {Name: "day", Type: harrow.Type{Kind: harrow.Date}}, {Name: "at", Type: harrow.Type{Kind: harrow.Timestamp}}}}
	dir := t.TempDir()
	s := newSink(t, dir, "n", "f", "b", "d", "day", "at")
	shard := shardOf(t, rt, run1, []any{int64(math.MinInt64), 0.5, true, decimal.RequireFromString("-12.50"), day, day}, make([]any, 6))
	shard.Key = nil
	load(t, s, shard, added(2))
	check(t, publish(t.Context(), s, run1, map[string]harrow.Counts{"r": added(2)}))
	null := "=" + nullFolder
	same(t, "files", visible(t, dir), []string{
		"r/n=-9223372036854775808/f=0.5/b=true/d=-12.5/day=2024-03-01/at=2024-03-01 12%3A00%3A00/" + run1 + "-00000-0001.parquet",
		"r/n" + null + "/f" + null + "/b" + null + "/d" + null + "/day" + null + "/at" + null + "/" + run1 + "-00000-0000.parquet"})
}

func TestAValueTooLongForANameIsAReject(t *testing.T) {
	s := newSink(t, t.TempDir(), "genre")
	shard := shardOf(t, shelf, run1, []any{"a", strings.Repeat("x", 255-len("genre=")), nil}, []any{"b", strings.Repeat("x", 256-len("genre=")), nil}, []any{"c", strings.Repeat("/", 84), nil})
	var rejects []harrow.Reject
	shard.Reject = func(r harrow.Reject) error { rejects = append(rejects, r); return nil }
	load(t, s, shard, harrow.Counts{Added: 1, Rejected: 2})
	for _, r := range rejects {
		if r.Code != "partition" || r.Field != "genre" || r.Value == "" || r.Class != harrow.DataFault || r.ID.IsZero() || !strings.Contains(r.Payload, r.Value[:9]) {
			t.Errorf("%+v", r)
		}
	}
}

func TestTooManyFoldersAreAnError(t *testing.T) {
	dir := t.TempDir()
	s := newSink(t, dir, "upc")
	s.limits.files = 3
	_, err := s.Load(t.Context(), shardOf(t, shelf, run1, []any{"a", nil, nil}, []any{"b", nil, nil}, []any{"c", nil, nil}, []any{"d", nil, nil}))
	if err == nil || !strings.Contains(err.Error(), "partition_by upc makes more than 3 files of one shard") {
		t.Error(err)
	}
	same(t, "files", everything(t, dir), nil)
}

func TestALargeFolderIsCutIntoFiles(t *testing.T) {
	dir := t.TempDir()
	s := newSink(t, dir)
	s.limits.rowBytes, s.limits.fileBytes = 1<<10, 2<<10
	var data [][]any
	for i := range 100 {
		data = append(data, []any{fmt.Sprint(i), int64(i)})
	}
	load(t, s, shardOf(t, book, run1, data...), added(100))
	check(t, publish(t.Context(), s, run1, books(100)))
	if files := visible(t, dir); len(files) < 4 || len(rows(t, dir)) != 100 {
		t.Errorf("%d rows in %v", len(rows(t, dir)), files)
	}
}

// What an operator made may be no UTF-8, and lack columns.
func TestTextsAreMadeValid(t *testing.T) {
	rt := harrow.RecordType{Name: "r", Columns: []harrow.Column{{Name: "a", Type: harrow.Type{Kind: harrow.Text}}, {Name: "l", Type: harrow.Type{Kind: harrow.Text, List: true}}, {Name: "gone", Type: harrow.Type{Kind: harrow.Int}}}}
	foreign := invalidBatch(t, "x\xff\x00y", "ok")
	defer foreign.Release()
	dir := t.TempDir()
	s := newSink(t, dir)
	shard := harrow.Shard{Run: run1, Record: rt, Key: []string{"a"}, Input: "digest-" + run1, Shards: 4, Batches: one(foreign)}
	load(t, s, shard, added(2))
	check(t, publish(t.Context(), s, run1, map[string]harrow.Counts{"r": added(2)}))
	same(t, "rows", rows(t, dir, "a", "l", "gone", "_url"), []string{
		`{"a":"ok","l":["ok"],"gone":null,"_url":null}`, `{"a":"x` + "\uFFFD" + `\u0000y","l":["x` + "\uFFFD" + `\u0000y"],"gone":null,"_url":null}`})
	wrong := rt
	wrong.Columns = []harrow.Column{{Name: "a", Type: harrow.Type{Kind: harrow.Int}}}
	shard.Record, shard.Run = wrong, run2
	if _, err := s.Load(t.Context(), shard); err == nil || !strings.Contains(err.Error(), "column a holds utf8, want int") {
		t.Error(err)
	}
}
