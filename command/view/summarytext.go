package view

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// outcomeOrder is that of DESIGN.md's table.
var outcomeOrder = []harrow.Outcome{harrow.Fetched, harrow.NotModified, harrow.Redirected, harrow.Gone, harrow.Denied, harrow.Deferred, harrow.Failed}

// WriteText writes the summary for people.
func (s Summary) WriteText(w io.Writer) error {
	var b strings.Builder
	line := func(label, format string, args ...any) {
		fmt.Fprintf(&b, "%-11s %s\n", label, Printable(fmt.Sprintf(format, args...)))
	}
	line("run", "%s of job %s", s.Run, s.Job)
	line("state", "%s", s.ending())
	for _, stage := range lakeio.Stages {
		if from := s.Taken[stage]; from != "" {
			line("", "%s is that of run %s", stage, from)
		}
	}
	if s.Replay != nil {
		line("replayed", "%s", s.Replay.text())
	}
	if s.Taken["fetch"] == "" {
		line("requests", "%s", s.outcomeText())
	}
	if table := aligned(s.recordTable()); len(table) > 1 {
		for i, text := range table {
			line([]string{"records", ""}[min(i, 1)], "%s", text)
		}
	}
	for _, r := range s.Rejects {
		line("rejects", "%s %s, %s: %s", Count(r.Count), r.Stage, r.Class, r.Code)
	}
	if len(s.LinksNot) > 0 {
		line("not taken", "links by reason: %s", countText(s.LinksNot))
	}
	if text := s.bytesText(); text != "" {
		line("bytes", "%s", text)
	}
	if text := s.timeText(); text != "" {
		line("time", "%s", text)
	}
	if s.Efficiency != nil {
		line("efficiency", "%s", s.efficiencyText())
	}
	s.where(line)
	_, err := io.WriteString(w, b.String())
	return err
}

func (s Summary) ending() string {
	text := s.State
	if s.WallMS > 0 {
		text += " after " + Took(ms(s.WallMS))
	}
	if s.Resumed {
		text += ", resumed"
	}
	if s.Exit != 0 {
		text += fmt.Sprintf(", exit %d", s.Exit)
	}
	if s.Why != "" {
		text += ": " + s.Why
	}
	return text
}

func ms(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

func (s Summary) outcomeText() string {
	var words []string
	for _, o := range outcomeOrder {
		if n := s.Outcomes[string(o)]; n > 0 {
			words = append(words, Count(n)+" "+string(o))
		}
	}
	text := Count(s.Requests)
	if len(words) > 0 {
		text += ": " + strings.Join(words, ", ")
	}
	if s.Kept > 0 {
		text += "; " + Count(s.Kept) + " more are kept, their round goes on when the run does"
	}
	return text
}

// countText lists counts, the largest first.
func countText(counts map[string]int64) string {
	names := sortedKeys(counts)
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(counts[b], counts[a]) })
	words := make([]string, len(names))
	for i, n := range names {
		words[i] = n + " " + Count(counts[n])
	}
	return strings.Join(words, ", ")
}

func (s Summary) bytesText() string {
	var all TableState
	for _, t := range s.Tables {
		all.Bytes, all.Raw = all.Bytes+t.Bytes, all.Raw+t.Raw
	}
	if all.Bytes == 0 {
		return ""
	}
	text := "tables " + ratio(all)
	if bodies := s.Tables["bodies"]; bodies.Bytes > 0 {
		text = "bodies " + ratio(bodies) + "; all " + text
	}
	return text
}

func ratio(t TableState) string {
	return fmt.Sprintf("%s in %s (%.1f×)", Bytes(t.Raw), Bytes(t.Bytes), float64(t.Raw)/float64(t.Bytes))
}

func (s Summary) timeText() string {
	var words []string
	for _, stage := range lakeio.Stages {
		if n, ok := s.Elapsed[stage]; ok {
			words = append(words, stage+" "+Took(ms(n)))
		}
	}
	return strings.Join(words, ", ")
}

func (s Summary) efficiencyText() string {
	e := s.Efficiency
	text := fmt.Sprintf("%.2f: politeness allowed %s, fetching took %s", e.Ratio, Took(ms(e.BoundMS)), Took(ms(e.WallMS)))
	if s.Cores > 0 && s.WallMS > 0 {
		text += fmt.Sprintf("; CPU %.0f%% of %d cores", 100*s.CPUShare, s.Cores)
	}
	return text
}

// where says where the results are and how to look at them.
func (s Summary) where(line func(label, format string, args ...any)) {
	loaded := len(s.Load["sqlite"]) > 0 && s.firstRecord != ""
	if s.SQLite != "" && loaded {
		line("results", "%s", s.SQLite)
		line("", "sqlite3 %s 'SELECT * FROM %s LIMIT 10'", shellWord(s.SQLite), s.firstRecord)
	}
	if s.Parquet != "" && len(s.Load["parquet"]) > 0 {
		line("results", "%s", s.Parquet)
	}
	if s.firstRecord != "" && len(s.Records) > 0 {
		line("see also", "harrow cat records/%s --job %s%s", s.firstRecord, s.Job, s.workspaceFlag())
	}
	if s.before != "" && len(s.Records) > 0 {
		line("see also", "harrow diff %s %s --job %s%s", s.before, s.Run, s.Job, s.workspaceFlag())
	}
	if len(s.Rejects) > 0 {
		line("see also", "harrow rejects show --job %s%s", s.Job, s.workspaceFlag())
	}
}

// DefaultWorkspace is where a workspace is unless told otherwise.
const DefaultWorkspace = "./harrow-workspace"

// Workspace is set by the command: what it was given, so that examples can be
// pasted. Empty or the default: nothing needs to be said.
func (s *Summary) Workspace(given string) { s.workspaceDir = given }

func (s Summary) workspaceFlag() string {
	if s.workspaceDir == "" || s.workspaceDir == DefaultWorkspace {
		return ""
	}
	return " --workspace " + shellWord(s.workspaceDir)
}

// shellWord quotes a word for a POSIX shell where it needs it.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+:@%=,", r)
	}
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !plain(r) }) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// sqlitePath reads the sink's config as far as it says where the file is.
func sqlitePath(config json.RawMessage) string {
	var c struct {
		Path string `json:"path"`
	}
	_ = json.Unmarshal(config, &c) // the sink has checked it before the run began
	return c.Path
}
