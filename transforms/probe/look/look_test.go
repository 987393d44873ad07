package look

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/soak/fault"
)

// shut is a sink that can't be reached; it tells no secret, and knows what it
// was given.
type shut struct{ url string }

func (s shut) Check(context.Context, []harrow.RecordType) error {
	if s.url == "" {
		return nil
	}
	return errors.New("nobody\n answers at " + s.url)
}

func (shut) Load(context.Context, harrow.Shard) (harrow.Counts, error) { return harrow.Counts{}, nil }

func (shut) Close() error { return nil }

func init() {
	harrow.RegisterSink("look-test", func(config json.RawMessage, env harrow.SinkEnv) (harrow.Sink, error) {
		var c struct{ URL string }
		if err := json.Unmarshal(config, &c); err != nil {
			return nil, err
		}
		if env.Job != "shop" || env.Dir != "/jobs" {
			return nil, errors.New("not the job's")
		}
		return shut{c.URL}, nil
	})
}

func TestAWorkerThatHasAllItNeedsSaysSo(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("LOOK_SECRET", "hunter2")
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := Config{Probe: t.Name(), Workspace: filepath.Join(dir, "w"), Job: "shop", Dir: "/jobs", Secrets: []string{"LOOK_SECRET", "file:" + secret},
		Load: map[string]json.RawMessage{"look-test": json.RawMessage(`{"URL": ""}`)}, Spill: dir}
	r := Around(t.Context(), c)
	if r.Workspace != "" || r.Secrets != nil || len(r.Sinks) != 0 || r.Spill != "" || r.Room <= 0 || r.Host == "" || !strings.Contains(r.Build, "build ") || r.PID != os.Getpid() || time.Since(r.At) > time.Minute {
		t.Errorf("%+v", r)
	}
	if runtime.GOOS == "linux" && r.Memory <= 0 {
		t.Errorf("the machine has %d bytes of memory", r.Memory)
	}
	for _, folder := range []string{c.Workspace, dir} {
		entries, err := os.ReadDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if strings.Contains(e.Name(), "probe") {
				t.Errorf("%s is left in %s", e.Name(), folder)
			}
		}
	}
	c.Secrets = []string{"LOOK_NONE"}
	if again := Around(t.Context(), c); !reflect.DeepEqual(again, r) {
		t.Errorf("the second element of a probe got another answer: %+v", again)
	}
}

func TestWhatAWorkerLacksIsInItsReport(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("LOOK_URL", "db:hunter2@x")
	disk, err := fault.New(filepath.Join(dir, "full"))
	if err != nil {
		t.Fatal(err)
	}
	disk.FailFrom(1, false)
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("é", maxText)
	for _, c := range []struct {
		name string
		cfg  Config
		got  func(Report) string
		want string
	}{
		{"a full disk", Config{Workspace: disk.URI()}, func(r Report) string { return r.Workspace }, "no space left on device"},
		{"a workspace that is a file", Config{Workspace: file}, func(r Report) string { return r.Workspace }, "not a directory"},
		{"a scheme that is not built", Config{Workspace: "s3://b/x"}, func(r Report) string { return r.Workspace }, "scheme s3 is not supported"},
		{"no secret", Config{Secrets: []string{"LOOK_NONE", "file:/none"}}, func(r Report) string { return strings.Join(r.Secrets, " ") }, "${LOOK_NONE} has no value; expected an environment variable of that name ${file:/none} can't be read"},
		{"a sink that is shut", Config{Job: "shop", Dir: "/jobs", Load: map[string]json.RawMessage{"look-test": json.RawMessage(`{"URL": "x"}`)}}, func(r Report) string { return r.Sinks["look-test"] }, "nobody answers at x"},
		{"a sink whose secret is not there", Config{Load: map[string]json.RawMessage{"look-test": json.RawMessage(`{"URL": "${LOOK_NONE}"}`)}}, func(r Report) string { return r.Sinks["look-test"] }, "${LOOK_NONE} has no value"},
		{"a sink that is not built in", Config{Load: map[string]json.RawMessage{"look-none": nil}}, func(r Report) string { return r.Sinks["look-none"] }, `no sink is called "look-none"`},
		{"a sink that makes long errors", Config{Job: "shop", Dir: "/jobs", Load: map[string]json.RawMessage{"look-test": json.RawMessage(`{"URL": "` + long + `"}`)}}, func(r Report) string { return r.Sinks["look-test"] }, "…"},
		{"nowhere to spill", Config{Spill: filepath.Join(dir, "none")}, func(r Report) string { return r.Spill }, "no such file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.cfg.Probe = t.Name()
			r := Around(t.Context(), c.cfg)
			if got := c.got(r); !strings.Contains(got, c.want) || len(got) > 2*maxText {
				t.Errorf("got %q, want %q in it", got, c.want)
			}
			text, err := r.Text()
			if err != nil {
				t.Fatal(err)
			}
			if back, err := Read(text); err != nil || !reflect.DeepEqual(back, r) || strings.ContainsAny(text, ".:/ {") {
				t.Errorf("%q reads as %+v, %v; want %+v", text, back, err, r)
			}
		})
	}
}

func TestAnyReportComesBackAsItWas(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Report{Worker: rapid.String().Draw(t, "worker"), Host: rapid.String().Draw(t, "host"), PID: rapid.Int().Draw(t, "pid"), At: time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "at"), 0).UTC(),
			Secrets: rapid.SliceOfN(rapid.String(), 1, 3).Draw(t, "secrets"), Sinks: rapid.MapOfN(rapid.StringMatching(`[a-z]+`), rapid.String(), 1, 3).Draw(t, "sinks")}
		text, err := want.Text()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := Read(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v, %v; want %+v", got, err, want)
		}
	})
}

func TestWhatIsNoReportIsAnError(t *testing.T) {
	for _, text := range []string{"", "x", "no text", strings.Repeat("A", maxReport+1), "AAAA"} {
		if r, err := Read(text); err == nil {
			t.Errorf("%.20q is %+v", text, r)
		}
	}
}
