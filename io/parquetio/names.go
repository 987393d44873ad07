package parquetio

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path"
	"strings"

	"github.com/harrowdata/harrow"
)

const (
	hidden     = ".harrow"                    // what readers of a record's folder don't look into: it lies beside it
	nullFolder = "__HIVE_DEFAULT_PARTITION__" // Hive's name for null and the empty text
	maxName    = 255                          // bytes of a file's or folder's name, on most file systems
	suffix     = ".parquet"                   //
	staged     = ".staged"                    // the suffix of a file that isn't published: no reader globs for it
)

// escape makes a part of a name of any text. Two texts make two names. What
// isn't ASCII stays: not every reader puts the bytes of an escaped letter
// together again.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == ' ', c >= 0x80, c == '.' && i > 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// folderOf names the folder of a column's value.
func folderOf(column, value string) string {
	if column == runColumn {
		column = runFolder
	}
	if value == "" {
		value = nullFolder
	} else {
		value = escape(value)
	}
	return escape(column) + "=" + value
}

func runDir(run string) string { return path.Join(hidden, escape(run)) }

func publishedURI(run string) string { return path.Join(runDir(run), "published.json") }

// stagingDir is of the marks that count together: with another input or
// another number of shards a shard is not marked.
func stagingDir(run, input string, shards int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %d", input, shards))
	return path.Join(runDir(run), hex.EncodeToString(sum[:8]))
}

func markURI(s harrow.Shard) string {
	return path.Join(stagingDir(s.Run, s.Input, s.Shards), escape(s.Record.Name), fmt.Sprintf("%05d.json", s.Shard))
}

func stagedURI(s harrow.Shard, attempt string, n int) string {
	return path.Join(path.Dir(markURI(s)), fmt.Sprintf("%05d-%s-%04d%s", s.Shard, attempt, n, staged))
}

func finalURI(s harrow.Shard, folder string, n int) string {
	return path.Join(escape(s.Record.Name), folder, fmt.Sprintf("%s-%05d-%04d%s", escape(s.Run), s.Shard, n, suffix))
}
