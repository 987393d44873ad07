package round

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/httpfetch"
	"github.com/harrowdata/harrow/internal/idfile"
	"github.com/harrowdata/harrow/io/lakeio"
)

// known is what earlier runs know of requests, as far as they can be asked
// conditionally by it. Pages are sorted by id and asked for in any order, so a
// process reads the version once, when it takes its first shard of a round,
// into a local file that answers at random. Measured by BenchmarkKnown on 2 busy
// cores, 1 M pages (296 MB as a table): 18 s to read, 197 MB of local disk, 2 MB
// of memory; a lookup is 80 µs where the page is known, 39 µs where not,
// whatever the store.
type known struct {
	once sync.Once
	err  error
	file *idfile.File // nil: nothing is known

	mu     sync.Mutex
	bodies map[string]bool // bodies parts, and whether they are there
}

func newKnown() *known { return &known{bodies: map[string]bool{}} }

// load reads what is known, once.
func (p *Process) loadKnown(ctx context.Context) error {
	p.known.once.Do(func() {
		c := p.cfg.Fetch.Conditional
		if p.cfg.Pages == "" || c != nil && !*c || p.cfg.Round >= p.cfg.Rounds {
			return
		}
		p.known.file, p.known.err = readKnown(ctx, lakeio.Lake{Store: p.lake.Store, Job: p.lake.Job, Run: p.cfg.Pages}, p.cfg)
	})
	if err := p.known.err; err != nil {
		return fmt.Errorf("pages of run %s: %w", p.cfg.Pages, err)
	}
	return nil
}

func readKnown(ctx context.Context, l lakeio.Lake, cfg Config) (*idfile.File, error) {
	w, err := idfile.Create(cfg.Env.Spill)
	if err != nil {
		return nil, err
	}
	err = l.EachPage(ctx, func(s harrow.PageState) error {
		if !usable(s, cfg) {
			return nil
		}
		data, err := json.Marshal(s)
		if err != nil {
			return fmt.Errorf("%s: %w", s.URL, err)
		}
		return w.Add(s.ID, data)
	})
	if err != nil {
		return nil, errors.Join(err, w.Abort())
	}
	return w.Finish()
}

// usable reports whether a page may be asked for conditionally: a 304 would
// bring back a body that is stored, that was got with what the job still
// sends, and that is no shorter than what would be kept now. How the last
// request ended doesn't matter: what is stored is the last good answer.
func usable(s harrow.PageState, cfg Config) bool {
	return s.BodyPart != "" && s.Digest != "" && (s.ETag != "" || s.LastModified != "") && s.Variant == cfg.Variant &&
		(!s.Truncated || s.BodyBytes >= int64(cfg.Fetch.MaxBody))
}

func (k *known) close() error {
	if k.file == nil {
		return nil
	}
	return k.file.Close()
}

// recallPage fills in what is known of the item's request, if it is to be asked
// conditionally. Validators are good only at the URL that gave them: along
// redirects that is the last hop. A page that is looked into for links is asked
// in full, since a 304 brings none.
func (p *Process) recallPage(it *item) error {
	it.known = nil
	k, r := p.known, it.Req
	if k.file == nil || it.aside() || it.Full || r.Kind != harrow.KindPage || r.Method != "GET" || len(r.Body) > 0 ||
		preconditioned(r.Headers) || p.site.follower.LooksInto(it.at) {
		return nil
	}
	s, err := k.get(r.ID)
	if s == nil || err != nil || s.FinalURL != it.url() {
		return err
	}
	if there, err := p.bodyThere(s.BodyPart); !there || err != nil {
		return err
	}
	it.known = s
	return nil
}

// get is what is known of a request; nil: nothing.
func (k *known) get(id harrow.ID) (*harrow.PageState, error) {
	data, ok, err := k.file.Get(id)
	if !ok || err != nil {
		return nil, err
	}
	var s harrow.PageState
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("pages: %s: %w", id, err)
	}
	return &s, nil
}

// preconditioned reports whether a request asks conditionally by itself.
func preconditioned(headers []harrow.Header) bool {
	for _, h := range headers {
		if len(h.Name) > 3 && strings.EqualFold(h.Name[:3], "If-") {
			return true
		}
	}
	return false
}

// bodyThere reports whether a part of bodies can still be read: it looks at its
// end, once a process.
func (p *Process) bodyThere(part string) (bool, error) {
	p.known.mu.Lock()
	defer p.known.mu.Unlock()
	there, looked := p.known.bodies[part]
	if looked {
		return there, nil
	}
	r, err := lakeio.OpenPart(p.ctx, p.lake.Store, part, lakeio.Bodies.Name())
	if err == nil {
		err = r.Close()
	}
	if err != nil && !errors.Is(err, lakeio.ErrNotFound) && !errors.Is(err, lakeio.ErrCorrupt) {
		return false, err
	}
	p.known.bodies[part] = err == nil
	return err == nil, nil
}

// preconditions are what the item's request is sent with beside its own
// headers.
func (it *item) preconditions() []harrow.Header {
	if it.known == nil {
		return nil
	}
	return it.validators().Headers()
}

func (it *item) validators() httpfetch.Validators {
	return httpfetch.Validators{ETag: it.known.ETag, LastModified: it.known.LastModified}
}

// notModified handles a 304 that was asked for: the capture is that of the
// answer it confirms, in the old body's place. One that confirms another
// answer than ours is asked for again, in full.
func (p *Process) notModified(it *item, resp *httpfetch.Response, now time.Time) error {
	if !it.validators().Confirmed(resp.Headers) {
		resp.Body.Close()
		next := *it
		next.Full = true
		return p.again(&next)
	}
	r, s := it.answered(resp, now), it.known
	c := r.capture
	c.Outcome = harrow.NotModified
	c.ContentType, c.Headers = s.ContentType, httpfetch.Freshen(s.Headers, resp.Headers)
	c.Digest, c.BodyBytes, c.Truncated = s.Digest, s.BodyBytes, s.Truncated
	c.BodyPart, c.BodyRow, c.BodyRows = s.BodyPart, s.BodyRow, s.BodyRows
	p.results <- r
	return nil
}
