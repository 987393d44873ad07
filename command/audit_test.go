package command

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/io/lakeio/laketest"
)

func TestAuditExitsByWhetherTheLimitsHeld(t *testing.T) {
	dir := t.TempDir()
	store, err := lakeio.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	job := harrow.Job{Name: "shop"}
	job.SetDefaults()
	spec, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	// Of two runs that asked a host twice the second one asked too soon.
	for run, gap := range map[string]time.Duration{"0198c0de-0000-7000-8000-000000000001": time.Second, "0198c0de-0000-7000-8000-000000000002": 300 * time.Millisecond} {
		begun := begun
		if gap < time.Second {
			begun = begun.Add(time.Hour)
		}
		l := lakeio.Lake{Store: store, Job: "shop", Run: run}
		err := lakeio.CreateRun(t.Context(), store, lakeio.Run{ID: run, Job: "shop", Spec: spec, Rounds: 1, FetchShards: 1, Shards: 1, CreatedAt: begun, State: lakeio.Done, EndedAt: begun.Add(time.Minute)})
		if err != nil {
			t.Fatal(err)
		}
		var rows []harrow.Exchange
		for _, at := range []time.Time{begun, begun.Add(gap)} {
			rows = append(rows, harrow.Exchange{Kind: harrow.KindPage, Key: "a.example", URL: "http://a.example/", Status: 200, StartedAt: at, EndedAt: at.Add(time.Millisecond)})
		}
		shard := lakeio.FetchShard{Lake: l}
		part := laketest.WriteRows(t, store, shard.RollURI("00001-00001-a", "exchanges"), lakeio.Exchanges, rows...)
		if _, _, err := shard.Claim(t.Context(), lakeio.Claim{Owner: "me"}); err != nil {
			t.Fatal(err)
		}
		if err := shard.Append(t.Context(), "me", lakeio.Roll{Name: "00001-00001-a", Parts: []harrow.Part{part}}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"audit", exitCrossed, "a.example: delay: 300ms between two starts, 1s asked for\n"},
		{"audit last --job shop", exitCrossed, "the limits of 1 key did not hold\n"},
		{"audit --json", exitCrossed, `"rule": "delay"`},
		{"audit 0198c0de-0000-7000-8000-000000000001", exitDone, ": every limit held\n"},
		{"audit 0198c0de-0000-7000-8000-000000000001 --json --keys 0", exitDone, `"held": true`},
		{"audit 0198c0de-0000-7000-8000-000000000009", exitUsage, "no run 0198c0de-0000-7000-8000-000000000009 of job shop; want last or one of its 2 runs, see harrow ls\n"},
		{"audit --job none", exitUsage, "no job none in workspace"},
	} {
		code, stdout, stderr := harrowRun(t, append(strings.Fields(c.args), "--workspace", dir)...)
		if code != c.code || !strings.Contains(stdout+stderr, c.want) {
			t.Errorf("%s: exit %d, want %d with %q:\n%s%s", c.args, code, c.code, c.want, stdout, stderr)
		}
	}
}
