package lookup

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/expr"
	"github.com/harrowdata/harrow/internal/memory"
	"github.com/harrowdata/harrow/internal/refine"
	"github.com/harrowdata/harrow/internal/seen"
)

// RowKey appends what a row is joined by; ok is false where a part of it is
// null, which is equal to nothing. Two rows have equal keys if their columns
// are equal, as the kind they are compared as: numbers whatever their digits.
func RowKey(dst []byte, columns []*expr.Vector, row int) (key []byte, ok bool) {
	for _, v := range columns {
		if v.IsNull(row) {
			return dst, false
		}
		from := len(dst)
		dst = append(dst, 0, 0, 0, 0) // the length, so that no two keys run together alike
		dst = appendValue(dst, v, row)
		binary.LittleEndian.PutUint32(dst[from:], uint32(len(dst)-from-4))
	}
	return dst, true
}

func appendValue(dst []byte, v *expr.Vector, row int) []byte {
	switch v.Kind {
	case expr.Text:
		return append(dst, v.Text(row)...)
	case expr.Number:
		if v.Decs == nil && v.Scale == 0 {
			return strconv.AppendInt(dst, v.Int(row), 10)
		}
		return append(dst, v.Decimal(row).String()...)
	case expr.Float:
		f := v.Float(row)
		if f == 0 {
			f = 0 // of -0
		}
		return binary.LittleEndian.AppendUint64(dst, math.Float64bits(f))
	case expr.Bool:
		return strconv.AppendBool(dst, v.Bool(row))
	}
	return strconv.AppendInt(dst, v.Int(row), 10)
}

