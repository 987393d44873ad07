package rules

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"golang.org/x/text/transform"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/normal"
	"github.com/harrowdata/harrow/internal/rowdata"
	"github.com/harrowdata/harrow/internal/xpath"
)

// rowSource cuts a data file into rows, streaming: see package rowdata.
type rowSource struct {
	format  string
	path    *rowdata.Path // with harrow.RowsJSON
	filter  *jsonPath     // of an array that holds a row alone; nil: none
	whole   *jsonPath     // the path, where the document is read as a whole; else nil
	columns []string      // that the rule's fields name
}

func compileRows(def harrow.Rule) (*rowSource, error) {
	s := &rowSource{format: def.Rows.Format}
	for _, f := range def.Fields {
		if err := s.addColumns(f.Field); err != nil {
			return nil, fmt.Errorf(".fields.%s: %w", f.Name, err)
		}
	}
	slices.Sort(s.columns)
	s.columns = slices.Compact(s.columns)
	switch s.format {
	case harrow.RowsCSV, harrow.RowsJSONL:
		return s, nil
	case harrow.RowsJSON:
		var err error
		if s.path, err = rowdata.CompilePath(def.Rows.Path); err == nil {
			err = s.compileRest(def.Rows.Path)
		}
		if err != nil {
			return nil, fmt.Errorf(".rows: %w", err)
		}
		return s, nil
	}
	return nil, fmt.Errorf(".rows: %q; want csv, jsonl or json: PATH", s.format)
}

// compileRest compiles what of the rows' path package rowdata doesn't follow.
func (s *rowSource) compileRest(path string) error {
	filter := s.path.Filter()
	if s.path.Streams() && filter == "" {
		return nil
	}
	text, at := path, &s.whole
	if s.path.Streams() {
		text, at = filter, &s.filter
	}
	p, err := compileJSONPath("jsonpath", text)
	*at = &p
	return err
}

// addColumns notes the columns a field names, and refuses selectors that have
// nothing to select in.
func (s *rowSource) addColumns(f harrow.Field) error {
	if kind := notInRows(s.format, f); kind != "" {
		return fmt.Errorf("%s selects nothing in rows of %s", kind, s.format)
	}
	if f.Column != "" {
		s.columns = append(s.columns, f.Column)
	}
	for _, one := range f.Any {
		if err := s.addColumns(one); err != nil {
			return err
		}
	}
	return nil
}

// notInRows names the selector of a field that has nothing to select in where
// a rule cuts a data file of that format into rows; empty: none. It does not
// look into Any.
func notInRows(format string, f harrow.Field) string {
	switch {
	case f.CSS != "":
		return "css"
	case f.XPath != "":
		return "xpath"
	case f.JSONLD != "":
		return "jsonld"
	case f.JSONPath != "" && format == harrow.RowsCSV:
		return "jsonpath"
	case f.Regex != "" && f.Column == "" && f.JSONPath == "" && f.From == "" && len(f.Any) == 0:
		return "regex alone"
	}
	return ""
}

// streams reports whether the file may be of any size and have any number of
// rows.
func (s *rowSource) streams() bool { return s.whole == nil }

// cutBody is a body that was cut by max_body: what is last in it may be half a
// row, and is never one.
type cutBody struct{ io.Reader }

// Read implements io.Reader.
func (b cutBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		err = &rowdata.Fault{Code: rowdata.CodeData, End: true, Err: errors.New("the body was cut at fetch.max_body")}
	}
	return n, err
}

// open begins to read a body.
func (s *rowSource) open(d *Document, body io.Reader) (rowdata.Reader, error) {
	if d.page.Capture.Truncated {
		body = cutBody{body}
	}
	text, err := rowdata.Open(body, func(head []byte) transform.Transformer {
		return dataDecoder(head, d.page.Capture.ContentType)
	})
	if err != nil {
		return nil, err
	}
	limits := rowdata.Limits{Row: int(min(d.limits.Document, math.MaxInt32))}
	switch s.format {
	case harrow.RowsCSV:
		return rowdata.NewCSV(text, s.columns, d.media == "text/tab-separated-values", limits), nil
	case harrow.RowsJSONL:
		return rowdata.NewJSONLines(text, limits), nil
	}
	if s.whole != nil {
		return s.document(d, text, limits)
	}
	return s.path.NewReader(text, limits), nil
}

