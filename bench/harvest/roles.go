package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/harrowdata/harrow/bench/internal/measure"
	"github.com/harrowdata/harrow/internal/demosite"

	_ "modernc.org/sqlite"
)

// concurrency is how many pages both ask for at once.
const concurrency = 16

// roles are the processes of this benchmark.
var roles = measure.Roles{
	"site":   measure.Role(serve),
	"loop":   measure.Role(loop),
	"harrow": measure.Role(harvest),

	"loop again":   measure.Role(loopAgain),
	"harrow again": measure.Role(harvestAgain),
}

type siteConfig struct{ Pages, Size int }

// serve serves the pages until standard input ends.
func serve(ctx context.Context, c siteConfig) (any, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: demosite.Bench(c.Pages, c.Size), ReadHeaderTimeout: time.Minute}
	return struct{}{}, measure.Serve(server, l)
}

// config is what the children that are measured get.
type config struct {
	Addr    string // of the site
	Pages   int
	Dir     string // folder for all it writes: empty, but for parsing again
	Follow  string // "": the pages are seeds; listings or all: where links are looked for
	Profile string // file for a CPU profile
}

// result is what they return.
type result struct {
	Pages     int
	Elapsed   time.Duration
	Uncounted time.Duration // CPU before main
	Rows      int64
	Digest    string // of the rows, see digestRows

	RawBytes    int64 // of the pages kept, before compression
	StoredBytes int64 // of their files
}

// columns are the data columns of the rows, as both store them.
const columns = `upc, title, price_amount, price_currency, stock, rating, image, tags, brand`

// digestRows counts and digests the rows of a database in the order of their
// key.
func digestRows(ctx context.Context, path string) (rows int64, digest string, err error) {
	db, err := sql.Open("sqlite", path)
	if err != nil {
		return 0, "", err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	result, err := db.QueryContext(ctx, "SELECT json_array("+columns+") FROM product ORDER BY upc")
	if err != nil {
		return 0, "", err
	}
	defer func() { err = errors.Join(err, result.Close()) }()
	h := sha256.New()
	for result.Next() {
		var row string
		if err := result.Scan(&row); err != nil {
			return 0, "", err
		}
		fmt.Fprintln(h, row)
		rows++
	}
	return rows, hex.EncodeToString(h.Sum(nil)), result.Err()
}
