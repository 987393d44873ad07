package round

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/io/lakeio/laketest"
)

// again fetches once more in a new run that knows what the captures of the run
// before say, and returns its captures by path.
func (b *bench) again(parts []harrow.Part, urls ...string) (map[string]harrow.Capture, []harrow.Part) {
	b.t.Helper()
	b.remember(parts)
	var err error
	if b.cfg.Env.Run, err = lakeio.NewRunID(); err != nil {
		b.t.Fatal(err)
	}
	b.lake.Run = b.cfg.Env.Run
	b.log.Reset()
	out, err := b.run(b.t.Context(), urls...)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.byPath(out), out
}

func (b *bench) byPath(parts []harrow.Part) map[string]harrow.Capture {
	b.t.Helper()
	m := map[string]harrow.Capture{}
	for _, c := range rowsOf(b.t, b.lake, lakeio.Captures, parts) {
		s := Keep(StateOf(c, "", "")) // for its text
		c.Headers, c.ContentType, c.Digest, c.FinalURL = s.Headers, s.ContentType, s.Digest, s.FinalURL
		c.BodyPart, c.Code = strings.Clone(c.BodyPart), strings.Clone(c.Code)
		m[strings.TrimPrefix(strings.Clone(c.URL), "http://one.example")] = c
	}
	return m
}

// remember commits a version of pages made of captures, and makes it known.
func (b *bench) remember(parts []harrow.Part) {
	b.t.Helper()
	var rows []harrow.PageState
	for _, c := range rowsOf(b.t, b.lake, lakeio.Captures, parts) {
		rows = append(rows, Keep(StateOf(c, b.lake.Run, b.cfg.Variant)))
	}
	slices.SortFunc(rows, func(a, b harrow.PageState) int { return strings.Compare(a.ID.String(), b.ID.String()) })
	part := laketest.WriteRows(b.t, b.lake.Store, b.lake.Stage(lakeio.PagesStage)+"/pages/a.arrow", lakeio.Pages, rows...)
	if _, err := b.lake.Commit(b.t.Context(), lakeio.PagesStage, []harrow.Part{part}, nil, time.Now()); err != nil {
		b.t.Fatal(err)
	}
	b.cfg.Pages = b.lake.Run
}

const modified = "Mon, 05 Jan 2026 08:00:00 GMT"

// shelf is a site of pages with validators; it notes with which it was asked.
type shelf struct {
	mu    sync.Mutex
	asked map[string][]string // path: preconditions, in order
	run   int                 // 0, then 1
}

