package pgio

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"
	"go.uber.org/goleak"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
	"github.com/harrowdata/harrow/soak/postgres"
)

// The server that tests share ends with the process.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("os/exec.(*Cmd).Wait"))
}

var day = time.Date(2024, 3, 1, 12, 0, 0, 0, time.UTC)

// book has a column of every kind.
var book = harrow.RecordType{Name: "book", Columns: []harrow.Column{
	{Name: "upc", Type: harrow.Type{Kind: harrow.Text}},
	{Name: "stock", Type: harrow.Type{Kind: harrow.Int}},
	{Name: "weight", Type: harrow.Type{Kind: harrow.Float}},
	{Name: "new", Type: harrow.Type{Kind: harrow.Bool}},
	{Name: "price", Type: harrow.Type{Kind: harrow.Decimal, Precision: 18, Scale: 2}},
	{Name: "day", Type: harrow.Type{Kind: harrow.Date}},
	{Name: "listed", Type: harrow.Type{Kind: harrow.Timestamp}},
	{Name: "tags", Type: harrow.Type{Kind: harrow.Text, List: true}},
}}

// row is one row of a test: its data and what of the provenance matters.
type row struct {
	values []any
	at     time.Time
	run    string
}

func bookRow(upc any, stock any, at time.Time, run string) row {
	return row{[]any{upc, stock, 0.5, true, decimal.RequireFromString("12.50"), day, day, []string{"a"}}, at, run}
}

func batches(t testing.TB, rt harrow.RecordType, rows []row) func() iter.Seq2[harrow.Batch, error] {
	t.Helper()
	return func() iter.Seq2[harrow.Batch, error] {
		return func(yield func(harrow.Batch, error) bool) {
			rb := lakeio.NewRecordBuilder(rt)
			defer rb.Release()
			for i, r := range rows {
				o := lakeio.Origin{ID: harrow.ID{byte(i), byte(i >> 8), byte(i >> 16), 1}, URL: fmt.Sprint("http://a.example/", i), Rule: rt.Name, FetchedAt: r.at, Run: r.run}
				if err := rb.Append(r.values, o); err != nil {
					t.Error(err)
				}
				if rb.Full() || i == len(rows)-1 {
					b := rb.Batch()
					more := yield(b, nil)
					b.Release()
					if !more {
						return
					}
				}
			}
		}
	}
}

func bookShard(t testing.TB, run string, rows ...row) harrow.Shard {
	return harrow.Shard{Run: run, Record: book, Key: []string{"upc"}, Input: "digest-" + run, Shards: 1, Batches: batches(t, book, rows)}
}

var schemas atomic.Int64

// home is a schema that no other test has, in the server that they share.
func home(t testing.TB) Config {
	t.Helper()
	return Config{URL: postgres.Shared(t).URL("postgres"), Schema: fmt.Sprint("shop_", schemas.Add(1))}
}

func newSink(t testing.TB, c Config) *Sink {
	t.Helper()
	s, err := open(c, "shop")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func open(c Config, job string) (*Sink, error) {
	config, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	s, err := New(config, harrow.SinkEnv{Job: job})
	if err != nil {
		return nil, err
	}
	return s.(*Sink), nil
}

func load(t testing.TB, s *Sink, shard harrow.Shard, want harrow.Counts) {
	t.Helper()
	got, err := s.Load(t.Context(), shard)
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
}

// dump returns rows as text, null as <nil>, with the sink's schema as search
// path.
func dump(t testing.TB, s *Sink, query string) (all []string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	c, err := pgx.ConnectConfig(ctx, s.place.config(s.place.database))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	if _, err := c.Exec(ctx, "SET search_path = "+quote(s.place.schema)+"; SET timezone = 'UTC'"); err != nil {
		t.Fatal(err)
	}
	results, err := c.PgConn().Exec(ctx, query).ReadAll()
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	for _, result := range results {
		for _, r := range result.Rows {
			texts := make([]string, len(r))
			for i, v := range r {
				if texts[i] = string(v); v == nil {
					texts[i] = "<nil>"
				}
			}
			all = append(all, strings.Join(texts, "|"))
		}
	}
	return all
}

func wantRows(t testing.TB, s *Sink, query string, want ...string) {
	t.Helper()
	if got := dump(t, s, query); !slices.Equal(got, want) {
		t.Errorf("%s:\n%s\nwant\n%s", query, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
