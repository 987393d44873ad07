package flink

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestClusterComesBackFromTheDeathOfATaskManager(t *testing.T) {
	c := installed(t)
	if testing.Short() {
		t.Skip("starts Java; says nothing of races")
	}
	dir := filepath.Join(t.TempDir(), "cluster")
	k, err := Up(t.Context(), ClusterConfig{Config: c, Dir: dir, TaskManagers: 1, Slots: 1, Fast: true})
	if err != nil {
		t.Fatal(err)
	}
	tm := k.TaskManagers()[0]
	if err := tm.Kill(); err != nil {
		t.Error(err)
	}
	<-k.tms[0].ended
	if i, err := k.StartTaskManager(t.Context()); err != nil || i != 0 {
		t.Errorf("TaskManager %d: %v; want that it is started again", i, err)
	}
	if again := k.TaskManagers()[0]; again.PID == tm.PID || !again.Alive() || tm.Alive() {
		t.Errorf("%+v after %+v", again, tm)
	}
	if err := errors.Join(k.Close(), k.Close()); err != nil {
		t.Error(err)
	}
	for _, p := range append(k.TaskManagers(), k.JobManager()) {
		if p.Alive() {
			t.Errorf("%s lives on", p.Name)
		}
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its folder: %v; want none", err)
	}
}
