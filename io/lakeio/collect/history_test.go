package collect

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

const job = "shop"

// fataler is what of testing.TB and rapid.T the helpers need.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

func must[T any](t fataler) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		check(t, err)
		return v
	}
}

func check(t fataler, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v", err)
	}
}

// history makes a workspace as runs do, with what they leave when they are
// killed.
type history struct {
	t     fataler
	ctx   context.Context
	store lakeio.Store
	files int // names of files
	texts int // bodies
	stray int // files that nobody refers to
}

func newHistory(t fataler, ctx context.Context, dir string) *history {
	return &history{t: t, ctx: ctx, store: unsynced{must[lakeio.Store](t)(lakeio.Open(dir))}}
}

// unsynced is a local store of a test that outlives no power cut.
type unsynced struct{ lakeio.Store }

func (s unsynced) Sync(context.Context, string) error { return nil }

func (s unsynced) Create(ctx context.Context, uri string, data []byte) error {
	_, err := s.Store.Swap(ctx, uri, "", data, false)
	if errors.Is(err, lakeio.ErrConflict) {
		err = lakeio.ErrExists
	}
	return err
}

func (s unsynced) Swap(ctx context.Context, uri string, old lakeio.Generation, data []byte, _ bool) (lakeio.Generation, error) {
	return s.Store.Swap(ctx, uri, old, data, false)
}

func (h *history) lake(id string) lakeio.Lake { return lakeio.Lake{Store: h.store, Job: job, Run: id} }

// part writes rows into a new file.
func part[R any](h *history, dir string, table *lakeio.Table[R], rows ...R) harrow.Part {
	h.t.Helper()
	h.files++
	b := table.NewBuilder()
	defer b.Release()
	for _, r := range rows {
		b.Append(r)
	}
	batch := b.Batch()
	defer batch.Release()
	w := must[*lakeio.PartWriter](h.t)(lakeio.NewPart(h.ctx, h.store, fmt.Sprintf("%s/%04d.%s.arrow", dir, h.files, table.Name()), table.Schema(), lakeio.LZ4))
	check(h.t, w.Write(batch))
	return must[harrow.Part](h.t)(w.Close())
}

// litter leaves what nobody refers to.
func (h *history) litter(uris ...string) {
	for _, uri := range uris {
		h.stray++
		check(h.t, h.store.Put(h.ctx, strings.ReplaceAll(uri, "*", fmt.Sprint(h.stray)), []byte("stray")))
	}
}

// plan is how a run of a history goes.
type plan struct {
	Until    int  // stages that it commits: discover, fetch-0, fetch-1, pages, parse, refine, load
	Deferred bool // fetch leaves something
	Known    bool // what pages know is asked conditionally
	Litter   bool
	From     string // run whose first stages are taken over
	Stage    string // first one that is not: fetch or parse
	Replay   string // run whose rejects are replayed
}

// done is the number of stages of a run.
const done = 7

func (h *history) run(p plan) string {
	h.t.Helper()
	id := must[string](h.t)(lakeio.NewRunID())
	r := lakeio.Run{ID: id, Job: job, Spec: []byte("{}"), Rounds: 2, FetchShards: 1, Shards: 1, CreatedAt: time.Now().UTC().Add(-72 * time.Hour), State: lakeio.Done,
		PagesRun: must[string](h.t)(lakeio.CurrentPages(h.ctx, h.store, job)), Previous: h.previous()}
	if p.Until < done {
		r.State = lakeio.Broken
	}
	l := h.lake(id)
	check(h.t, h.store.Put(h.ctx, l.InputURI("aa"), []byte("seeds")))
	r.Inputs = []lakeio.Input{{Path: "seeds.txt", Digest: "aa", Bytes: 5}}
	if p.From != "" {
		parent := must[lakeio.Run](h.t)(lakeio.ReadRun(h.ctx, h.store, job, p.From))
		r.Parent, r.From, r.Replay = parent.ID, p.Stage, parent.Replay
		r.Sources = map[string]string{"discover": parent.Source("discover")}
		if p.Stage == "parse" {
			r.PagesRun, r.Sources["fetch"] = parent.PagesRun, parent.Source("fetch")
		}
	}
	if p.Replay != "" {
		parent := must[lakeio.Run](h.t)(lakeio.ReadRun(h.ctx, h.store, job, p.Replay))
		r.Parent, r.Replay = parent.ID, &lakeio.Replay{Run: parent.ID, Stages: slices.DeleteFunc(parent.StagesOf(), func(at lakeio.StageOf) bool { return at.Stage == lakeio.PagesStage }), Deferred: h.leaves(r.Previous),
			Asked:   slices.DeleteFunc(parent.StagesOf(), func(at lakeio.StageOf) bool { return !strings.HasPrefix(at.Stage, "fetch-") }),
			Refined: []lakeio.StageOf{{Run: parent.Source("refine"), Stage: "refine"}}}
		if parent.Replay != nil {
			r.Replay.Refined = append(r.Replay.Refined, parent.Replay.Refined...)
		}
		if p.Known { // then only its manifests say what of the other run it needs
			r.Replay.Asked = nil
		} else if parent.Replay != nil {
			r.Replay.Asked = append(r.Replay.Asked, parent.Replay.Asked...)
		}
	}
	check(h.t, lakeio.CreateRun(h.ctx, h.store, r))
	for i, stage := range r.StageNames() {
		if r.Source(lakeio.BaseStage(stage)) != id {
			continue
		}
		if p.Litter {
			dir := l.Stage(stage)
			h.litter(dir+"/shuffle/*.arrow", dir+"/lost/*.arrow", dir+"/records/x/*.arrow.tmp-1", l.RunDir()+"/inputs/*", l.RunDir()+"/run.json.tmp-*")
		}
		parts := h.stage(r, l, stage, p)
		if i >= p.Until {
			break // its files are there, its manifest is not
		}
		must[lakeio.Manifest](h.t)(l.Commit(h.ctx, stage, parts, nil, time.Now()))
	}
	check(h.t, l.PutStatus(h.ctx, lakeio.Status{Worker: "w1"}))
	return id
}

