package flink

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// plugin copies what a pom names into a folder; pinned as the jars are.
const plugin = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"

// Install has Maven fetch the jars into the cache folder, checks each against
// its pinned checksum, and puts them where Find looks, all at once. Where they
// are already, it only looks. Several at once do no harm. What stays of one
// that is cut short is a folder beside it that the next removes.
func Install(ctx context.Context, c Config) (*Installation, error) {
	return install(ctx, c, source{pom, list})
}

func install(ctx context.Context, c Config, s source) (*Installation, error) {
	if i, err := find(ctx, c, s); err == nil || !errors.Is(err, ErrMissing) {
		return i, err
	}
	if _, err := c.java(ctx); err != nil { // before minutes are spent on jars that nothing runs
		return nil, err
	}
	maven, err := c.maven()
	if err != nil {
		return nil, err
	}
	cache, err := c.cache()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cache, 0o777); err != nil {
		return nil, err
	}
	sweep(cache)
	tmp, err := os.MkdirTemp(cache, unfinished)
	if err != nil {
		return nil, err
	}
	err = errors.Join(s.fetch(ctx, c, maven, tmp, s.folder(cache)), os.RemoveAll(tmp))
	if err != nil {
		return nil, fmt.Errorf("flink install: %w", err)
	}
	return find(ctx, c, s)
}

// unfinished begins the names of folders that are being filled.
const unfinished = "installing-flink-"

// sweep removes what installations that were cut short left behind: a day is
// longer than any takes.
func sweep(cache string) {
	left, _ := filepath.Glob(filepath.Join(cache, unfinished+"*")) // the pattern is right
	for _, dir := range left {
		if info, err := os.Stat(dir); err == nil && time.Since(info.ModTime()) > 24*time.Hour {
			_ = os.RemoveAll(dir) // the next one tries again
		}
	}
}

func (c Config) maven() (string, error) {
	if c.Maven != "" {
		return c.Maven, nil
	}
	path, err := exec.LookPath("mvn")
	if err != nil {
		return "", fmt.Errorf("flink install: %w: Maven's mvn is not in PATH: install it (Debian: maven); it is needed only to install", ErrMissing)
	}
	return path, nil
}

// fetch fills the folder tmp and moves what is in it to its place.
func (s source) fetch(ctx context.Context, c Config, maven, tmp, place string) error {
	jars, err := parseList(s.list)
	if err != nil {
		return err
	}
	var bytes int64
	for _, j := range jars {
		bytes += j.size
	}
	c.say("flink: installing Flink %s and Beam's job server %s into %s: %d jars, %d MB, by Maven", Version, BeamVersion, place, len(jars), bytes>>20)
	got := filepath.Join(tmp, "got")
	if err := runMaven(ctx, c, maven, s.pom, got, len(jars)); err != nil {
		return err
	}
	whole := filepath.Join(tmp, "whole")
	if err := s.take(jars, got, whole); err != nil {
		return err
	}
	if err := s.settle(whole, place, filepath.Join(tmp, "broken")); err != nil {
		return err
	}
	c.say("flink: installed")
	return nil
}

// take moves the jars that the list names, checked, into a folder as it shall
// be, with the stamp.
func (s source) take(jars []jar, got, whole string) error {
	for _, folder := range []string{flinkFolder, beamFolder} {
		if err := os.MkdirAll(filepath.Join(whole, folder), 0o777); err != nil {
			return err
		}
	}
	for _, j := range jars {
		from := filepath.Join(got, j.name())
		if err := j.check(from); err != nil {
			return fmt.Errorf("%w: what Maven delivered is not what this version of harrow was tested with; remove that jar from Maven's repository (~/.m2/repository), or ask who keeps its mirror, and try again", err)
		}
		if err := os.Rename(from, filepath.Join(whole, j.path)); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(whole, stamp), []byte(s.list), 0o666)
}

// settle moves a folder to its place. Where another installation was faster,
// that one stays; one that is damaged makes room.
func (s source) settle(whole, place, aside string) error {
	for i := range 3 { // somebody else may settle in between
		if s.look(place) == nil {
			return nil
		}
		if err := os.Rename(place, fmt.Sprint(aside, i)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err := os.Rename(whole, place); err == nil {
			return nil
		}
	}
	return s.look(place)
}

var (
	downloaded  = regexp.MustCompile(`Downloaded from \S+: \S+/([^/ ]+\.jar)`)
	unreachable = regexp.MustCompile(`Could not transfer|offline mode|Unknown host|Connection refused|Network is unreachable|timed out`)
)

// runMaven copies what the pom names into a folder.
func runMaven(ctx context.Context, c Config, maven, pom, into string, jars int) error {
	if err := os.MkdirAll(into, 0o777); err != nil {
		return err
	}
	file := filepath.Join(filepath.Dir(into), "pom.xml")
	if err := os.WriteFile(file, []byte(pom), 0o666); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, maven, "-B", "-f", file, plugin, "-DincludeScope=runtime", "-DoutputDirectory="+into)
	ownGroup(cmd)
	cmd.Cancel = func() error { return killGroup(cmd.Process.Pid) }
	cmd.WaitDelay = 5 * time.Second
	cmd.Dir = filepath.Dir(into)
	out, in := io.Pipe()
	cmd.Stdout, cmd.Stderr = in, in
	said := make(chan string, 1)
	go func() { said <- follow(out, c, jars) }()
	err := cmd.Run()
	_ = in.Close() // never fails
	words := <-said
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case unreachable.MatchString(words):
		return fmt.Errorf("maven could not reach its repository, which it needs this once (behind a proxy or a mirror, ~/.m2/settings.xml says so to it): %w: %s", err, words)
	}
	return fmt.Errorf("%s: %w: %s", maven, err, words)
}

// follow tells how far Maven has come, and returns its errors, else its last
// words.
func follow(out io.Reader, c Config, jars int) string {
	var tail, wrong bytes.Buffer
	lines := bufio.NewScanner(out)
	n := 0
	for lines.Scan() {
		line := lines.Text()
		if downloaded.MatchString(line) {
			if n++; n%20 == 0 {
				c.say("flink: %d of at most %d jars fetched", n, jars)
			}
		}
		if rest, ok := strings.CutPrefix(line, "[ERROR] "); ok && strings.TrimSpace(rest) != "" && wrong.Len() < 2000 {
			fmt.Fprintln(&wrong, rest)
		}
		if tail.Len() > 64<<10 {
			tail.Reset()
		}
		fmt.Fprintln(&tail, line)
	}
	_, _ = io.Copy(io.Discard, out) // after a line too long for the scanner: Maven must not wait for us
	if wrong.Len() > 0 {
		return lastWords(wrong.Bytes())
	}
	return lastWords(tail.Bytes())
}
