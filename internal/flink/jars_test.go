package flink

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "ask Maven for the jars of pom.xml and write their list")

var versionOf = regexp.MustCompile(`-[0-9][^/]*\.jar$`)

// artifact is a jar's name without its version.
func artifact(name string) string { return versionOf.ReplaceAllString(name, "") }

// TestListOfJars holds that pom and list belong together; with -update it
// writes the list.
func TestListOfJarsIsWhatThePomAsksFor(t *testing.T) {
	if *update {
		if err := os.WriteFile("jars.txt", []byte(askMaven(t)), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	jars, err := parseList(list)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, j := range jars {
		if seen[j.name()] {
			t.Errorf("%s is there twice", j.name())
		}
		seen[j.name()] = true
	}
	for _, want := range []string{
		"beam-runners-flink-1.19-" + BeamVersion, "beam-runners-java-job-service-" + BeamVersion, "flink-runtime-" + Version, "flink-rpc-akka-loader-" + Version,
		"flink-runtime-web-" + Version, "flink-streaming-java-" + Version, "slf4j-simple-1.7.30",
	} {
		if !seen[want+".jar"] {
			t.Errorf("no %s: go test ./internal/flink -update", want)
		}
	}
	for _, j := range jars {
		beams := strings.HasPrefix(j.path, "beam/")
		if strings.HasPrefix(j.name(), "beam-") && !beams || strings.HasPrefix(j.name(), "flink-") && beams {
			t.Errorf("%s is in the wrong folder", j.path)
		}
	}
}

// askMaven resolves both poms: what the second names too is the cluster's.
func askMaven(t *testing.T) string {
	t.Helper()
	c := Config{Log: os.Stderr}
	maven, err := c.maven()
	if err != nil {
		t.Fatal(err)
	}
	cluster, err := os.ReadFile("testdata/cluster.xml")
	if err != nil {
		t.Fatal(err)
	}
	names := func(pom string) (dir string, found []string) {
		dir = filepath.Join(t.TempDir(), "jars")
		if err := runMaven(t.Context(), c, maven, pom, dir, 200); err != nil {
			t.Fatal(err)
		}
		paths, err := filepath.Glob(filepath.Join(dir, "*.jar"))
		if err != nil || len(paths) == 0 {
			t.Fatal("no jars", err)
		}
		for _, p := range paths {
			found = append(found, filepath.Base(p))
		}
		return dir, found
	}
	dir, all := names(pom)
	_, some := names(string(cluster))
	ofCluster := map[string]bool{}
	for _, name := range some {
		ofCluster[artifact(name)] = true
	}
	var lines []string
	for _, name := range all {
		folder := "beam/"
		if ofCluster[artifact(name)] {
			folder = "lib/"
		}
		sum, size, err := digest(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprintf("%s %8d %s\n", sum, size, folder+name))
	}
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[64+10:], b[64+10:]) })
	return strings.Join(lines, "")
}
