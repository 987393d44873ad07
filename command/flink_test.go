package command

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestFlinkSaysWhatIsMissing holds what somebody reads who has nothing of
// Flink, and that wrong flags are found before anything is started.
func TestFlinkSaysWhatIsMissing(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("HARROW_CACHE", cache)
	t.Setenv("JAVA_HOME", "")
	t.Setenv("PATH", t.TempDir())
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"flink up", 1, "no jars of Flink 1.19.3 and Beam's job server in " + cache + ": run harrow flink install once"},
		{"flink install", 1, "Flink needs Java 17: install it (Debian: openjdk-17-jre-headless), or set JAVA_HOME to its folder"},
		{"flink down", 0, "no Flink is up"},
		{"flink up --taskmanagers 0", 2, "--taskmanagers 0: want at least 1"},
		{"flink up --slots=-1", 2, "--slots -1: want at least 1"},
		{"flink up --rest-port 65536", 2, "--rest-port 65536: want a port"},
		{"flink up --pool-listen 50000", 2, "--pool-listen: \"50000\" is no address to listen on"},
		{"flink up --option parallelism.default", 2, "--option parallelism.default: want NAME=VALUE"},
		{"flink", 2, "install"},
	} {
		code, stdout, stderr := harrowRun(t, strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(stdout+stderr, c.want) {
			t.Errorf("harrow %s: exit %d, %s%s; want exit %d and %q", c.args, code, stdout, stderr, c.code, c.want)
		}
	}
	if left, err := filepath.Glob(filepath.Join(cache, "installing-*")); err != nil || len(left) > 0 {
		t.Errorf("left in the cache: %v, %v", left, err)
	}
}

func TestAPoolThatListensEverywhereIsOnLocalhost(t *testing.T) {
	for listens, want := range map[string]string{"[::]:50001": "localhost:50001", "0.0.0.0:50001": "localhost:50001", "10.0.0.7:50001": "10.0.0.7:50001", "localhost:1": "localhost:1"} {
		if got := besideTaskManagers(listens); got != want {
			t.Errorf("%s: %s, want %s", listens, got, want)
		}
	}
}
