package flink

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// The versions of Java that Flink runs on and that run Beam's job server. Flink
// 1.19 calls 17 and 21 experimental; it is 17 that Harrow is tested with.
const leastJava, greatestJava = 17, 21

// Java finds Java and reads its version: Config.Java, else $JAVA_HOME/bin/java,
// else java in PATH. Missing, or of a version that Flink doesn't run on, it is
// ErrMissing.
func (c Config) java(ctx context.Context) (path string, err error) {
	path, from, err := c.findJava()
	if err != nil {
		return "", err
	}
	out, err := exec.CommandContext(ctx, path, "-version").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("java: %s (%s) does not run: %w: %s", path, from, err, lastWords(out))
	}
	version, major := javaVersion(string(out))
	switch {
	case major == 0:
		return "", fmt.Errorf("java: %s (%s) does not say its version: %s", path, from, lastWords(out))
	case major < leastJava || major > greatestJava:
		return "", fmt.Errorf("java: %w: Flink needs Java %d; %s (%s) is Java %s: install one and set JAVA_HOME to its folder", ErrMissing, leastJava, path, from, version)
	}
	return path, nil
}

func (c Config) findJava() (path, from string, err error) {
	if c.Java != "" {
		return c.Java, "as configured", nil
	}
	if home := os.Getenv("JAVA_HOME"); home != "" {
		path = filepath.Join(home, "bin", "java")
		if _, err := os.Stat(path); err != nil {
			return "", "", fmt.Errorf("java: %w: JAVA_HOME is %s, which has no bin/java (%w): set it to the folder of a Java %d", ErrMissing, home, err, leastJava)
		}
		return path, "of JAVA_HOME", nil
	}
	if path, err = exec.LookPath("java"); err != nil {
		return "", "", fmt.Errorf("java: %w: Flink needs Java %d: install it (Debian: openjdk-17-jre-headless), or set JAVA_HOME to its folder", ErrMissing, leastJava)
	}
	return path, "of PATH", nil
}

var versionLine = regexp.MustCompile(`version "(?:1\.)?([0-9]+)([^"]*)"`)

// javaVersion reads what java -version prints: version "17.0.15" or
// "1.8.0_362". The major version of anything else is 0.
func javaVersion(text string) (version string, major int) {
	m := versionLine.FindStringSubmatch(text)
	if m == nil {
		return "", 0
	}
	major, err := strconv.Atoi(m[1])
	if err != nil {
		return "", 0
	}
	return m[1] + m[2], major
}

// lastWords is the end of what a program printed, on one line.
func lastWords(out []byte) string {
	text := strings.TrimSpace(string(out))
	if text == "" {
		return "it printed nothing"
	}
	lines := strings.Split(text, "\n")
	return strings.Join(lines[max(0, len(lines)-lastLines):], "\n")
}

// lastLines is how many lines of a log an error quotes.
const lastLines = 12
