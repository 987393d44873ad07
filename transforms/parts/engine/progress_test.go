package engine

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// told is what the worker's status files say, by stage.
func told(t *testing.T, w *Worker) map[string]lakeio.Status {
	t.Helper()
	all, err := w.lake.Statuses(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	by := map[string]lakeio.Status{}
	for _, st := range all {
		by[st.Stage] = st
	}
	return by
}

func TestAWorkerSaysHowFarItsStageIs(t *testing.T) {
	w := newTestWorker(t)
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	w.done = ProgressOf(w.env, w.lake, func() time.Time { return now })
	w.done.now = func() time.Time { return now }
	w.done.next = now.Add(progressFirst)
	parts := writeParts(t, w, someItems(1, 300), 3, 10)
	tasks := make([]Task[harrow.Part], len(parts))
	for i, p := range parts {
		tasks[i] = w.Map(step(`{}`), p)
	}
	do := func(i int) {
		t.Helper()
		if _, err := runTasks(t, tasks[i]); err != nil {
			t.Fatal(err)
		}
	}
	do(0)
	if len(told(t, w)) != 0 {
		t.Error("a stage that has not run for a second has a status file")
	}
	now = now.Add(2 * time.Second)
	do(1)
	st := told(t, w)["refine"]
	// Written at the first batch of the second part.
	if got := fmt.Sprint(st.Counters); got != "map[parts:1 parts_total:3 rows:110 rows_total:300]" || !st.At.Equal(now) {
		t.Errorf("%s at %v", got, st.At)
	}
	now = now.Add(progressEvery - time.Second)
	do(2)
	if got := told(t, w)["refine"]; !got.At.Equal(st.At) {
		t.Errorf("written again after %v", got.At.Sub(st.At))
	}
	now = now.Add(time.Second)
	tasks2 := w.Spill(Key{Columns: []string{"key"}}, Step{}, parts)
	slices, err := runTasks(t, tasks2...)
	if err != nil {
		t.Fatal(err)
	}
	var shard []Slice
	for _, s := range slices {
		shard = append(shard, s.Slice)
	}
	if _, err := runTasks(t, w.Merge(step(`{}`), 0, shard, 1)); err != nil {
		t.Fatal(err)
	}
	if got := [4]int64{w.done.parts.Load(), w.done.expectedParts.Load(), w.done.rows.Load(), w.done.expectedRows.Load()}; got != [4]int64{7, 7, 900, 900} {
		t.Errorf("after a map, a shuffle and a merge: %v", got)
	}
	if _, err := w.Commit(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if again := ProgressOf(w.env, w.lake, time.Now); again == w.done {
		t.Error("a stage that has committed is not forgotten")
	}
	forget(w.env)
}

func TestRowsOfATryThatFailsAreTakenBack(t *testing.T) {
	w := newTestWorker(t)
	failures.Store(0)
	part := writeItems(t, w, someItems(1, 30), 10)
	if _, err := runTasks(t, w.Map(step(`{"Fail":"finish","Times":2}`), part)); err != nil {
		t.Fatal(err)
	}
	if got := [2]int64{w.done.parts.Load(), w.done.rows.Load()}; got != [2]int64{1, 30} {
		t.Errorf("%v, want one part of 30 rows", got)
	}
	p := w.done.Begin()
	p.Rows(t.Context(), 5)
	p.End(t.Context(), errors.New("x"))
	if got := w.done.rows.Load(); got != 30 {
		t.Errorf("%d rows", got)
	}
	forget(w.env)
}

func TestARoundOfFetchHasItsOwnStatus(t *testing.T) {
	w := newTestWorker(t)
	env := w.env
	env.Stage = "fetch-3"
	p := ProgressOf(env, w.lake, time.Now)
	p.next = time.Time{}
	p.tick(t.Context())
	if len(told(t, w)) != 0 {
		t.Error("the shuffle of a round writes over it")
	}
	forget(env)
}
