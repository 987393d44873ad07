package trial

import (
	"context"
	"time"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
	"github.com/harrowdata/harrow/internal/httpfetch"
	"github.com/harrowdata/harrow/internal/session"
)

// ask makes an exchange as a run does, with all that the job sends along and the
// cookies that came so far.
func (t *trier) ask(ctx context.Context, u canon.URL, req httpfetch.Request) (*httpfetch.Response, error) {
	req.Headers = t.sent.Headers(u, req.Headers)
	if t.cookies() && !session.Has(req.Headers, "Cookie") && !session.Has(t.sent.Everywhere(), "Cookie") {
		if c := t.jar.Header(u, time.Now()); c != "" {
			req.Headers = append(req.Headers, harrow.Header{Name: "Cookie", Value: c})
		}
	}
	resp, err := t.do(ctx, u, req)
	if t.cookies() {
		t.jar.Store(u, resp.Headers, time.Now())
	}
	return resp, err
}

func (t *trier) cookies() bool {
	on := t.cfg.Job.Fetch.Cookies
	return on == nil || *on
}