// previous is what pipelines has under that name.
func (h *history) previous() (last string) {
	for _, id := range must[[]string](h.t)(lakeio.Runs(h.ctx, h.store, job)) {
		if r := must[lakeio.Run](h.t)(lakeio.ReadRun(h.ctx, h.store, job, id)); r.Source("fetch") == id && must[bool](h.t)(h.lake(id).Committed(h.ctx, "fetch-1")) {
			last = id
		}
	}
	return last
}

// leaves are the stages that the next run asks what they deferred.
func (h *history) leaves(id string) []lakeio.StageOf {
	if id == "" {
		return nil
	}
	return must[lakeio.Run](h.t)(lakeio.ReadRun(h.ctx, h.store, job, id)).Leaves()
}

// stage writes the files of a stage.
func (h *history) stage(r lakeio.Run, l lakeio.Lake, stage string, p plan) (parts []harrow.Part) {
	dir := l.Stage(stage)
	switch stage {
	case "discover":
		parts = append(parts, part(h, dir+"/requests", lakeio.Requests, harrow.Request{ID: harrow.ID{1}, URL: "http://x.example/"}))
		if r.Replay != nil {
			parts = append(parts, h.replayed(r)...)
		}
	case "fetch-0":
		parts = h.round(r, l, p)
	case lakeio.PagesStage:
		parts = append(parts, part(h, dir+"/pages", lakeio.Pages, h.remember(r, l)...))
	case "fetch-1":
	default:
		parts = append(parts, part(h, dir+"/rejects", lakeio.Rejects, harrow.Reject{Code: "x"}))
	}
	return parts
}

// replayed is what discover commits of the run whose rejects are replayed:
// parts of its deferred requests, captures that point to its bodies.
func (h *history) replayed(r lakeio.Run) (parts []harrow.Part) {
	var again []harrow.Capture
	for _, at := range r.Replay.Stages {
		m, err := h.lake(at.Run).Manifest(h.ctx, at.Stage)
		if errors.Is(err, lakeio.ErrNotFound) {
			continue
		}
		check(h.t, err)
		for _, p := range m.TablesOf(lakeio.Captures.Name()) {
			for c, err := range lakeio.ReadRows(h.ctx, h.store, lakeio.Captures, p) {
				check(h.t, err)
				c.BodyPart, c.Digest = strings.Clone(c.BodyPart), strings.Clone(c.Digest)
				again = append(again, c)
			}
		}
	}
	for _, at := range r.Replay.Deferred {
		if m, err := h.lake(at.Run).Manifest(h.ctx, at.Stage); !errors.Is(err, lakeio.ErrNotFound) {
			check(h.t, err)
			parts = append(parts, m.TablesOf(lakeio.DeferredRequests.Name())...)
		}
	}
	if len(again) > 0 {
		parts = append(parts, part(h, h.lake(r.ID).Stage("discover")+"/captures", lakeio.Captures, again...))
	}
	return parts
}

