package parquetio

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// partitioner judges rows and says which folder they belong to.
type partitioner struct {
	record  string
	key     []string
	columns []harrow.Column // that folders are made of

	keys, values []arrow.Array // of the batch at hand; nil: all null
	id           []byte
}

// begin takes up a batch.
func (p *partitioner) begin(b harrow.Batch) {
	p.keys, p.values = p.keys[:0], p.values[:0]
	for _, name := range p.key {
		p.keys = append(p.keys, b.Column(name))
	}
	for _, c := range p.columns {
		p.values = append(p.values, b.Column(c.Name))
	}
}

func isNull(a arrow.Array, row int) bool { return a == nil || a.IsNull(row) }

// refusal says why a row can't be stored, if it can't.
func (p *partitioner) refusal(row int) (why harrow.Reject, refused bool) {
	for i, a := range p.keys {
		if isNull(a, row) {
			return harrow.Reject{Code: "key", Field: p.key[i], Reason: "column " + p.key[i] + " of the key is null"}, true
		}
	}
	for i, c := range p.columns {
		if isNull(p.values[i], row) {
			continue
		}
		if text := textOf(c.Type, p.values[i], row); len(text) > maxName/4 && len(folderOf(c.Name, text)) > maxName {
			return harrow.Reject{Code: "partition", Field: c.Name, Value: text,
				Reason: fmt.Sprintf("a folder named by column %s would have more than %d bytes", c.Name, maxName)}, true
		}
	}
	return why, false
}

// reject completes a reject.
func (p *partitioner) reject(b harrow.Batch, row int, why harrow.Reject) harrow.Reject {
	r := lakeio.RowReject(b, row, p.record)
	r.Class, r.Code, r.Reason, r.Field, r.Value = harrow.DataFault, why.Code, why.Reason, why.Field, why.Value
	return r
}

// identify returns what rows of one folder, and of no other values, have in
// common. It is valid until the next call.
func (p *partitioner) identify(row int) []byte {
	p.id = p.id[:0]
	for i, c := range p.columns {
		if isNull(p.values[i], row) {
			p.id = append(p.id, 'n')
			continue
		}
		text := textOf(c.Type, p.values[i], row)
		p.id = append(strconv.AppendInt(append(p.id, 'v'), int64(len(text)), 10), ':')
		p.id = append(p.id, text...)
	}
	return p.id
}

// folder names the folder of a row, and describes it for a file's metadata.
func (p *partitioner) folder(row int) (folder, description string) {
	var names []string
	values := make(map[string]*string, len(p.columns))
	for i, c := range p.columns {
		text := ""
		if isNull(p.values[i], row) {
			values[c.Name] = nil
		} else {
			text = strings.Clone(textOf(c.Type, p.values[i], row))
			values[c.Name] = &text
		}
		names = append(names, folderOf(c.Name, text))
	}
	data, _ := json.Marshal(values) // a map of texts
	return strings.Join(names, "/"), string(data)
}

// timestampFolder is how Spark and DuckDB read a timestamp in a folder's name.
const timestampFolder = "2006-01-02 15:04:05.999999"

// textOf is value i, which is not null, as a folder's name has it, before it
// is escaped.
func textOf(t harrow.Type, a arrow.Array, i int) string {
	switch t.Kind {
	case harrow.Int:
		return strconv.FormatInt(a.(*array.Int64).Value(i), 10)
	case harrow.Float:
		return strconv.FormatFloat(a.(*array.Float64).Value(i), 'g', -1, 64)
	case harrow.Bool:
		return strconv.FormatBool(a.(*array.Boolean).Value(i))
	case harrow.Decimal:
		return lakeio.DecimalText(a.(*array.Decimal128).Value(i), t.Scale)
	case harrow.Date:
		return time.Unix(int64(a.(*array.Date32).Value(i))*24*60*60, 0).UTC().Format(lakeio.DateLayout)
	case harrow.Timestamp:
		return time.UnixMicro(int64(a.(*array.Timestamp).Value(i))).UTC().Format(timestampFolder)
	}
	return valid(a.(*array.String).Value(i))
}
