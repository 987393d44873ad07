package lakeio

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/harrowdata/harrow"
)

// TableCount sums the parts of one table in a manifest.
type TableCount struct {
	Version int   `json:"version"` // of the table's schema
	Parts   int64 `json:"parts"`
	Rows    int64 `json:"rows"`
	Bytes   int64 `json:"bytes"` // of the files
	Raw     int64 `json:"raw"`   // before compression
}

// Manifest is what one stage (and round) committed: the only commit point.
// It never changes once it is there.
type Manifest struct {
	Version  int                   `json:"version"`
	Run      string                `json:"run"`
	Stage    string                `json:"stage"`
	Tables   map[string]TableCount `json:"tables"`
	Counters map[string]int64      `json:"counters,omitempty"`
	Digest   string                `json:"digest"` // SHA-256 of the list of parts
	At       time.Time             `json:"at"`
	Parts    []harrow.Part         `json:"-"` // from manifest.arrow, sorted by (table, shard, URI)
}

func sortParts(parts []harrow.Part) {
	slices.SortFunc(parts, func(a, b harrow.Part) int {
		return cmp.Or(strings.Compare(a.Table, b.Table), cmp.Compare(a.Shard, b.Shard), strings.Compare(a.URI, b.URI))
	})
}

// digestParts is over what the parts are, not over how they were listed.
func digestParts(parts []harrow.Part) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%q %q %d %d %d\n", p.Table, p.URI, p.Rows, p.Bytes, p.Shard)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// TablesOf narrows a manifest's parts to those of a table.
func (m Manifest) TablesOf(table string) []harrow.Part {
	var parts []harrow.Part
	for _, p := range m.Parts {
		if p.Table == table {
			parts = append(parts, p)
		}
	}
	return parts
}

// Commit writes the manifest of a stage, or finds that somebody else did: the
// winner's is returned. Two committers may run at once: the list of parts is
// created if absent and decides, since each list is a whole attempt's output;
// the manifest, written last, says that it is decided. now is its timestamp.
func (l Lake) Commit(ctx context.Context, stage string, parts []harrow.Part, counters map[string]int64, now time.Time) (Manifest, error) {
	dir := l.Stage(stage)
	list, err := encodeList(parts, counters)
	if err != nil {
		return Manifest{}, fmt.Errorf("%s: %w", dir, err)
	}
	if err := l.syncParts(ctx, parts); err != nil {
		return Manifest{}, err
	}
	uri := path.Join(dir, "manifest.arrow")
	if err := l.Store.Create(ctx, uri, list); err != nil && !errors.Is(err, ErrExists) {
		return Manifest{}, err
	}
	m := Manifest{Version: jsonVersion, Run: l.Run, Stage: stage, At: now.UTC()}
	if m.Parts, m.Counters, err = l.readList(ctx, uri); err != nil {
		return Manifest{}, err
	}
	m.Digest = digestParts(m.Parts)
	m.Tables = map[string]TableCount{}
	for _, p := range m.Parts {
		t := m.Tables[p.Table]
		t.Version, t.Parts, t.Rows, t.Bytes, t.Raw = knownVersion(p.Table), t.Parts+1, t.Rows+p.Rows, t.Bytes+p.Bytes, t.Raw+p.Raw
		m.Tables[p.Table] = t
	}
	data, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		return Manifest{}, fmt.Errorf("%s: %w", dir, err)
	}
	if err := l.Store.Create(ctx, path.Join(dir, "manifest.json"), data); err != nil && !errors.Is(err, ErrExists) {
		return Manifest{}, err
	}
	if l.Store.Local() == "" {
		committed.note(place{l.Store, path.Join(dir, "manifest.json")}, true, 0)
	}
	return l.Manifest(ctx, stage)
}

