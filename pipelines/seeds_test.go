package pipelines

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

// catalogue is a site with an API that is asked by POST, a page at a time, and
// pages that only sitemaps list.
func catalogue() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/robots.txt", func(w http.ResponseWriter, r *http.Request) {
		if r.Host != "one.example" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, "User-agent: *\nDisallow: /secret\nSitemap: http://one.example/index.xml\nSitemap: http://two.example/list.txt\n")
	})
	mux.HandleFunc("/index.xml", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "<sitemapindex><sitemap><loc>http://one.example/1.xml</loc></sitemap><sitemap><loc>http://three.example/2.xml</loc></sitemap></sitemapindex>")
	})
	mux.HandleFunc("/1.xml", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "<urlset><url><loc>http://one.example/page/1</loc></url><url><loc>http://one.example/secret</loc></url><url><loc>http://out.test/</loc></url></urlset>")
	})
	mux.HandleFunc("/2.xml", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "<urlset><url><loc>http://three.example/page/2</loc></url></urlset>")
	})
	mux.HandleFunc("/list.txt", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "http://two.example/page/3\n") })
	mux.HandleFunc("POST /api", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "<h1>%s %s</h1><a href='/page/of-%d'>more</a>", body, r.Header.Get("X-Shop"), len(body))
	})
	mux.HandleFunc("POST /moved", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://two.example/api", http.StatusPermanentRedirect)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "<h1>%s%s</h1>", r.Host, r.URL.Path) })
	return mux
}

var catalogueSeeds = strings.Join([]string{
	`{"url": "http://one.example/api", "body": {"page": 1}, "headers": {"X-Shop": "a"}, "shop": "a", "rank": 1.10}`,
	`{"url": "http://one.example/api", "body": {"page": 22}, "shop": "b"}`,
	`{"url": "http://one.example/api", "body": {"page": 22}, "shop": "b"}`,
	`{"url": "http://one.example/moved", "method": "post", "body": "moved", "shop": "c"}`,
	`{"url": "nowhere"}`}, "\n")

// Seeds of every kind, sitemaps of every kind, and what both carry: harvested,
// then harvested again, on the other runner, to the same tables.
func TestSeedsWithBodiesAndSitemapsAreHarvested(t *testing.T) {
	t.Parallel()
	meaning(t)
	job := strings.NewReplacer(`{css: "a@href"}`, `{css: "a@href", carry: {heading: {css: h1}}}`,
		`      n:     {css: "#n", type: int}`, `      shop: {from: "carry:shop"}
      rank: {from: "carry:rank", type: "decimal(9,2)"}
      heading: {from: "carry:heading"}`).Replace(fmt.Sprintf(smallJob, `{urls: ["http://one.example/"], files: [seeds.jsonl], sitemaps: auto}`, "/**"))
	b := newBench(t, catalogue(), job)
	b.seedFile("seeds.jsonl", catalogueSeeds)
	first := b.must()
	checkCatalogue(t, b, first)
	before := b.tables(first)
	again := b.must(runner("prism"))
	if again.ID == first.ID {
		t.Fatal("the second run is the first")
	}
	same(t, "a second run, on the other runner", before, b.tables(again))
}

func checkCatalogue(t *testing.T, b *bench, run lakeio.Run) {
	t.Helper()
	var got []string
	for _, c := range rows(b, lakeio.Captures, run) {
		got = append(got, strings.Join([]string{c.Kind, c.Method, c.URL, string(c.Outcome), c.Carry}, " "))
	}
	a, two := `{"rank":1.10,"shop":"a"}`, `{"shop":"b"}`
	sameSet(t, "captures", got, []string{
		"page GET http://one.example/ fetched ", "page POST http://one.example/api fetched " + a, "page POST http://one.example/api fetched " + two,
		"page POST http://one.example/moved redirected " + `{"shop":"c"}`, "page POST http://two.example/api fetched " + `{"shop":"c"}`,
		"page GET http://one.example/page/of-10 fetched " + `{"heading":"{\"page\":1} a","rank":1.10,"shop":"a"}`,
		"page GET http://one.example/page/of-11 fetched " + `{"heading":"{\"page\":22}","shop":"b"}`, "page GET http://two.example/page/of-5 fetched " + `{"heading":"moved","shop":"c"}`,
		"sitemap GET http://one.example/index.xml fetched ", "sitemap GET http://one.example/1.xml fetched ", "sitemap GET http://three.example/2.xml fetched ",
		"sitemap GET http://two.example/list.txt fetched ", "page GET http://one.example/page/1 fetched ", "page GET http://one.example/secret denied ",
		"page GET http://two.example/page/3 fetched ", "page GET http://three.example/page/2 fetched "})
	null := `"shop":null,"rank":null,"heading":null}`
	sameSet(t, "records", b.records(run, "parse", "page", "title", "shop", "rank", "heading"), []string{
		`{"title":"{\"page\":1} a","shop":"a","rank":"1.1","heading":null}`, `{"title":"{\"page\":22}","shop":"b","rank":null,"heading":null}`,
		`{"title":"moved","shop":"c","rank":null,"heading":null}`, `{"title":"one.example/page/of-10","shop":"a","rank":"1.1","heading":"{\"page\":1} a"}`,
		`{"title":"one.example/page/of-11","shop":"b","rank":null,"heading":"{\"page\":22}"}`, `{"title":"two.example/page/of-5","shop":"c","rank":null,"heading":"moved"}`,
		`{"title":"one.example/",` + null, `{"title":"one.example/page/1",` + null, `{"title":"two.example/page/3",` + null, `{"title":"three.example/page/2",` + null})
	rejects := rows(b, lakeio.Rejects, run)
	if len(rejects) != 1 || rejects[0].Class != harrow.DataFault || !strings.HasPrefix(rejects[0].Reason, "seeds.jsonl:5: ") {
		t.Errorf("rejects %+v", rejects)
	}
}

// Sitemaps alone are seeds enough, and their hosts the scope.
func TestSitemapsAloneAreSeedsEnough(t *testing.T) {
	t.Parallel()
	job := strings.Replace(fmt.Sprintf(smallJob, `{sitemaps: ["http://one.example/1.xml", "http://two.example/list.txt"]}`, "/**"), `  scope: {hosts: ["*.example"]}`+"\n", "", 1)
	b := newBench(t, catalogue(), job)
	run := b.must()
	var got []string
	for _, c := range rows(b, lakeio.Captures, run) {
		got = append(got, c.Kind+" "+c.URL)
	}
	slices.Sort(got)
	sameSet(t, "captures", got, []string{"sitemap http://one.example/1.xml", "sitemap http://two.example/list.txt", "page http://one.example/page/1", "page http://one.example/secret",
		"page http://two.example/page/3"})
}
