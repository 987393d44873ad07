package demosite

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"
)

// The desk is what the shop has beside its catalogue, and what is no product
// page: sitemaps, reports as CSV, JSON Lines and JSON, an interface that wants
// POST, an archive in the encodings of its years, and news in a text file. It
// is the same at every revision.

const deskRoot = "http://" + Books

// Sale is one line of a sales report, as a correct harvest has it.
type Sale struct {
	Day    string  `json:"day"` // YYYY-MM-DD
	UPC    string  `json:"upc"`
	Pieces int64   `json:"pieces"`
	Amount string  `json:"amount"` // plain decimal, without zeros at its end
	Note   *string `json:"note"`
}

// Shelf is one line of the stock report.
type Shelf struct {
	UPC     string `json:"upc"`
	Shelf   string `json:"shelf"`
	Count   int64  `json:"count"`
	Checked string `json:"checked"` // RFC 3339, UTC, µs
}

// Branch is one of the shop's branches.
type Branch struct {
	Name string   `json:"name"`
	City string   `json:"city"`
	Open bool     `json:"open"`
	Lat  float64  `json:"lat"`
	Days []string `json:"days"`
}

// Hours is what a branch's own page says.
type Hours struct {
	Branch  string `json:"branch"`
	Opens   string `json:"opens"`
	Edition string `json:"edition"` // carried from the report that linked to the page
}

// Review is what the shop's interface says of a book.
type Review struct {
	ID    int64  `json:"id"`
	UPC   string `json:"upc"`
	Genre string `json:"genre"` // carried from the seed
	Stars int64  `json:"stars"`
	At    string `json:"at"` // RFC 3339, UTC, µs
	Text  string `json:"text"`
}

// Archived is an old title, from a page in an old encoding.
type Archived struct {
	Title     string  `json:"title"`
	Published string  `json:"published"` // YYYY-MM-DD
	Bound     bool    `json:"bound"`
	Weight    float64 `json:"weight"` // kg
	Printings []int64 `json:"printings"`
	Listed    string  `json:"listed"` // RFC 3339, UTC, µs; the page says it in London's time
}

// News is one message.
type News struct {
	On       string `json:"on"` // YYYY-MM-DD
	Headline string `json:"headline"`
}

// desk is the model of it all.
type desk struct {
	sales    [][]Sale // by report
	shelves  []Shelf
	branches []Branch
	reviews  [][]Review // by seed
	archive  []Archived
	news     []News
}

const (
	salesRows = 60
	// What is wrong in the reports: positions of lines, from 0.
	badAmount, shortLine, badJSON = 17, 41, 12
)

// edition is what the branches report calls itself.
const edition = "winter 2026"

// Microseconds is how timestamps are written.
const microseconds = "2006-01-02T15:04:05.000000Z"

// genres are what the seeds ask the interface for.
var genres = []string{"fiction", "fiction", "poetry", "travel"}

