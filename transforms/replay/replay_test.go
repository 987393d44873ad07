package replay

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/internal/seedfile"
	"github.com/harrowdata/harrow/io/lakeio"
)

var bookType = harrow.RecordType{Name: "book", Columns: []harrow.Column{{Name: "title", Type: harrow.Type{Kind: harrow.Text}}, {Name: "n", Type: harrow.Type{Kind: harrow.Int}}}}

func testConfig() Config {
	depth := 2
	return Config{Key: harrow.KeyHost, Canonical: harrow.Canonical{Strip: []string{"utm_*"}}, Scope: harrow.Scope{Hosts: []string{"a.example"}, Exclude: []string{"/gone/**"}, MaxDepth: &depth},
		Parsed: []harrow.RecordType{bookType}, Refined: []harrow.RecordType{bookType}}
}

// sink keeps what the operators emit, as JSON.
type sink struct {
	rows  map[string][]string // by table
	lines []line
}

type line struct {
	id          string
	rank        int64
	place, text string
}

func (s *sink) Emit(table string, b harrow.Batch) error {
	if b.Table() != table {
		return fmt.Errorf("a batch of %s as %s", b.Table(), table)
	}
	for i := range b.Rows() {
		if table == lakeio.RecordsPrefix+lineType.Name {
			l := line{}
			l.id, _ = lakeio.Value(b.Column(idColumn), i).(string)
			l.rank, _ = lakeio.Value(b.Column(rankColumn), i).(int64)
			l.place, _ = lakeio.Value(b.Column(placeColumn), i).(string)
			l.text, _ = lakeio.Value(b.Column(textColumn), i).(string)
			s.lines = append(s.lines, l)
			continue
		}
		s.rows[table] = append(s.rows[table], string(lakeio.AppendJSON(nil, b, i, nil)))
	}
	return nil
}

func (s *sink) Reject(harrow.Reject) error { return errors.New("a reject that forgets its stage") }

// sent is what becomes of rejects whose requests have these captures.
func sent(t *testing.T, cfg Config, captures []harrow.Capture, rejects ...harrow.Reject) map[string][]string {
	t.Helper()
	config, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	out := &sink{rows: map[string][]string{}}
	first, second := operator(t, gatherName, config), operator(t, sendName, config)
	c, r := lakeio.Captures.NewBuilder(), lakeio.Rejects.NewBuilder()
	defer c.Release()
	defer r.Release()
	for _, row := range captures {
		c.Append(row)
	}
	for _, row := range rejects {
		r.Append(row)
	}
	through(t, first, out, c.Batch(), r.Batch())
	slices.SortStableFunc(out.lines, func(a, b line) int {
		return cmp.Or(strings.Compare(a.id, b.id), cmp.Compare(a.rank, b.rank), strings.Compare(a.place, b.place))
	})
	lines := lakeio.NewRecordBuilder(lineType)
	defer lines.Release()
	for _, l := range out.lines {
		values := []any{l.id, l.rank, l.place, l.text}
		for i, v := range values {
			if v == "" {
				values[i] = nil
			}
		}
		if err := lines.Append(values, lakeio.Origin{}); err != nil {
			t.Fatal(err)
		}
	}
	through(t, second, out, lines.Batch())
	return out.rows
}

func operator(t *testing.T, name string, config json.RawMessage) harrow.Operator {
	t.Helper()
	make, err := harrow.LookupOperator(name)
	if err != nil {
		t.Fatal(err)
	}
	op, err := make(config)
	if err != nil {
		t.Fatal(err)
	}
	return op
}

func through(t *testing.T, op harrow.Operator, out harrow.Output, batches ...harrow.Batch) {
	t.Helper()
	for _, b := range batches {
		if err := op.Process(t.Context(), b, out); err != nil {
			t.Fatal(err)
		}
		b.Release()
	}
	if err := op.Finish(t.Context(), out); err != nil {
		t.Fatal(err)
	}
}

