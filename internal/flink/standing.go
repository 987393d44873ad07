package flink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"golang.org/x/sys/unix"
)

// Standing is a cluster that lives on after the command that started it, with a
// worker pool beside it, by the file that names its processes. There is one in
// a cache folder.
type Standing struct {
	// REST is the JobManager's HOST:PORT, Pool the address that the worker pool
	// listens on; empty while they come up.
	REST string `json:"rest"`
	Pool string `json:"pool"`
	// Slots are those of all TaskManagers: the greatest parallelism of a job.
	Slots int `json:"slots"`
	// Dir is its folder.
	Dir string `json:"dir"`
	// Processes are the JobManager, the TaskManagers and the pool, as far as they
	// were started.
	Processes []Process `json:"processes"`
}

// Logs is the folder of the processes' logs.
func (s Standing) Logs() string { return filepath.Join(s.Dir, "run") }

// Dead are the processes that have ended.
func (s Standing) Dead() (dead []Process) {
	for _, p := range s.Processes {
		if !p.Alive() {
			dead = append(dead, p)
		}
	}
	return dead
}

// ErrNotUp: no cluster was started in this cache folder, or it was ended.
var ErrNotUp = errors.New("flink: no cluster is up")

// StandConfig says which cluster shall stand.
type StandConfig struct {
	// Cluster is without Dir, Host and Wrap: it stands in the cache folder, on
	// this machine's own address.
	Cluster ClusterConfig
	// Pool is the command line of a worker pool, which says where it listens when
	// it does.
	Pool []string
}

// stand is where a standing cluster's files are.
type stand struct{ dir string }

func standIn(c Config) (stand, error) {
	cache, err := c.cache()
	return stand{filepath.Join(cache, "flink-cluster")}, err
}

func (s stand) state() string { return filepath.Join(s.dir, "cluster.json") }

// lock lets one command at a time start or end the cluster.
func (s stand) lock() (release func(), err error) {
	if err := os.MkdirAll(s.dir, 0o777); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(s.dir, "lock"), os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close() // nothing was written
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errors.New("flink: another harrow flink up or down is at work: wait for its end")
		}
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return func() {
		_ = unix.Flock(int(f.Fd()), unix.LOCK_UN) // at once, even where a child that is just being made has the file too
		_ = f.Close()
	}, nil
}

func (s stand) read() (Standing, error) {
	text, err := os.ReadFile(s.state())
	if errors.Is(err, os.ErrNotExist) {
		return Standing{}, ErrNotUp
	}
	if err != nil {
		return Standing{}, err
	}
	var c Standing
	if err := json.Unmarshal(text, &c); err != nil {
		return Standing{}, fmt.Errorf("%s: %w: it names the processes of a cluster; remove it when none of them runs", s.state(), err)
	}
	return c, nil
}

func (s stand) write(c Standing) error {
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	tmp := s.state() + ".tmp"
	if err := os.WriteFile(tmp, append(text, '\n'), 0o666); err != nil {
		return err
	}
	return os.Rename(tmp, s.state())
}

// Look reads which cluster stands; where none does, ErrNotUp.
func Look(c Config) (Standing, error) {
	s, err := standIn(c)
	if err != nil {
		return Standing{}, err
	}
	return s.read()
}

// poolAt is what a worker pool says when it listens.
var poolAt = regexp.MustCompile(`worker pool listens on ([^\s;]+)`)

// Stand starts a cluster and a worker pool that live on. Where one stands
// already it is returned, with fresh false; one of which a process has ended is
// an error that names it. What was started before a failure is ended again.
func Stand(ctx context.Context, c StandConfig) (standing Standing, fresh bool, err error) {
	s, err := standIn(c.Cluster.Config)
	if err != nil {
		return Standing{}, false, err
	}
	release, err := s.lock()
	if err != nil {
		return Standing{}, false, err
	}
	defer release()
	switch standing, err = s.read(); {
	case err == nil:
		return standing, false, standing.whole()
	case !errors.Is(err, ErrNotUp):
		return Standing{}, false, err
	}
	standing, err = s.up(ctx, c)
	if err != nil {
		err = errors.Join(err, s.down())
	}
	return standing, true, err
}

// whole says what has ended of a cluster.
func (s Standing) whole() error {
	dead := s.Dead()
	switch {
	case len(dead) > 0:
		return fmt.Errorf("flink: %s of the cluster that was started here has ended (its log: %s): run harrow flink down, then up", dead[0].Name, dead[0].Log)
	case s.REST == "" || s.Pool == "":
		return errors.New("flink: the cluster that was started here did not come up whole: run harrow flink down, then up")
	}
	return nil
}

// up writes down each process as it starts: harrow flink down finds them all,
// even when this one is killed meanwhile.
func (s stand) up(ctx context.Context, c StandConfig) (Standing, error) {
	c.Cluster.Config.say("flink: starting Flink %s: a JobManager, its TaskManagers and a worker pool", Version)
	standing := Standing{Dir: s.dir}
	config := c.Cluster
	config.Dir, config.detached = filepath.Join(s.dir, "run"), true
	config.begun = func(p Process) error {
		standing.Processes = append(standing.Processes, p)
		return s.write(standing)
	}
	k, err := Up(ctx, config)
	if err != nil {
		return standing, err
	}
	pool, err := start(command{name: "pool", args: c.Pool, dir: s.dir, log: filepath.Join(config.Dir, "pool.log"), detached: true})
	if err != nil {
		return standing, err
	}
	if err := config.begun(pool.Process); err != nil {
		return standing, errors.Join(err, pool.Kill())
	}
	found, err := pool.await(ctx, 0, poolAt)
	if err != nil {
		return standing, fmt.Errorf("flink: %w", err)
	}
	standing.REST, standing.Pool, standing.Slots = k.REST(), found[0], k.cfg.TaskManagers*k.cfg.Slots
	return standing, s.write(standing)
}

// poolGrace is what a worker pool takes at most: its workers let go of what they
// fetch first.
const poolGrace = 30 * time.Second

// down ends what the state file names.
func (s stand) down() error {
	standing, err := s.read()
	if errors.Is(err, ErrNotUp) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := end(poolGrace, standing.Processes...); err != nil {
		return err
	}
	if err := os.Remove(s.state()); err != nil {
		return err
	}
	return os.RemoveAll(filepath.Join(s.dir, "run"))
}

// Down ends the cluster that stands and its worker pool, whatever of them still
// runs, and removes their files. Where none stands, ErrNotUp.
func Down(c Config) error {
	s, err := standIn(c)
	if err != nil {
		return err
	}
	release, err := s.lock()
	if err != nil {
		return err
	}
	defer release()
	if _, err := s.read(); err != nil {
		return err
	}
	return s.down()
}
