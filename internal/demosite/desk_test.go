package demosite

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html/charset"
	"golang.org/x/text/encoding/charmap"
)

// deskRows are the desk's records as a harvest has them, as JSON by record.
func (s *Site) deskRows() map[string][]string {
	return map[string][]string{"sale": lines(s.Sales()), "shelf": lines(s.Shelves()), "branch": lines(s.Branches()), "hours": lines(s.Hours()),
		"review": lines(s.Reviews()), "archived": lines(s.Archive()), "news": lines(s.News())}
}

// What follows reads the desk's pages as a person would, with the standard
// library, apart from how the site writes them.

// postSeeds reads the requests that stand beside the job file.
func postSeeds(t *testing.T, job jobFile) (list []todo) {
	t.Helper()
	for _, pattern := range job.Discover.Seeds.Files {
		files, err := filepath.Glob(filepath.Join("../../testdata/demo", pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %q, %v", pattern, files, err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for d := json.NewDecoder(bytes.NewReader(data)); d.More(); {
				var seed struct{ URL, Method, Body string }
				if err := d.Decode(&seed); err != nil || seed.Method != http.MethodPost {
					t.Fatalf("%s: %+v, %v", file, seed, err)
				}
				list = append(list, todo{url: seed.URL, body: seed.Body})
			}
		}
	}
	return list
}

func post(t *testing.T, c *http.Client, url, body string) answer {
	t.Helper()
	resp, err := c.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, data}
}

// listed reads a sitemap; maps: of sitemaps.
func listed(t *testing.T, body []byte) (locs []*url.URL, maps bool) {
	t.Helper()
	if bytes.HasPrefix(body, []byte("\x1f\x8b")) {
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if body, err = io.ReadAll(z); err != nil {
			t.Fatal(err)
		}
	}
	var document struct {
		URLs []string `xml:"url>loc"`
		Maps []string `xml:"sitemap>loc"`
	}
	if err := xml.Unmarshal(body, &document); err != nil {
		t.Fatal(err)
	}
	for _, loc := range append(document.URLs, document.Maps...) {
		u, err := url.Parse(strings.TrimSpace(loc))
		if err != nil {
			t.Fatal(err)
		}
		locs = append(locs, u)
	}
	return locs, len(document.Maps) > 0
}

// links are what the job follows on a page.
func links(t *testing.T, job jobFile, at *url.URL, a answer) (list []*url.URL) {
	t.Helper()
	base := at
	var refs []string
	for _, f := range job.Discover.Follow {
		switch {
		case !globs(f.Within, at.Path):
		case f.CSS != "":
			d := parsePage(t, at, a.header.Get("Content-Type"), a.body)
			base, refs = d.base(), append(refs, d.selected(t, d.Selection, field{CSS: f.CSS})...)
		case f.JSONPath == "$.branches[*].page.href":
			var report struct {
				Branches []struct{ Page struct{ Href string } }
			}
			if err := json.Unmarshal(a.body, &report); err != nil {
				t.Fatal(err)
			}
			for _, b := range report.Branches {
				refs = append(refs, b.Page.Href)
			}
		case f.Regex != "":
			for _, m := range regexp.MustCompile(f.Regex).FindAllSubmatch(a.body, -1) {
				refs = append(refs, string(m[1]))
			}
		default:
			t.Fatalf("follow rule %+v: the test doesn't know it", f)
		}
	}
	for _, ref := range refs {
		if link, err := base.Parse(ref); err == nil {
			list = append(list, link)
		}
	}
	return list
}