// request is one that a page linked to, and its id.
func request(url string) harrow.Request {
	return harrow.Request{ID: canon.ID("GET", url, nil, nil), URL: url, Method: "GET", Key: "old", Domain: "old", Kind: harrow.KindPage, Depth: 1, Parent: harrow.ID{9},
		Headers: []harrow.Header{{Name: "X-A", Value: "b"}}, Body: []byte("q"), Carry: `{"shop":"a"}`, Priority: 7, Reason: "x"}
}

func failed(t *testing.T, r harrow.Request) harrow.Reject {
	t.Helper()
	payload, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return harrow.Reject{ID: r.ID, Stage: "fetch", Class: harrow.Transient, Code: "timeout", Reason: "it took too long", URL: r.URL, Attempts: 4, Payload: string(payload)}
}

func fetched(id harrow.ID, url string, at int64) harrow.Capture {
	return harrow.Capture{ID: id, URL: url, Kind: harrow.KindPage, Outcome: harrow.Fetched, StartedAt: time.Unix(at, 0).UTC(), BodyPart: fmt.Sprint("part ", at)}
}

func unparsed(id harrow.ID, ordinal int) harrow.Reject {
	return harrow.Reject{ID: id, Stage: "parse", Class: harrow.DataFault, Code: "required", Record: "book", Reason: "no title", Payload: fmt.Sprintf(`{"ordinal":%d}`, ordinal)}
}

func refused(id harrow.ID, stage, payload string) harrow.Reject {
	return harrow.Reject{ID: id, Stage: stage, Class: harrow.DataFault, Code: "check", Record: "book", Reason: "too dear", Payload: payload}
}

// count is how many rows each table got.
func count(rows map[string][]string) map[string]int {
	n := map[string]int{}
	for table, list := range rows {
		n[table] = len(list)
	}
	return n
}

func wantTables(t *testing.T, what string, rows map[string][]string, want string) {
	t.Helper()
	if got := strings.TrimPrefix(fmt.Sprint(count(rows)), "map"); got != want {
		t.Errorf("%s: %s; want %s\n%v", what, got, want, rows)
	}
}

func TestARequestIsAskedAgainWithAllItCarries(t *testing.T) {
	r := request("http://a.example/x")
	rows := sent(t, testConfig(), []harrow.Capture{{ID: r.ID, Kind: harrow.KindPage, Outcome: harrow.Failed}}, failed(t, r))
	wantTables(t, "a request", rows, "[requests:1]")
	want := `"url":"http://a.example/x","method":"GET","headers":[["X-A","b"]],"body":"cQ==","key":"a.example","domain":"a.example","depth":1,"priority":7,"kind":"page","parent":"09`
	if got := rows["requests"][0]; !strings.Contains(got, want) || !strings.Contains(got, `"carry":"{\"shop\":\"a\"}"`) || !strings.HasPrefix(got, `{"id":"`+r.ID.String()) {
		t.Errorf("request %s", got)
	}
	// A URL that is written in another way now is another request: asked unless it was.
	r = request("http://a.example/x?utm_source=1")
	now := canon.ID("GET", "http://a.example/x", r.Body, r.Headers)
	wantTables(t, "stripped", sent(t, testConfig(), nil, failed(t, r)), "[requests:1]")
	wantTables(t, "stripped, asked", sent(t, testConfig(), []harrow.Capture{fetched(now, "http://a.example/x", 1)}, failed(t, r)), "[]")
}

