package view

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// Ending is what only the process knows of how a run ended.
type Ending struct {
	Exit    int
	Why     string        // of exit 3 and 130
	Resumed bool          // the run had begun before this process
	Wall    time.Duration // of this process
	CPU     time.Duration // user and system, of this process and the children it waited for
	Cores   int
}

// Summary is what a run came to. Counts are of what is committed.
type Summary struct {
	Job          string                               `json:"job"`
	Run          string                               `json:"run"`
	State        string                               `json:"state"`
	Exit         int                                  `json:"exit"`
	Why          string                               `json:"why,omitempty"`
	Resumed      bool                                 `json:"resumed"`
	Taken        map[string]string                    `json:"taken_over,omitempty"` // stages of other runs
	Replay       *ReplayCount                         `json:"replay,omitempty"`     // of a run that replays rejects
	Requests     int64                                `json:"requests"`             // that were admitted: a request counts once, whatever rounds had it
	Kept         int64                                `json:"kept"`                 // captures of a round that has not committed: they count when the run goes on
	Outcomes     map[string]int64                     `json:"outcomes"`
	Records      map[string]Rows                      `json:"records"`
	Load         map[string]map[string]*harrow.Counts `json:"load"` // by sink and record
	Rejects      []RejectCount                        `json:"rejects"`
	LinksNot     map[string]int64                     `json:"links_not_taken"`
	Tables       map[string]TableState                `json:"tables"`
	Elapsed      map[string]int64                     `json:"elapsed_ms"`
	Efficiency   *Efficiency                          `json:"efficiency"` // null where nothing was fetched
	WallMS       int64                                `json:"wall_ms"`
	CPUMS        int64                                `json:"cpu_ms"`
	CPUShare     float64                              `json:"cpu_utilisation"` // of all cores, 0 to 1
	Cores        int                                  `json:"cores"`
	SQLite       string                               `json:"sqlite,omitempty"`  // path of the database
	Parquet      string                               `json:"parquet,omitempty"` // path or URI of the folder that has one for each record
	firstRecord  string                               // for an example
	before       string                               // run that these rows can be compared with
	workspaceDir string
}

// Rows counts the rows of a record type.
type Rows struct {
	Parsed  int64  `json:"parsed"`
	Refined *int64 `json:"refined"` // null while refine has not committed
}

// Efficiency says how near fetch came to the least time that politeness
// allows: bound ÷ wall.
type Efficiency struct {
	BoundMS int64   `json:"bound_ms"`
	WallMS  int64   `json:"wall_ms"`
	Ratio   float64 `json:"ratio"`
}

// Summarize reads what a run came to.
func (r Run) Summarize(ctx context.Context, end Ending) (Summary, error) {
	s := Summary{Job: r.Run.Job, Run: r.ID, State: string(r.State), Exit: end.Exit, Why: end.Why, Resumed: end.Resumed, Taken: r.Sources,
		Outcomes: map[string]int64{}, Records: map[string]Rows{}, Load: map[string]map[string]*harrow.Counts{}, LinksNot: map[string]int64{},
		Tables: map[string]TableState{}, Elapsed: r.Elapsed, WallMS: end.Wall.Milliseconds(), CPUMS: end.CPU.Milliseconds(), Cores: end.Cores,
		workspaceDir: r.Store.Local()}
	if end.Wall > 0 && end.Cores > 0 {
		s.CPUShare = end.CPU.Seconds() / end.Wall.Seconds() / float64(end.Cores)
	}
	for _, stage := range r.StageNames() {
		m, ok, err := r.Manifest(ctx, stage)
		if err != nil {
			return s, err
		}
		if ok {
			s.add(stage, m, r.Source(lakeio.BaseStage(stage)) == r.ID)
		}
	}
	if err := r.outcomes(ctx, &s); err != nil {
		return s, err
	}
	var err error
	if s.Rejects, err = r.Rejects(ctx); err != nil {
		return s, err
	}
	if s.Replay, err = r.Replayed(ctx); err != nil {
		return s, err
	}
	if err := r.shards(ctx, &s); err != nil {
		return s, err
	}
	s.SQLite, s.Parquet = r.sqlite(), r.parquet()
	if err := r.emptyRecords(ctx, &s); err != nil {
		return s, err
	}
	s.before = r.comparable(ctx)
	return s, nil
}