// Each reads a lookup file's rows with the columns that the enrichment needs
// and those they are joined by. A value that can't be joined by is an error
// that names its line.
func Each(ctx context.Context, in Input, name string, e *refine.Enrichment, do func(c Chunk, keys []*expr.Vector) error) (err error) {
	f, err := formatOf(name)
	if err != nil {
		return err
	}
	defer guard(name, &err)
	err = f.read(ctx, in, e.File, e.Needed(), func(c Chunk) error {
		keys := make([]*expr.Vector, len(e.Joins))
		for i, j := range e.Joins {
			keys[i] = j.Lookup.Eval(c.Rows, func(i int) *expr.Vector { return c.Columns[i] })
			for row := range c.Rows {
				if err := keys[i].Err(row); err != nil {
					return fmt.Errorf("%s %d: column %s, which %s is joined with: %w", f.place, c.where(row), j.File, j.Name, err)
				}
			}
		}
		return do(c, keys)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// Size is what a lookup file comes to.
type Size struct {
	Rows   int64
	Memory int64 // about what its table takes in memory, bytes
}

// Check reads a local lookup file as enrichment will: each key once, and
// values that can be joined by. What it finds wrong it names with its lines.
// It takes memory from share and spills to dir.
func Check(ctx context.Context, file, name string, e *refine.Enrichment, share *memory.Share, dir string) (size Size, err error) {
	in, err := openLocal(file)
	if err != nil {
		return size, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	met := seen.New(share, dir)
	defer func() { err = errors.Join(err, met.Close()) }()
	var key []byte
	err = Each(ctx, in, name, e, func(c Chunk, keys []*expr.Vector) error {
		size.add(c)
		for row := range c.Rows {
			var ok bool
			if key, ok = RowKey(key[:0], keys, row); !ok {
				continue
			}
			size.Memory += int64(len(key)) + keyBytes
			digest := sha256.Sum256(key)
			fresh, err := met.Add(harrow.ID(digest[:16]))
			if err != nil {
				return err
			}
			if !fresh {
				return twiceError{c.where(row), string(key)}
			}
		}
		return nil
	})
	var twice twiceError
	if errors.As(err, &twice) {
		err = firstOf(ctx, in, name, e, twice)
	}
	return size, err
}

const (
	keyBytes   = 64 // of a key in a map, beside its text
	valueBytes = 24 // of a value in a vector, beside its text
)

func (s *Size) add(c Chunk) {
	s.Rows += int64(c.Rows)
	for _, v := range c.Columns {
		if v == nil {
			continue
		}
		s.Memory += int64(c.Rows) * valueBytes
		for _, t := range v.Texts {
			s.Memory += int64(len(t))
		}
	}
}

// twiceError is a key that comes again.
type twiceError struct {
	where int64
	key   string
}

func (twiceError) Error() string { return "a key comes twice" }

// firstOf finds where the key came first and says so.
func firstOf(ctx context.Context, in Input, name string, e *refine.Enrichment, twice twiceError) error {
	var found error
	err := Each(ctx, in, name, e, func(c Chunk, keys []*expr.Vector) error {
		for row := range c.Rows {
			if key, ok := RowKey(nil, keys, row); ok && string(key) == twice.key {
				f, _ := formatOf(name)
				found = fmt.Errorf("%s: %s %d has the same %s as %s %d: %s; expected each once, since rows are joined by it",
					name, f.place, twice.where, joinNames(e), f.place, c.where(row), shownKey(keys, row))
				return found
			}
		}
		return nil
	})
	if found != nil {
		return found
	}
	return err
}

func joinNames(e *refine.Enrichment) (s string) {
	for i, j := range e.Joins {
		if i > 0 {
			s += ", "
		}
		s += j.File
	}
	return s
}

func shownKey(keys []*expr.Vector, row int) (s string) {
	for i, k := range keys {
		if i > 0 {
			s += ", "
		}
		s += fmt.Sprintf("%.60q", k.Show(row))
	}
	return s
}

// Table is rows of a lookup file in memory.
type Table struct {
	file    []expr.Column
	columns []*expr.Vector // by the file's columns; nil for those not needed, and without rows
	index   map[string]int32
	rows    int32
}

// Load reads a table: the rows whose key only takes (see [RowKey]), nil: all. A
// key that comes twice was found before a run began; should the file have been
// changed since, it is an error here too.
func Load(ctx context.Context, in Input, name string, e *refine.Enrichment, only func(key []byte) bool) (*Table, error) {
	t := &Table{file: e.File, columns: make([]*expr.Vector, len(e.File)), index: map[string]int32{}}
	var key []byte
	err := Each(ctx, in, name, e, func(c Chunk, keys []*expr.Vector) error {
		var kept []int32
		for row := range c.Rows {
			var ok bool
			key, ok = RowKey(key[:0], keys, row)
			if only != nil && (!ok || !only(key)) {
				continue
			}
			if t.rows == math.MaxInt32 {
				return fmt.Errorf("it has more than %d rows", math.MaxInt32)
			}
			if _, twice := t.index[string(key)]; ok && twice {
				return fmt.Errorf("%s comes twice", shownKey(keys, row))
			}
			if ok {
				t.index[string(key)] = t.rows
			}
			t.rows++
			if only != nil {
				kept = append(kept, int32(row))
			}
		}
		t.append(c, only == nil, kept)
		return nil
	})
	return t, err
}

// LoadLocal is [Load] of a file on the local disk.
func LoadLocal(ctx context.Context, file, name string, e *refine.Enrichment, only func(key []byte) bool) (t *Table, err error) {
	in, err := openLocal(file)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	return Load(ctx, in, name, e, only)
}

// append takes over a chunk, or some of its rows.
func (t *Table) append(c Chunk, all bool, kept []int32) {
	if !all && len(kept) == 0 {
		return
	}
	for i, v := range c.Columns {
		if v == nil {
			continue
		}
		if !all {
			v = v.Gather(kept).Owned()
		}
		t.columns[i] = v.Append(t.columns[i])
	}
}

// Find is the row of a key; -1: there is none.
func (t *Table) Find(key []byte) int32 {
	if row, ok := t.index[string(key)]; ok {
		return row
	}
	return -1
}

// Column is a column of the file that the enrichment needs, with those rows
// one after the other; -1 is a row of null.
func (t *Table) Column(column int, rows []int32) *expr.Vector {
	v := t.columns[column]
	if v == nil { // no row was read
		v = &expr.Vector{Kind: expr.KindOf(t.file[column].Type)}
	}
	return v.Gather(rows)
}
