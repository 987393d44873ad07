package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/PuerkitoBio/goquery"
	"github.com/andybalholm/cascadia"
	"github.com/shopspring/decimal"

	"github.com/harrowdata/harrow/bench/internal/measure"
	"github.com/harrowdata/harrow/internal/demosite"
)

// product is one row.
type product struct {
	upc, title         string
	price              decimal.Decimal
	currency           string
	stock, rating      int64
	image, tags, brand string
}

// loop is the harvest written by hand: workers that fetch and parse, one
// writer that inserts 1,000 rows a transaction.
func loop(ctx context.Context, c config) (r result, err error) {
	before, err := measure.Own()
	if err != nil {
		return r, err
	}
	begun := time.Now()
	working, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, c.Addr)
		},
		MaxIdleConnsPerHost: concurrency,
	}}
	defer client.CloseIdleConnections()
	rows := make(chan product, 1024)
	var next atomic.Int64
	var workers sync.WaitGroup
	for range concurrency {
		workers.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= c.Pages || working.Err() != nil {
					return
				}
				p, err := fetch(working, client, demosite.BenchURL(i))
				if err != nil {
					cancel(err)
					return
				}
				rows <- p
			}
		})
	}
	go func() { workers.Wait(); close(rows) }()
	path := filepath.Join(c.Dir, "loop.db")
	if err := write(working, path, rows, cancel); err != nil {
		return r, err
	}
	r = result{Pages: c.Pages, Elapsed: time.Since(begun), Uncounted: before.CPU}
	r.Rows, r.Digest, err = digestRows(ctx, path)
	return r, err
}

func fetch(ctx context.Context, client *http.Client, page string) (p product, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, page, nil)
	if err != nil {
		return p, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return p, err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	if resp.StatusCode != http.StatusOK {
		return p, fmt.Errorf("%s: status %d", page, resp.StatusCode)
	}
	doc, err := goquery.NewDocumentFromReader(resp.Body)
	if err != nil {
		return p, fmt.Errorf("%s: %w", page, err)
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return p, err
	}
	p, err = parse(doc, req.URL)
	if err != nil {
		return p, fmt.Errorf("%s: %w", page, err)
	}
	return p, nil
}

var (
	selUPC    = cascadia.MustCompile("th:contains('UPC') + td")
	selTitle  = cascadia.MustCompile("h1")
	selPrice  = cascadia.MustCompile(".price_color")
	selStock  = cascadia.MustCompile(".availability")
	selRating = cascadia.MustCompile("p.star-rating")
	selImage  = cascadia.MustCompile("#gallery img")
	selTags   = cascadia.MustCompile("ul.tags li")
	selBrand  = cascadia.MustCompile("th:contains('Publisher') + td")

	stockForm = regexp.MustCompile(`(\d+) available`)
	ratings   = map[string]int64{"star-rating One": 1, "star-rating Two": 2, "star-rating Three": 3, "star-rating Four": 4, "star-rating Five": 5}
)

// parse takes the 8 fields out of a page.
func parse(doc *goquery.Document, base *url.URL) (p product, err error) {
	text := func(s cascadia.Selector) string {
		return strings.Join(strings.Fields(doc.FindMatcher(goquery.SingleMatcher(s)).Text()), " ")
	}
	p.upc, p.title, p.brand = text(selUPC), text(selTitle), text(selBrand)
	price, ok := strings.CutPrefix(text(selPrice), "£")
	if !ok {
		return p, errors.New("price without a pound sign")
	}
	if p.price, err = decimal.NewFromString(price); err != nil {
		return p, err
	}
	p.currency = "GBP"
	stock := stockForm.FindStringSubmatch(text(selStock))
	if stock == nil {
		return p, errors.New("no stock")
	}
	if p.stock, err = strconv.ParseInt(stock[1], 10, 64); err != nil {
		return p, err
	}
	class, _ := doc.FindMatcher(goquery.SingleMatcher(selRating)).Attr("class")
	if p.rating, ok = ratings[class]; !ok {
		return p, fmt.Errorf("rating %q", class)
	}
	src, _ := doc.FindMatcher(goquery.SingleMatcher(selImage)).Attr("src")
	image, err := base.Parse(src)
	if err != nil {
		return p, err
	}
	p.image = image.String()
	var tags []string
	doc.FindMatcher(selTags).Each(func(_ int, s *goquery.Selection) {
		tags = append(tags, strings.Join(strings.Fields(s.Text()), " "))
	})
	list, err := json.Marshal(tags)
	p.tags = string(list)
	return p, err
}

const (
	createTable = `CREATE TABLE product (upc TEXT PRIMARY KEY, title TEXT, price_amount TEXT, price_currency TEXT,
		stock INTEGER, rating INTEGER, image TEXT, tags TEXT, brand TEXT)`
	upsertRow = `INSERT INTO product (` + columns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (upc) DO UPDATE SET title = excluded.title,
		price_amount = excluded.price_amount, price_currency = excluded.price_currency, stock = excluded.stock, rating = excluded.rating,
		image = excluded.image, tags = excluded.tags, brand = excluded.brand`
)

// write stores the rows until they end. After an error it takes what comes, so
// that no worker waits for it.
func write(ctx context.Context, path string, rows <-chan product, cancel context.CancelCauseFunc) error {
	err := store(path, rows)
	cancel(err)
	for range rows {
	}
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}

func store(path string, rows <-chan product) (err error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if _, err := db.Exec(createTable); err != nil {
		return err
	}
	upsert, err := db.Prepare(upsertRow)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, upsert.Close()) }()
	for more := true; more; {
		tx, err := db.Begin()
		if err != nil {
			return err
		}
		stmt := tx.Stmt(upsert)
		for n := 0; n < 1000; n++ {
			var p product
			if p, more = <-rows; !more {
				break
			}
			if _, err := stmt.Exec(p.upc, p.title, p.price.String(), p.currency, p.stock, p.rating, p.image, p.tags, p.brand); err != nil {
				return errors.Join(err, tx.Rollback())
			}
		}
		if err := tx.Commit(); err != nil {
			return err
		}
	}
	return nil
}
