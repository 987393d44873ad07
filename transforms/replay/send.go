package replay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/io/lakeio"
)

func init() {
	harrow.RegisterOperator(sendName, newSend)
}

// send hands the rejects of a request, which come together behind its captures,
// to the tables of their stage.
type send struct {
	*reader
	requests *lakeio.Builder[harrow.Request]
	captures *lakeio.Builder[harrow.Capture]
	rejects  *lakeio.Builder[harrow.Reject]
	rows     map[string]*rowTable // by stage and record: "refine book"

	id    string // of the rows at hand; empty: of no request
	asked bool   // there are captures
	page  string // JSON of the last one that is parsed; empty: none
	anew  bool   // it is asked for or parsed again: whatever else was rejected of it comes with that
	place string // of the last row
}

// rowTable gathers rows of a record.
type rowTable struct {
	table   string
	builder *lakeio.RecordBuilder
}

func newSend(config json.RawMessage) (harrow.Operator, error) {
	r, err := newReader(config)
	if err != nil {
		return nil, err
	}
	o := &send{reader: r, requests: lakeio.Requests.NewBuilder(), captures: lakeio.Captures.NewBuilder(), rejects: lakeio.Rejects.NewBuilder(), rows: map[string]*rowTable{}}
	for _, t := range r.cfg.Parsed {
		o.rows["refine "+t.Name] = &rowTable{lakeio.RecordsPrefix + t.Name, lakeio.NewRecordBuilder(t)}
	}
	for _, t := range r.cfg.Refined {
		into := t
		into.Name += lakeio.LoadSuffix
		o.rows["load "+t.Name] = &rowTable{lakeio.RecordsPrefix + into.Name, lakeio.NewRecordBuilder(into)}
	}
	return o, nil
}

// Process implements harrow.Operator.
func (o *send) Process(ctx context.Context, in harrow.Batch, out harrow.Output) error {
	ids, ranks, places, texts := in.Column(idColumn), in.Column(rankColumn), in.Column(placeColumn), in.Column(textColumn)
	for row := range in.Rows() {
		id, _ := lakeio.Value(ids, row).(string)
		rank, _ := lakeio.Value(ranks, row).(int64)
		place, _ := lakeio.Value(places, row).(string)
		text, _ := lakeio.Value(texts, row).(string)
		if id != o.id {
			o.id, o.asked, o.page, o.anew, o.place = id, false, "", false, ""
		}
		if err := o.line(ctx, rank, place, text, out); err != nil {
			return err
		}
	}
	return nil
}

func (o *send) line(ctx context.Context, rank int64, place, text string, out harrow.Output) error {
	if rank == rankCapture {
		o.asked = true
		if text != "" { // the last one is the latest
			o.page = text
		}
		return nil
	}
	var r harrow.Reject
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		return fmt.Errorf("%s: %w", sendName, err)
	}
	why, err := error(nil), error(nil)
	switch rank {
	case rankPage:
		why, err = o.reparse(r, out)
	case rankRow:
		same := place == o.place
		o.place = place
		why, err = o.row(r, same, out)
	default:
		why, err = o.ask(ctx, r, rank == rankNew && o.asked, out)
	}
	if why != nil {
		err = o.again(r, why, out)
	}
	return err
}

// reparse sends the page of a reject to parse, once; one that is asked for again
// gets there by itself.
func (o *send) reparse(r harrow.Reject, out harrow.Output) (why, err error) {
	switch {
	case r.Record != "" && o.rows["refine "+r.Record] == nil:
		return fmt.Errorf("the job has no record %s any more", r.Record), nil
	case o.anew:
		return nil, nil
	case o.id == "" || o.page == "":
		return errors.New("its page is not there any more"), nil
	}
	var c harrow.Capture
	if err := json.Unmarshal([]byte(o.page), &c); err != nil {
		return nil, fmt.Errorf("%s: %w", sendName, err)
	}
	o.anew = true
	o.captures.Append(c)
	return nil, flushFull(o.captures, lakeio.Captures.Name(), out)
}

// row sends a row to refine or load; one whose page is done again comes with it,
// and one that is there twice was refused by two sinks.
func (o *send) row(r harrow.Reject, same bool, out harrow.Output) (why, err error) {
	into := o.rows[r.Stage+" "+r.Record]
	switch {
	case into == nil:
		return fmt.Errorf("the job has no record %q any more", r.Record), nil
	case r.Payload == "":
		return errors.New("it has no payload: there is no row"), nil
	case same || o.anew:
		return nil, nil
	case o.cfg.Replay.Overtaken != "":
		return fmt.Errorf("run %s has made rows since, by other rules: `harrow run --from parse` makes this one by today's", o.cfg.Replay.Overtaken), nil
	}
	if err := into.builder.AppendJSON([]byte(r.Payload)); err != nil {
		return fmt.Errorf("the row does not fit the record any more: %w", err), nil
	}
	return nil, flushFull(into.builder, into.table, out)
}

// ask sends a request to fetch, unless it was answered before.
func (o *send) ask(ctx context.Context, r harrow.Reject, before bool, out harrow.Output) (why, err error) {
	req, why := o.request(ctx, r)
	if why != nil || before {
		return why, nil
	}
	o.anew = o.id != ""
	o.requests.Append(req)
	return nil, flushFull(o.requests, lakeio.Requests.Name(), out)
}

const (
	notReplayed = "not replayed: "
	wasRejected = "; it was rejected since: "
	maxReason   = 2 << 10
)

// again keeps a reject as it was, of its stage, with why it was not replayed.
func (o *send) again(r harrow.Reject, why error, out harrow.Output) error {
	was := r.Reason
	if strings.HasPrefix(was, notReplayed) {
		_, was, _ = strings.Cut(was, wasRejected)
	}
	r.Reason = notReplayed + why.Error() + wasRejected + was
	r.Reason = r.Reason[:min(len(r.Reason), maxReason)]
	o.rejects.Append(r)
	return flushFull(o.rejects, lakeio.Rejects.Name(), out)
}

func flushFull(b gathered, table string, out harrow.Output) error {
	if !b.Full() {
		return nil
	}
	return flush(b, table, out)
}

// Finish implements harrow.Operator.
func (o *send) Finish(_ context.Context, out harrow.Output) error {
	errs := []error{flush(o.requests, lakeio.Requests.Name(), out), flush(o.captures, lakeio.Captures.Name(), out), flush(o.rejects, lakeio.Rejects.Name(), out)}
	o.requests.Release()
	o.captures.Release()
	o.rejects.Release()
	for _, r := range o.rows {
		errs = append(errs, flush(r.builder, r.table, out))
		r.builder.Release()
	}
	return errors.Join(errs...)
}