// round fetches a page of its own, and what pages know conditionally.
func (h *history) round(r lakeio.Run, l lakeio.Lake, p plan) []harrow.Part {
	f := lakeio.FetchShard{Lake: l}
	_, _, err := f.Claim(h.ctx, lakeio.Claim{Owner: "me"})
	check(h.t, err)
	dir := path.Join(l.Stage("fetch-0"), "shard-00000")
	h.texts++
	text := fmt.Appendf(nil, "<p>page %d", h.texts)
	sum := sha256.Sum256(text)
	digest := hex.EncodeToString(sum[:])
	bodies := part(h, dir, lakeio.Bodies, harrow.Body{Digest: digest, Body: text})
	captures := []harrow.Capture{{ID: harrow.ID{9, byte(h.texts)}, Outcome: harrow.Fetched, Digest: digest, BodyPart: bodies.URI, BodyRows: 1}}
	if p.Known && r.PagesRun != "" {
		check(h.t, h.lake(r.PagesRun).EachPage(h.ctx, func(s harrow.PageState) error {
			captures = append(captures, harrow.Capture{ID: s.ID, Outcome: harrow.NotModified, Digest: strings.Clone(s.Digest), BodyPart: strings.Clone(s.BodyPart), BodyRow: s.BodyRow, BodyRows: s.BodyRows})
			return nil
		}))
	}
	parts := []harrow.Part{bodies, part(h, dir, lakeio.Captures, captures...)}
	if p.Deferred {
		parts = append(parts, part(h, dir, lakeio.DeferredRequests, harrow.Request{ID: harrow.ID{2}, URL: "http://x.example/later"}))
	}
	check(h.t, f.Append(h.ctx, "me", lakeio.Roll{Name: "1-1-x", Parts: parts}))
	if p.Litter {
		h.litter(dir + "/1-2-*.captures.arrow")
	}
	return parts
}

// remember is what pages knew with what the run fetched.
func (h *history) remember(r lakeio.Run, l lakeio.Lake) (rows []harrow.PageState) {
	if r.PagesRun != "" {
		check(h.t, h.lake(r.PagesRun).EachPage(h.ctx, func(s harrow.PageState) error {
			s.Digest, s.BodyPart, s.URL = strings.Clone(s.Digest), strings.Clone(s.BodyPart), ""
			if h.texts%3 > 0 || s.ID[1]%2 > 0 { // some pages get new bodies
				rows = append(rows, s)
			}
			return nil
		}))
	}
	m := must[lakeio.Manifest](h.t)(l.Manifest(h.ctx, "fetch-0"))
	for _, p := range m.TablesOf(lakeio.Captures.Name()) {
		for c, err := range lakeio.ReadRows(h.ctx, h.store, lakeio.Captures, p) {
			check(h.t, err)
			if c.Outcome == harrow.Fetched {
				rows = append(rows, harrow.PageState{ID: c.ID, Digest: strings.Clone(c.Digest), BodyPart: strings.Clone(c.BodyPart), BodyRow: c.BodyRow, BodyRows: c.BodyRows})
			}
		}
	}
	return rows
}

// age makes files of a run as old as is said.
func (h *history) age(folder string, old time.Duration) {
	root := filepath.Join(h.store.Local(), filepath.FromSlash(folder))
	check(h.t, filepath.WalkDir(root, func(p string, _ fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		at := time.Now().Add(-old)
		return errors.Join(err, os.Chtimes(p, at, at))
	}))
}

// draw adds a random run.
func (h *history) draw(t *rapid.T) {
	p := plan{Until: rapid.SampledFrom([]int{0, 1, 2, 4, 5, done, done, done, done}).Draw(t, "until"), Deferred: rapid.Bool().Draw(t, "deferred"),
		Known: rapid.Bool().Draw(t, "known"), Litter: rapid.Bool().Draw(t, "litter")}
	var fetched []string
	for _, id := range must[[]string](t)(lakeio.Runs(h.ctx, h.store, job)) {
		r := must[lakeio.Run](t)(lakeio.ReadRun(h.ctx, h.store, job, id))
		if must[bool](t)(h.lake(r.Source("fetch")).Committed(h.ctx, "fetch-1")) {
			fetched = append(fetched, id)
		}
	}
	if len(fetched) > 0 {
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			p.From, p.Stage = rapid.SampledFrom(fetched).Draw(t, "from"), rapid.SampledFrom([]string{"fetch", "parse"}).Draw(t, "stage")
		case 1:
			p.Replay = rapid.SampledFrom(fetched).Draw(t, "replay")
		}
	}
	if rapid.IntRange(0, 5).Draw(t, "begins") == 0 {
		id := must[string](t)(lakeio.NewRunID())
		h.litter(h.lake(id).InputURI("*"))
		h.age(h.lake(id).RunDir(), 48*time.Hour)
	}
	id := h.run(p)
	if rapid.IntRange(0, 3).Draw(t, "age") > 0 {
		h.age(h.lake(id).RunDir(), 48*time.Hour)
		h.age(h.lake(id).Stage(lakeio.PagesStage), 48*time.Hour)
	}
}
