package operatortest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/array"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/harrowtest/internal/rows"
	"github.com/harrowdata/harrow/io/lakeio"
)

// stocked lets rows pass whose stock is above Min, and rejects those without
// one; it has the faults its config lists. Rows wait until there are two.
type stocked struct {
	Min    int64    `json:"min"`
	Faults []string `json:"faults"`

	waiting *lakeio.RowCopier
	kept    []harrow.Batch
	sum     int64
}

var (
	instances int64
	anyConfig bool // a fault that no config can hold
)

var item = harrow.RecordType{Name: "item", Columns: []harrow.Column{{Name: "code", Type: harrow.Type{Kind: harrow.Text}}, {Name: "stock", Type: harrow.Type{Kind: harrow.Int}}}}

func newStocked(config json.RawMessage) (harrow.Operator, error) {
	s := &stocked{}
	d := json.NewDecoder(bytes.NewReader(config))
	d.DisallowUnknownFields()
	if err := d.Decode(s); err != nil && !anyConfig {
		return nil, err
	}
	if s.has("config by its bytes") && !bytes.HasPrefix(config, []byte(`{"min":`)) {
		s.Min = 100
	}
	instances++
	return s, nil
}

func (s *stocked) has(fault string) bool { return slices.Contains(s.Faults, fault) }

func (s *stocked) Process(ctx context.Context, in harrow.Batch, out harrow.Output) error {
	if err := ctx.Err(); err != nil {
		if s.has("context ends in silence") {
			return nil
		}
		return err
	}
	if s.has("panics on no rows") && in.Rows() == 0 {
		panic("no rows")
	}
	if s.has("keeps batches without Retain") {
		s.kept = append(s.kept, in)
		return nil
	}
	if s.has("never gives back") {
		in.Retain()
	}
	if s.waiting == nil {
		c, err := lakeio.NewRowCopier(in.Arrow().Schema())
		if err != nil {
			return err
		}
		s.waiting = c
	}
	return s.rows(in, out)
}

func (s *stocked) rows(in harrow.Batch, out harrow.Output) error {
	stock := in.Column("stock").(*array.Int64)
	for i := range in.Rows() {
		if stock.IsNull(i) && !s.has("null is zero") {
			if s.has("panics on null") {
				panic("null")
			}
			r := lakeio.RowReject(in, i, "item")
			r.Class, r.Code = harrow.DataFault, "stock"
			if err := out.Reject(r); err != nil && !s.has("errors dropped") {
				return err
			}
			continue
		}
		if s.sum++; s.has("counts batches") && i == 0 {
			s.sum++
		}
		if s.has("instances differ") {
			s.sum = instances
		}
		if s.has("first of a batch only") && i > 0 || s.has("counts batches") && s.sum%2 == 0 || s.has("instances differ") && (s.sum+int64(i))%2 == 0 {
			continue
		}
		if stock.Value(i) >= s.Min || stock.IsNull(i) {
			s.waiting.Append(in, i)
		}
		if s.waiting.Rows() == 2 {
			if err := s.emit(out); err != nil && !s.has("errors dropped") {
				return err
			}
		}
	}
	return nil
}

func (s *stocked) emit(out harrow.Output) error {
	b := s.waiting.Batch()
	defer b.Release()
	if s.has("drops provenance") {
		rec := array.NewRecord(arrow.NewSchema(b.Arrow().Schema().Fields()[:2], nil), b.Arrow().Columns()[:2], int64(b.Rows()))
		defer rec.Release()
		return out.Emit("records/item", harrow.NewBatch(rec))
	}
	if s.has("rows from nowhere") {
		rb := lakeio.NewRecordBuilder(item)
		defer rb.Release()
		if err := rb.Append(make([]any, 2), lakeio.Origin{}); err != nil {
			return err
		}
		nowhere := rb.Batch()
		defer nowhere.Release()
		return out.Emit("records/item", nowhere)
	}
	return out.Emit("records/item", b)
}

func (s *stocked) Finish(_ context.Context, out harrow.Output) error {
	for _, b := range s.kept {
		if err := out.Emit("records/item", b); err != nil {
			return err
		}
	}
	if s.waiting == nil || s.has("forgets the rest") {
		return nil
	}
	defer s.waiting.Release()
	if s.waiting.Rows() == 0 {
		return nil
	}
	if err := s.emit(out); err != nil && !s.has("errors dropped") {
		return err
	}
	return nil
}