func (s *shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	with := strings.TrimSpace(r.Header.Get("If-None-Match") + " " + r.Header.Get("If-Modified-Since"))
	if s.asked == nil {
		s.asked = map[string][]string{}
	}
	s.asked[r.URL.Path] = append(s.asked[r.URL.Path], with)
	h := w.Header()
	text := func(etag, body string) {
		if etag != "" {
			h.Set("ETag", etag)
		}
		if with != "" && with == etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = w.Write([]byte(body))
	}
	h["Content-Type"] = []string{"text/plain; charset=utf-8"}
	switch r.URL.Path {
	case "/robots.txt":
		w.WriteHeader(http.StatusNotFound)
	case "/strong":
		h.Set("X-Run", fmt.Sprint(s.run))
		text(`"s"`, "strong")
	case "/weak":
		text(`W/"w"`, "weak")
	case "/dated":
		if h.Set("Last-Modified", modified); with == modified {
			delete(h, "Content-Type")
			w.WriteHeader(http.StatusNotModified)
		} else {
			_, _ = w.Write([]byte("dated"))
		}
	case "/both":
		h.Set("ETag", `"b"`)
		h.Set("Last-Modified", modified)
		if with == `"b" `+modified {
			w.WriteHeader(http.StatusNotModified)
		} else {
			_, _ = w.Write([]byte("both"))
		}
	case "/plain":
		text("", "plain")
	case "/changes":
		text(fmt.Sprintf(`"c%d"`, s.run), fmt.Sprintf("changes %d", s.run))
	case "/ignores": // says 200 whatever it was asked with
		h.Set("ETag", `"i"`)
		_, _ = fmt.Fprintf(w, "ignores %d", s.run)
	case "/lies": // its 304 is about something else
		if with != "" {
			h.Set("ETag", `"other"`)
			w.WriteHeader(http.StatusNotModified)
		} else {
			text(`"l"`, fmt.Sprintf("lies %d", s.run))
		}
	case "/stuck": // all it says from the second run on
		if s.run > 0 {
			h.Set("ETag", `"other"`)
			w.WriteHeader(http.StatusNotModified)
		} else {
			text(`"k"`, "stuck")
		}
	case "/error":
		if s.run > 0 {
			w.WriteHeader(http.StatusForbidden)
		} else {
			text(`"e"`, "error")
		}
	case "/partial":
		h.Set("ETag", `"p"`)
		w.WriteHeader(http.StatusNonAuthoritativeInfo)
		_, _ = w.Write([]byte("partial"))
	case "/blank":
		text(`"0"`, "")
	case "/moved":
		h.Set("ETag", `"hop"`)
		h.Set("Location", "/target")
		w.WriteHeader(http.StatusFound)
	case "/target":
		text(`"t"`, "target")
	case "/swings": // redirects elsewhere in each run
		h.Set("Location", fmt.Sprintf("/swing%d", s.run))
		w.WriteHeader(http.StatusFound)
	case "/swing0", "/swing1":
		text(`"same"`, r.URL.Path)
	case "/direct": // redirected in the first run only
		if s.run > 0 {
			text(`"t"`, "direct")
		} else {
			h.Set("Location", "/target")
			w.WriteHeader(http.StatusFound)
		}
	}
}

func (s *shelf) next() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.run, s.asked = s.run+1, nil
}

func shelfBench(t *testing.T) (*bench, *shelf) {
	s := &shelf{}
	b := newBench(t, s)
	b.cfg.Follow = []harrow.Follow{{Within: []string{"/none"}, CSS: "a@href"}}
	return b, s
}

func at(paths ...string) (urls []string) {
	for _, p := range paths {
		urls = append(urls, "http://one.example"+p)
	}
	return urls
}