func TestASeedIsAskedUnlessItWas(t *testing.T) {
	payload, err := seedfile.Seed{URL: "http://b.example/", Method: "GET"}.Letter(harrow.KindSitemap)
	if err != nil {
		t.Fatal(err)
	}
	reject := harrow.Reject{Stage: "discover", Code: "url", Payload: payload}
	rows := sent(t, testConfig(), nil, reject)
	wantTables(t, "a seed", rows, "[requests:1]")
	if got := rows["requests"][0]; !strings.Contains(got, `"url":"http://b.example/"`) || !strings.Contains(got, `"kind":"sitemap"`) {
		t.Errorf("request %s", got)
	}
	id := canon.ID("GET", "http://b.example/", nil, nil)
	wantTables(t, "asked", sent(t, testConfig(), []harrow.Capture{{ID: id, Outcome: harrow.Deferred}}, reject), "[]")
}

func TestAPageIsParsedOnceFromItsLatestAnswer(t *testing.T) {
	id := harrow.ID{1}
	captures := []harrow.Capture{fetched(id, "http://a.example/", 3), fetched(id, "http://a.example/", 2), {ID: id, Kind: harrow.KindPage, Outcome: harrow.Deferred, StartedAt: time.Unix(9, 0)}}
	row := `{"title":"a","n":1,"_id":"` + id.String() + `","_ordinal":5}`
	rows := sent(t, testConfig(), captures, unparsed(id, 1), unparsed(id, 2), refused(id, "refine", row), refused(id, "load", row))
	wantTables(t, "a page", rows, "[captures:1]") // its rows come with it
	if got := rows["captures"][0]; !strings.Contains(got, `"body_part":"part 3"`) {
		t.Errorf("capture %s", got)
	}
	// One that is asked for again needs no old answer.
	r := request("http://a.example/x")
	rows = sent(t, testConfig(), []harrow.Capture{fetched(r.ID, r.URL, 1)}, failed(t, r), unparsed(r.ID, 0), refused(r.ID, "load", row))
	wantTables(t, "asked again", rows, "[requests:1]")
}

func TestRowsGoToTheirStageAsTheyFit(t *testing.T) {
	row := `{"title":"a","gone":true,"_id":"01","_url":"http://a.example/","_ordinal":5,"_fetched_at":"2026-01-02T03:04:05.000006Z","_run":"r"}`
	rows := sent(t, testConfig(), nil, refused(harrow.ID{1}, "refine", row), refused(harrow.ID{1}, "load", row), refused(harrow.ID{1}, "load", row), refused(harrow.ID{}, "load", row))
	wantTables(t, "rows", rows, "[records/book:1 records/book.load:2]") // two sinks refused one
	want := `{"title":"a","n":null,"_id":"01","_url":"http://a.example/","_ordinal":5,"_rule":null,"_digest":null,"_fetched_at":"2026-01-02T03:04:05.000006Z","_run":"r"}`
	if got := rows["records/book"][0]; got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	// What load gets is a row of the record again.
	out := &sink{rows: map[string][]string{}}
	config, err := json.Marshal(bookType)
	if err != nil {
		t.Fatal(err)
	}
	into := bookType
	into.Name += lakeio.LoadSuffix
	b := lakeio.NewRecordBuilder(into)
	defer b.Release()
	if err := b.AppendJSON([]byte(row)); err != nil {
		t.Fatal(err)
	}
	through(t, operator(t, rowsName, config), out, b.Batch())
	if got := out.rows["records/book"]; len(got) != 1 || got[0] != want {
		t.Errorf("row %v", got)
	}
}

func TestEqualRowsOfTwoRecordsAreTwoRows(t *testing.T) {
	shelf, cfg := bookType, testConfig()
	shelf.Name = "shelf"
	cfg.Parsed = append(slices.Clone(cfg.Parsed), shelf)
	book := refused(harrow.ID{1}, "refine", `{"title":"a","_id":"01","_ordinal":0}`)
	other := book
	other.Record = "shelf"
	wantTables(t, "rows", sent(t, cfg, nil, book, other), "[records/book:1 records/shelf:1]")
}

