// Package lookup reads the lookup files of enrichment: which columns they have,
// whether rows can be joined by them, and tables of their rows.
//
// CSV and JSON Lines files have columns of no declared type, Arrow and Parquet
// files those of their schema. Rows are read in chunks of bounded size; files
// come from outside, and what is wrong with one is an error that names it.
package lookup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/expr"
)

// Bounds of a lookup file: it comes from outside as much as a page does.
const (
	maxColumns = 4096
	maxLine    = 16 << 20 // bytes of a row as text
	chunkRows  = 4096     // rows that are handed on together
)

// Input is a file that is open, in the lake or on the local disk.
type Input interface {
	io.ReaderAt
	Size() int64
}

// Chunk is some rows of a lookup file.
type Chunk struct {
	Rows    int
	Columns []*expr.Vector      // by the file's columns; nil for those not asked for
	where   func(row int) int64 // a row's line, from 1; in a file without lines its number
}

// format reads one kind of lookup file.
type format struct {
	place   string // what a row's number is called in errors
	columns func(ctx context.Context, in Input) ([]expr.Column, error)
	read    func(ctx context.Context, in Input, columns []expr.Column, need []int, do func(Chunk) error) error
}

var formats = map[string]format{
	".csv":     {"line", csvColumns, readCSV},
	".jsonl":   {"line", jsonColumns, readJSONL},
	".ndjson":  {"line", jsonColumns, readJSONL},
	".parquet": {"row", parquetColumns, readParquet},
	".arrow":   {"row", arrowColumns, readArrow},
	".feather": {"row", arrowColumns, readArrow},
}

// formatOf goes by a file's ending.
func formatOf(name string) (format, error) {
	f, ok := formats[strings.ToLower(path.Ext(name))]
	if !ok {
		return f, fmt.Errorf("%s: expected a file that ends in .csv, .jsonl, .parquet or .arrow", name)
	}
	return f, nil
}

// Columns reads which columns a local lookup file has; errors name the file.
// Columns of CSV and JSON Lines files have no declared type: Loose. Of a JSON
// Lines file all of it is read, since any line may have a key of its own.
func Columns(ctx context.Context, file, name string) (columns []expr.Column, err error) {
	f, err := formatOf(name)
	if err != nil {
		return nil, err
	}
	in, err := openLocal(file)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	return columnsOf(ctx, f, in, name)
}

func columnsOf(ctx context.Context, f format, in Input, name string) (columns []expr.Column, err error) {
	defer guard(name, &err)
	columns, err = f.columns(ctx, in)
	if err == nil && len(columns) > maxColumns {
		err = fmt.Errorf("it has %d columns; expected at most %d", len(columns), maxColumns)
	}
	seen := map[string]bool{}
	for _, c := range columns {
		if err == nil && seen[c.Name] {
			err = fmt.Errorf("it has two columns %.60q; expected each name once", c.Name)
		}
		seen[c.Name] = true
	}
	if err == nil && len(columns) == 0 {
		err = errors.New("it has no columns")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return columns, nil
}

// guard turns a panic of a reader of foreign bytes into an error.
func guard(name string, err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%s: the file is damaged: %v", name, p)
	}
}

// localFile is a file on the local disk.
type localFile struct {
	*os.File
	size int64
}

func (f localFile) Size() int64 { return f.size }

func openLocal(file string) (localFile, error) {
	f, err := os.Open(file)
	if err != nil {
		return localFile{}, err
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = fmt.Errorf("%s is a folder; expected a file", file)
	}
	if err != nil {
		return localFile{}, errors.Join(err, f.Close())
	}
	return localFile{f, info.Size()}, nil
}

// loose are columns of no declared type.
func loose(names []string) []expr.Column {
	columns := make([]expr.Column, len(names))
	for i, n := range names {
		columns[i] = expr.Column{Name: n, Type: harrow.Type{Kind: harrow.Text}, Loose: true}
	}
	return columns
}
