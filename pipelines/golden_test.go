package pipelines

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/demosite"
	"github.com/harrowdata/harrow/io/lakeio"
)

// golden reads testdata/demo/golden/NAME.jsonl.
func golden[T any](t *testing.T, name string) (list []T) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "testdata", "demo", "golden", name+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	for d.More() {
		var v T
		if err := d.Decode(&v); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		list = append(list, v)
	}
	return list
}

// The harvest of the demo against what the site's own model expects of it.
func TestTheDemoIsHarvestedAsItsModelSays(t *testing.T) {
	eachRunner(t, func(t *testing.T, runnerName string) {
		b := wholeShop(t)
		run := b.must(runner(runnerName))
		if run.State != lakeio.Done || run.Exit != 0 || run.EndedAt.IsZero() {
			t.Errorf("run.json says %s, exit %d, ended %v", run.State, run.Exit, run.EndedAt)
		}
		checkPages(b, run, golden[demosite.PageInfo](t, "pages"))
		checkRejects(b, run, golden[demosite.Rejected](t, "rejects"))
		checkRecords(b, run, golden[demosite.Book](t, "books"), golden[demosite.Offer](t, "offers"))
		for _, record := range []string{"sale", "shelf", "branch", "hours", "review", "archived", "news"} {
			checkDesk(b, run, record)
		}
		checkHits(b, b.site.Hits())
		checkCounters(b, run)
	})
}

// checkPages holds captures and exchanges against the model: each request has
// one capture, in the round that admits it.
func checkPages(b *bench, run lakeio.Run, want []demosite.PageInfo) {
	b.t.Helper()
	var expected, got []string
	for _, p := range want {
		expected = append(expected, fmt.Sprintf("%s %s %s %d %s in round %d after %d", p.URL, p.Outcome, p.Code, p.Status, p.Final, p.Round, p.Asks))
	}
	for r := range run.Rounds {
		asks := map[harrow.ID]int{}
		for _, e := range rows(b, lakeio.Exchanges, run, lakeio.FetchStage(r)) {
			if e.Kind != harrow.KindRobots {
				asks[e.ID]++
			}
		}
		for _, c := range rows(b, lakeio.Captures, run, lakeio.FetchStage(r)) {
			code := c.Code
			if c.Outcome != harrow.Denied {
				code = "" // the status says it
			}
			got = append(got, fmt.Sprintf("%s %s %s %d %s in round %d after %d", c.URL, c.Outcome, code, c.Status, c.FinalURL, r, asks[c.ID]))
		}
	}
	sameSet(b.t, "captures", got, expected)
}

func checkRejects(b *bench, run lakeio.Run, want []demosite.Rejected) {
	b.t.Helper()
	var expected, got []string
	for _, r := range want {
		expected = append(expected, fmt.Sprint(r.Stage, " ", r.Class, " ", r.URL, " ", r.Record, " ", r.Field, " ", r.Value))
	}
	for _, r := range rows(b, lakeio.Rejects, run) {
		got = append(got, fmt.Sprint(r.Stage, " ", r.Class, " ", r.URL, " ", r.Record, " ", r.Field, " ", r.Value))
		if r.At.IsZero() || r.Code == "" || r.Reason == "" {
			b.t.Errorf("reject of %s lacks code, reason or time: %+v", r.URL, r)
		}
	}
	sameSet(b.t, "rejects", got, expected)
}

// book and offer write a row as lakeio.AppendJSON does.
func bookRow(k demosite.Book) string {
	return rowJSON("upc", k.UPC, "url", k.URL, "title", k.Title, "price_amount", amount(k.Amount), "price_currency", k.Currency,
		"stock", k.Stock, "rating", k.Rating, "image", k.Image, "tags", k.Tags, "brand", k.Brand)
}

// refinedRow is bookRow with what refine added.
func refinedRow(k demosite.Book) string {
	return strings.TrimSuffix(bookRow(k), "}") + "," + rowJSON("price_pounds", amount(k.Pounds))[1:]
}

func offerRow(o demosite.Offer) string {
	return rowJSON("url", o.URL, "title", o.Title, "price_amount", amount(o.Amount), "price_currency", null(o.Currency), "shop", o.Shop)
}

// amount is an amount of money in the one text form of decimals.
func amount(s string) any {
	if strings.Contains(s, ".") {
		s = strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
	}
	return null(s)
}

func null(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func rowJSON(pairs ...any) string {
	var b strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		var value bytes.Buffer
		e := json.NewEncoder(&value)
		e.SetEscapeHTML(false)
		if err := e.Encode(pairs[i+1]); err != nil {
			panic(err)
		}
		fmt.Fprintf(&b, ",%q:%s", pairs[i], bytes.TrimSpace(value.Bytes()))
	}
	return "{" + b.String()[1:] + "}"
}

var (
	bookColumns  = []string{"upc", "url", "title", "price_amount", "price_currency", "stock", "rating", "image", "tags", "brand"}
	offerColumns = []string{"url", "title", "price_amount", "price_currency", "shop"}
)

