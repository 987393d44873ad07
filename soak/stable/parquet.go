package stable

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"
	pq "github.com/apache/arrow/go/v17/parquet/file"
	"github.com/apache/arrow/go/v17/parquet/pqarrow"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// Parquet returns the data columns of every record's Parquet files below a
// folder, sorted, one text a row, by "parquet <record>": the rows are written
// as those of databases are. What begins with a point is what readers pass
// over; columns that begin with an underscore are provenance. No such folder
// has no tables.
func Parquet(ctx context.Context, folder string) (map[string][]string, error) {
	tables := map[string][]string{}
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, os.ErrNotExist) && path == folder:
			return nil
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), "."):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".parquet"):
			return nil
		}
		rel, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		record, _, _ := strings.Cut(filepath.ToSlash(rel), "/")
		rows, err := parquetRows(ctx, path)
		tables["parquet "+record] = append(tables["parquet "+record], rows...)
		return err
	})
	for _, rows := range tables {
		slices.Sort(rows)
	}
	return tables, err
}

func parquetRows(ctx context.Context, file string) (rows []string, err error) {
	r, err := pq.OpenParquetFile(file, false)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	fr, err := pqarrow.NewFileReader(r, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	table, err := fr.ReadTable(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	defer table.Release()
	batches := array.NewTableReader(table, 0)
	defer batches.Release()
	for batches.Next() {
		b := harrow.NewBatch(batches.Record())
		for i := range b.Rows() {
			text, err := parquetLine(b, i)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			rows = append(rows, text)
		}
	}
	return rows, batches.Err()
}

func parquetLine(b harrow.Batch, row int) (string, error) {
	values, err := decoded(string(lakeio.AppendJSON(nil, b, row, nil)))
	if err != nil {
		return "", err
	}
	data := values.(map[string]any)
	maps.DeleteFunc(data, func(name string, _ any) bool { return provenance(name) })
	return line(data)
}
