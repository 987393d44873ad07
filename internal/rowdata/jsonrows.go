package rowdata

import (
	"errors"
	"fmt"
	"io"
)

// NewReader returns a reader of the rows of a JSON document in UTF-8. The path
// must stream; its filter is left to the caller, see [Path.Filter].
func (p *Path) NewReader(text io.Reader, l Limits) Reader {
	l = l.withDefaults()
	return &jsonRows{path: p, limits: l, text: jsonText{w: newWindow(text, l.Row)}}
}

// jsonRows walks a document along a path that streams.
type jsonRows struct {
	path   *Path
	limits Limits
	text   jsonText
	begun  bool
	open   []level // arrays and objects entered
	end    error
}

// level is an array or object on the way to the rows; that at i is asked by
// step i.
type level struct {
	object bool
	next   int64 // index of the next child
}

// Next implements [Reader].
func (r *jsonRows) Next() (Row, error) {
	r.text.w.keep = -1
	for r.end == nil {
		at, err := r.walk()
		switch {
		case err != nil:
			r.end = err
		case !at:
			r.end = r.trailing()
		default:
			return r.row()
		}
	}
	return Row{}, r.end
}

// trailing looks at what follows the document.
func (r *jsonRows) trailing() error {
	if _, ok := r.text.next(); ok {
		return r.text.wrong("the end of the document")
	}
	return r.text.w.err
}

// walk goes on to the next row; false: there is none.
func (r *jsonRows) walk() (bool, error) {
	if !r.begun {
		r.begun = true
		if here, err := r.enter(); here || err != nil {
			return here, err
		}
	}
	for len(r.open) > 0 {
		selected, err := r.child()
		if err != nil {
			return false, err
		}
		if !selected {
			continue
		}
		if here, err := r.enter(); here || err != nil {
			return here, err
		}
	}
	return false, nil
}

// enter looks at a value that the steps so far select: it is a row, or holds
// rows, or is passed over.
func (r *jsonRows) enter() (row bool, err error) {
	if len(r.open) == len(r.path.steps) {
		return true, nil
	}
	c, ok := r.text.next()
	if step := r.path.steps[len(r.open)]; ok && (c == '{' && step.objects() || c == '[' && !step.named) {
		r.text.w.pos++
		r.open = append(r.open, level{object: c == '{'})
		return false, nil
	}
	return false, r.text.value()
}

// child goes on to the next child of the innermost level and reports whether
// it is selected; one that is not is passed over. At the end of the level it
// leaves it.
func (r *jsonRows) child() (selected bool, err error) {
	l := &r.open[len(r.open)-1]
	end := byte(']')
	if l.object {
		end = '}'
	}
	c, ok := r.text.next()
	if ok && c == end {
		r.text.w.pos++
		r.open = r.open[:len(r.open)-1]
		return false, nil
	}
	if l.next > 0 {
		if err := r.text.one(',', fmt.Sprintf("a comma or %c", end)); err != nil {
			return false, err
		}
	}
	step := r.path.steps[len(r.open)-1]
	if l.object {
		selected, err = r.member(step)
	} else {
		selected = step.element(l.next)
	}
	if err != nil {
		return false, err
	}
	l.next++
	if selected {
		return true, nil
	}
	return false, r.text.value()
}

// member passes over a member's name and asks the step for it.
func (r *jsonRows) member(s step) (bool, error) {
	t := &r.text
	if _, ok := t.next(); ok {
		t.w.keep, t.long = t.w.pos, false
	}
	if err := t.name(); err != nil {
		return false, err
	}
	literal, long := t.kept()
	if !s.named {
		return s.any, nil
	}
	if long {
		return false, nil
	}
	name, err := unquote(literal)
	return err == nil && s.member(name), nil
}

// kept returns what was kept; long: it was too long to be.
func (t *jsonText) kept() (raw []byte, long bool) {
	if t.long {
		return t.head, true
	}
	raw = t.w.buf[t.w.keep:t.w.pos]
	t.w.keep = -1
	return raw, false
}

// row reads the row that is next.
func (r *jsonRows) row() (row Row, err error) {
	t := &r.text
	if _, ok := t.next(); !ok {
		r.end = t.wrong("a value")
		return row, r.end
	}
	offset := t.w.offset()
	t.w.keep, t.long = t.w.pos, false
	if err := t.value(); err != nil {
		r.end = err
		var fault *Fault
		if errors.As(err, &fault) {
			fault.Raw = t.head
			if !t.long {
				raw := t.w.buf[t.w.keep:t.w.pos]
				fault.Raw = raw[:min(len(raw), maxRaw)]
			}
		}
		return row, err
	}
	raw, long := t.kept()
	if long || len(raw) > r.limits.Row {
		return row, placed(faultf(CodeRowSize, "the row is longer than %d bytes", r.limits.Row), offset, raw)
	}
	value, fault := decodeJSON(raw, r.limits)
	if fault != nil {
		return row, placed(fault, offset, raw)
	}
	return Row{Offset: offset, Raw: raw, Value: value}, nil
}

func placed(f *Fault, offset int64, raw []byte) *Fault {
	f.Offset, f.Raw = offset, raw[:min(len(raw), maxRaw)]
	f.Err = fmt.Errorf("byte %d: %w", offset, f.Err)
	return f
}
