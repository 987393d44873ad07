package upsert

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// shardKey is a shard of one record. As text it is what parts are grouped by.
type shardKey struct {
	Record string
	Shard  int
}

func (k shardKey) String() string { return fmt.Sprintf("%05d/%s", k.Shard, k.Record) }

func parseShardKey(s string) (shardKey, error) {
	number, record, ok := strings.Cut(s, "/")
	n, err := strconv.Atoi(number)
	if !ok || err != nil {
		return shardKey{}, fmt.Errorf("shard %q: want NUMBER/RECORD", s)
	}
	return shardKey{record, n}, nil
}

// shardOf says which shard a part belongs to; ok is false for parts of other
// tables and for empty ones. A keyed record was shuffled by its key, and its
// parts keep the shuffle's shard. The rows of any other record have no place
// of their own: its parts are spread by name.
func (c Config) shardOf(p harrow.Part, shards int) (k shardKey, ok bool) {
	record, ok := strings.CutPrefix(p.Table, lakeio.RecordsPrefix)
	if !ok || p.Rows == 0 {
		return shardKey{}, false
	}
	if len(c.Records[record].Key) > 0 {
		return shardKey{record, p.Shard}, true
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(p.URI))
	return shardKey{record, int(h.Sum64() % uint64(max(shards, 1)))}, true
}