// emptyRecords adds the records of the rules that no page gave a row of, which
// manifests don't name: that is what the reader has to know first.
func (r Run) emptyRecords(ctx context.Context, s *Summary) error {
	types, err := r.types()
	if err != nil || len(types) == 0 {
		return nil // of an extractor that this program doesn't have
	}
	s.firstRecord = types[0].Name
	_, parsed, err := r.Manifest(ctx, "parse")
	if err != nil || !parsed || s.Replay != nil {
		return err
	}
	_, refined, err := r.Manifest(ctx, "refine")
	for _, t := range types {
		if _, some := s.Records[t.Name]; some {
			continue
		}
		rows := Rows{}
		if refined {
			rows.Refined = new(int64(0))
		}
		s.Records[t.Name] = rows
	}
	return err
}

// comparable is the parent of a run that makes records of its pages once more, if
// that has made some; a hint, so what can't be read is none.
func (r Run) comparable(ctx context.Context) string {
	if r.From != "parse" && r.From != "refine" {
		return ""
	}
	parent, err := lakeio.ReadRun(ctx, r.Store, r.Run.Job, r.Parent)
	if err != nil {
		return ""
	}
	if _, made, err := (Run{Run: parent, Store: r.Store}).Manifest(ctx, "parse"); !made || err != nil {
		return ""
	}
	return parent.ID
}

// add takes over what a manifest says; own is false for a stage of another
// run, whose bytes and counters are not this run's.
func (s *Summary) add(stage string, m lakeio.Manifest, own bool) {
	for name, c := range m.Tables {
		record, isRecord := strings.CutPrefix(name, lakeio.RecordsPrefix)
		rows := s.Records[record]
		switch {
		case isRecord && stage == "parse":
			rows.Parsed += c.Rows
			s.Records[record] = rows
		case isRecord && stage == "refine":
			rows.Refined = new(c.Rows)
			s.Records[record] = rows
		}
		if own {
			t := s.Tables[name]
			s.Tables[name] = TableState{t.Rows + c.Rows, t.Parts + c.Parts, t.Bytes + c.Bytes, t.Raw + c.Raw}
		}
	}
	if stage == "refine" { // a table without a row is not in the manifest
		for record, rows := range s.Records {
			if rows.Refined == nil {
				rows.Refined = new(int64(0))
				s.Records[record] = rows
			}
		}
	}
	if !own {
		return
	}
	for name, n := range m.Counters {
		if reason, ok := strings.CutPrefix(name, "links_not_taken."); ok {
			s.LinksNot[reason] += n
		}
	}
	for sink, records := range m.Loads() {
		s.Load[sink] = map[string]*harrow.Counts{}
		for record, c := range records {
			s.Load[sink][record] = &c
		}
	}
}

// outcomes counts the captures of the run's own rounds.
func (r Run) outcomes(ctx context.Context, s *Summary) error {
	if r.Source("fetch") != r.ID {
		return nil
	}
	t, err := r.find(ctx, lakeio.Captures.Name(), "")
	if errors.As(err, &errNotYet{}) {
		return nil
	}
	if err != nil {
		return err
	}
	return r.each(ctx, t, func(b harrow.Batch, row int) error {
		s.Requests++
		s.Outcomes[ValueText(b.Column("outcome"), row)]++
		return nil
	})
}

