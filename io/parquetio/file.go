package parquetio

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/parquet"
	"github.com/apache/arrow/go/v17/parquet/compress"
	"github.com/apache/arrow/go/v17/parquet/pqarrow"
	"github.com/klauspost/compress/zstd"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// zstdCodec is arrow's, but for the default level: there arrow makes an
// encoder for every page, megabytes each, where one serves all. In a trial with
// small files it took 13 times as long.
type zstdCodec struct {
	compress.Codec
	encoder *zstd.Encoder
}

// EncodeLevel implements [compress.Codec].
func (c zstdCodec) EncodeLevel(dst, src []byte, level int) []byte {
	if level == compress.DefaultCompressionLevel {
		return c.encoder.EncodeAll(src, dst[:0])
	}
	return c.Codec.EncodeLevel(dst, src, level)
}

func init() {
	codec, err := compress.GetCodec(compress.Codecs.Zstd)
	if err != nil {
		return // arrow has none
	}
	// A page has 1 MiB: a larger window would only take memory.
	encoder, err := zstd.NewWriter(nil, zstd.WithZeroFrames(true), zstd.WithWindowSize(1<<20))
	if err == nil {
		compress.RegisterCodec(compress.Codecs.Zstd, zstdCodec{codec, encoder})
	}
}

// fileWriter writes one Parquet file; each write is a row group.
type fileWriter struct {
	file file
	raw  int64 // size of the rows
	out  *output
	pq   *pqarrow.FileWriter
}

// output counts what is written, and keeps the first error: the footer's is
// dropped by arrow.
type output struct {
	lakeio.Writer
	n   int64
	err error
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.Writer.Write(p)
	o.n += int64(n)
	if o.err == nil {
		o.err = err
	}
	return n, err
}

// Close does nothing: arrow closes what it writes to, even after an error.
func (o *output) Close() error { return o.err }

func newFile(ctx context.Context, s lakeio.Store, f file, schema *arrow.Schema, meta arrow.Metadata) (w *fileWriter, err error) {
	to, err := s.Writer(ctx, f.Staged)
	if err != nil {
		return nil, err
	}
	w = &fileWriter{file: f, out: &output{Writer: to}}
	defer w.noted(&err)
	props := parquet.NewWriterProperties(parquet.WithVersion(parquet.V2_6), parquet.WithCompression(compress.Codecs.Zstd),
		parquet.WithCreatedBy("harrow "+harrow.Version))
	w.pq, err = pqarrow.NewFileWriter(arrow.NewSchema(schema.Fields(), &meta), w.out, props, pqarrow.DefaultWriterProps())
	return w, err
}

// noted drops the file after an error; a panic of arrow becomes one.
func (w *fileWriter) noted(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%s: Arrow can't write it: %v", w.file.Staged, p)
	}
	if *err != nil {
		w.out.Abort()
		if w.out.err != nil {
			*err = w.out.err
		}
	}
}

// write appends a row group. After an error the file is gone.
func (w *fileWriter) write(b harrow.Batch) (err error) {
	defer w.noted(&err)
	if err := w.pq.Write(b.Arrow()); err != nil {
		return fmt.Errorf("%s: %w", w.file.Staged, err)
	}
	w.file.Rows += int64(b.Rows())
	w.raw += lakeio.BatchSize(b)
	return w.out.err
}

// close finishes the file and makes it survive a power cut.
func (w *fileWriter) close(ctx context.Context, s lakeio.Store) (f file, err error) {
	defer w.noted(&err)
	if err := w.pq.AppendKeyValueMetadata("harrow.rows", strconv.FormatInt(w.file.Rows, 10)); err != nil {
		return f, fmt.Errorf("%s: %w", w.file.Staged, err)
	}
	if err := errors.Join(w.pq.Close(), w.out.err); err != nil {
		return f, fmt.Errorf("%s: %w", w.file.Staged, err)
	}
	if err := w.out.Writer.Close(); err != nil {
		return f, err
	}
	w.file.Bytes = w.out.n
	return w.file, s.Sync(ctx, w.file.Staged)
}

func (w *fileWriter) abort() { w.out.Abort() }
