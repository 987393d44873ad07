package lakeio

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
)

func TestAReplayWantsWhatItsFiltersSay(t *testing.T) {
	reject := harrow.Reject{Stage: "parse", Class: harrow.DataFault, Code: "required", Record: "book"}
	for _, c := range []struct {
		r    Replay
		want bool
	}{
		{Replay{}, true}, {Replay{Stage: "parse"}, true}, {Replay{Stage: "fetch"}, false}, {Replay{Class: "data"}, true}, {Replay{Class: "transient"}, false},
		{Replay{Code: "required"}, true}, {Replay{Code: "type"}, false}, {Replay{Record: "book"}, true}, {Replay{Record: "offer"}, false},
		{Replay{Stage: "parse", Class: "data", Code: "required", Record: "book"}, true}, {Replay{Stage: "parse", Code: "type"}, false},
	} {
		if got := c.r.Wants(reject); got != c.want {
			t.Errorf("%+v wants it: %v", c.r, got)
		}
	}
	if n := (Replay{Count: map[string]int64{"fetch": 2, "load": 3}}).Total(); n != 5 {
		t.Errorf("total %d", n)
	}
}

func TestStagesTakenOverAreThoseOfTheirOwner(t *testing.T) {
	r := Run{ID: "b", Rounds: 2, Sources: map[string]string{"discover": "a", "fetch": "a"}}
	want := []StageOf{{"a", "discover"}, {"a", "fetch-0"}, {"a", "fetch-1"}, {"a", "pages"}, {"b", "parse"}, {"b", "refine"}, {"b", "load"}}
	if got := r.StagesOf(); !slices.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

func TestARunLeavesWhatItsRoundsAndItsStageDiscoverDeferred(t *testing.T) {
	r := Run{ID: "b", Rounds: 2, Sources: map[string]string{"discover": "a"}}
	want := []StageOf{{"a", "discover"}, {"b", "fetch-0"}, {"b", "fetch-1"}}
	if got := r.Leaves(); !slices.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

func TestRowsOfSeveralStagesAreReadOneAfterTheOther(t *testing.T) {
	s := openTemp(t)
	var stages []StageOf
	for _, run := range []string{"a", "b"} {
		l := Lake{Store: s, Job: "job", Run: run}
		part := writeRows(t, s, l.Stage("parse")+"/rejects/x.arrow", Rejects, []harrow.Reject{{Code: run + "1"}, {Code: run + "2"}}, nil, Zstd)
		if _, err := l.Commit(t.Context(), "parse", []harrow.Part{part}, nil, time.Now()); err != nil {
			t.Fatal(err)
		}
		stages = append(stages, StageOf{run, "parse"}, StageOf{run, "load"}) // which has not committed
	}
	var codes []string
	err := EachRow(t.Context(), s, "job", stages, Rejects, func(r harrow.Reject) error { codes = append(codes, r.Code); return nil })
	if want := []string{"a1", "a2", "b1", "b2"}; err != nil || !slices.Equal(codes, want) {
		t.Errorf("%v, %v; want %v", codes, err, want)
	}
	enough := errors.New("enough")
	if err := EachRow(t.Context(), s, "job", stages, Rejects, func(harrow.Reject) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("error %v", err)
	}
}
