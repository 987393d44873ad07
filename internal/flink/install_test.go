package flink

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestInstallPutsCheckedJarsInTheirPlaceOnce(t *testing.T) {
	f := newFake(t)
	s := f.small(t)
	var log bytes.Buffer
	c := f.config()
	c.Log = &log
	if _, err := find(t.Context(), c, s); !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "run harrow flink install once") {
		t.Errorf("before: %v", err)
	}
	i, err := install(t.Context(), c, s)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"lib/flink-a-1.jar": "flink", "beam/beam-b-1.jar": "beam beam", stamp: s.list} {
		if got, err := os.ReadFile(filepath.Join(i.Dir, path)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v; want %q", path, got, err, want)
		}
	}
	if !strings.Contains(log.String(), "2 jars") || i.Java != c.Java {
		t.Errorf("it said %q, Java is %s", log.String(), i.Java)
	}
	if again, err := install(t.Context(), c, s); err != nil || *again != *i || f.calls(t) != 1 {
		t.Errorf("again: %v, %v, Maven called %d times; want once", again, err, f.calls(t))
	}
	onlyOne(t, f)
}

// onlyOne checks that nothing of an installation's work is left in the cache.
func onlyOne(t *testing.T, f fake) {
	t.Helper()
	if left, err := os.ReadDir(f.cache()); err != nil || len(left) != 1 {
		t.Errorf("in the cache: %v, %v; want the jars' folder alone", left, err)
	}
}

func TestInstallMendsWhatIsNotAsItWas(t *testing.T) {
	for name, damage := range map[string]func(dir string) error{
		"a jar cut short":    func(dir string) error { return os.Truncate(filepath.Join(dir, "lib/flink-a-1.jar"), 1) },
		"a jar gone":         func(dir string) error { return os.Remove(filepath.Join(dir, "beam/beam-b-1.jar")) },
		"no stamp":           func(dir string) error { return os.Remove(filepath.Join(dir, stamp)) },
		"a stranger's class": func(dir string) error { return os.WriteFile(filepath.Join(dir, "lib/x.jar"), nil, 0o666) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			s := f.small(t)
			i, err := install(t.Context(), f.config(), s)
			if err != nil {
				t.Fatal(err)
			}
			if err := damage(i.Dir); err != nil {
				t.Fatal(err)
			}
			if _, err := find(t.Context(), f.config(), s); !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "not as they were installed") {
				t.Errorf("found: %v", err)
			}
			if _, err := install(t.Context(), f.config(), s); err != nil {
				t.Error(err)
			}
			if err := s.look(i.Dir); err != nil {
				t.Error(err)
			}
			onlyOne(t, f)
		})
	}
}

func TestInstallationsAtOnceDoNoHarm(t *testing.T) {
	f := newFake(t)
	s := f.small(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if i, err := install(t.Context(), f.config(), s); err != nil || s.look(i.Dir) != nil {
				t.Errorf("%v, %v", i, err)
			}
		})
	}
	all.Wait()
	onlyOne(t, f)
}

func TestInstallSaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		name, java, maven string // scripts
		config            func(f fake, c Config) Config
		missing           bool
		want              []string
	}{
		{name: "an old Java", java: `echo 'openjdk version "11.0.2" 2019-01-15' >&2`, missing: true, want: []string{"Flink needs Java 17", "is Java 11.0.2", "JAVA_HOME"}},
		{name: "a very old Java", java: `echo 'java version "1.8.0_362"' >&2`, missing: true, want: []string{"is Java 8.0_362"}},
		{name: "a Java too new", java: `echo 'openjdk version "25" 2025-09-16' >&2`, missing: true, want: []string{"is Java 25"}},
		{name: "no Java at all", java: `echo hello`, want: []string{"does not say its version: hello"}},
		{name: "a Java that fails", java: `echo boom >&2; exit 3`, want: []string{"does not run: exit status 3: boom"}},
		{name: "Maven offline", maven: `echo "[ERROR] Could not transfer artifact x:y:pom:1 from/to central: Unknown host repo"; exit 1`,
			want: []string{"could not reach its repository", "settings.xml", "Unknown host repo"}},
		{name: "Maven fails", maven: `echo "[INFO] x"; echo "[ERROR] no such plugin"; echo "[ERROR] "; exit 1`, want: []string{"exit status 1: no such plugin"}},
		{name: "Maven says nothing", maven: `exit 7`, want: []string{"exit status 7: it printed nothing"}},
		{name: "another jar by that name", maven: `cp "$dir"/repository/* "$out"; echo evil >"$out/flink-a-1.jar"`,
			want: []string{"flink-a-1.jar: its checksum is sha256 ", "(5 bytes)", "want ", "what Maven delivered is not what this version of harrow was tested with"}},
		{name: "a jar that never came", maven: `cp "$dir"/repository/flink* "$out"`, want: []string{"beam-b-1.jar: no such file"}},
		{name: "no Maven", config: func(_ fake, c Config) Config { c.Maven = "/nowhere/mvn"; return c }, want: []string{"/nowhere/mvn: no such file"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			s := f.small(t)
			if c.java != "" {
				f.script(t, "java", c.java)
			}
			if c.maven != "" {
				f.maven(t, c.maven)
			}
			config := f.config()
			if c.config != nil {
				config = c.config(f, config)
			}
			_, err := install(t.Context(), config, s)
			if err == nil || errors.Is(err, ErrMissing) != c.missing {
				t.Fatalf("%v; want an error, missing: %v", err, c.missing)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v\nwant %q in it", err, want)
				}
			}
			if left, err := os.ReadDir(f.cache()); len(left) > 0 {
				t.Errorf("left in the cache: %v, %v", left, err)
			}
		})
	}
}