func newDesk(seed uint64, products []product) *desk {
	d := &desk{}
	upc := func(i int) string { return products[i%minProducts].upc }
	for month := range 2 {
		r := random(seed, uint64(month), 1<<33)
		var sales []Sale
		for i := range salesRows {
			s := Sale{Day: fmt.Sprintf("2026-%02d-%02d", month+1, 1+i*28/salesRows), UPC: upc(r.IntN(minProducts)), Pieces: 1 + r.Int64N(9)}
			pence := s.Pieces * (399 + r.Int64N(7600))
			s.Amount = strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%d.%02d", pence/100, pence%100), "0"), ".")
			switch i % 10 {
			case 3:
				s.Note = new("ordered by the Café \"Zum Löwen\", " + pick(r, places))
			case 7:
				s.Note = new("two parcels")
			}
			sales = append(sales, s)
		}
		d.sales = append(d.sales, sales)
	}
	r := random(seed, 1<<34)
	for i := range 30 {
		d.shelves = append(d.shelves, Shelf{UPC: upc(i), Shelf: fmt.Sprintf("%c%d", 'A'+r.IntN(6), 1+r.IntN(9)), Count: r.Int64N(50),
			Checked: epoch.Add(time.Duration(i) * 90 * time.Second).Format(microseconds)})
	}
	for i, city := range []string{"Brno", "Nîmes", "Oulu", "Skye", "Zadar"} {
		d.branches = append(d.branches, Branch{Name: "Books " + city, City: city, Open: i != 3, Lat: []float64{49.195, 43.8375, 65.0125, 57.25, 44.125}[i],
			Days: strings.Fields("mon tue wed thu fri sat")[:3+i%4]})
	}
	id := int64(100)
	for k, genre := range genres {
		var reviews []Review
		for i := range 3 + k {
			id++
			reviews = append(reviews, Review{ID: id, UPC: upc(r.IntN(minProducts)), Genre: genre, Stars: 1 + r.Int64N(5),
				At: epoch.Add(time.Duration(id) * 47 * time.Minute).Format(microseconds), Text: "A " + pick(r, adjectives) + " " + pick(r, nouns) + fmt.Sprint(i)})
		}
		d.reviews = append(d.reviews, reviews)
	}
	for i, old := range archive {
		a := Archived{Title: old.title, Published: fmt.Sprintf("%d-%02d-%02d", old.year, 1+i, 3*i+2), Bound: i%3 != 0, Weight: 0.3125 + float64(i)/8,
			Listed: time.Date(2001, time.July, 1+i, 8, 30, 0, 0, time.UTC).Format(microseconds)}
		for k := range 1 + i%3 {
			a.Printings = append(a.Printings, int64(old.year+4*k))
		}
		d.archive = append(d.archive, a)
	}
	for i := range 6 {
		d.news = append(d.news, News{On: fmt.Sprintf("2026-01-%02d", 9+3*i), Headline: "The " + pick(r, nouns) + " comes to " + pick(r, places)})
	}
	d.news[5].Headline = "(untitled)" // its page has no headline
	return d
}

// antique is a page of the archive: what it is called, and how its bytes say
// it.
type antique struct {
	year     int
	title    string
	encoding encoding.Encoding
	header   string // charset of Content-Type; empty: none
	meta     string // charset of the meta tag; empty: none
}

// archive has one page for each way to tell, or not to tell, an encoding.
var archive = []antique{
	{1987, "雪の図書館", japanese.ShiftJIS, "", "Shift_JIS"},
	{1991, "北京的书店", simplifiedchinese.GBK, "gbk", ""},
	{1968, "Тихая библиотека у моря", charmap.KOI8R, "koi8-r", "windows-1251"}, // the header wins
	{1974, "Żółta książka", charmap.ISO8859_2, "", "iso-8859-2"},
	{1999, "서울의 책방", korean.EUCKR, "euc-kr", ""},
	{2003, "Bücher am Meer – „leise“", unicode.UTF16(unicode.LittleEndian, unicode.UseBOM), "", ""}, // a byte order mark wins over all
	{1955, "Ελληνικά παραμύθια", charmap.Windows1253, "windows-1253", ""},
	{1949, "A Ledger of Small Things", unicode.UTF8, "", ""},
}

