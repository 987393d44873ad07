package parquetio

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"
	"github.com/apache/arrow/go/v17/arrow/memory"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// inFolder reports whether a column is in the folders' names only.
func (s *Sink) inFolder(name string) bool {
	return name != runColumn && slices.Contains(s.partitionBy, name)
}

// fileSchema is of a record's files.
func (s *Sink) fileSchema(t harrow.RecordType) *arrow.Schema {
	var fields []arrow.Field
	for _, c := range t.AllColumns() {
		if !s.inFolder(c.Name) {
			fields = append(fields, arrow.Field{Name: c.Name, Type: lakeio.ArrowType(c.Type), Nullable: true})
		}
	}
	return arrow.NewSchema(fields, nil)
}

// metadata describes the rows of a file, but for how many there are.
func (s *Sink) metadata(shard harrow.Shard, partition string) arrow.Metadata {
	key, _ := json.Marshal(shard.Key) // a list of texts
	m := map[string]string{
		"harrow.version": harrow.Version, "harrow.job": s.job, "harrow.run": shard.Run, "harrow.record": shard.Record.Name,
		"harrow.input": shard.Input, "harrow.shard": strconv.Itoa(shard.Shard), "harrow.shards": strconv.Itoa(shard.Shards),
		"harrow.key": string(key), "harrow.partition": partition,
	}
	return arrow.MetadataFrom(m)
}

// checkType finds what of a record can't be a folder of files.
func (s *Sink) checkType(t harrow.RecordType) error {
	var errs []error
	if t.Name == "" {
		errs = append(errs, errors.New("a record without a name"))
	}
	if len(escape(t.Name)) > maxName {
		errs = append(errs, fmt.Errorf("record %.40q…: its name makes a folder's name of more than %d bytes", t.Name, maxName))
	}
	names := map[string]string{}
	for _, c := range t.AllColumns() {
		if c.Name == "" || !utf8.ValidString(c.Name) {
			errs = append(errs, fmt.Errorf("record %s: column %q: expected a name in UTF-8", t.Name, c.Name))
		}
		lower := strings.ToLower(c.Name)
		if other, dup := names[lower]; dup {
			errs = append(errs, fmt.Errorf("record %s: columns %q and %q are one to readers that ignore case", t.Name, other, c.Name))
		}
		names[lower] = c.Name
	}
	for i, name := range s.partitionBy {
		if err := s.checkPartition(t, name); err != nil {
			errs = append(errs, &harrow.ConfigError{Key: fmt.Sprintf("partition_by[%d]", i), Err: err})
		}
	}
	return errors.Join(errs...)
}

func (s *Sink) checkPartition(t harrow.RecordType, name string) error {
	if name == runColumn {
		for _, c := range t.Columns {
			if strings.EqualFold(c.Name, runFolder) {
				return fmt.Errorf("record %s has a column %s, and folders by _run are named %s; expected columns other than _run, or []", t.Name, c.Name, runFolder)
			}
		}
		return nil
	}
	c, ok := t.Column(name)
	switch {
	case !ok:
		var names []string
		for _, c := range t.Columns {
			names = append(names, c.Name)
		}
		return fmt.Errorf("record %s has no column %s; expected one of %s, or _run", t.Name, name, strings.Join(names, ", "))
	case c.Type.List:
		return fmt.Errorf("column %s of record %s is a %s; expected a column of single values", name, t.Name, c.Type)
	}
	return nil
}

// project brings a batch into the form of the files: their columns in their
// order, all texts valid UTF-8. The caller releases it.
func project(s *arrow.Schema, columns []harrow.Column, b harrow.Batch) (harrow.Batch, error) {
	arrays := make([]arrow.Array, s.NumFields())
	defer func() {
		for _, a := range arrays {
			if a != nil {
				a.Release()
			}
		}
	}()
	for _, c := range columns { // those of folders too
		a := b.Column(c.Name)
		if a != nil && !sameType(a.DataType(), c.Type) {
			return harrow.Batch{}, fmt.Errorf("column %s holds %s, want %s", c.Name, a.DataType(), c.Type)
		}
		at := s.FieldIndices(c.Name)
		switch {
		case len(at) == 0:
		case a == nil:
			arrays[at[0]] = array.MakeArrayOfNull(memory.DefaultAllocator, s.Field(at[0]).Type, b.Rows())
		default:
			arrays[at[0]] = validArray(a)
		}
	}
	return harrow.NewBatch(array.NewRecord(s, arrays, int64(b.Rows()))), nil
}

// sameType compares what the elements of lists are called with nothing.
func sameType(t arrow.DataType, want harrow.Type) bool {
	have, err := lakeio.TypeOf(t)
	return err == nil && have == want
}

func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// validArray returns an array without invalid texts: one of them would make a
// file that no reader opens. The caller releases it.
func validArray(a arrow.Array) arrow.Array {
	switch a := a.(type) {
	case *array.String:
		for i := range a.Len() {
			if !utf8.ValidString(a.Value(i)) {
				return validTexts(a)
			}
		}
	case *array.List:
		values := validArray(a.ListValues())
		defer values.Release()
		if values != a.ListValues() {
			d := a.Data()
			data := array.NewData(a.DataType(), d.Len(), d.Buffers(), []arrow.ArrayData{values.Data()}, d.NullN(), d.Offset())
			defer data.Release()
			return array.NewListData(data)
		}
	}
	a.Retain()
	return a
}

func validTexts(a *array.String) arrow.Array {
	b := array.NewStringBuilder(memory.DefaultAllocator)
	defer b.Release()
	for i := range a.Len() {
		if a.IsNull(i) {
			b.AppendNull()
		} else {
			b.Append(valid(a.Value(i)))
		}
	}
	return b.NewArray()
}
