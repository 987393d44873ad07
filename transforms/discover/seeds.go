package discover

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// maxLine bounds one line of a seed file.
const maxLine = 64 << 10

// EachSeed reads a seed file: one URL a line (.txt; blank lines and those
// that begin with # are passed over), .csv with a header and a column url, or
// .jsonl with a field url. bad is told of a line that holds no seed. The
// file's name says which it is; its other columns are not supported yet.
func EachSeed(ctx context.Context, name string, r io.Reader, seed func(url string) error, bad func(line int, text, why string) error) error {
	var err error
	switch strings.ToLower(path.Ext(name)) {
	case ".csv":
		err = eachCSV(ctx, r, seed, bad)
	case ".jsonl":
		err = eachLine(ctx, r, bad, func(n int, line string) error { return jsonSeed(n, line, seed, bad) })
	default:
		err = eachLine(ctx, r, bad, func(_ int, line string) error {
			if strings.HasPrefix(line, "#") {
				return nil
			}
			return seed(line)
		})
	}
	if err != nil {
		return fmt.Errorf("seeds %s: %w", name, err)
	}
	return nil
}

func eachLine(ctx context.Context, r io.Reader, bad func(int, string, string) error, do func(n int, line string) error) error {
	in := bufio.NewReaderSize(r, maxLine)
	for n := 1; ; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		raw, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			if err := bad(n, string(raw[:200]), fmt.Sprintf("the line is longer than %d bytes", maxLine)); err != nil {
				return err
			}
			for errors.Is(err, bufio.ErrBufferFull) {
				_, err = in.ReadSlice('\n')
			}
			raw = nil
		}
		if err != nil && err != io.EOF {
			return fmt.Errorf("line %d: %w", n, err)
		}
		line := strings.TrimSpace(strings.TrimPrefix(string(raw), "\ufeff"))
		if line != "" {
			if err := do(n, line); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
	}
}

func jsonSeed(n int, line string, seed func(string) error, bad func(int, string, string) error) error {
	var row map[string]any
	if err := json.Unmarshal([]byte(line), &row); err != nil {
		return bad(n, line, "want a JSON object: "+err.Error())
	}
	url, ok := row["url"].(string)
	if !ok {
		return bad(n, line, "want a field url with a text")
	}
	for name := range row {
		if name != "url" {
			return fmt.Errorf("line %d: field %s is not supported yet; want only url", n, name)
		}
	}
	return seed(url)
}

func eachCSV(ctx context.Context, r io.Reader, seed func(string) error, bad func(int, string, string) error) error {
	in := csv.NewReader(bufio.NewReader(r))
	in.ReuseRecord, in.LazyQuotes, in.FieldsPerRecord = true, true, -1
	header, err := in.Read()
	if err == io.EOF {
		return errors.New("line 1: empty; want a header with a column url")
	}
	if err != nil {
		return err
	}
	header[0] = strings.TrimPrefix(header[0], "\ufeff")
	column := slices.Index(header, "url")
	if column < 0 {
		return fmt.Errorf("line 1: columns %q; want one called url", header)
	}
	if len(header) > 1 {
		return fmt.Errorf("line 1: columns %q: other columns than url are not supported yet", header)
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		row, err := in.Read()
		if err == io.EOF {
			return nil
		}
		line, _ := 0, 0
		if err == nil {
			line, _ = in.FieldPos(0)
		}
		var parse *csv.ParseError
		switch {
		case errors.As(err, &parse):
			err = bad(parse.Line, strings.Join(row, ","), parse.Err.Error())
		case err != nil:
			return err
		case column >= len(row) || row[column] == "":
			err = bad(line, strings.Join(row, ","), "no url")
		default:
			err = seed(strings.TrimSpace(row[column]))
		}
		if err != nil {
			return err
		}
	}
}

const seedTable = "seeds"
