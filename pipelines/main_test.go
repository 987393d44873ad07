package pipelines

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/log"

	_ "github.com/harrowdata/harrow/io/sqlio"
	"github.com/harrowdata/harrow/soak/fakegcs"
)

// Beam logs its whole graph for every run; what goes wrong comes back as an
// error.
type noLog struct{}

func (noLog) Log(context.Context, log.Severity, int, string) {}

func TestMain(m *testing.M) {
	flag.Parse()
	beam.Init()
	log.SetLogger(noLog{})
	slog.SetDefault(slog.New(slog.DiscardHandler))
	if os.Getenv(holdEnv) != "" {
		os.Exit(hold())
	}
	// Runs mostly wait: for a Retry-After, for a crawl-delay, before a retry.
	if err := flag.Set("test.parallel", "6"); err != nil {
		panic(err)
	}
	// Of a job's lock in a bucket; a process of its own is told.
	lockTTL = func(time.Duration) time.Duration { return leaseTTL }
	code := m.Run()
	fakegcs.EndShared()
	if left := ourGoroutines(time.Minute); code == 0 && len(left) > 0 {
		fmt.Fprintf(os.Stderr, "%d goroutines of ours are left:\n%s\n", len(left), strings.Join(left, "\n\n"))
		code = 1
	}
	os.Exit(code)
}

// ourGoroutines waits until no goroutine but this one has code of ours on its
// stack, or was started by it, and returns those that stay. (goleak can pass
// over Beam's goroutines only by passing over ours that Beam called.) Prism's
// pool of workers may stay: like Prism it ends with the process.
func ourGoroutines(patience time.Duration) (left []string) {
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		left = nil
		buf := make([]byte, 16<<20)
		all := strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
		for _, stack := range all[1:] {
			if strings.Contains(stack, "created by github.com/harrowdata/harrow/runners.servePrismPool ") {
				continue
			}
			if strings.Contains(stack, "github.com/harrowdata/harrow/") || strings.Contains(stack, "prism/internal.(*stage).Execute") {
				left = append(left, stack)
			}
		}
		if len(left) == 0 || time.Now().After(end) {
			return left
		}
	}
}
