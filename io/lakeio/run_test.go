package lakeio

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
)

func newRun(t *testing.T, s Store, job string) Run {
	t.Helper()
	id, err := NewRunID()
	check(t, err)
	r := Run{ID: id, Job: job, JobFile: "version: 1\n", Spec: []byte(`{"job":"` + job + `"}`), FetchShards: 4, Shards: 16, CreatedAt: someTime, State: Active}
	check(t, CreateRun(t.Context(), s, r))
	return r
}

func TestALifeOfARun(t *testing.T) {
	s := openTemp(t)
	r := newRun(t, s, "shop")
	r.Version = 1
	wants(t, CreateRun(t.Context(), s, r), ErrExists, r.ID+"/run.json")
	got, err := ReadRun(t.Context(), s, "shop", r.ID)
	check(t, err)
	got.Spec = r.Spec // indented with the rest
	if !reflect.DeepEqual(got, r) {
		t.Errorf("%+v, want %+v", got, r)
	}
	for _, state := range []State{Paused, Active, Broken, Done} {
		changed, err := ChangeRun(t.Context(), s, "shop", r.ID, func(r *Run) error { r.State = state; return nil })
		check(t, err)
		if again, err := ReadRun(t.Context(), s, "shop", r.ID); err != nil || again.State != state || changed.State != state {
			t.Errorf("state %s, %v, want %s", again.State, err, state)
		}
	}
	_, err = ChangeRun(t.Context(), s, "shop", r.ID, func(r *Run) error { r.State = Active; return errDisk })
	wants(t, err, errDisk)
	if again, _ := ReadRun(t.Context(), s, "shop", r.ID); again.State != Done {
		t.Errorf("a change that failed was written: %s", again.State)
	}
}

func TestRunsThatAreNotThere(t *testing.T) {
	s := openTemp(t)
	id, err := NewRunID()
	check(t, err)
	_, err = ReadRun(t.Context(), s, "shop", id)
	wants(t, err, ErrNotFound, id)
	_, err = ChangeRun(t.Context(), s, "shop", id, func(*Run) error { return nil })
	wants(t, err, ErrNotFound, id, "shop")
	if _, err := ReadRun(t.Context(), s, "shop", id); !errors.Is(err, ErrNotFound) {
		t.Errorf("a change made a run: %v", err)
	}
	for _, bad := range []string{"", "../x", "last", id + "x"} {
		_, err = ReadRun(t.Context(), s, "shop", bad)
		wants(t, err, nil, fmt.Sprintf("%q", bad))
	}
	_, err = LastRun(t.Context(), s, "shop")
	wants(t, err, ErrNotFound, "shop")
	if runs, err := Runs(t.Context(), s, "shop"); len(runs) > 0 || err != nil {
		t.Errorf("%v, %v", runs, err)
	}
	if jobs, err := Jobs(t.Context(), s); len(jobs) > 0 || err != nil {
		t.Errorf("%v, %v", jobs, err)
	}
}

func TestRunsComeInTheOrderTheyBegan(t *testing.T) {
	s := openTemp(t)
	var ids []string
	for range 20 {
		ids = append(ids, newRun(t, s, "shop").ID)
	}
	newRun(t, s, "other")
	// What isn't a run: a folder of one that died before it began, newer than
	// all, and files and folders of somebody else.
	dead, err := NewRunID()
	check(t, err)
	for _, uri := range []string{"shop/runs/" + dead + "/inputs/x", "shop/runs/notes.txt", "shop/runs/old/run.json", "notes", "empty/x"} {
		check(t, s.Put(t.Context(), uri, []byte("x")))
	}
	runs, err := Runs(t.Context(), s, "shop")
	check(t, err)
	if !slices.Equal(runs, ids) || !slices.IsSorted(ids) {
		t.Errorf("%v, want %v", runs, ids)
	}
	if last, err := LastRun(t.Context(), s, "shop"); err != nil || last.ID != ids[19] {
		t.Errorf("last is %s, %v, want %s", last.ID, err, ids[19])
	}
	newest := func() (list []string, last error) {
		for r, err := range NewestRuns(t.Context(), s, "shop") {
			if last = err; err == nil {
				list = append(list, r.ID)
			}
		}
		slices.Reverse(list)
		return list, last
	}
	if list, err := newest(); err != nil || !slices.Equal(list, ids) {
		t.Errorf("%v, %v, want %v", list, err, ids)
	}
	if jobs, err := Jobs(t.Context(), s); err != nil || !slices.Equal(jobs, []string{"other", "shop"}) {
		t.Errorf("jobs %v, %v", jobs, err)
	}
	check(t, s.Put(t.Context(), "shop/runs/"+ids[3]+"/run.json", []byte("{")))
	_, err = Runs(t.Context(), s, "shop")
	wants(t, err, ErrCorrupt, ids[3])
	list, err := newest()
	wants(t, err, ErrCorrupt, ids[3])
	if !slices.Equal(list, ids[4:]) {
		t.Errorf("%v before what is damaged, want %v", list, ids[4:])
	}
	if _, err := LastRun(t.Context(), s, "shop"); err != nil {
		t.Errorf("the last run suffers from an old one: %v", err)
	}
	check(t, s.Put(t.Context(), "shop/runs/"+dead+"/run.json", []byte("{")))
	_, err = LastRun(t.Context(), s, "shop")
	wants(t, err, ErrCorrupt, dead)
}

