package main

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/harrowdata/harrow/bench/internal/measure"
	"github.com/harrowdata/harrow/internal/demosite"

	_ "modernc.org/sqlite"
)

// concurrency is how many pages both ask for at once.
const concurrency = 16

// roles are the processes of this benchmark.
var roles = measure.Roles{
	"site":   func(ctx context.Context, c []byte) (any, error) { return decoded(ctx, c, serve) },
	"loop":   func(ctx context.Context, c []byte) (any, error) { return decoded(ctx, c, loop) },
	"harrow": func(ctx context.Context, c []byte) (any, error) { return decoded(ctx, c, harvest) },
}

func decoded[C, R any](ctx context.Context, data []byte, play func(context.Context, C) (R, error)) (any, error) {
	var c C
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, err
	}
	return play(ctx, c)
}

type siteConfig struct{ Pages, Size int }

// serve serves the pages until standard input ends.
func serve(ctx context.Context, c siteConfig) (any, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: demosite.Bench(c.Pages, c.Size), ReadHeaderTimeout: time.Minute}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	fmt.Println(l.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // its end is what counts
		_ = server.Close()
	}()
	if err := <-failed; !errors.Is(err, http.ErrServerClosed) {
		return nil, err
	}
	return struct{}{}, nil
}

// config is what the children that are measured get.
type config struct {
	Addr    string // of the site
	Pages   int
	Dir     string // empty folder for all it writes
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
