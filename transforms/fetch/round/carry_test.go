package round

import (
	"net/http"
	"strings"
	"testing"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

func carried(captures []harrow.Capture) map[string]string {
	m := map[string]string{}
	for _, c := range captures {
		m[strings.TrimPrefix(strings.Clone(c.URL), "http://one.example/")] = strings.Clone(c.Carry)
	}
	return m
}

// What a seed carries goes with every page that it leads to, over links in
// HTML and in JSON, and over redirects; what a page adds lies over it.
func TestWhatIsCarriedGoesFromPageToPage(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`<h1>Top</h1><a href="/api">to</a>`))
	})
	mux.HandleFunc("/api", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"name": "Api", "items": [{"href": "moved"}, {"href": "/text"}]}`))
	})
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/end", http.StatusFound) })
	mux.HandleFunc("/text", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = w.Write([]byte("see http://one.example/last now"))
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<h1>End</h1>")) })
	b := newBench(t, mux)
	name := func(f harrow.Field) harrow.Fields { return harrow.Fields{{Name: "name", Field: f}} }
	b.cfg.Follow = []harrow.Follow{
		{CSS: "a@href", Within: []string{"/"}, Carry: append(name(harrow.Field{CSS: "h1"}), harrow.NamedField{Name: "top", Field: harrow.Field{CSS: "h1"}})},
		{JSONPath: "$.items[*].href", Within: []string{"/api"}, Carry: name(harrow.Field{JSONPath: "$.name"})},
		{Regex: `(http://\S+)`, Within: []string{"/text"}},
	}
	parts, err := b.fetch(t.Context(), all(harrow.Request{Method: "GET", URL: "http://one.example/", Carry: `{"name":"Seed","rank":1.10}`}))
	if err != nil {
		t.Fatal(err)
	}
	got := carried(rowsOf(t, b.lake, lakeio.Captures, parts))
	for path, want := range map[string]string{"": `{"name":"Seed","rank":1.10}`, "api": `{"name":"Top","rank":1.10,"top":"Top"}`, "moved": `{"name":"Api","rank":1.10,"top":"Top"}`,
		"text": `{"name":"Api","rank":1.10,"top":"Top"}`, "last": `{"name":"Api","rank":1.10,"top":"Top"}`} {
		if got[path] != want {
			t.Errorf("/%s carries %s; want %s", path, got[path], want)
		}
	}
	if len(got) != 5 {
		t.Errorf("captures %v", got)
	}
	if n := len(rowsOf(t, b.lake, lakeio.Rejects, parts)); n > 0 {
		t.Errorf("%d rejects", n)
	}
}

func TestOfRequestsThatDifferInWhatTheyCarryTheFirstOneCounts(t *testing.T) {
	b := newBench(t, files{})
	at := "http://one.example/x"
	parts, err := b.fetch(t.Context(), all(harrow.Request{Method: "GET", URL: at, Carry: `{"a":1}`}, harrow.Request{Method: "GET", URL: at, Carry: `{"a":2}`},
		harrow.Request{Method: "GET", URL: at, Carry: `{"a":3}`}))
	if err != nil {
		t.Fatal(err)
	}
	if got := rowsOf(t, b.lake, lakeio.Captures, parts); len(got) != 1 || got[0].Carry != `{"a":1}` {
		t.Errorf("captures %+v", got)
	}
}

// What pages add may grow beyond what the frontier takes: counted, and the rest
// goes on.
func TestARequestThatCarriesTooMuchIsCountedNotAdmitted(t *testing.T) {
	b := newBench(t, files{})
	heavy := `{"a":"` + strings.Repeat("x", maxRequest) + `"}`
	parts, err := b.fetch(t.Context(), all(harrow.Request{Method: "GET", URL: "http://one.example/heavy", Carry: heavy}, harrow.Request{Method: "GET", URL: "http://one.example/light"}))
	if err != nil {
		t.Fatal(err)
	}
	if got := outcomes(rowsOf(t, b.lake, lakeio.Captures, parts)); len(got) != 1 || got["http://one.example/light"] != "fetched" {
		t.Errorf("outcomes %v", got)
	}
	if tag := parts[len(parts)-1].Tag; tag != `{"links_not_taken.too_large":1}` {
		t.Errorf("counters %s", tag)
	}
}