// addDesk adds the desk's pages.
func (p *plan) addDesk() {
	d := p.desk
	for i := range d.sales {
		p.add(&page{url: fmt.Sprintf("%s/reports/sales-2026-%02d.csv", deskRoot, i+1), contentType: "text/csv; charset=windows-1252",
			modified: epoch, body: func() []byte { return renderSales(d.sales[i]) }})
	}
	p.add(&page{url: deskRoot + "/reports/stock.jsonl", contentType: "application/x-ndjson", etag: true, body: d.renderShelves})
	p.add(&page{url: deskRoot + "/reports/branches.json", contentType: "application/json", listing: true, etag: true, body: d.renderBranches})
	for _, b := range d.branches {
		p.add(&page{url: b.page(), etag: true, body: func() []byte { return execute("branch", b) }})
	}
	for i := range d.reviews {
		p.add(&page{url: reviewURL(i), method: http.MethodPost, contentType: "application/json", wants: reviewQuery(i), body: func() []byte { return renderReviews(d.reviews[i]) }})
	}
	p.add(&page{url: deskRoot + "/news.txt", contentType: "text/plain; charset=utf-8", listing: true, modified: epoch, body: d.renderNews})
	for i, n := range d.news {
		p.add(&page{url: newsURL(i), etag: true, body: func() []byte { return execute("news", newsView{n, i % 2, i == 5}) }})
	}
	for i := range archive {
		contentType := "text/html"
		if charset := archive[i].header; charset != "" {
			contentType += "; charset=" + charset
		}
		p.add(&page{url: archiveURL(i), contentType: contentType, etag: true, body: func() []byte { return renderArchived(archive[i], d.archive[i]) }})
	}
	p.add(&page{url: deskRoot + "/sitemap.xml", contentType: "application/xml", sitemap: true, listing: true, etag: true, body: renderIndex})
	p.add(&page{url: deskRoot + "/sitemaps/catalogue.xml", contentType: "text/xml", sitemap: true, listing: true, body: p.renderCatalogueMap})
	p.add(&page{url: deskRoot + "/sitemaps/archive.xml.gz", contentType: "application/gzip", sitemap: true, listing: true, body: renderArchiveMap})
}

// deskLinks are what the home page links to of it; the archive is only in the
// sitemap, and the interface has to be known.
func deskLinks() []string {
	return []string{"/reports/sales-2026-01.csv", "/reports/sales-2026-02.csv", "/reports/stock.jsonl", "/reports/branches.json", "/news.txt"}
}

func (b Branch) page() string { return deskRoot + "/branches/" + slug(b.City) + ".html" }

func newsURL(i int) string    { return fmt.Sprintf("%s/news/%d.html", deskRoot, i+1) }
func archiveURL(i int) string { return fmt.Sprintf("%s/archive/%d.html", deskRoot, archive[i].year) }
func reviewURL(i int) string  { return fmt.Sprintf("%s/api/reviews?batch=%d", deskRoot, i+1) }

// reviewQuery is the body that the interface wants.
func reviewQuery(i int) string { return fmt.Sprintf(`{"genre": %q}`, genres[i]) }

// renderSales writes a report as an old till does: windows-1252, CRLF, days
// and notes of its own; one line has no amount, one ends too soon.
func renderSales(sales []Sale) []byte {
	var b strings.Builder
	b.WriteString("day,upc,pieces,amount,note\r\n")
	for i, s := range sales {
		day, note, amount := s.Day[8:]+"."+s.Day[5:7]+"."+s.Day[:4], "", s.Amount
		if s.Note != nil {
			note = `"` + strings.ReplaceAll(*s.Note, `"`, `""`) + `"`
		}
		switch i {
		case badAmount:
			amount = "n/a"
		case shortLine:
			fmt.Fprintf(&b, "%s,%s\r\n", day, s.UPC)
			continue
		}
		fmt.Fprintf(&b, "%s,%s,%d,%s,%s\r\n", day, s.UPC, s.Pieces, amount, note)
	}
	return encoded(charmap.Windows1252, b.String())
}

func (d *desk) renderShelves() []byte {
	var b bytes.Buffer
	for i, s := range d.shelves {
		if i == badJSON {
			fmt.Fprintf(&b, "{\"upc\": %q, \"shelf\n", s.UPC)
			continue
		}
		fmt.Fprintf(&b, "%s\n", marshal(s))
	}
	return b.Bytes()
}

func (d *desk) renderBranches() []byte {
	type object = map[string]any
	var list []object
	for _, b := range d.branches {
		list = append(list, object{"name": b.Name, "address": object{"city": b.City, "street": "Market Square 1"}, "open": b.Open,
			"geo": object{"lat": b.Lat, "lon": 0}, "days": b.Days, "page": object{"href": strings.TrimPrefix(b.page(), deskRoot)}})
	}
	return marshal(object{"edition": edition, "branches": list})
}