func TestASecondRunAsksByWhatTheFirstOneGot(t *testing.T) {
	b, s := shelfBench(t)
	paths := []string{"/strong", "/weak", "/dated", "/both", "/plain", "/changes", "/ignores", "/lies", "/stuck", "/error", "/partial", "/blank",
		"/moved", "/swings", "/direct"}
	parts, err := b.run(t.Context(), at(paths...)...)
	if err != nil {
		t.Fatal(err)
	}
	first := b.byPath(parts)
	s.next()
	second, _ := b.again(parts, at(paths...)...)
	for _, c := range []struct {
		path    string
		outcome string
		asked   []string // with which preconditions
		body    bool     // the first run's
	}{
		{"/strong", "not_modified", []string{`"s"`}, true},
		{"/weak", "not_modified", []string{`W/"w"`}, true},
		{"/dated", "not_modified", []string{modified}, true},
		{"/both", "not_modified", []string{`"b" ` + modified}, true},
		{"/plain", "fetched", []string{""}, false},
		{"/changes", "fetched", []string{`"c0"`}, false},
		{"/ignores", "fetched", []string{`"i"`}, false},
		{"/lies", "fetched", []string{`"l"`, ""}, false},
		{"/stuck", "failed unasked_304", []string{`"k"`, ""}, false},
		{"/error", "failed http_403", []string{`"e"`}, false},
		{"/partial", "fetched", []string{""}, false},
		{"/blank", "fetched", []string{""}, false},
		{"/moved", "not_modified", []string{""}, true},
		{"/swings", "fetched", []string{""}, false},
		{"/direct", "fetched", []string{""}, false},
	} {
		was, is := first[c.path], second[c.path]
		if got := strings.TrimSpace(string(is.Outcome) + " " + is.Code); got != c.outcome {
			t.Errorf("%s: %s, want %s", c.path, got, c.outcome)
		}
		if !slices.Equal(s.asked[c.path], c.asked) {
			t.Errorf("%s was asked with %q, want %q", c.path, s.asked[c.path], c.asked)
		}
		if got := is.BodyPart != "" && is.BodyPart == was.BodyPart && is.BodyRow == was.BodyRow && is.BodyRows == was.BodyRows; got != c.body {
			t.Errorf("%s: body in %s row %d, was in %s row %d", c.path, is.BodyPart, is.BodyRow, was.BodyPart, was.BodyRow)
		}
		if !c.body {
			continue
		}
		if is.Digest != was.Digest || is.BodyBytes != was.BodyBytes || is.ContentType != was.ContentType || is.FinalURL != was.FinalURL || is.Status != 304 {
			t.Errorf("%s: %+v\nwas %+v", c.path, is, was)
		}
	}
	// The target of a redirect was asked by the redirected request's own memory.
	if got := s.asked["/target"]; !slices.Equal(got, []string{`"t"`}) {
		t.Errorf("the redirect's target was asked with %q", got)
	}
	if got := s.asked["/swing1"]; !slices.Equal(got, []string{""}) {
		t.Errorf("another target than before was asked with %q", got)
	}
	if got := first["/strong"].Headers; !slices.Contains(got, harrow.Header{Name: "X-Run", Value: "0"}) {
		t.Errorf("headers of the 200: %v", got)
	}
	want := slices.Clone(first["/strong"].Headers)
	for i, h := range want {
		if h.Name == "X-Run" {
			want[i].Value = "1"
		}
	}
	if got := second["/strong"].Headers; !reflect.DeepEqual(undated(got), undated(want)) {
		t.Errorf("headers of the 304: %v\nwant those of the 200, updated: %v", got, want)
	}
}

func undated(headers []harrow.Header) []harrow.Header {
	return slices.DeleteFunc(slices.Clone(headers), func(h harrow.Header) bool { return h.Name == "Date" })
}

func TestAThirdRunKnowsWhatTheSecondConfirmed(t *testing.T) {
	b, s := shelfBench(t)
	parts, err := b.run(t.Context(), at("/strong")...)
	if err != nil {
		t.Fatal(err)
	}
	first := b.byPath(parts)["/strong"]
	for run := 1; run < 4; run++ {
		s.next()
		var c map[string]harrow.Capture
		c, parts = b.again(parts, at("/strong")...)
		if got := c["/strong"]; got.Outcome != harrow.NotModified || got.BodyPart != first.BodyPart || !slices.Contains(got.Headers, harrow.Header{Name: "X-Run", Value: fmt.Sprint(run)}) {
			t.Errorf("run %d: %+v", run, got)
		}
	}
}

