package compare

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"os"

	"github.com/harrowdata/harrow/internal/scratch"
)

// spool keeps what is shown of rows until the counts, which come before them,
// are known: in a file, since there may be any number.
type spool struct {
	folder string // limits.spill
	file   *os.File
	w      *bufio.Writer
}

// Write implements io.Writer.
func (s *spool) Write(p []byte) (int, error) {
	if s.file == nil {
		folder := cmp.Or(s.folder, os.TempDir())
		err := os.MkdirAll(folder, 0o777)
		if err == nil {
			s.file, err = scratch.File(folder, "harrow-diff")
		}
		if err != nil {
			return 0, fmt.Errorf("limits.spill: %w", err)
		}
		s.w = bufio.NewWriterSize(s.file, 64<<10)
	}
	return s.w.Write(p)
}

// copyTo writes all of it.
func (s *spool) copyTo(w io.Writer) error {
	if s.file == nil {
		return nil
	}
	if err := s.w.Flush(); err != nil {
		return fmt.Errorf("limits.spill: %w", err)
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("limits.spill: %w", err)
	}
	_, err := io.Copy(w, s.file)
	return err
}

func (s *spool) close() error {
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err
}