// shards reads what the shard records say: how fetching went, and what is kept
// of rounds that have not committed.
func (r Run) shards(ctx context.Context, s *Summary) error {
	if r.Source("fetch") != r.ID {
		return nil
	}
	var bound, wall time.Duration
	for n := range r.Rounds {
		_, committed, err := r.Manifest(ctx, lakeio.FetchStage(n))
		if err != nil {
			return err
		}
		took := map[string]*span{}
		err = r.eachShard(ctx, n, func(rec lakeio.ShardRecord) {
			if took[rec.Process] == nil {
				took[rec.Process] = &span{}
			}
			took[rec.Process].add(rec)
			if !committed {
				s.Kept += captured(rec)
			}
		})
		if err != nil {
			return err
		}
		for _, t := range took {
			bound, wall = bound+t.bound, wall+t.wall()
		}
	}
	if wall > 0 {
		s.Efficiency = &Efficiency{bound.Milliseconds(), wall.Milliseconds(), bound.Seconds() / wall.Seconds()}
	}
	return nil
}

// span is how long one process of the run fetched in a round, whichever workers
// it had: from when the first of them began to when the last one ended, and for
// how long the shard that politeness allows to end last had to take.
type span struct {
	bound, longest time.Duration
	began, ended   time.Time
}

func (s *span) add(rec lakeio.ShardRecord) {
	s.bound, s.longest = max(s.bound, rec.Bound), max(s.longest, rec.Wall)
	if rec.Process == "" || rec.Ended.IsZero() { // of a release that didn't write these
		return
	}
	if began := rec.Ended.Add(-rec.Wall); s.began.IsZero() || began.Before(s.began) {
		s.began = began
	}
	if rec.Ended.After(s.ended) {
		s.ended = rec.Ended
	}
}

// wall is no less than the longest time of one worker: clocks differ.
func (s *span) wall() time.Duration { return max(s.longest, s.ended.Sub(s.began)) }

func (r Run) eachShard(ctx context.Context, round int, do func(lakeio.ShardRecord)) error {
	lake := r.Owner("fetch")
	names, err := r.Store.List(ctx, lake.Stage(lakeio.FetchStage(round))+"/")
	if err != nil {
		return err
	}
	for _, name := range names {
		shard, ok := shardNumber(name)
		if !ok {
			continue
		}
		rec, err := lakeio.FetchShard{Lake: lake, Round: round, Shard: shard}.Read(ctx)
		if err != nil {
			return err
		}
		do(rec)
	}
	return nil
}

// captured counts the captures in a shard's rolls, without those of requests
// that are left to the next round.
func captured(rec lakeio.ShardRecord) (n int64) {
	for _, roll := range rec.Rolls {
		for _, p := range roll.Parts {
			switch p.Table {
			case lakeio.Captures.Name():
				n += p.Rows
			case lakeio.Requests.Name():
				n -= p.Rows
			}
		}
	}
	return n
}

// shardNumber reads "shard-00017.json".
func shardNumber(name string) (n int, ok bool) {
	digits, ok := strings.CutPrefix(name, "shard-")
	digits, ok2 := strings.CutSuffix(digits, ".json")
	if !ok || !ok2 || digits == "" {
		return 0, false
	}
	for _, d := range digits {
		if d < '0' || d > '9' || n > 1<<20 {
			return 0, false
		}
		n = 10*n + int(d-'0')
	}
	return n, true
}

// sqlite is the path of the database that the run loads into, or empty.
func (r Run) sqlite() string {
	config, ok := r.Job.Load["sqlite"]
	if !ok || r.Store.Local() == "" {
		return ""
	}
	path := sqlitePath(config)
	if path == "" {
		path = r.Run.Job + ".db"
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(r.Store.Local(), r.Run.Job, path)
	}
	return path
}

// parquet is where the run's Parquet files go, or empty.
func (r Run) parquet() string {
	var config struct {
		Path string `json:"path"`
	}
	if json.Unmarshal(r.Job.Load["parquet"], &config) != nil || config.Path == "" {
		return ""
	}
	if strings.Contains(config.Path, "://") || filepath.IsAbs(config.Path) {
		return config.Path
	}
	return filepath.Join(r.Run.Dir, config.Path)
}
