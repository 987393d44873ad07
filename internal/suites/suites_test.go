package suites

import (
	"path/filepath"
	"testing"
)

func TestWhatIsAbsentSkipsTheTest(t *testing.T) {
	var inner testing.TB
	t.Run("absent", func(t *testing.T) {
		inner = t
		Path(t, "no-such-suite")
		t.Error("went on")
	})
	if !inner.Skipped() {
		t.Error("not skipped")
	}
}

func TestSuitesLieBesideTheRepository(t *testing.T) {
	if path := Path(t, "google-robotstxt", "allowed_cases.json"); filepath.Base(filepath.Dir(path)) != "google-robotstxt" {
		t.Error(path)
	}
	if len(Read(t, "google-robotstxt", "allowed_cases.json")) == 0 {
		t.Error("empty")
	}
}
