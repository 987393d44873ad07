package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/bench/internal/anywhere"
	"github.com/harrowdata/harrow/bench/internal/measure"
	"github.com/harrowdata/harrow/bench/internal/quiet"
	"github.com/harrowdata/harrow/command"
	"github.com/harrowdata/harrow/command/view"
	"github.com/harrowdata/harrow/internal/memory"
	"github.com/harrowdata/harrow/io/lakeio"
)

// roles are the processes of this benchmark.
var roles = measure.Roles{
	"site":   measure.Role(serve),
	"harrow": measure.Role(harvest),
}

// harvestConfig is what the process that is measured gets.
type harvestConfig struct {
	Job, Workspace string
	On             anywhere.On
	Until          string // last stage; empty: all
	Profile        string // file for a CPU profile
}

// harvest is `harrow run`; its result is the summary that it prints.
func harvest(ctx context.Context, c harvestConfig) (s view.Summary, err error) {
	memory.TuneGC()
	quiet.Beam()
	if c.Profile != "" {
		f, err := os.Create(c.Profile)
		if err != nil {
			return s, err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return s, errors.Join(err, f.Close())
		}
		defer func() { pprof.StopCPUProfile(); err = errors.Join(err, f.Close()) }()
	}
	var out, progress bytes.Buffer
	args := []string{"run", c.Job, "--workspace", c.Workspace, "--json"}
	if c.Until != "" {
		args = append(args, "--until", c.Until)
	}
	args = append(args, c.On.Args()...)
	code := command.Run(ctx, args, &out, &progress)
	if code != 0 {
		return s, fmt.Errorf("harrow run ended with exit code %d:\n%s", code, progress.String())
	}
	return s, json.Unmarshal(out.Bytes(), &s)
}

// outcome is what came of one scenario on one runner.
type outcome struct {
	scenario
	runner  string
	server  judgement
	harrow  view.Summary
	cost    measure.Cost
	began   time.Time // before the process was started
	ended   time.Time // after it had ended
	run     lakeio.Run
	stages  []stageEnd
	client  slots    // of the host that decides, as the client saw it
	unnamed []string // moments without a reason, see watch
}

// stageEnd is when a stage, or a round, was committed.
type stageEnd struct {
	name string
	at   time.Time
}

// wall is from the process's start to its end.
func (o outcome) wall() time.Duration { return o.ended.Sub(o.began) }

// fetchWall is from the commit of the stage before fetch to that of its last
// round.
func (o outcome) fetchWall() time.Duration {
	var before, end time.Time
	for _, s := range o.stages {
		switch {
		case s.name == "discover":
			before = s.at
		case strings.HasPrefix(s.name, "fetch-"):
			end = s.at
		}
	}
	return end.Sub(before)
}

func (o outcome) efficiency() float64 { return o.server.Bound.Seconds() / o.fetchWall().Seconds() }
func (o outcome) whole() float64      { return o.server.Bound.Seconds() / o.wall().Seconds() }

// measureRun serves a scenario and harvests it.
func measureRun(ctx context.Context, s scenario, on anywhere.On, profile string) (o outcome, err error) {
	o = outcome{scenario: s, runner: on.Runner}
	addr, stop, err := measure.Start(ctx, "site", siteConfig{s})
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	dir, err := os.MkdirTemp("", "harrow-bench-fetch-")
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	c := harvestConfig{Job: filepath.Join(dir, "bench.yaml"), Workspace: filepath.Join(dir, "workspace"), On: on, Until: s.Until, Profile: profile}
	if err := os.WriteFile(c.Job, []byte(s.job(addr)), 0o666); err != nil {
		return o, err
	}
	if err := os.WriteFile(filepath.Join(dir, "seeds.txt"), []byte(s.seeds()), 0o666); err != nil {
		return o, err
	}
	watching, unwatch := context.WithCancel(ctx)
	watched := make(chan []string, 1)
	go func() { watched <- watch(watching, c.Workspace) }()
	o.began = time.Now()
	o.cost, err = measure.Run(ctx, "harrow", c, &o.harrow)
	o.ended = time.Now()
	unwatch()
	o.unnamed = <-watched
	if err != nil {
		return o, err
	}
	exchanges, err := o.readRun(ctx, c.Workspace)
	if err != nil {
		return o, err
	}
	if o.server, err = logOf(ctx, addr, exchanges); err != nil {
		return o, err
	}
	var spans []span
	for _, e := range exchanges {
		if e.Key == o.server.Bounding {
			spans = append(spans, span{e.StartedAt, e.EndedAt})
		}
	}
	o.client = newSlots(s, spans)
	return o, nil
}