// These look at the environment, so not beside others.
func TestJavaIsLookedForInJavaHomeThenInPath(t *testing.T) {
	f := newFake(t)
	s := f.small(t)
	c := Config{Cache: f.cache()}
	home := t.TempDir()
	for _, step := range []struct{ home, path, want string }{
		{home, f.dir, "JAVA_HOME is " + home + ", which has no bin/java"},
		{"", t.TempDir(), "Flink needs Java 17: install it"},
	} {
		t.Setenv("JAVA_HOME", step.home)
		t.Setenv("PATH", step.path)
		if _, err := install(t.Context(), c, s); !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), step.want) {
			t.Errorf("JAVA_HOME=%s PATH=%s: %v; want %q", step.home, step.path, err, step.want)
		}
	}
	t.Setenv("JAVA_HOME", "")
	t.Setenv("PATH", f.dir+":/usr/bin:/bin")
	if i, err := install(t.Context(), c, s); err != nil || i.Java != filepath.Join(f.dir, "java") {
		t.Errorf("%v, %v; want Java and Maven of PATH", i, err)
	}
	if err := os.Remove(filepath.Join(f.dir, "mvn")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", f.dir)
	if _, err := install(t.Context(), Config{Cache: t.TempDir()}, s); !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "Maven's mvn is not in PATH") {
		t.Errorf("%v; want that Maven lacks", err)
	}
}

func TestInterruptedInstallationEndsMavenAndLeavesNothing(t *testing.T) {
	f := newFake(t)
	s := f.small(t)
	f.maven(t, `sleep 300 & echo $! >"$dir/pids"; echo $$ >>"$dir/pids"; wait`)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		for len(f.pids(t)) < 2 && t.Context().Err() == nil {
			time.Sleep(5 * time.Millisecond)
		}
	}()
	if _, err := install(ctx, f.config(), s); !errors.Is(err, context.Canceled) {
		t.Errorf("%v; want that it was cancelled", err)
	}
	eventually(t, "Maven and what it started end", func() bool { return len(f.pids(t)) == 0 })
	if left, err := os.ReadDir(f.cache()); len(left) > 0 {
		t.Errorf("left in the cache: %v, %v", left, err)
	}
}

func TestCacheIsNamedByTheEnvironment(t *testing.T) {
	t.Setenv("HARROW_CACHE", "/somewhere")
	if dir, err := CacheDir(); dir != "/somewhere" || err != nil {
		t.Error(dir, err)
	}
	t.Setenv("HARROW_CACHE", "")
	t.Setenv("XDG_CACHE_HOME", "/home/x/.cache")
	if dir, err := CacheDir(); err != nil || filepath.Base(dir) != "harrow" {
		t.Error(dir, err)
	}
}

func TestListOfJarsIsReadOrRefused(t *testing.T) {
	for _, bad := range []string{"abc 1 lib/x.jar", strings.Repeat("a", 64) + " x lib/x.jar", strings.Repeat("a", 64) + " 1"} {
		if _, err := parseList(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

func FuzzJavaVersion(f *testing.F) {
	f.Add(`openjdk version "17.0.15" 2025-04-15`)
	f.Add(`java version "1.8.0_362"`)
	f.Add(`openjdk version "22-ea"`)
	f.Fuzz(func(t *testing.T, text string) {
		if version, major := javaVersion(text); (major == 0) != (version == "") && major != 0 || major < 0 {
			t.Errorf("%q: %q, %d", text, version, major)
		}
	})
}