func caseOf(faults ...string) Case {
	c := Case{Make: newStocked, Config: json.RawMessage(`{"min":2}`), Record: item}
	c.Out = 8 // stock 2 to 9 but 4, which is a reject
	if len(faults) > 0 {
		c.Config = json.RawMessage(fmt.Sprintf(`{"min":2,"faults":[%q]}`, faults[0]))
	}
	for i := range 10 {
		row := map[string]any{"code": fmt.Sprint("code ", i), "stock": int64(i)}
		if i == 4 {
			row["stock"] = nil
		}
		c.Rows = append(c.Rows, row)
	}
	return c
}

func TestAGoodOperatorPasses(t *testing.T) { Run(t, caseOf()) }

// Each fault, and the demand that finds it.
func TestTheSuiteCatches(t *testing.T) {
	faults := map[string]string{
		"forgets the rest": "makes something of its rows", "first of a batch only": "is the same however the input is cut", "counts batches": "is the same however the input is cut",
		"instances differ": "is deterministic", "keeps batches without Retain": "keeps no batch it did not retain", "never gives back": "gives back what it retained",
		"drops provenance": "keeps the provenance", "rows from nowhere": "keeps the provenance", "panics on no rows": "bears no rows", "panics on null": "bears nulls",
		"config by its bytes": "takes its config in any form", "errors dropped": "returns the error of Emit and Reject", "context ends in silence": "bears a context that has ended",
	}
	for fault, name := range faults {
		t.Run(fault, func(t *testing.T) { catches(t, name, caseOf(fault), true) })
	}
	anyConfig = true
	catches(t, "takes its config in any form", caseOf(), true)
	anyConfig = false
	few := caseOf()
	few.Rows = few.Rows[:1]
	catches(t, "makes something of its rows", few, true)
	none := caseOf()
	none.Config = json.RawMessage(`{"min":99}`)
	catches(t, "makes something of its rows", none, true)
	unknown := caseOf()
	unknown.Make, unknown.Operator = nil, "nobody"
	catches(t, "is deterministic", unknown, true)
	covered := map[string]bool{"makes something of its rows": true}
	for _, name := range faults {
		covered[name] = true
	}
	for _, d := range demands {
		if !covered[d.name] {
			t.Errorf("no fault shows that %q can fail", d.name)
		}
		catches(t, d.name, caseOf(), false)
	}
}

func catches(t *testing.T, name string, c Case, want bool) {
	t.Helper()
	d := demands[slices.IndexFunc(demands, func(d demand) bool { return d.name == name })]
	if failed, said := rows.Try(t, func(tb testing.TB) { d.check(tb, c) }); failed != want {
		t.Errorf("%q with config %s: failed is %v, want %v: %s", name, c.Config, failed, want, said)
	}
}

func TestAnErrorOfTheOperatorIsAFailure(t *testing.T) {
	c := caseOf()
	c.Make = func(json.RawMessage) (harrow.Operator, error) { return nil, errors.New("no") }
	catches(t, "is deterministic", c, true)
}

// An operator over structs is tried through the one over batches that runs it.
func TestAnOperatorOverRowsIsOne(t *testing.T) {
	type in struct {
		Stock *int64 `harrow:"stock"`
	}
	type out struct {
		Twice *int64 `harrow:"twice"`
	}
	harrow.RegisterRows("twice", func(config json.RawMessage) (harrow.RowFunc[in, out], error) {
		c := struct {
			Times int64 `json:"times"`
		}{2}
		return func(_ context.Context, row in, emit func(out)) error {
			if row.Stock == nil {
				return errors.New("no stock")
			}
			n := *row.Stock * c.Times
			emit(out{&n})
			return nil
		}, harrow.ReadConfig(config, &c)
	})
	c := caseOf()
	c.Make, c.Operator, c.Config, c.Out = nil, "twice", json.RawMessage(`{"times": 3}`), 10
	Run(t, c)
	c.Record.Columns = c.Record.Columns[:1]
	catches(t, "makes something of its rows", c, true)
}