// document reads a JSON document whose rows can't be told while it streams. An
// error may be a *[rowdata.Fault].
func (s *rowSource) document(d *Document, text io.Reader, l rowdata.Limits) (rowdata.Reader, error) {
	all, err := io.ReadAll(io.LimitReader(text, int64(l.Row)+1))
	if err != nil {
		return nil, err
	}
	ended := func(f *rowdata.Fault, err error) (rowdata.Reader, error) {
		return nil, &rowdata.Fault{Code: rowdata.CodeData, Offset: f.Offset, Raw: all, End: true, Err: err}
	}
	value, fault := rowdata.DecodeJSON(all, l)
	if fault != nil {
		return ended(fault, fmt.Errorf("the document is read as a whole for the rows of %s: %w", s.path, fault))
	}
	rows := &selectedRows{}
	if !s.whole.each(value, &d.budget, func(v any) bool { rows.values = append(rows.values, v); return true }) {
		return ended(&rowdata.Fault{}, d.spent())
	}
	return rows, nil
}

// selectedRows are the rows of a document that was read as a whole.
type selectedRows struct{ values []any }

// Next implements [rowdata.Reader].
func (r *selectedRows) Next() (rowdata.Row, error) {
	if len(r.values) == 0 {
		return rowdata.Row{}, io.EOF
	}
	row := rowdata.Row{Value: r.values[0]}
	r.values = r.values[1:]
	return row, nil
}

// wants asks the filter for a row.
func (s *rowSource) wants(row *rowdata.Row) (yes bool, fault *rowdata.Fault) {
	if s.filter == nil {
		return true, nil
	}
	if !s.filter.each([]any{row.Value}, rowBudget(row), func(any) bool { yes = true; return false }) {
		return false, &rowdata.Fault{Code: rowdata.CodeRowSize, Line: row.Line, Offset: row.Offset, Raw: row.Raw, Err: xpath.ErrBudget}
	}
	return yes, nil
}