func renderReviews(reviews []Review) []byte {
	list := make([]map[string]any, len(reviews))
	for i, r := range reviews {
		list[i] = map[string]any{"id": r.ID, "upc": r.UPC, "stars": r.Stars, "at": strings.Replace(r.At, ".000000Z", "Z", 1), "text": r.Text}
	}
	return marshal(map[string]any{"count": len(list), "reviews": list})
}

func (d *desk) renderNews() []byte {
	var b strings.Builder
	b.WriteString("News of the shop, latest first.\n")
	for i := range d.news {
		fmt.Fprintf(&b, "* read more: <%s>\n", newsURL(i))
	}
	return []byte(b.String())
}

// newsView is what the template of news sees. Two ways to mark a page up.
type newsView struct {
	News
	Way      int
	Untitled bool
}

type archivedView struct {
	Archived
	Meta, Date, Cover, Time string
}

func renderArchived(old antique, a Archived) []byte {
	published, err := time.Parse(time.DateOnly, a.Published)
	if err != nil {
		panic(err) // of our own making
	}
	listed, err := time.Parse(microseconds, a.Listed)
	if err != nil {
		panic(err)
	}
	v := archivedView{Archived: a, Meta: old.meta, Date: published.Format("2 January 2006"), Cover: "no",
		Time: listed.Add(time.Hour).Format("2006/01/02 15:04")} // London in July
	if a.Bound {
		v.Cover = "yes"
	}
	return encoded(old.encoding, string(execute("archived", v)))
}

func renderIndex() []byte {
	return []byte(`<?xml version="1.0" encoding="UTF-8"?>
<sitemapindex xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">
<sitemap><loc>` + deskRoot + `/sitemaps/catalogue.xml</loc><lastmod>2026-01-05</lastmod></sitemap>
<sitemap><loc>` + deskRoot + `/sitemaps/archive.xml.gz</loc></sitemap>
</sitemapindex>
`)
}

// renderCatalogueMap lists what is linked anyway, and one page elsewhere.
func (p *plan) renderCatalogueMap() []byte {
	urls := []string{deskRoot + "/", deskRoot + "/about.html", "http://elsewhere.example/catalogue/"}
	for _, a := range p.listings[0] {
		if a.linkHost() == Books {
			urls = append(urls, a.link())
		}
	}
	return urlset("sm:", urls)
}

func renderArchiveMap() []byte {
	var urls []string
	for i := range archive {
		urls = append(urls, archiveURL(i))
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write(urlset("", urls))
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		panic(err) // a buffer takes all
	}
	return b.Bytes()
}

// urlset writes a sitemap with a namespace prefix, or none.
func urlset(prefix string, urls []string) []byte {
	var b strings.Builder
	name := strings.TrimSuffix(":"+prefix, ":")
	fmt.Fprintf(&b, "<?xml version=\"1.0\"?>\n<%surlset xmlns%s=\"http://www.sitemaps.org/schemas/sitemap/0.9\">\n", prefix, name)
	for _, u := range urls {
		fmt.Fprintf(&b, "<%[1]surl>\n <%[1]sloc>\n  %[2]s\n </%[1]sloc>\n</%[1]surl>\n", prefix, strings.ReplaceAll(u, "&", "&amp;"))
	}
	fmt.Fprintf(&b, "</%surlset>\n", prefix)
	return []byte(b.String())
}

// encoded writes a text of ours in an encoding that has all its characters.
func encoded(e encoding.Encoding, text string) []byte {
	b, err := e.NewEncoder().Bytes([]byte(text))
	if err != nil {
		panic(fmt.Sprintf("demosite: %v", err))
	}
	return b
}

func marshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("demosite: %v", err)) // texts and numbers of our own
	}
	return b
}
