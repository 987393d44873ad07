package view

import (
	"testing"

	"github.com/harrowdata/harrow"
)

func TestARejectIsKnownAgainByWhatItIsAbout(t *testing.T) {
	a, b := harrow.ID{1}, harrow.ID{2}
	seed := harrow.Reject{Stage: "discover", Payload: `{"url":"x"}`, Reason: "one"}
	for _, c := range []struct {
		name string
		x, y harrow.Reject
		same bool
	}{
		{"a seed", seed, harrow.Reject{Stage: "discover", Payload: seed.Payload, Reason: "two"}, true},
		{"another seed", seed, harrow.Reject{Stage: "discover", Payload: `{"url":"y"}`}, false},
		{"a request", harrow.Reject{ID: a, Stage: "fetch", Code: "timeout", Payload: "1"}, harrow.Reject{ID: a, Stage: "fetch", Code: "http_500", Payload: "2"}, true},
		{"another request", harrow.Reject{ID: a, Stage: "fetch"}, harrow.Reject{ID: b, Stage: "fetch"}, false},
		{"another stage", harrow.Reject{ID: a, Stage: "fetch"}, harrow.Reject{ID: a, Stage: "parse"}, false},
		{"a page", harrow.Reject{ID: a, Stage: "parse"}, harrow.Reject{ID: a, Stage: "parse"}, true},
		{"a row of it", harrow.Reject{ID: a, Stage: "parse"}, harrow.Reject{ID: a, Stage: "parse", Payload: `{"ordinal":0}`}, false},
		{"a row", harrow.Reject{ID: a, Stage: "parse", Record: "r", Payload: `{"ordinal":1,"fields":{"x":"1"}}`}, harrow.Reject{ID: a, Stage: "parse", Record: "r", Payload: `{"ordinal":1}`}, true},
		{"another row", harrow.Reject{ID: a, Stage: "refine", Record: "r", Payload: `{"_ordinal":1}`}, harrow.Reject{ID: a, Stage: "refine", Record: "r", Payload: `{"_ordinal":2}`}, false},
		{"a row that changed", harrow.Reject{ID: a, Stage: "load", Record: "r", Payload: `{"n":1,"_ordinal":1}`}, harrow.Reject{ID: a, Stage: "load", Record: "r", Payload: `{"n":2,"_ordinal":1}`}, true},
		{"another record", harrow.Reject{ID: a, Stage: "load", Record: "r"}, harrow.Reject{ID: a, Stage: "load", Record: "s"}, false},
	} {
		if got := letterID(c.x) == letterID(c.y); got != c.same {
			t.Errorf("%s: the same %v", c.name, got)
		}
	}
	through, again, deferred := int64(1200), int64(1), int64(3)
	if got := (&ReplayCount{Run: "r", Replayed: 1}).text(); got != "1 reject of run r" {
		t.Errorf("%q", got)
	}
	if got := (&ReplayCount{Run: "r", Replayed: 1204, CameThrough: &through, RejectedAgain: &again, Deferred: &deferred}).text(); got != "1,204 rejects of run r: 1,200 came through, 1 rejected again, 3 deferred" {
		t.Errorf("%q", got)
	}
}