// syncParts makes parts survive a power cut: each file, then each folder on
// the way to it, once.
func (l Lake) syncParts(ctx context.Context, parts []harrow.Part) error {
	folders := map[string]bool{}
	for _, p := range parts {
		if err := l.Store.Sync(ctx, p.URI); err != nil {
			return err
		}
		for dir := path.Dir(p.URI); !folders[dir]; dir = path.Dir(dir) {
			folders[dir] = true
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(folders)) {
		if err := l.Store.Sync(ctx, dir+"/"); err != nil {
			return err
		}
	}
	return nil
}

// Committed reports whether the stage has a manifest. Every part that a stage
// handles asks this first, so where a look is a request the answer is
// remembered: yes for ever, since manifests never change, no for a moment. Who
// is told no too late does work that is not taken.
func (l Lake) Committed(ctx context.Context, stage string) (bool, error) {
	at := place{l.Store, path.Join(l.Stage(stage), "manifest.json")}
	remote := l.Store.Local() == ""
	if remote {
		if answer, ok := committed.recall(at, sinceBoot()); ok {
			return answer, nil
		}
	}
	_, _, err := l.Store.Read(ctx, at.uri)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return false, err
	}
	if remote {
		committed.note(at, err == nil, sinceBoot())
	}
	return err == nil, nil
}

// answers remembers which manifests are there, of stores that are not local.
type answers struct {
	mu  sync.Mutex
	yes map[place]bool
	no  map[place]time.Duration // until when
}

var committed answers

// noLasts is how long "not committed" is believed.
const noLasts = 2 * time.Second

func (a *answers) recall(at place, now time.Duration) (answer, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.yes[at], a.yes[at] || now < a.no[at]
}

func (a *answers) note(at place, answer bool, now time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.yes == nil {
		a.yes, a.no = map[place]bool{}, map[place]time.Duration{}
	}
	if delete(a.no, at); answer {
		a.yes[at] = true
		return
	}
	maps.DeleteFunc(a.no, func(_ place, until time.Duration) bool { return until <= now })
	a.no[at] = now + noLasts
}

// Manifest reads a stage's manifest and its parts; ErrNotFound while the stage
// has not committed.
func (l Lake) Manifest(ctx context.Context, stage string) (Manifest, error) {
	dir := l.Stage(stage)
	uri := path.Join(dir, "manifest.json")
	m, err := readJSON[Manifest](ctx, l.Store, uri)
	if err != nil {
		return Manifest{}, err
	}
	m.Parts, _, err = l.readList(ctx, path.Join(dir, "manifest.arrow"))
	if errors.Is(err, ErrNotFound) { // not "no manifest": its list came first
		err = fmt.Errorf("%s: %w: its list of parts is gone: %v", uri, ErrCorrupt, err)
	}
	if err != nil {
		return Manifest{}, err
	}
	if got := digestParts(m.Parts); got != m.Digest {
		return Manifest{}, fmt.Errorf("%s: %w: digest %s does not fit the list of parts, whose digest is %s", uri, ErrCorrupt, m.Digest, got)
	}
	return m, nil
}

const metaCounters = "harrow.counters"

// encodeList writes the list of parts as an Arrow file, the counters in its
// last row so that one file decides both.
func encodeList(parts []harrow.Part, counters map[string]int64) ([]byte, error) {
	parts = slices.Clone(parts)
	sortParts(parts)
	data, err := json.Marshal(counters)
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	w, err := newFileWriter(&buf, partsList.Schema(), Zstd)
	if err != nil {
		return nil, err
	}
	b := partsList.NewBuilder()
	defer b.Release()
	for i, p := range append(parts, harrow.Part{Table: metaCounters, Tag: string(data)}) {
		b.Append(p)
		if !b.Full() && i < len(parts) {
			continue
		}
		batch := b.Batch()
		err := w.write(batch.Arrow())
		batch.Release()
		if err != nil {
			return nil, err
		}
	}
	if err := w.close(); err != nil {
		return nil, err
	}
	w.giveBack(Zstd)
	return buf.Bytes(), nil
}

func (l Lake) readList(ctx context.Context, uri string) (parts []harrow.Part, counters map[string]int64, err error) {
	r, err := OpenPart(ctx, l.Store, uri, partsList.Name())
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	for i := range r.Batches() {
		b, err := r.Batch(i)
		if err != nil {
			return nil, nil, err
		}
		for _, p := range partsList.Rows(b) {
			if p.Table == metaCounters {
				err = json.Unmarshal([]byte(p.Tag), &counters)
				continue
			}
			// The strings point into the batch, which goes.
			p.Table, p.URI, p.Tag = strings.Clone(p.Table), strings.Clone(p.URI), strings.Clone(p.Tag)
			parts = append(parts, p)
		}
		b.Release()
		if err != nil {
			return nil, nil, r.file.corrupt("counters: %v", err)
		}
	}
	return parts, counters, nil
}
