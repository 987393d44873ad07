package flink

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/harrowdata/harrow/internal/loopback"
	"github.com/harrowdata/harrow/internal/scratch"
)

// Local is the master of an embedded Flink: a cluster inside of the job
// server's process, for development.
const Local = "local"

// JobServer says which job server to start.
type JobServer struct {
	// Config says where the jars are.
	Config Config
	// Master is the HOST:PORT of the JobManager's REST address, or Local.
	Master string
	// Dir is a folder for the log and for temporary files, which is made; empty:
	// one of its own among the system's, removed by Close. In one that is given, the
	// log jobserver.log stays.
	Dir string
	// Heap bounds the Java heap in MiB; 0: 512, for Local 1024. As much again, at
	// most, is taken outside of it.
	Heap int
	// Equipped says that all processes of the cluster have Beam's runner on their
	// class paths, see [Equipped]: a job brings no jars along. Else it brings all of
	// the server's, some 150 MB. An embedded Flink has the server's.
	Equipped bool
	// Options are Flink's own, of its client and of an embedded Flink, by their names in
	// Flink's documentation.
	Options map[string]string
}

// Server is a job server that runs. It dies with this process, however that
// ends, and never before it: a Ctrl-C in the terminal is not for it.
type Server struct {
	endpoint string
	child    *child
	dir      string
	bare     error           // see Bare
	own      *scratch.Folder // the same, where nobody named one; else nil
	close    func() error

	mu     sync.Mutex
	closed bool
}

// StartJobServer starts Beam's job server and waits until it takes jobs. The
// context ends only the waiting; Close ends the server. Jars or Java that lack
// are ErrMissing.
//
// Beam's job server listens on all of the machine's addresses, at ports that
// are free; Endpoint is its local one. Nothing but the submitting process needs
// it (TaskManagers take their jars from the JobManager), so its sockets are
// bound to the loopback device as soon as they are there; see [Server.Bare].
func StartJobServer(ctx context.Context, c JobServer) (*Server, error) {
	master, err := c.master()
	if err != nil {
		return nil, err
	}
	jars, err := Find(ctx, c.Config)
	if err != nil {
		return nil, err
	}
	s := &Server{}
	s.close = sync.OnceValue(s.end)
	if c.Dir == "" {
		s.own, s.dir, err = tempDir()
	} else {
		s.dir, err = filepath.Abs(c.Dir)
	}
	if err != nil {
		return nil, err
	}
	if err := s.start(ctx, c, jars, master); err != nil {
		return nil, errors.Join(fmt.Errorf("flink: %w", err), s.Close())
	}
	return s, nil
}

// master is how Beam spells it.
func (c JobServer) master() (string, error) {
	if c.Master == Local || c.Master == "[local]" {
		return "[local]", nil
	}
	host, port, err := net.SplitHostPort(c.Master)
	if n, perr := strconv.Atoi(port); err != nil || host == "" || perr != nil || n < 1 || n > 65535 {
		return "", fmt.Errorf("flink: master %q: want HOST:PORT of the JobManager's REST address, or %s", c.Master, Local)
	}
	return c.Master, nil
}

var (
	jobsAt      = regexp.MustCompile(`JobService started on (\S+)`)
	artifactsAt = regexp.MustCompile(`ArtifactStagingService started on (\S+)`)
)

func (s *Server) start(ctx context.Context, c JobServer, jars *Installation, master string) (err error) {
	local := master == "[local]"
	for _, folder := range []string{s.conf(), s.tmp()} {
		if err := os.MkdirAll(folder, 0o777); err != nil {
			return err
		}
	}
	options := map[string]string{"rest.bind-address": loopbackAddr, "classloader.check-leaked-classloader": "false"}
	if local {
		maps.Copy(options, map[string]string{"rest.address": loopbackAddr, "io.tmp.dirs": s.tmp(),
			"taskmanager.memory.network.min": "128m", "taskmanager.memory.network.max": "128m", "taskmanager.network.sort-shuffle.min-buffers": "16"}) // as a cluster's
	}
	if err := writeConf(s.conf(), options, c.Options); err != nil {
		return err
	}
	heap, kind := 512, brief
	if local {
		heap, kind = 1024, lasting // it is the cluster, too
	}
	if c.Heap != 0 {
		heap = c.Heap
	}
	classes, main := jars.allClasses(), driver
	if c.Equipped || local {
		folder := filepath.Join(s.tmp(), "classes")
		if err := writeLauncher(folder); err != nil {
			return err
		}
		classes, main = classes+string(filepath.ListSeparator)+folder, launcher
	}
	args := append([]string{jars.Java}, jvm(kind, heap, heap, s.tmp())...)
	args = append(args, "-cp", classes, strings.ReplaceAll(main, "/", "."),
		"--flink-master="+master, "--flink-conf-dir="+s.conf(), "--artifacts-dir="+filepath.Join(s.tmp(), "artifacts"),
		"--job-port=0", "--artifact-port=0", "--expansion-port=-1")
	if s.child, err = start(command{name: "Beam's job server for Flink", args: args, dir: s.tmp(), log: filepath.Join(s.dir, "jobserver.log")}); err != nil {
		return err
	}
	found, err := s.child.await(ctx, 0, jobsAt, artifactsAt)
	if err != nil {
		return err
	}
	s.endpoint = found[0]
	s.bare = loopback.Only(s.child.PID, found...)
	return nil
}

// Bare is why other machines reach the server; nil: they don't.
func (s *Server) Bare() error { return s.bare }

// conf and tmp are folders for Flink's configuration and for what Java and
// Flink write; both go with the server.
func (s *Server) conf() string { return filepath.Join(s.dir, "jobserver-conf") }
func (s *Server) tmp() string  { return filepath.Join(s.dir, "jobserver-tmp") }

// Endpoint is the HOST:PORT of the job service on this machine.
func (s *Server) Endpoint() string { return s.endpoint }

// Process is the server's process.
func (s *Server) Process() Process { return s.child.Process }

// Done is closed when the server has ended, by Close or by itself.
func (s *Server) Done() <-chan struct{} { return s.child.ended }

// Err is how the server ended, with its last words, if it did so by itself; nil
// while it runs and after Close.
func (s *Server) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || !closed(s.child.ended) {
		return nil
	}
	return s.child.failure()
}

// Close ends the server, and with Local all that runs in it, and removes its
// temporary files. Called again, it returns what it returned before.
func (s *Server) Close() error { return s.close() }

func (s *Server) end() (err error) {
	if s.child != nil {
		s.mu.Lock()
		s.closed = !closed(s.child.ended)
		s.mu.Unlock()
		err = end(3*time.Second, s.child.Process)
		<-s.child.ended
	}
	if s.own != nil {
		return errors.Join(err, s.own.Remove())
	}
	return errors.Join(err, os.RemoveAll(s.conf()), os.RemoveAll(s.tmp()))
}
