package flink

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// installed are the jars that make setup installs for tests.
func installed(t *testing.T) Config {
	t.Helper()
	c := Config{Cache: os.Getenv("HARROW_CACHE")}
	if c.Cache == "" {
		c.Cache = filepath.Join("..", "..", ".build", "cache")
	}
	if _, err := Find(t.Context(), c); errors.Is(err, ErrMissing) && os.Getenv("HARROW_TEST_REQUIRE") != "1" {
		t.Skipf("%v (make setup installs them)", err)
	} else if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestJobServerTakesJobsUntilItIsClosed(t *testing.T) {
	c := installed(t)
	if testing.Short() {
		t.Skip("starts Java; says nothing of races")
	}
	dir := t.TempDir()
	s, err := StartJobServer(t.Context(), JobServer{Config: c, Master: Local, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", s.Endpoint())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(conn.Close(), s.Close(), s.Err()); err != nil {
		t.Error(err)
	}
	if s.Process().Alive() {
		t.Error("it lives on")
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 || left[0].Name() != "jobserver.log" {
		t.Errorf("left in its folder: %v, %v; want the log alone", left, err)
	}
}