// logOf asks the site what its log says beside the exchanges.
func logOf(ctx context.Context, addr string, exchanges []harrow.Exchange) (j judgement, err error) {
	body, err := json.Marshal(exchanges)
	if err != nil {
		return j, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/", bytes.NewReader(body))
	if err != nil {
		return j, err
	}
	req.Host = control
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return j, err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	if resp.StatusCode != http.StatusOK {
		return j, fmt.Errorf("the site's log: %s", resp.Status)
	}
	return j, json.NewDecoder(resp.Body).Decode(&j)
}

// readRun reads from the workspace when the stages were committed, and all
// exchanges, unless the site keeps no entries to compare them with.
func (o *outcome) readRun(ctx context.Context, workspace string) (exchanges []harrow.Exchange, err error) {
	store, err := lakeio.Open(workspace)
	if err != nil {
		return nil, err
	}
	if o.run, err = lakeio.ReadRun(ctx, store, o.harrow.Job, o.harrow.Run); err != nil {
		return nil, err
	}
	lake := lakeio.Lake{Store: store, Job: o.run.Job, Run: o.run.ID}
	for _, name := range o.run.StageNames() {
		if name == lakeio.PagesStage { // beside parse
			continue
		}
		m, err := lake.Manifest(ctx, name)
		if errors.Is(err, lakeio.ErrNotFound) && o.Until != "" {
			break
		}
		if err != nil {
			return nil, err
		}
		o.stages = append(o.stages, stageEnd{name, m.At})
		for _, part := range m.TablesOf(lakeio.Exchanges.Name()) {
			if o.Lean {
				break
			}
			for e, err := range lakeio.ReadRows(ctx, store, lakeio.Exchanges, part) {
				if err != nil {
					return nil, err
				}
				e.Key, e.URL = strings.Clone(e.Key), strings.Clone(e.URL) // the batch goes
				exchanges = append(exchanges, harrow.Exchange{Key: e.Key, URL: e.URL, StartedAt: e.StartedAt, EndedAt: e.EndedAt})
			}
		}
	}
	return exchanges, nil
}

// watch looks at `harrow ls --why` as somebody would who wonders why nothing
// happens, and returns the moments at which nothing was in flight, requests
// were queued, and no reason was named.
func watch(ctx context.Context, workspace string) (unnamed []string) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return unnamed
		case <-tick.C:
		}
		var out, problems bytes.Buffer
		if command.Run(ctx, []string{"ls", "--why", "--json", "--workspace", workspace}, &out, &problems) != 0 {
			continue // it is not there yet
		}
		var said struct {
			Why []view.WhyState `json:"why"`
		}
		if err := json.Unmarshal(out.Bytes(), &said); err != nil {
			unnamed = few(unnamed, "ls --why: "+err.Error())
			continue
		}
		for _, st := range said.Why {
			for _, w := range st.Workers {
				if w.InFlight == 0 && w.Queued > 0 && len(w.Waiting) == 0 && w.Blocked == "" {
					unnamed = few(unnamed, fmt.Sprintf("%s at %v: %d queued, none in flight, and no reason", w.Stage, w.At.Format(time.StampMilli), w.Queued))
				}
			}
		}
	}
}