// What must be asked in full, though it is known.
func TestNoValidatorsAreSentWhere(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(b *bench, parts []harrow.Part)
		want   string
	}{
		{"nothing speaks against it", func(*bench, []harrow.Part) {}, `"s"`},
		{"conditional is off", func(b *bench, _ []harrow.Part) { b.cfg.Fetch.Conditional = new(false) }, ""},
		{"the page is looked into for links", func(b *bench, _ []harrow.Part) { b.cfg.Follow = []harrow.Follow{{CSS: "a@href"}} }, ""},
		{"the job sends something else along", func(b *bench, _ []harrow.Part) { b.cfg.Variant = "other" }, ""},
		{"the old body is gone", func(b *bench, parts []harrow.Part) {
			for _, p := range parts {
				if p.Table == lakeio.Bodies.Name() {
					if err := b.lake.Store.Delete(b.t.Context(), p.URI); err != nil {
						b.t.Fatal(err)
					}
				}
			}
		}, ""},
		{"the old body is damaged", func(b *bench, parts []harrow.Part) {
			for _, p := range parts {
				if p.Table == lakeio.Bodies.Name() {
					if err := os.Truncate(filepath.Join(b.lake.Store.Local(), p.URI), p.Bytes-1); err != nil {
						b.t.Fatal(err)
					}
				}
			}
		}, ""},
		{"it is a sitemap", func(b *bench, _ []harrow.Part) { b.kind = harrow.KindSitemap }, ""},
		{"it asks conditionally by itself", func(b *bench, _ []harrow.Part) {
			b.headers = []harrow.Header{{Name: "if-modified-since", Value: modified}}
		}, modified},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, s := shelfBench(t)
			parts, err := b.run(t.Context(), at("/strong")...)
			if err != nil {
				t.Fatal(err)
			}
			c.change(b, parts)
			variant := b.cfg.Variant
			b.cfg.Variant = ""
			b.remember(parts)
			b.cfg.Variant = variant
			run, err := lakeio.NewRunID()
			if err != nil {
				t.Fatal(err)
			}
			b.cfg.Env.Run, b.lake.Run = run, run
			s.next()
			if _, err := b.run(t.Context(), at("/strong")...); err != nil {
				t.Fatal(err)
			}
			if got := s.asked["/strong"]; !slices.Equal(got, []string{c.want}) {
				t.Errorf("asked with %q, want %q", got, c.want)
			}
		})
	}
}

func TestATruncatedBodyIsAskedForAgainOnceMoreWouldBeKept(t *testing.T) {
	for _, c := range []struct {
		max  harrow.ByteSize
		want string
	}{{4, `"s"`}, {2, `"s"`}, {5, ""}} {
		b, s := shelfBench(t)
		b.cfg.Fetch.MaxBody = 4
		parts, err := b.run(t.Context(), at("/strong")...)
		if err != nil {
			t.Fatal(err)
		}
		if c := b.byPath(parts)["/strong"]; !c.Truncated || c.BodyBytes != 4 {
			t.Fatalf("first run: %+v", c)
		}
		s.next()
		b.cfg.Fetch.MaxBody = c.max
		got, _ := b.again(parts, at("/strong")...)
		if !slices.Equal(s.asked["/strong"], []string{c.want}) {
			t.Errorf("max_body %d: asked with %q, want %q", c.max, s.asked["/strong"], c.want)
		}
		if is := got["/strong"]; is.Outcome == harrow.NotModified && !is.Truncated {
			t.Errorf("max_body %d: a truncated body is whole after a 304", c.max)
		}
	}
}

func TestACorruptMemoryStopsTheRoundAndNamesIt(t *testing.T) {
	b, s := shelfBench(t)
	parts, err := b.run(t.Context(), at("/strong")...)
	if err != nil {
		t.Fatal(err)
	}
	b.remember(parts)
	uri := b.lake.Stage(lakeio.PagesStage) + "/pages/a.arrow"
	if err := b.lake.Store.Delete(t.Context(), uri); err != nil {
		t.Fatal(err)
	}
	if b.cfg.Env.Run, err = lakeio.NewRunID(); err != nil {
		t.Fatal(err)
	}
	s.next()
	p, err := Join(t.Context(), b.cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Admit(t.Context(), 0, b.requests(at("/strong")...)); err == nil || !strings.Contains(err.Error(), uri) {
		t.Errorf("got %v, want an error that names %s", err, uri)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if len(s.asked) > 0 {
		t.Errorf("asked %v", s.asked)
	}

	// A version that is not there at all is no memory.
	b.cfg.Pages = b.cfg.Env.Run
	if _, err := b.run(context.Background(), at("/strong")...); err != nil {
		t.Error(err)
	}
}
