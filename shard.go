package harrow

import (
	"fmt"
	"slices"
	"strings"
)

// Layout is the order in which a store that upserts takes a row's columns:
// data columns that are no key, the key, what is left of the provenance. A row
// differs from the stored one where one of the first differs.
type Layout struct {
	Columns []Column
	Data    int // Columns[:Data] are data, and no key
	Keys    int // Columns[Data:Data+Keys] are the key
	Latest  int // index in Columns of the one that says which of two rows is newer
}

// IsKey reports whether column i is one of the key.
func (l Layout) IsKey(i int) bool { return i >= l.Data && i < l.Data+l.Keys }

// Key are the names of the key's columns.
func (l Layout) Key() (names []string) {
	for _, c := range l.Columns[l.Data : l.Data+l.Keys] {
		names = append(names, c.Name)
	}
	return names
}

// Layout is the shard's. An empty Key is (_id, _ordinal), an empty Latest is
// _fetched_at. An error names what is no column of the record, or a column
// that the key has twice.
func (s Shard) Layout() (Layout, error) {
	if len(s.Key) == 0 {
		s.Key = []string{"_id", "_ordinal"}
	}
	if s.Latest == "" {
		s.Latest = "_fetched_at"
	}
	isKey := func(c Column) bool { return slices.Contains(s.Key, c.Name) }
	all := s.Record.AllColumns()
	l := Layout{Columns: slices.DeleteFunc(slices.Clone(s.Record.Columns), isKey), Keys: len(s.Key)}
	l.Data = len(l.Columns)
	for _, name := range s.Key {
		i := slices.IndexFunc(all, func(c Column) bool { return c.Name == name })
		if i < 0 {
			return l, fmt.Errorf("the key names %q, which is no column of the record", name)
		}
		l.Columns = append(l.Columns, all[i])
	}
	l.Columns = append(l.Columns, slices.DeleteFunc(slices.Clone(Provenance), isKey)...)
	if len(l.Columns) != len(all) {
		return l, fmt.Errorf("the key names a column twice: %s", strings.Join(s.Key, ", "))
	}
	l.Latest = slices.IndexFunc(l.Columns, func(c Column) bool { return c.Name == s.Latest })
	if l.Latest < 0 {
		return l, fmt.Errorf("latest names %q, which is no column of the record", s.Latest)
	}
	return l, nil
}