// readDesk reads what one of the desk's answers holds of a record.
func readDesk(t *testing.T, record, request string, a answer) (rows []string, rejects []Rejected) {
	t.Helper()
	text, err := charset.NewReader(bytes.NewReader(a.body), a.header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(text)
	if err != nil {
		t.Fatal(err)
	}
	body = bytes.TrimPrefix(body, []byte("\ufeff"))
	add := func(row any) { rows = append(rows, jsonText(row)) }
	reject := func(field, value string) {
		rejects = append(rejects, Rejected{Stage: "parse", Class: "data", URL: request, Record: record, Field: field, Value: value})
	}
	switch record {
	case "sale":
		readSales(t, a.body, add, reject)
	case "shelf":
		for _, line := range strings.Split(strings.TrimSpace(string(a.body)), "\n") {
			var s Shelf
			if json.Unmarshal([]byte(line), &s) != nil {
				reject("", "")
				continue
			}
			add(s)
		}
	case "branch":
		var report struct {
			Branches []struct {
				Name    string
				Address struct{ City string }
				Open    bool
				Geo     struct{ Lat float64 }
				Days    []string
			}
		}
		decode(t, body, &report)
		for _, b := range report.Branches {
			add(Branch{b.Name, b.Address.City, b.Open, b.Geo.Lat, b.Days})
		}
	case "hours":
		m := find(t, `<h1>(.*)</h1><dl><dt>Opens</dt><dd>(.*?)</dd>`, body)
		add(Hours{m[1], m[2], edition})
	case "review":
		readReviews(t, request, body, add)
	case "archived":
		readArchived(t, body, add)
	case "news":
		on := find(t, `datetime="(.*?)"|class="on">(.*?)<`, body)
		headline := regexp.MustCompile(`<h2>(.*)</h2>|<strong>(.*)</strong>`).FindSubmatch(body)
		if headline == nil {
			headline = [][]byte{nil, []byte("(untitled)"), nil}
		}
		add(News{on[1] + on[2], string(headline[1]) + string(headline[2])})
	default:
		t.Fatalf("record %s: the test doesn't know it", record)
	}
	return rows, rejects
}

func readSales(t *testing.T, body []byte, add func(any), reject func(field, value string)) {
	t.Helper()
	text, err := charmap.Windows1252.NewDecoder().Bytes(body)
	if err != nil {
		t.Fatal(err)
	}
	r := csv.NewReader(bytes.NewReader(text))
	r.FieldsPerRecord = -1
	all, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range all[1:] {
		if len(row) != len(all[0]) {
			reject("", "")
			continue
		}
		if _, err := strconv.ParseFloat(row[3], 64); err != nil {
			reject("amount", row[3])
			continue
		}
		day, err := time.Parse("02.01.2006", row[0])
		if err != nil {
			t.Fatal(err)
		}
		s := Sale{Day: day.Format(time.DateOnly), UPC: row[1], Pieces: number(t, row[2]), Amount: row[3]}
		if row[4] != "" {
			s.Note = &row[4]
		}
		add(s)
	}
}

func readReviews(t *testing.T, request string, body []byte, add func(any)) {
	t.Helper()
	var batch int
	if _, err := fmt.Sscanf(request, "http://books.example/api/reviews?batch=%d", &batch); err != nil {
		t.Fatalf("%s: %v", request, err)
	}
	var report struct {
		Reviews []struct {
			ID, Stars int64
			UPC, Text string
			At        time.Time
		}
	}
	decode(t, body, &report)
	for _, r := range report.Reviews {
		add(Review{r.ID, r.UPC, []string{"fiction", "fiction", "poetry", "travel"}[batch-1], r.Stars, r.At.UTC().Format(microseconds), r.Text})
	}
}

func readArchived(t *testing.T, body []byte, add func(any)) {
	t.Helper()
	cell := func(name, form string) string { return find(t, `<font>`+name+`</font><td>`+form, body)[1] }
	published, err := time.Parse("2 January 2006", cell("Published", "(.*)"))
	if err != nil {
		t.Fatal(err)
	}
	london, err := time.LoadLocation("Europe/London")
	if err != nil {
		t.Fatal(err)
	}
	at, err := time.ParseInLocation("2006/01/02 15:04", cell("Listed", "(.*)"), london)
	if err != nil {
		t.Fatal(err)
	}
	weight, err := strconv.ParseFloat(cell("Weight", "(.*) kg"), 64)
	if err != nil {
		t.Fatal(err)
	}
	a := Archived{Title: cell("Title", "(.*)"), Published: published.Format(time.DateOnly), Bound: cell("Bound", "(.*)") == "yes", Weight: weight,
		Listed: at.UTC().Format(microseconds)}
	for _, m := range regexp.MustCompile(`<li>(\d+)`).FindAllSubmatch(body, -1) {
		a.Printings = append(a.Printings, number(t, string(m[1])))
	}
	add(a)
}

func find(t *testing.T, form string, body []byte) []string {
	t.Helper()
	m := regexp.MustCompile(form).FindSubmatch(body)
	if m == nil {
		t.Fatalf("no %s in %s", form, body)
	}
	var texts []string
	for _, b := range m {
		texts = append(texts, string(b))
	}
	return texts
}

func decode(t *testing.T, body []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(body, into); err != nil {
		t.Fatal(err)
	}
}

func number(t *testing.T, text string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestTheInterfaceWantsItsQuestion(t *testing.T) {
	c := serve(t, New(Options{}))
	at := "http://books.example/api/reviews?batch=3"
	if a := get(t, c, at); a.status != http.StatusMethodNotAllowed || a.header.Get("Allow") != "POST" {
		t.Errorf("GET: %d, Allow %q", a.status, a.header.Get("Allow"))
	}
	if a := post(t, c, at, `{"genre": "cookery"}`); a.status != http.StatusUnprocessableEntity {
		t.Errorf("another question: %d", a.status)
	}
	if a := post(t, c, at, `{"genre": "poetry"}`); a.status != http.StatusOK {
		t.Errorf("its question: %d %s", a.status, a.body)
	}
}
