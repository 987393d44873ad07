package runners

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/harrowdata/harrow/internal/flink"
)

// inBundles counts what each bundle was given; a test with workers in this
// process sees it.
type inBundles struct {
	keys []string
}

var (
	bundleMu sync.Mutex
	bundles  [][]string
)

func (b *inBundles) StartBundle(func(string)) { b.keys = nil }

func (b *inBundles) ProcessElement(ctx context.Context, key string, _ func(*[]byte) bool, _ func(string)) {
	beam.NewCounter("test", "keys").Inc(ctx, 1)
	b.keys = append(b.keys, key)
}

func (b *inBundles) FinishBundle(func(string)) {
	bundleMu.Lock()
	defer bundleMu.Unlock()
	bundles = append(bundles, b.keys)
}

const keys = 8

func shards(b []byte, emit func(string, []byte)) {
	for i := range keys {
		emit(strconv.Itoa(i), b)
	}
}

func init() {
	register.Function2x0(shards)
	register.DoFn4x0[context.Context, string, func(*[]byte) bool, func(string)](&inBundles{})
	register.Emitter1[string]()
	register.Iter1[[]byte]()
}

// TestASubtaskOfFlinkHasItsShareInOneBundle holds the runner to what a round of
// fetch lives on: what is overlapped within a bundle is waited for at its end.
func TestASubtaskOfFlinkHasItsShareInOneBundle(t *testing.T) {
	if os.Getenv("HARROW_CACHE") == "" {
		cache, err := filepath.Abs(filepath.Join("..", ".build", "cache"))
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv("HARROW_CACHE", cache)
	}
	if _, err := flink.Find(t.Context(), flink.Config{}); errors.Is(err, flink.ErrMissing) && os.Getenv("HARROW_TEST_REQUIRE") != "1" {
		t.Skipf("%v (make setup installs them)", err)
	} else if err != nil {
		t.Fatal(err)
	}
	if testing.Short() {
		t.Skip("starts Java; says nothing of races")
	}
	const subtasks = 2
	p, s := beam.NewPipelineWithRoot()
	some := beam.ParDo(s, shards, beam.Impulse(s))
	beam.ParDo(s, &inBundles{}, beam.GroupByKey(s, some))
	var said bytes.Buffer
	res, err := Execute(t.Context(), "flink", p, Options{Name: thisRun, FlinkMaster: flink.Local, Log: &said, Beam: []string{"--parallelism=" + strconv.Itoa(subtasks)}})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(said.String(), "all of this machine's addresses") {
		t.Errorf("other machines reach the job server: %s", said.String())
	}
	if res.State != "DONE" || res.Counters["test.keys"] != keys {
		t.Errorf("%+v; want DONE and %d keys", res, keys)
	}
	bundleMu.Lock()
	defer bundleMu.Unlock()
	seen := map[string]int{}
	full := 0
	for _, b := range bundles {
		if len(b) > 0 {
			full++
		}
		for _, key := range b {
			seen[key]++
		}
	}
	if len(seen) != keys || slices.Max(slices.Collect(maps.Values(seen))) != 1 {
		t.Errorf("keys were seen %v; want each once", seen)
	}
	if full > subtasks {
		t.Errorf("%d bundles %v for %d subtasks", full, bundles, subtasks)
	}
}