// Nothing is lost: what can't be replayed is a reject again, of its own stage,
// and says why once, however often it is tried.
func TestWhatCannotBeReplayedStaysAReject(t *testing.T) {
	gone, out, deep, far := request("http://a.example/x"), request("http://a.example/gone/x"), request("http://a.example/deep"), request("http://c.example/")
	deep.Depth = 3
	seedOut := out
	seedOut.Parent = harrow.ID{} // seeds are always in scope
	other := unparsed(harrow.ID{2}, 0)
	other.Record = "leaflet"
	for name, c := range map[string]struct {
		reject harrow.Reject
		why    string
	}{
		"a login":                {harrow.Reject{Stage: "fetch", Code: "login", Reason: "no session"}, "it has no payload"},
		"no request":             {harrow.Reject{ID: gone.ID, Stage: "fetch", Payload: `[]`}, "the payload is no request"},
		"no URL":                 {harrow.Reject{ID: gone.ID, Stage: "fetch", Payload: `{"URL":"x"}`}, "the payload is no request"},
		"half a request":         {harrow.Reject{ID: gone.ID, Stage: "fetch", Payload: `{"URL":"http://a.example/"}`}, "its id, method or kind is missing"},
		"out of scope":           {failed(t, out), "http://a.example/gone/x is out of scope now: exclude"},
		"another host":           {failed(t, far), "http://c.example/ is out of scope now: host"},
		"too deep":               {failed(t, deep), "3 links from a seed, max_depth is 2"},
		"a line":                 {harrow.Reject{Stage: "discover", Payload: `{"line":"x","file":"a.csv"}`}, "a line of a.csv can't be read without its file"},
		"a seed that is no URL":  {harrow.Reject{Stage: "discover", Payload: `{"url":"x"}`}, "URL"},
		"a page that is gone":    {unparsed(harrow.ID{1}, 0), "its page is not there any more"},
		"a page without request": {unparsed(harrow.ID{}, 0), "its page is not there any more"},
		"a record that is gone":  {other, "the job has no record leaflet any more"},
		"no row":                 {refused(harrow.ID{1}, "refine", ""), "there is no row"},
		"not JSON":               {refused(harrow.ID{1}, "load", "x"), "the row does not fit"},
		"another type":           {refused(harrow.ID{1}, "refine", `{"n":"x"}`), "column n"},
		"no stage":               {harrow.Reject{Stage: "cook", Payload: "{}"}, `no stage "cook"`},
	} {
		rows := sent(t, testConfig(), []harrow.Capture{fetched(harrow.ID{2}, "http://a.example/", 1)}, c.reject)
		wantTables(t, name, rows, "[rejects:1]")
		if len(rows["rejects"]) != 1 {
			continue
		}
		got := rows["rejects"][0]
		for _, want := range []string{`"stage":"` + c.reject.Stage + `"`, "not replayed: ", c.why, "; it was rejected since: " + c.reject.Reason} {
			if text, _ := json.Marshal(want); !strings.Contains(got, want) && !strings.Contains(got, strings.Trim(string(text), `"`)) {
				t.Errorf("%s: no %q in %s", name, want, got)
			}
		}
	}
	wantTables(t, "a seed out of scope", sent(t, testConfig(), nil, failed(t, seedOut)), "[requests:1]")
	again := unparsed(harrow.ID{1}, 0)
	for range 3 {
		rows := sent(t, testConfig(), nil, again)
		var got struct{ Reason string }
		if err := json.Unmarshal([]byte(rows["rejects"][0]), &got); err != nil {
			t.Fatal(err)
		}
		again.Reason = got.Reason
	}
	if again.Reason != "not replayed: its page is not there any more; it was rejected since: no title" {
		t.Errorf("reason %q", again.Reason)
	}
}

func TestOnlyWhatIsWantedIsReplayed(t *testing.T) {
	cfg := testConfig()
	cfg.Replay = lakeio.Replay{Stage: "fetch"}
	wantTables(t, "of fetch", sent(t, cfg, nil, failed(t, request("http://a.example/x")), unparsed(harrow.ID{1}, 0)), "[requests:1]")
}
