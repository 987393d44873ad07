package harrow_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/harrowdata/harrow"
)

func TestAShardsColumnsAreDataThenItsKeyThenProvenance(t *testing.T) {
	record := harrow.RecordType{Name: "book", Columns: []harrow.Column{{Name: "upc"}, {Name: "title"}, {Name: "edition"}}}
	for _, c := range []struct {
		key                  []string
		latest               string
		want                 string
		data, keys, latestAt int
		err                  string
	}{
		{nil, "", "upc title edition _id _ordinal _url _rule _digest _fetched_at _run", 3, 2, 8, ""},
		{[]string{"edition", "upc"}, "title", "title edition upc _id _url _ordinal _rule _digest _fetched_at _run", 1, 2, 0, ""},
		{[]string{"upc", "title", "edition"}, "", "upc title edition _id _url _ordinal _rule _digest _fetched_at _run", 0, 3, 8, ""},
		{[]string{"isbn"}, "", "", 0, 0, 0, `the key names "isbn", which is no column`},
		{[]string{"upc", "upc"}, "", "", 0, 0, 0, "the key names a column twice: upc, upc"},
		{[]string{"upc"}, "when", "", 0, 0, 0, `latest names "when"`},
	} {
		l, err := harrow.Shard{Record: record, Key: c.key, Latest: c.latest}.Layout()
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%v %s: %v, want %s", c.key, c.latest, err, c.err)
			}
			continue
		}
		var names, key []string
		for i, col := range l.Columns {
			names = append(names, col.Name)
			if l.IsKey(i) {
				key = append(key, col.Name)
			}
		}
		if got := strings.Join(names, " "); err != nil || got != c.want || l.Data != c.data || l.Keys != c.keys || l.Latest != c.latestAt {
			t.Errorf("%v %s: %s, %+v, %v", c.key, c.latest, got, l, err)
		}
		if !slices.Equal(key, l.Key()) || c.key != nil && !slices.Equal(key, c.key) {
			t.Errorf("key %v, %v, want %v", key, l.Key(), c.key)
		}
	}
}
