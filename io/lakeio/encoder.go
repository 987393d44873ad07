package lakeio

import (
	"reflect"
	"sync"
	"unsafe"

	"github.com/apache/arrow/go/v17/arrow/ipc"
)

// encoders lends zstd encoders from one part to the next: an encoder keeps
// 19 MB, and arrow makes a new one for each file. Its FileWriter offers no way
// to hand one in, so the encoder is moved between the unexported fields of two
// writers. v17.0.0 is the only version of this import path, so the field is
// where it is; were it gone, nothing would be lent and TestEncodersAreLent
// would fail.
var encoders sync.Pool

// compressorsOf returns the address of w.compressors, a slice of one
// interface, or nil where there is no such field.
func compressorsOf(w *ipc.FileWriter) *[][2]unsafe.Pointer {
	field, ok := reflect.TypeFor[ipc.FileWriter]().FieldByName("compressors")
	if !ok || field.Type.Kind() != reflect.Slice || field.Type.Elem().Kind() != reflect.Interface {
		return nil
	}
	return (*[][2]unsafe.Pointer)(unsafe.Add(unsafe.Pointer(w), field.Offset))
}

// lendEncoder puts a used encoder into a writer that has none yet.
func lendEncoder(w *ipc.FileWriter) {
	if c := compressorsOf(w); c != nil && len(*c) > 0 {
		if e, ok := encoders.Get().(*[2]unsafe.Pointer); ok {
			(*c)[0] = *e
		}
	}
}

// returnEncoder takes the encoder out of a writer that is done, or dropped
// between two batches. One that failed keeps it: what state it is in, nobody
// knows.
func returnEncoder(w *ipc.FileWriter) {
	if c := compressorsOf(w); c != nil && len(*c) > 0 && (*c)[0][1] != nil {
		e := (*c)[0]
		(*c)[0] = [2]unsafe.Pointer{}
		encoders.Put(&e)
	}
}
