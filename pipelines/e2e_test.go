package pipelines

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/harrowdata/harrow/internal/demosite"
	"github.com/harrowdata/harrow/io/lakeio"

	_ "github.com/harrowdata/harrow/io/sqlio"
)

func TestMain(m *testing.M) {
	beam.Init()
	os.Exit(m.Run())
}

// shop is the demo site, served, and a workspace to harvest it into.
type shop struct {
	t    *testing.T
	site *demosite.Site
	addr string
	dir  string
}

func newShop(t *testing.T) *shop {
	s := &shop{t: t, site: demosite.New(demosite.Options{}), dir: t.TempDir()}
	addr, stop, err := s.site.Listen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.addr = addr
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *shop) request() Request {
	return Request{JobFile: filepath.Join("..", "testdata", "demo", "shop.yaml"), Workspace: s.dir, Params: map[string]string{"site": s.addr}}
}

func (s *shop) harvest(ctx context.Context, change ...func(*Request)) (Result, error) {
	req := s.request()
	for _, c := range change {
		c(&req)
	}
	return Run(ctx, req)
}

func TestE2E(t *testing.T) {
	for _, runner := range []string{"direct", "prism"} {
		t.Run(runner, func(t *testing.T) {
			s := newShop(t)
			begun := time.Now()
			res, err := s.harvest(t.Context(), func(r *Request) { r.Runner = runner })
			t.Log(time.Since(begun), err, res.Exit, res.Why, res.Run.Elapsed)
			store, _ := lakeio.Open(s.dir)
			l := lakeio.Lake{Store: store, Job: res.Run.Job, Run: res.Run.ID}
			for _, st := range []string{"discover", "fetch-0", "fetch-1", "fetch-2", "fetch-3", "parse", "refine", "load"} {
				m, err := l.Manifest(t.Context(), st)
				t.Log(st, m.Tables, m.Counters, err)
			}
		})
	}
}