// eachRow reads the rows of a page; row and fault end it with an error, or
// with errStop. Any other error is one of reading the body.
func (s *rowSource) eachRow(d *Document, row func(*rowdata.Row) error, fault func(*rowdata.Fault) error) error {
	body := d.Body()
	defer body.Close()
	in, err := s.open(d, body)
	for {
		bad := (*rowdata.Fault)(nil)
		var next rowdata.Row
		if err == nil {
			next, err = in.Next()
		}
		switch {
		case err == nil:
			wanted, refused := s.wants(&next)
			if refused != nil {
				err = fault(refused)
			} else if wanted {
				err = row(&next)
			}
		case err == io.EOF:
			return nil
		case errors.As(err, &bad):
			if err = fault(bad); bad.End && err == nil {
				return nil
			}
		}
		if errors.Is(err, errStop) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// errStop ends the reading of rows.
var errStop = errors.New("no more rows are wanted")

// data applies a rule to the rows of a data file.
func (r *run) data(rule *rule) error {
	d := &dataRun{run: r, rule: rule}
	if err := rule.rows.eachRow(r.doc, d.row, d.fault); err != nil {
		return fmt.Errorf("rule %s: %w", rule.name, err)
	}
	return nil
}

// dataRun is one rule on one data file.
type dataRun struct {
	*run
	rule *rule
	seen int // rows and faults
	bad  int // of them, those rejected
}

func (d *dataRun) row(row *rowdata.Row) error {
	if err := d.tick(); err != nil {
		return err
	}
	if !d.rule.rows.streams() { // a document, so the bounds of one
		if fault := d.count(); fault != nil {
			return stop(d.run.fault(d.rule, fault))
		}
	}
	refused, err := d.fields(d.rule, view{doc: d.doc, row: row})
	if !refused || err != nil {
		return err
	}
	return d.refused()
}

func (d *dataRun) fault(f *rowdata.Fault) error {
	if err := d.tick(); err != nil {
		return err
	}
	if err := d.rowFault(d.rule, f); err != nil {
		return err
	}
	return d.refused()
}

func (d *dataRun) tick() error {
	d.seen++
	if most := d.doc.limits.Data; most > 0 && d.seen > most {
		return errStop
	}
	if d.seen%256 == 0 {
		return d.ctx.Err()
	}
	return nil
}

// refused counts a reject and ends a file in which there are too many: a byte
// of it must not become a reject for ever.
func (d *dataRun) refused() error {
	if d.bad++; d.bad < d.doc.limits.Rows {
		return nil
	}
	return stop(d.run.fault(d.rule, faultf(CodeRows, "%d rows of the file are rejected; what follows is not read", d.bad)))
}

// stop is errStop, unless there is an error that counts more.
func stop(err error) error {
	if err != nil {
		return err
	}
	return errStop
}

// rowFault rejects what could not be read as a row. A row keeps its ordinal.
func (r *run) rowFault(rule *rule, f *rowdata.Fault) error {
	record := r.program.types[rule.record].Name
	reject := r.pageReject(record, f.Code, fmt.Errorf("record %s, rule %s: %w", record, rule.name, f))
	p := payload{Rule: rule.name, Ordinal: r.ordinals[rule.record], Line: f.Line, Offset: f.Offset, Row: rowText(f.Raw)}
	reject.Payload = p.String()
	if !f.End {
		r.ordinals[rule.record]++
	}
	return r.reject(reject)
}

// rowText is a row's text as a payload shows it.
func rowText(raw []byte) string {
	return cut(normal.UTF8(string(raw[:min(len(raw), 2*maxPayloadText)])), maxPayloadText)
}

// place adds to a payload where in the data file its row is, and the row.
func (p *payload) place(row *rowdata.Row) {
	if row == nil {
		return
	}
	p.Line, p.Offset, p.Row = row.Line, row.Offset, rowText(row.Raw)
	if row.Raw == nil && row.IsJSON() {
		if text, err := json.Marshal(row.Value); err == nil {
			p.Row = rowText(text)
		}
	}
}

// json is the value that a jsonpath selects in: the row's, or the body's.
// Cells are none.
func (v view) json() (any, *Fault) {
	switch {
	case v.row == nil:
		return v.doc.JSON()
	case v.row.IsJSON():
		return v.row.Value, nil
	}
	return nil, nil
}

// budget is that of the page's selectors, or a row's own.
func (v view) budget() *xpath.Budget {
	if v.row != nil && v.row.Raw != nil {
		return rowBudget(v.row)
	}
	return &v.doc.budget
}

// rowBudget goes by the row's length, so that a file costs no more than by its
// size.
func rowBudget(row *rowdata.Row) *xpath.Budget {
	return &xpath.Budget{Left: 1<<20 + 100*int64(len(row.Raw))}
}

// columnSource selects the cell of a column, or the member of that name.
type columnSource struct{ name string }

func (s columnSource) String() string { return "column: " + s.name }
func (s columnSource) needs() needs   { return needs{} }

func (s columnSource) pick(v view, dst []string, all bool) ([]string, *Fault) {
	if v.row == nil {
		return dst, nil
	}
	if cell, ok := v.row.Cell(s.name); ok {
		return append(dst, cell), nil
	}
	object, ok := v.row.Value.(map[string]any)
	if !ok {
		return dst, nil
	}
	before := len(dst)
	if dst = appendTexts(dst, object[s.name]); !all && len(dst) > before {
		dst = dst[:before+1]
	}
	return dst, nil
}

// explainData explains the first rows of a data file.
func (p *Program) explainData(r *rule, d *Document, about FieldTrace) (traces []FieldTrace) {
	rows := 0
	note := func(format string, args ...any) error {
		t := about
		t.Note = fmt.Sprintf(format, args...)
		traces = append(traces, t)
		if rows++; rows >= maxExplained {
			return errStop
		}
		return nil
	}
	err := r.rows.eachRow(d, func(row *rowdata.Row) error {
		traces = append(traces, p.explainRow(r, view{doc: d, row: row}, about, rows)...)
		if rows++; rows >= maxExplained {
			return note("only the first %d rows are explained", maxExplained)
		}
		return nil
	}, func(f *rowdata.Fault) error { return note("%s: %v", f.Code, f) })
	if err != nil {
		_ = note("%v", err) // of reading the body, which Apply returns
	} else if rows == 0 {
		_ = note("the file has no rows")
	}
	return traces
}
