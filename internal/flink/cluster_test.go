package flink

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestClusterTellsEachProcessWhereItIs(t *testing.T) {
	f := newFake(t)
	f.install(t)
	k, err := Up(t.Context(), ClusterConfig{
		Config: f.config(), TaskManagers: 2, Slots: 3, Dir: filepath.Join(f.dir, "cluster"), Fast: true,
		Host: func(name string) string {
			return map[string]string{"jobmanager": "10.0.0.1"}[name] + strings.TrimPrefix(name, "jobmanager")
		},
		Wrap:    func(name string, args []string) []string { return slices.Concat([]string{"env", "NAME=" + name}, args) },
		Options: map[string]string{"restart-strategy.type": "none", "taskmanager.memory.task.heap.size": "100 mb"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	if k.REST() != "10.0.0.1:8081" || len(k.TaskManagers()) != 2 {
		t.Errorf("REST %s, %d TaskManagers", k.REST(), len(k.TaskManagers()))
	}
	args, err := os.ReadFile(filepath.Join(f.dir, "args"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"-Djobmanager.rpc.port=0 -Drest.port=0", "-Xmx228m -XX:MaxDirectMemorySize=608m",
		"-Djobmanager.rpc.port=6123 -Dtaskmanager.resource-id=taskmanager-1 -Dtaskmanager.host=taskmanager-1 -Dtaskmanager.bind-host=taskmanager-1",
		"-Dtaskmanager.resource-id=taskmanager-2",
	} {
		if !strings.Contains(string(args), want) {
			t.Errorf("%q is not in\n%s", want, args)
		}
	}
	conf, err := os.ReadFile(filepath.Join(f.dir, "cluster/conf/config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"jobmanager.rpc.address": "10.0.0.1"`, `"rest.bind-address": "10.0.0.1"`, `"taskmanager.numberOfTaskSlots": "3"`, `"restart-strategy.type": "none"`, `"heartbeat.timeout": "8000"`} {
		if !strings.Contains(string(conf), want) {
			t.Errorf("%s is not in\n%s", want, conf)
		}
	}
	env, err := os.ReadFile("/proc/" + strings.Fields(readPids(t, f))[1] + "/environ")
	if err == nil && !strings.Contains(string(env), "NAME=taskmanager-") {
		t.Errorf("environment %q", env)
	}
}

func readPids(t *testing.T, f fake) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(f.dir, "pids"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestClusterStartsAgainWhatWasKilled(t *testing.T) {
	f := newFake(t)
	f.install(t)
	k, err := Up(t.Context(), ClusterConfig{Config: f.config()})
	if err != nil {
		t.Fatal(err)
	}
	if err := k.StartJobManager(t.Context()); err == nil {
		t.Error("a second JobManager was started beside the first")
	}
	for _, p := range []Process{k.TaskManagers()[1], k.JobManager()} {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
		eventually(t, "it dies", func() bool { return !p.Alive() })
	}
	if err := k.StartJobManager(t.Context()); err != nil {
		t.Error(err)
	}
	if args, _ := os.ReadFile(filepath.Join(f.dir, "args")); !strings.Contains(string(args), "-Djobmanager.rpc.port=6123 -Drest.port=8081") {
		t.Errorf("the JobManager is not where it was: %s", args)
	}
	for _, want := range []int{1, 2} { // the one that was killed, then one more
		if i, err := k.StartTaskManager(t.Context()); i != want || err != nil {
			t.Errorf("TaskManager %d, %v; want %d", i, err, want)
		}
	}
	for i, p := range k.TaskManagers() {
		if !p.Alive() || p.Name != taskManager(i) {
			t.Errorf("%d: %+v", i, p)
		}
	}
	if err := k.Close(); err != nil {
		t.Error(err)
	}
	if _, err := k.StartTaskManager(t.Context()); err == nil || len(f.pids(t)) > 0 || exists(k.dir) {
		t.Errorf("after its end: %v, %v, folder %v", err, f.pids(t), exists(k.dir))
	}
}

func TestWhatAKilledProcessLeftIsRemovedByTheNext(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	killed, path, err := tempDir()
	if err != nil {
		t.Fatal(err)
	}
	if err := killed.Lock.Close(); err != nil { // as the kernel does
		t.Fatal(err)
	}
	alive, other, err := tempDir()
	if err != nil {
		t.Fatal(err)
	}
	if exists(path) || !exists(other) {
		t.Errorf("the killed one's folder: %v; the other's: %v", exists(path), exists(other))
	}
	if err := alive.Remove(); err != nil || exists(other) {
		t.Error(err, exists(other))
	}
}

func TestClusterThatDoesNotComeUpLeavesNothing(t *testing.T) {
	for _, c := range []struct {
		name, java string
		config     ClusterConfig
		want       string
	}{
		{name: "no JobManager", java: `echo "Caused by: java.net.BindException: Address already in use"; exit 2`, want: "flink: jobmanager ended by itself: exit status 2: Caused by: java.net.BindException"},
		{name: "no TaskManager", java: `case "$*" in *TaskManagerRunner*) exit 1;; esac` + goodJava, want: "flink: taskmanager-1 ended by itself: exit status 1: it printed nothing"},
		{name: "memory", config: ClusterConfig{Options: map[string]string{"taskmanager.memory.network.max": "1g"}}, want: `taskmanager.memory.network.max: "1g": want MiB, like 128m`},
		{name: "negative", config: ClusterConfig{Slots: -1}, want: "want > 0"},
		{name: "wrapper", config: ClusterConfig{Wrap: func(string, []string) []string { return []string{"/nowhere/ip"} }}, want: "jobmanager: fork/exec /nowhere/ip: no such file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.install(t)
			if c.java != "" {
				f.java(t, c.java)
			}
			c.config.Config, c.config.Dir = f.config(), filepath.Join(f.dir, "cluster")
			if _, err := Up(t.Context(), c.config); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v; want %q", err, c.want)
			}
			if left := f.pids(t); len(left) > 0 {
				t.Errorf("processes left: %v", left)
			}
			if exists(c.config.Dir) {
				t.Error("its folder is left")
			}
		})
	}
}

const goodPool = `echo $$ >>"$dir/pids"; echo "worker pool listens on 127.0.0.1:50001; its workers are x"; exec sleep 300`

func newStand(t *testing.T, pool string) (fake, StandConfig) {
	t.Helper()
	f := newFake(t)
	f.install(t)
	f.script(t, "pool", "dir="+f.dir+"\n"+pool)
	t.Cleanup(func() {
		if err := Down(f.config()); err != nil && !errors.Is(err, ErrNotUp) {
			t.Error(err)
		}
		if left := f.pids(t); len(left) > 0 {
			t.Errorf("processes left: %v", left)
		}
	})
	return f, f.stand()
}

func TestStandingClusterStaysUntilItIsEnded(t *testing.T) {
	t.Parallel()
	f, c := newStand(t, goodPool)
	if _, err := Look(f.config()); !errors.Is(err, ErrNotUp) {
		t.Errorf("before: %v", err)
	}
	s, fresh, err := Stand(t.Context(), c)
	if err != nil || !fresh || s.REST != "127.0.0.1:8081" || s.Pool != "127.0.0.1:50001" || s.Slots != 4 || len(s.Processes) != 4 || len(s.Dead()) != 0 {
		t.Fatalf("%+v, fresh %v, %v", s, fresh, err)
	}
	if again, fresh, err := Stand(t.Context(), c); err != nil || fresh || again.REST != s.REST || len(f.pids(t)) != 4 {
		t.Errorf("again: %+v, fresh %v, %v; %d processes", again, fresh, err, len(f.pids(t)))
	}
	if err := Down(f.config()); err != nil {
		t.Error(err)
	}
	if left := f.pids(t); len(left) > 0 || exists(s.Logs()) {
		t.Errorf("left: %v, logs %v", left, exists(s.Logs()))
	}
	if err := Down(f.config()); !errors.Is(err, ErrNotUp) {
		t.Errorf("down twice: %v", err)
	}
}

func TestStandingClusterThatHasHalfDiedIsNamedAndEnded(t *testing.T) {
	t.Parallel()
	f, c := newStand(t, goodPool)
	s, _, err := Stand(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range s.Processes[1:3] {
		if err := p.Kill(); err != nil {
			t.Error(err)
		}
		eventually(t, "it dies", func() bool { return !p.Alive() })
	}
	if _, fresh, err := Stand(t.Context(), c); err == nil || fresh || !strings.Contains(err.Error(), "taskmanager-1 of the cluster that was started here has ended") {
		t.Errorf("fresh %v, %v", fresh, err)
	}
	if err := Down(f.config()); err != nil || len(f.pids(t)) > 0 {
		t.Errorf("%v, %v", err, f.pids(t))
	}
}

func TestStandingClusterIsNotTakenForAStranger(t *testing.T) {
	t.Parallel()
	f, c := newStand(t, goodPool)
	s, _, err := Stand(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	at, err := standIn(f.config())
	if err != nil {
		t.Fatal(err)
	}
	stranger := s // whose processes have the same numbers, as after a reboot
	stranger.Processes = slices.Clone(s.Processes)
	for i := range stranger.Processes {
		stranger.Processes[i].Birth = "another time"
	}
	if err := at.write(stranger); err != nil {
		t.Fatal(err)
	}
	if err := Down(f.config()); err != nil {
		t.Error(err)
	}
	if len(s.Dead()) != 0 {
		t.Errorf("killed: %v", s.Dead())
	}
	if err := end(grace, s.Processes...); err != nil {
		t.Error(err)
	}
}

func TestStandingClusterWithoutPoolIsEndedAgain(t *testing.T) {
	t.Parallel()
	f, c := newStand(t, `echo "harrow: worker pool: listen tcp 127.0.0.1:50000: bind: address already in use"; exit 1`)
	if _, _, err := Stand(t.Context(), c); err == nil || !strings.Contains(err.Error(), "pool ended by itself: exit status 1: harrow: worker pool: listen") {
		t.Errorf("%v", err)
	}
	if _, err := Look(f.config()); !errors.Is(err, ErrNotUp) || len(f.pids(t)) > 0 {
		t.Errorf("%v, %v", err, f.pids(t))
	}
}

func TestStandingClusterWhoseStarterWasKilledIsEnded(t *testing.T) {
	t.Parallel()
	f, c := newStand(t, goodPool)
	f.java(t, `case "$*" in *TaskManagerRunner*) exec sleep 300;; esac`+goodJava) // never at the JobManager's service
	kill := f.as(t, "stand")
	eventually(t, "two TaskManagers start", func() bool {
		s, err := Look(f.config())
		return err == nil && len(s.Processes) == 3
	})
	if _, _, err := Stand(t.Context(), c); err == nil || !strings.Contains(err.Error(), "another harrow flink up or down is at work") {
		t.Errorf("beside it: %v", err)
	}
	kill()
	if len(f.pids(t)) != 3 {
		t.Errorf("%d processes go on; want 3: they are not its children in death", len(f.pids(t)))
	}
	if _, _, err := Stand(t.Context(), c); err == nil || !strings.Contains(err.Error(), "did not come up whole") {
		t.Errorf("after it: %v", err)
	}
	if err := Down(f.config()); err != nil || len(f.pids(t)) > 0 {
		t.Errorf("%v, %v", err, f.pids(t))
	}
}

func TestInterruptedUpEndsWhatItStarted(t *testing.T) {
	t.Parallel()
	f, c := newStand(t, goodPool)
	f.java(t, `case "$*" in *TaskManagerRunner*) exec sleep 300;; esac`+goodJava)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		for len(f.pids(t)) < 3 && t.Context().Err() == nil {
			time.Sleep(5 * time.Millisecond)
		}
	}()
	if _, _, err := Stand(ctx, c); !errors.Is(err, context.Canceled) || len(f.pids(t)) > 0 {
		t.Errorf("%v, %v", err, f.pids(t))
	}
}

func TestStateThatIsBrokenIsNamed(t *testing.T) {
	t.Parallel()
	f, c := newStand(t, goodPool)
	if _, _, err := Stand(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	path, s := readState(t, f.config())
	if err := os.WriteFile(path, []byte("{"), 0o666); err != nil {
		t.Fatal(err)
	}
	_, _, err := Stand(t.Context(), c)
	for _, err := range []error{Down(f.config()), err} {
		if err == nil || !strings.Contains(err.Error(), path) || len(s.Dead()) != 0 {
			t.Errorf("%v, dead: %v", err, s.Dead())
		}
	}
	at, err := standIn(f.config())
	if err != nil {
		t.Fatal(err)
	}
	if err := at.write(s); err != nil {
		t.Fatal(err)
	}
}
