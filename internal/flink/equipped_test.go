package flink

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestClusterHasBeamsRunnerWhenAllOfItIsOnItsClassPath(t *testing.T) {
	jars, err := parseList(list)
	if err != nil {
		t.Fatal(err)
	}
	var whole []string
	for _, j := range jars {
		if strings.HasPrefix(j.path, "beam/") {
			whole = append(whole, "/opt/flink/lib/"+j.name())
		}
	}
	without := func(part string) []string {
		return slices.DeleteFunc(slices.Clone(whole), func(p string) bool { return strings.Contains(p, part) })
	}
	const runner = "beam-runners-flink-1.19-" + BeamVersion + ".jar"
	for _, c := range []struct {
		name string
		path []string
		want string // empty: it is equipped
	}{
		{"beside Flink", append([]string{"/opt/flink/lib/flink-dist-1.19.3.jar"}, whole...), ""},
		{"Flink alone", []string{"/opt/flink/lib/flink-dist-1.19.3.jar", ""}, "jars are not on its class path: beam-runners-"},
		{"nothing", nil, "jars are not on its class path: beam-runners-"},
		{"without what the runner needs", without("joda-time"), "1 of Beam's jars are not on its class path: joda-time-"},
		{"of another version", append(without(runner), "lib/beam-runners-flink-1.19-2.60.0.jar"), "beam-runners-flink-1.19-2.60.0.jar is on its class path"},
		{"with another version beside it", append(slices.Clone(whole), "lib/beam-sdks-java-core-2.60.0.jar"), "beam-sdks-java-core-2.60.0.jar is on its class path"},
	} {
		if err := Equipped(c.path); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", c.name, err, c.want)
		}
	}
}

// started are the command lines of the fake Java.
func (f fake) started(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(f.dir, "args"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

func TestJobServerHidesItsJarsOnlyWhereTheyAreAlready(t *testing.T) {
	for _, c := range []struct {
		master   string
		equipped bool
		hidden   bool
	}{{"jm:8081", false, false}, {"jm:8081", true, true}, {Local, false, true}} {
		f := newFake(t)
		f.install(t)
		dir := filepath.Join(f.dir, "server")
		s, err := StartJobServer(t.Context(), JobServer{Config: f.config(), Master: c.master, Equipped: c.equipped, Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		_, err = os.Stat(filepath.Join(dir, "jobserver-tmp", "classes", "harrow", "FlinkJobServerDriver.class"))
		if hidden := strings.Contains(f.started(t)[0], " harrow.FlinkJobServerDriver "); hidden != c.hidden || hidden != (err == nil) {
			t.Errorf("%+v: started as %s; its class: %v", c, f.started(t)[0], err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestClusterHasBeamsRunnerUnlessItIsToBeBare(t *testing.T) {
	for _, bare := range []bool{false, true} {
		f := newFake(t)
		f.install(t)
		k, err := Up(t.Context(), ClusterConfig{Config: f.config(), TaskManagers: 1, Bare: bare, Dir: filepath.Join(f.dir, "cluster")})
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range f.started(t) {
			if strings.Contains(line, filepath.Join("beam", "*")) == bare {
				t.Errorf("bare %t: %s", bare, line)
			}
		}
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	}
}
