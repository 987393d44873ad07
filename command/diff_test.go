package command

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/io/lakeio/laketest"
)

func TestDiffExitsByWhetherRunsDifferOnlyIfAsked(t *testing.T) {
	dir := t.TempDir()
	store, err := lakeio.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	job := harrow.Job{Name: "shop", Parse: []harrow.Rule{{Record: "book"}}}
	job.SetDefaults()
	job.Limits.Spill = t.TempDir()
	spec, err := json.Marshal(job)
	if err != nil {
		t.Fatal(err)
	}
	rtype := harrow.RecordType{Name: "book", Columns: []harrow.Column{{Name: "title", Type: harrow.Type{Kind: harrow.Text}}}}
	begun := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for i, title := range []string{"Harrow", "Harrow", "Plough"} {
		l := lakeio.Lake{Store: store, Job: "shop", Run: fmt.Sprintf("0198c0de-000%d-7000-8000-000000000001", i)}
		if err := lakeio.CreateRun(t.Context(), store, lakeio.Run{ID: l.Run, Job: "shop", Spec: spec, Rounds: 1, CreatedAt: begun, State: lakeio.Done}); err != nil {
			t.Fatal(err)
		}
		b := lakeio.NewRecordBuilder(rtype)
		if err := b.Append([]any{title}, lakeio.Origin{ID: harrow.ID{1}, URL: "http://a.example/"}); err != nil {
			t.Fatal(err)
		}
		batch := b.Batch()
		part := laketest.Write(t, store, l.Stage("parse")+"/book.arrow", batch)
		batch.Release()
		b.Release()
		if _, err := l.Commit(t.Context(), "parse", []harrow.Part{part}, nil, begun); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"diff last~1 last", exitDone, "    title  \"Harrow\" → \"Plough\"\n"},
		{"diff last~1 last --exit-code --summary", exitCrossed, "book: rows that differ in title 1\n"},
		{"diff last~2 last~1 --exit-code", exitDone, "\nno difference\n"},
		{"diff 0198c0de-0000 0198c0de-0002 --json --job shop", exitDone, `"fields":{"title":{"old":"Harrow","new":"Plough"}}`},
		{"diff last~1 last --csv", exitDone, ",http://a.example/,title,Harrow,Plough\n"},
		{"diff last~1 last --stage refine", exitFailed, "run 0198c0de-0001-7000-8000-000000000001 has not committed refine yet\n"},
		{"diff last~1 last --record none", exitUsage, "--record none: want one of book\n"},
		{"diff last~1 last --fields none", exitUsage, "--fields: no record has a column \"none\"; known: title\n"},
		{"diff last~3 last", exitUsage, "run last~3: job shop has 3 runs; want last~N with N below that\n"},
	} {
		code, stdout, stderr := harrowRun(t, append(strings.Fields(c.args), "--workspace", dir)...)
		if code != c.code || !strings.Contains(stdout+stderr, c.want) {
			t.Errorf("%s: exit %d, want %d with %q:\n%s%s", c.args, code, c.code, c.want, stdout, stderr)
		}
	}
}
