package pipelines

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/demosite"
	"github.com/harrowdata/harrow/io/lakeio"
)

// pages are what a run's version of pages says, without what timing decides.
func (b *bench) pages(run lakeio.Run) (list []string) {
	b.t.Helper()
	err := b.lake(run.ID).EachPage(b.t.Context(), func(p harrow.PageState) error {
		list = append(list, fmt.Sprint(p.URL, " ", p.FinalURL, " ", p.ETag, " ", p.LastModified, " ", p.Digest, " ", p.BodyBytes, " ", p.Outcome, " ", p.Absences,
			" ", p.Run == run.ID, p.FirstSeen.IsZero(), p.LastSeen.IsZero()))
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return list
}

// captured are a run's captures without outcome, status, headers, what timing
// decides and where bodies lie: what a 304 must not change. The count is of
// pages by outcome, those that are looked into for links aside.
func (b *bench) captured(run lakeio.Run) (list []string, outcomes map[harrow.Outcome]int) {
	b.t.Helper()
	outcomes = map[harrow.Outcome]int{}
	for _, c := range rows(b, lakeio.Captures, run) {
		list = append(list, fmt.Sprint(c.ID, c.URL, c.FinalURL, c.Method, c.Kind, c.Key, c.Class, c.Code, c.ContentType, c.Digest, c.BodyBytes, c.Truncated))
		path := c.FinalURL[strings.Index(c.FinalURL, ".example")+len(".example"):]
		if path == "/" || strings.HasPrefix(path, "/catalogue/page-") {
			if c.Outcome == harrow.NotModified {
				b.t.Errorf("%s, which is looked into for links, is not_modified", c.URL)
			}
			continue
		}
		if c.Kind == harrow.KindPage && c.Method == "GET" { // what can be asked conditionally at all
			outcomes[c.Outcome]++
		}
	}
	return list, outcomes
}

// asked is how often each URL was asked for since the log was reset.
func (b *bench) asked() (list []string) {
	for _, e := range b.log.Requests() {
		list = append(list, e.URL)
	}
	b.log.Reset()
	return list
}

// sameBut compares the tables of two runs but for captures and bodies, which a
// second run of the same site has fewer of.
func (b *bench) sameBut(what string, first, second lakeio.Run) {
	b.t.Helper()
	want, got := b.tables(first), b.tables(second)
	for _, tables := range []map[string][]string{want, got} {
		delete(tables, "fetch captures")
		delete(tables, "fetch bodies")
	}
	same(b.t, what, want, got)
}

// unchanged fails the test unless the run loaded nothing.
func (b *bench) unchanged(run lakeio.Run) {
	b.t.Helper()
	for _, record := range []string{"book", "offer", "sale", "shelf", "branch", "hours", "review", "archived", "news"} {
		if c := b.loaded(run, record); c.Added+c.Changed+c.Stale+c.Rejected != 0 || c.Unchanged == 0 {
			b.t.Errorf("%s: %+v, want all unchanged", record, c)
		}
	}
}

func TestASecondRunOfAnUnchangedSiteIsToldSo(t *testing.T) {
	t.Parallel()
	meaning(t)
	eachRunner(t, func(t *testing.T, runnerName string) {
		b := newShop(t, demosite.Options{}, exact...)
		first := b.must(runner(runnerName))
		asked := b.asked()
		want, _ := b.captured(first)
		previous := first
		for n := range 2 { // a third run knows what the second was told
			b.site.SetRevision(0) // pages that fail at first do so again
			run := b.must(runner(runnerName))
			if run.PagesRun != previous.ID {
				t.Errorf("run %d knows the pages of %s, want those of %s", n+2, run.PagesRun, previous.ID)
			}
			sameSet(t, "URLs asked", b.asked(), asked)
			got, outcomes := b.captured(run)
			sameSet(t, "captures", got, want)
			if old, fresh := outcomes[harrow.NotModified], outcomes[harrow.Fetched]; 100*old < 95*(old+fresh) {
				t.Errorf("%d pages are not modified, %d were fetched; want 95%%", old, fresh)
			}
			b.sameBut("an unchanged site", first, run)
			b.unchanged(run)
			if got := b.writtenBy("book"); len(got) != 1 || got[first.ID] == 0 {
				t.Errorf("books were written by %v, want all by %s", got, first.ID)
			}
			previous = run
		}

		// Old bodies are found from a later stage on, too.
		again := b.must(from("parse"), runner(runnerName))
		if again.PagesRun != previous.PagesRun {
			t.Errorf("--from parse knows of pages %s, want those that fetch had, %s", again.PagesRun, previous.PagesRun)
		}
		b.sameBut("--from parse", first, again)
		if current, err := lakeio.CurrentPages(t.Context(), b.lake("").Store, first.Job); err != nil || current != previous.ID {
			t.Errorf("current pages are of %s, %v; a run that didn't fetch has none", current, err)
		}
		if n := len(b.log.Requests()); n > 0 {
			t.Errorf("--from parse sent %d requests", n)
		}
	})
}

func TestWithoutConditionalRequestsEverythingIsFetchedAgain(t *testing.T) {
	b := newShop(t, demosite.Options{Products: 40}, append(exact, "  timeout: 5s\n", "  timeout: 5s\n  conditional: false\n")...).beside()
	first := b.must()
	second := b.must(which("new"))
	if _, outcomes := b.captured(second); outcomes[harrow.NotModified] > 0 || outcomes[harrow.Fetched] == 0 {
		t.Errorf("outcomes %v", outcomes)
	}
	same(t, "fetched again", b.tables(first), b.tables(second))
}

// A header that a rule reads came with the 200; a status it reads is the one
// that the 304 confirmed.
func TestRulesReadTheAnswerThatWasConfirmed(t *testing.T) {
	meaning(t)
	b := newShop(t, demosite.Options{Products: 40}, append(exact, `      upc:    {css: "th:contains('UPC') + td", required: true}
`, `      upc:    {css: "th:contains('UPC') + td", required: true}
      code:   {from: status, type: int}
      size:   {from: "header:Content-Length"}
      tag:    {from: "header:ETag"}
`)...).beside()
	first := b.must()
	second := b.must()
	if _, outcomes := b.captured(second); outcomes[harrow.NotModified] == 0 {
		t.Fatalf("outcomes %v", outcomes)
	}
	columns := []string{"upc", "code", "size", "tag", "_url", "_ordinal", "_digest"}
	sameSet(t, "books", b.records(second, "parse", "book", columns...), b.records(first, "parse", "book", columns...))
	b.unchanged(second)
}

func TestAMemoryThatIsGoneIsNone(t *testing.T) {
	b := newShop(t, demosite.Options{Products: 40}, exact...).beside()
	first := b.must()
	res, err := b.run(until("discover"))
	if err != nil || res.Run.PagesRun != first.ID {
		t.Fatalf("pages of %q, %v; want %s", res.Run.PagesRun, err, first.ID)
	}
	if err := os.RemoveAll(filepath.Join(b.dir, first.Job, "pages")); err != nil {
		t.Fatal(err)
	}
	second := b.must()
	if _, outcomes := b.captured(second); outcomes[harrow.NotModified] > 0 {
		t.Errorf("outcomes %v", outcomes)
	}
	if names, err := os.ReadDir(filepath.Join(b.dir, first.Job, "pages")); err != nil || len(names) != 1 || names[0].Name() != second.ID {
		t.Errorf("pages has %v, %v; want %s alone", names, err, second.ID)
	}
	b.unchanged(second)
}

// A run that is paused in the midst of its conditional requests comes to the
// same as one in one go.
func TestASecondRunThatIsPausedGoesOn(t *testing.T) {
	t.Parallel()
	var want []string
	var tables map[string][]string
	for _, paused := range []bool{false, true} {
		b := newShop(t, demosite.Options{Latency: 3 * time.Millisecond}, exact...)
		first := b.must()
		b.site.SetRevision(1)
		b.log.Reset()
		if paused {
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			req := b.request
			b.drag(40)
			req.Started = func(lakeio.Lake, lakeio.Run) {
				go func() { b.await(40); interrupt() }()
			}
			if res, err := Run(ctx, req); !errors.Is(err, ErrStopped) || res.Run.PagesRun != first.ID {
				t.Fatalf("ended with %v, pages of %s", err, res.Run.PagesRun)
			}
			if done, err := b.lake(first.ID).Committed(t.Context(), lakeio.PagesStage); !done || err != nil {
				t.Errorf("the first run's pages: %v %v", done, err)
			}
			b.drag(math.MaxInt32)
		}
		res, err := b.run()
		if err != nil || res.Resumed != paused || res.Run.PagesRun != first.ID {
			t.Fatalf("resumed %v, pages of %s, %v", res.Resumed, res.Run.PagesRun, err)
		}
		got, now := b.pages(res.Run), b.tables(res.Run)
		if slices.IndexFunc(got, func(s string) bool { return strings.Contains(s, " not_modified ") }) < 0 {
			t.Error("nothing was not_modified")
		}
		if !paused {
			want, tables = got, now
			continue
		}
		sameSet(t, "pages", got, want)
		same(t, "paused", tables, now)
	}
}

// Pages that are linked no more count as absent, in complete runs only.
func TestAbsencesCountInCompleteRuns(t *testing.T) {
	meaning(t)
	b := newBench(t, smallSite(), pagesJob("a", "b")).beside()
	b.must()
	b.write(pagesJob("a"))
	for i, want := range []string{"1", "2", "2", "0"} {
		change := func(*Request) {}
		switch i {
		case 2: // incomplete
			change = func(r *Request) { r.Limit = 1 }
		case 3:
			b.write(pagesJob("a", "b"))
		}
		run := b.must(change)
		var got string
		err := b.lake(run.ID).EachPage(t.Context(), func(p harrow.PageState) error {
			if strings.HasSuffix(p.URL, "/b") {
				got = fmt.Sprint(p.Absences)
			}
			return nil
		})
		if err != nil || got != want {
			t.Errorf("run %d: %s absences of /b, %v; want %s", i+2, got, err, want)
		}
	}
}