func TestChangesOfARunAreNotLost(t *testing.T) {
	s := openTemp(t)
	r := newRun(t, s, "shop")
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for i := range 5 {
				_, err := ChangeRun(t.Context(), s, "shop", r.ID, func(r *Run) error {
					if r.Elapsed == nil {
						r.Elapsed = map[string]int64{}
					}
					r.Elapsed[fmt.Sprint(g, i)] = 1
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if got, err := ReadRun(t.Context(), s, "shop", r.ID); err != nil || len(got.Elapsed) != 20 {
		t.Errorf("%d of 20 changes, %v", len(got.Elapsed), err)
	}
}

func TestSourcesOfStages(t *testing.T) {
	r := Run{ID: "mine", Sources: map[string]string{"discover": "parent"}}
	if r.Source("discover") != "parent" || r.Source("parse") != "mine" || (Run{ID: "x"}).Source("parse") != "x" {
		t.Error(r.Source("discover"), r.Source("parse"))
	}
	if FetchStage(3) != "fetch-3" {
		t.Error(FetchStage(3))
	}
}

func TestStopIsSeenUntilItIsCleared(t *testing.T) {
	l := testLake(t)
	other := Lake{Store: l.Store, Job: l.Job, Run: "0190a0b0-0000-7000-8000-000000000002"}
	for range 2 {
		if stopped, err := l.Stopped(t.Context()); stopped || err != nil {
			t.Errorf("stopped at first: %t, %v", stopped, err)
		}
		check(t, l.Stop(t.Context(), "asked to"))
		check(t, l.Stop(t.Context(), "asked again"))
		if stopped, err := l.Stopped(t.Context()); !stopped || err != nil {
			t.Errorf("not stopped: %t, %v", stopped, err)
		}
		if stopped, err := other.Stopped(t.Context()); stopped || err != nil {
			t.Errorf("another run is stopped: %t, %v", stopped, err)
		}
		check(t, l.ClearStop(t.Context()))
		check(t, l.ClearStop(t.Context()))
	}
}

func TestStatusesAreThoseOfTheRunsWorkers(t *testing.T) {
	l := testLake(t)
	if all, err := l.Statuses(t.Context()); len(all) > 0 || err != nil {
		t.Errorf("%v, %v", all, err)
	}
	for _, worker := range []string{"b", "a", "b"} {
		check(t, l.PutStatus(t.Context(), Status{Worker: worker, Stage: "fetch-0", At: someTime, Counters: map[string]int64{"requests": 3}, Waiting: map[string]int{"delay": 2}}))
	}
	check(t, l.Store.Put(t.Context(), l.RunDir()+"/status/README", nil))
	all, err := l.Statuses(t.Context())
	check(t, err)
	if len(all) != 2 || all[0].Worker != "a" || all[1].Worker != "b" || all[1].Counters["requests"] != 3 || all[0].Waiting["delay"] != 2 || all[0].Version != 1 {
		t.Errorf("%+v", all)
	}
	if err := l.PutStatus(t.Context(), Status{Worker: "../../../x"}); err == nil {
		t.Error("a worker's name led out of the workspace")
	}
	check(t, l.Store.Put(t.Context(), l.RunDir()+"/status/c.json", []byte("{")))
	_, err = l.Statuses(t.Context())
	wants(t, err, ErrCorrupt, "status/c.json")
}

func TestInputsAreCopiedUnderTheirDigest(t *testing.T) {
	l := testLake(t)
	file := filepath.Join(t.TempDir(), "seeds.txt")
	text := strings.Repeat("http://a.example/\n", 10000)
	check(t, os.WriteFile(file, []byte(text), 0o666))
	synced := &syncedStore{Store: l.Store}
	l.Store = synced
	in, err := l.CopyInput(t.Context(), file, "seeds/seeds.txt")
	check(t, err)
	if !slices.Contains(synced.synced, l.InputURI(in.Digest)) || !slices.Contains(synced.synced, l.RunDir()+"/inputs/") {
		t.Errorf("run.json may survive its inputs: synced %v", synced.synced)
	}
	same, err := DigestFile(file, "seeds/seeds.txt")
	check(t, err)
	if in != same || in.Path != "seeds/seeds.txt" || in.Bytes != int64(len(text)) || len(in.Digest) != 64 {
		t.Errorf("%+v, %+v", in, same)
	}
	check(t, os.WriteFile(file, []byte("changed"), 0o666)) // the run doesn't mind
	data, _, err := l.Store.Read(t.Context(), l.InputURI(in.Digest))
	check(t, err)
	if string(data) != text || l.InputURI(in.Digest) != l.RunDir()+"/inputs/"+in.Digest {
		t.Errorf("%s holds %d bytes", l.InputURI(in.Digest), len(data))
	}
	_, err = l.CopyInput(t.Context(), file+".none", "none")
	wants(t, err, os.ErrNotExist, file+".none")
	_, err = DigestFile(filepath.Dir(file), "folder")
	wants(t, err, nil, filepath.Dir(file))
	full := l
	full.Store = &failingStore{Store: l.Store, room: 2}
	_, err = full.CopyInput(t.Context(), file, "seeds.txt")
	wants(t, err, errDisk, file)
	if names, err := l.Store.List(t.Context(), l.RunDir()+"/inputs/"); err != nil || len(names) != 1 {
		t.Errorf("inputs %v, %v", names, err)
	}
}
