package trial_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/harrowdata/harrow/command/trial"
	"github.com/harrowdata/harrow/internal/demosite"
	"github.com/harrowdata/harrow/internal/expr"
	"github.com/harrowdata/harrow/internal/jobfile"
	"github.com/harrowdata/harrow/transforms/enrich/lookup"
)

var update = flag.Bool("update", false, "rewrite golden files")

// timing is what differs from one try to the next.
var timing = regexp.MustCompile(`(from )127\.0\.0\.1:\d+( in )[\d.]+ m?s|( in )\d+ ms`)

// golden compares a report, as people read it, with a file.
func golden(t *testing.T, name string, r *trial.Report, paint bool) {
	t.Helper()
	var b bytes.Buffer
	if err := r.WriteText(&b, 0, false); err != nil {
		t.Fatal(err)
	}
	if paint {
		b.Reset()
		if err := r.WriteText(&b, 100, true); err != nil {
			t.Fatal(err)
		}
	}
	got := timing.ReplaceAll(b.Bytes(), []byte("${1}ADDR${2}${3}TIME"))
	got = bytes.ReplaceAll(got, []byte("\x1b"), []byte("ESC"))
	file := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(file, got, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s\nif that is right: go test ./command/trial -update", name, got, want)
	}
}

// demo is the demo's job, against the demo's site.
func demo(t *testing.T) (trial.Config, *demosite.Site) {
	t.Helper()
	site := demosite.New(demosite.Options{})
	srv := httptest.NewServer(site.Handler())
	t.Cleanup(srv.Close)
	job, _, err := jobfile.Read("../../testdata/demo/shop.yaml", map[string]string{"site": strings.TrimPrefix(srv.URL, "http://")}, jobfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	types, err := jobfile.RecordTypes(job, nil)
	if err != nil {
		t.Fatal(err)
	}
	rates := filepath.Join("../../testdata/demo", "rates.csv")
	columns, err := lookup.Columns(t.Context(), rates, "rates.csv")
	if err != nil {
		t.Fatal(err)
	}
	return trial.Config{Job: *job, Types: types, Env: os.LookupEnv, Links: 3,
		Lookups: map[string][]expr.Column{"rates.csv": columns}, Beside: func(string) string { return rates },
		Sleep: func(context.Context, time.Duration) error { return nil }}, site
}

func TestTryOfTheDemo(t *testing.T) {
	cfg, site := demo(t)
	book, denied := site.Books()[0].URL, ""
	for _, p := range site.Pages() {
		if p.Outcome == "denied" && denied == "" {
			denied = p.URL
		}
	}
	for _, c := range []struct{ name, url string }{
		{"book", book},
		{"listing", "http://books.example/"},
		{"crawl-delay", "http://partner.example/"},
		{"denied", denied},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := trial.URL(t.Context(), cfg, c.url)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, c.name, r, false)
		})
	}
	r, err := trial.URL(t.Context(), cfg, book)
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "book-painted", r, true)
}

func file(name, contentType, body string) *trial.File {
	return &trial.File{Name: name, ContentType: contentType, Size: int64(len(body)), Body: []byte(body),
		Open: func() io.ReadCloser { return io.NopCloser(strings.NewReader(body)) }}
}

func TestAFileStandsForTheAnswer(t *testing.T) {
	cfg, site := demo(t)
	cfg.File = file("page.html", "text/html",
		"<meta charset=windows-1252><h1>Caf\xe9 \x1b[31m</h1><table><tr><th>UPC</th><td>1\x002</td></tr></table><p class=price_color>on request")
	r, err := trial.URL(t.Context(), cfg, "http://books.example/catalogue/x/index.html")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "file", r, false)
	if n := len(site.Log().Requests()); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

// Whatever a page holds, what try writes is printable.
func TestNoBytesOfAPageReachTheTerminalRaw(t *testing.T) {
	cfg, _ := demo(t)
	var hostile []byte
	for c := range 256 {
		hostile = append(hostile, byte(c))
	}
	page := fmt.Sprintf("<a href='/catalogue/%[1]s'>%[1]s</a><h1>%[1]s</h1><table><tr><th>UPC</th><td>%[1]s</td></tr></table><p class=price_color>%[1]s", hostile)
	for _, contentType := range []string{"text/html", "text/html; charset=\x1b[2J", "\x1b]0;x\x07"} {
		cfg.File = file("p\x1b.html", contentType, page)
		r, err := trial.URL(t.Context(), cfg, "http://books.example/catalogue/x/index.html")
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := r.WriteText(&b, 100, false); err != nil {
			t.Fatal(err)
		}
		for i, c := range b.String() {
			if c < 0x20 && c != '\n' || c >= 0x7f && c < 0xa0 {
				t.Fatalf("%q at %d: %q", c, i, b.String()[max(0, i-50):i+20])
			}
		}
	}
}
