package sinktest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"time"

	"github.com/shopspring/decimal"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/harrowtest/internal/rows"
)

// everything has a column of every type.
var everything = harrow.RecordType{Name: "everything", Columns: []harrow.Column{
	{Name: "code", Type: harrow.Type{Kind: harrow.Text}},
	{Name: "txt", Type: harrow.Type{Kind: harrow.Text}},
	{Name: "num", Type: harrow.Type{Kind: harrow.Int}},
	{Name: "real", Type: harrow.Type{Kind: harrow.Float}},
	{Name: "flag", Type: harrow.Type{Kind: harrow.Bool}},
	{Name: "price", Type: harrow.Type{Kind: harrow.Decimal, Precision: 18, Scale: 2}},
	{Name: "large", Type: harrow.DefaultDecimal},
	{Name: "day", Type: harrow.Type{Kind: harrow.Date}},
	{Name: "moment", Type: harrow.Type{Kind: harrow.Timestamp}},
	{Name: "texts", Type: harrow.Type{Kind: harrow.Text, List: true}},
	{Name: "nums", Type: harrow.Type{Kind: harrow.Int, List: true}},
	{Name: "reals", Type: harrow.Type{Kind: harrow.Float, List: true}},
	{Name: "flags", Type: harrow.Type{Kind: harrow.Bool, List: true}},
	{Name: "prices", Type: harrow.Type{Kind: harrow.Decimal, Precision: 18, Scale: 2, List: true}},
	{Name: "days", Type: harrow.Type{Kind: harrow.Date, List: true}},
	{Name: "moments", Type: harrow.Type{Kind: harrow.Timestamp, List: true}},
}}

func num(s string) decimal.Decimal { return decimal.RequireFromString(s) }

func everyType(b *bench) {
	most := strings.Repeat("9", 29) + "." + strings.Repeat("9", 9)
	first, last := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)
	firstDay, lastDay := first, time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
	list := rows.Of(
		map[string]any{"code": "null"},
		map[string]any{"code": "zero", "txt": "", "num": int64(0), "real": 0.0, "flag": false, "price": num("0"), "large": num("0"), "day": time.Unix(0, 0).UTC(), "moment": time.Unix(0, 0).UTC(),
			"texts": []string{}, "nums": []int64{}, "reals": []float64{}, "flags": []bool{}, "prices": []decimal.Decimal{}, "days": []time.Time{}, "moments": []time.Time{}},
		map[string]any{"code": "most", "txt": strings.Repeat("漢", 1000), "num": int64(math.MaxInt64), "real": math.MaxFloat64, "flag": true, "price": num("9999999999999999.99"), "large": num(most), "day": lastDay, "moment": last,
			"texts": []string{"", "a", `"b", 'c'`}, "nums": []int64{math.MaxInt64, math.MinInt64, 0}, "reals": []float64{0.1, -0.5}, "flags": []bool{true, false}, "prices": []decimal.Decimal{num("0.01"), num("-1")}, "days": []time.Time{firstDay, lastDay}, "moments": []time.Time{first, last}},
		map[string]any{"code": "least", "txt": " \t\r\n'\"\\%_;--\u00a0\u202eé👩‍🌾", "num": int64(math.MinInt64), "real": math.SmallestNonzeroFloat64, "flag": false, "price": num("-9999999999999999.99"), "large": num("-" + most), "day": firstDay, "moment": first},
		map[string]any{"code": "small", "real": 0.1, "price": num("-0.01"), "large": num("0.000000001"), "day": time.Date(1582, 10, 10, 0, 0, 0, 0, time.UTC), "moment": time.Unix(0, 0).Add(-time.Microsecond).UTC()},
	)
	s := b.open()
	if err := s.Check(b.Context(), []harrow.RecordType{everything}); err != nil {
		b.Fatalf("Check: %v", err)
	}
	b.load(s, b.shard(everything, run1, list...), added(len(list)))
	b.commit(s, run1)
	b.shows("rows", everything, values(run1, list), "_run")
	if err := b.open().Check(b.Context(), []harrow.RecordType{everything}); err != nil {
		b.Errorf("Check of what was just stored: %v", err)
	}
	if b.store.History {
		return
	}
	b.load(s, b.shard(everything, run2, list...), harrow.Counts{Unchanged: int64(len(list))})
}

var errAway = errors.New("the suite's error")

func errorsLeaveNothing(b *bench) {
	s := b.open()
	list := items(1, "a", nil, "b", nil, "c", "d")
	input := cutShort(b.shard(item, run1, list...), func() error { return errAway })
	reject := b.shard(item, run1, list...)
	reject.Reject = func(harrow.Reject) error { return errAway }
	for what, shard := range map[string]harrow.Shard{"the input": input, "Reject": reject} {
		if _, err := s.Load(b.Context(), shard); !errors.Is(err, errAway) {
			b.Errorf("an error of %s is not returned: %v", what, err)
		}
		if got := b.rows(item); len(got) > 0 {
			b.Errorf("an error of %s leaves %d rows", what, len(got))
		}
	}
	b.load(s, b.shard(item, run1, list...), harrow.Counts{Added: 4, Rejected: 2})
	b.commit(s, run1)
	b.shows("rows once all is well", item, values(run1, []rows.Row{list[0], list[2], list[4], list[5]}), "_run")
}

func endsWithContext(b *bench) {
	s := b.open()
	list := items(1, "a", "b", "c", "d", "e")
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	for what, ctx := range map[string]context.Context{"ended before": rows.Stopped(), "ends on the way": ctx} {
		shard := cutShort(b.shard(item, run1, list...), func() error { cancel(); return nil })
		if _, err := s.Load(ctx, shard); err == nil {
			b.Errorf("the context %s: Load returns no error", what)
		}
		if got := b.rows(item); len(got) > 0 {
			b.Errorf("the context %s: %d rows are left", what, len(got))
		}
	}
	b.load(s, b.shard(item, run1, list...), added(5))
	b.commit(s, run1)
	b.shows("rows once all is well", item, values(run1, list), "_run")
}

func atOnce(b *bench) {
	sinks := []harrow.Sink{b.open(), b.open()}
	var wg sync.WaitGroup
	var want []rows.Row
	for i := range shards {
		list := items(int64(i), fmt.Sprint(i, "a"), fmt.Sprint(i, "b"), nil)
		want = append(want, list[:2]...)
		for _, s := range sinks { // each shard twice
			wg.Go(func() {
				shard := b.shard(item, run1, list...)
				shard.Shard = i
				n, err := s.Load(b.Context(), shard)
				if err != nil || n != (harrow.Counts{Added: 2, Rejected: 1}) {
					b.Errorf("shard %d: counts %+v, %v", i, n, err)
				}
				b.note(shard, n)
			})
		}
	}
	wg.Wait()
	b.commit(sinks[1], run1)
	b.shows("rows", item, values(run1, want), "_run")
}
