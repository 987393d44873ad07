package rows

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// Fake is a testing.TB that notes failures instead of failing: with it a suite
// is shown to catch what it is there to catch.
type Fake struct {
	testing.TB // the real one, for what isn't noted

	mu       sync.Mutex
	failed   bool
	messages []string
	cleanups []func()
}

// Try runs a check, and says whether it failed and with what.
func Try(tb testing.TB, check func(testing.TB)) (failed bool, messages string) {
	f := &Fake{TB: tb}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				f.Errorf("panic: %v", p)
			}
		}()
		defer func() {
			for i := len(f.cleanups) - 1; i >= 0; i-- {
				f.cleanups[i]()
			}
		}()
		check(f)
	}()
	<-done
	return f.failed, strings.Join(f.messages, "\n")
}

func (f *Fake) note(text string, fail bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failed = f.failed || fail
	f.messages = append(f.messages, text)
}

// Cleanup implements testing.TB.
func (f *Fake) Cleanup(c func()) { f.cleanups = append(f.cleanups, c) }

// Error implements testing.TB.
func (f *Fake) Error(args ...any) { f.note(fmt.Sprint(args...), true) }

// Errorf implements testing.TB.
func (f *Fake) Errorf(format string, args ...any) { f.note(fmt.Sprintf(format, args...), true) }

// Fatal implements testing.TB.
func (f *Fake) Fatal(args ...any) { f.Error(args...); runtime.Goexit() }

// Fatalf implements testing.TB.
func (f *Fake) Fatalf(format string, args ...any) { f.Errorf(format, args...); runtime.Goexit() }

// Fail implements testing.TB.
func (f *Fake) Fail() { f.note("", true) }

// FailNow implements testing.TB.
func (f *Fake) FailNow() { f.Fail(); runtime.Goexit() }

// Failed implements testing.TB.
func (f *Fake) Failed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed
}

// Log implements testing.TB.
func (f *Fake) Log(args ...any) { f.note(fmt.Sprint(args...), false) }

// Logf implements testing.TB.
func (f *Fake) Logf(format string, args ...any) { f.note(fmt.Sprintf(format, args...), false) }

// Helper implements testing.TB.
func (f *Fake) Helper() {}

// Context implements testing.TB.
func (f *Fake) Context() context.Context { return f.TB.Context() }

// TempDir implements testing.TB: one of its own for each call.
func (f *Fake) TempDir() string {
	dir, err := os.MkdirTemp(f.TB.TempDir(), "")
	if err != nil {
		f.Fatal(err)
	}
	return dir
}