// checkRecords holds what parse and refine made against the model, and the
// database against refine.
func checkRecords(b *bench, run lakeio.Run, books []demosite.Book, offers []demosite.Offer) {
	b.t.Helper()
	var refined, parsed, pages, listed []string
	for _, k := range books {
		if b.whole {
			refined = append(refined, refinedRow(k))
		} else {
			refined = append(refined, bookRow(k))
		}
		for _, page := range k.URLs {
			parsed, pages = append(parsed, bookRow(k)), append(pages, rowJSON("upc", k.UPC, "_url", page))
		}
	}
	for _, o := range offers {
		listed = append(listed, offerRow(o))
	}
	sameSet(b.t, "books of parse", b.records(run, "parse", "book", bookColumns...), parsed)
	sameSet(b.t, "pages of the books", b.records(run, "parse", "book", "upc", "_url"), pages)
	columns := slices.Clone(bookColumns)
	if b.whole {
		columns = append(columns, "price_pounds")
	}
	sameSet(b.t, "books of refine", b.records(run, "refine", "book", columns...), refined)
	sameSet(b.t, "offers of parse", b.records(run, "parse", "offer", offerColumns...), listed)
	sameSet(b.t, "offers of refine", b.records(run, "refine", "offer", offerColumns...), listed)
	stored := b.database()
	sameSet(b.t, "books stored", stored["stored book"], b.asStored(run, "book"))
	sameSet(b.t, "offers stored", stored["stored offer"], b.asStored(run, "offer"))
}

// checkDesk holds a record's rows after refine against its golden file, whose
// lines are what lakeio.AppendJSON writes of the columns.
func checkDesk(b *bench, run lakeio.Run, record string) {
	b.t.Helper()
	var want []string
	for _, line := range golden[json.RawMessage](b.t, record) {
		want = append(want, string(line))
	}
	var columns []string
	for d := json.NewDecoder(strings.NewReader(want[0])); ; {
		token, err := d.Token()
		if err != nil {
			break
		}
		if name, ok := token.(string); ok {
			columns = append(columns, name)
			var value json.RawMessage
			if err := d.Decode(&value); err != nil {
				b.t.Fatal(err)
			}
		}
	}
	sameSet(b.t, record+" of refine", b.records(run, "refine", record, columns...), want)
	sameSet(b.t, record+" stored", b.database()["stored "+record], b.asStored(run, record))
}

// asStored is refine's table as stable.SQLite writes a database's.
func (b *bench) asStored(run lakeio.Run, record string) (list []string) {
	b.t.Helper()
	for _, row := range b.records(run, "refine", record) {
		var values map[string]any
		d := json.NewDecoder(strings.NewReader(row))
		d.UseNumber()
		if err := d.Decode(&values); err != nil {
			b.t.Fatal(err)
		}
		maps.DeleteFunc(values, func(name string, _ any) bool { return strings.HasPrefix(name, "_") })
		var text bytes.Buffer
		e := json.NewEncoder(&text) // by name
		e.SetEscapeHTML(false)
		if err := e.Encode(values); err != nil {
			b.t.Fatal(err)
		}
		list = append(list, strings.TrimSpace(text.String()))
	}
	return list
}

// checkHits holds the server's log against how often each URL is to be asked;
// robots.txt once a host, or twice those of again: where sitemaps are named in
// it, the one of the seeds' host is read anew when a round goes on.
func checkHits(b *bench, want map[string]int, again ...string) {
	b.t.Helper()
	got := map[string]int{}
	for _, e := range b.log.Requests() {
		got[e.URL]++
	}
	for _, host := range demosite.Hosts {
		at := "http://" + host + "/robots.txt"
		if got[at] != 1 && (got[at] != 2 || !slices.Contains(again, host)) {
			b.t.Errorf("%s was asked %d times, want once", at, got[at])
		}
		delete(got, at)
	}
	for url, n := range want {
		if got[url] != n {
			b.t.Errorf("%s was asked %d times, want %d", url, got[url], n)
		}
		delete(got, url)
	}
	for url, n := range got {
		b.t.Errorf("%s was asked %d times, want never", url, n)
	}
}

// checkCounters adds up what the workers said of themselves: admitted requests
// are captures by outcome are rows of captures.
func checkCounters(b *bench, run lakeio.Run) {
	b.t.Helper()
	statuses, err := b.lake(run.ID).Statuses(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	if len(statuses) == 0 {
		b.t.Error("no worker wrote its status")
	}
	for _, st := range statuses {
		byOutcome := map[string]int64{}
		for _, c := range rows(b, lakeio.Captures, run, st.Stage) {
			byOutcome["captures."+string(c.Outcome)]++
		}
		sum := int64(0)
		for name, n := range byOutcome {
			sum += n
			if st.Counters[name] != n {
				b.t.Errorf("%s: counter %s is %d, the table has %d", st.Stage, name, st.Counters[name], n)
			}
		}
		if st.Counters["requests"] != sum {
			b.t.Errorf("%s: %d requests were admitted, %d captures", st.Stage, st.Counters["requests"], sum)
		}
		if n := int64(len(rows(b, lakeio.Exchanges, run, st.Stage))); st.Counters["exchanges"] != n {
			b.t.Errorf("%s: counter exchanges is %d, the table has %d", st.Stage, st.Counters["exchanges"], n)
		}
		if st.Queued != 0 || st.InFlight != 0 {
			b.t.Errorf("%s ended with %d requests queued and %d in flight", st.Stage, st.Queued, st.InFlight)
		}
	}
}
