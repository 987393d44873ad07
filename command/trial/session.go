package trial

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
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

// logIn opens the session that a page of the login's registered domain wants, as
// a run does; false: it can't be had, and the report says why.
func (t *trier) logIn(ctx context.Context, u canon.URL, r *Report) (bool, error) {
	l := t.sent.Login()
	if l == nil || t.entered || canon.Domain(u.Host()) != l.Domain() {
		return true, nil
	}
	for step, done := l.Begin(), false; !done; {
		answer, err := t.step(ctx, step)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		at := hidden(step.URL)
		if err == nil {
			step, done, err = l.Next(step, answer, t.maxRedirects())
		}
		if err != nil {
			t.noSession(r, fmt.Sprintf("%s: %v", at, err))
			return false, nil
		}
	}
	t.entered = true
	r.Login = &Verdict{true, "a session is open for " + l.Domain()}
	return true, nil
}

// step makes one exchange of a login.
func (t *trier) step(ctx context.Context, s session.Step) (a session.Answer, err error) {
	resp, err := t.ask(ctx, s.URL, httpfetch.Request{Method: s.Method, Headers: s.Headers, Body: s.Body, MaxBody: session.MaxLoginBody})
	if err != nil {
		var failure *httpfetch.Error
		if errors.As(err, &failure) {
			err = errors.New(strings.ReplaceAll(failure.Error(), s.URL.String(), hidden(s.URL)))
		}
		return a, err
	}
	in := resp.Body.Open()
	body, err := io.ReadAll(in)
	a = session.Answer{Status: resp.Status, Location: resp.Location, ContentType: resp.ContentType, Body: body}
	return a, errors.Join(err, in.Close(), resp.Body.Close())
}

// hidden is a login's URL without what servers put there for the user alone.
func hidden(u canon.URL) string {
	url, _, _ := strings.Cut(u.String(), "?")
	return url
}

// isOut ends the report where a page says that there is no session, though one
// was opened.
func (t *trier) isOut(u canon.URL, resp *httpfetch.Response, r *Report) bool {
	l := t.sent.Login()
	if l == nil || canon.Domain(u.Host()) != l.Domain() || !l.Over(u, resp.Status, resp.Location) {
		return false
	}
	t.noSession(r, fmt.Sprintf("the session does not hold: right after a login %s was answered with %d", u, resp.Status))
	return true
}

// noSession ends the report as a run would end the page.
func (t *trier) noSession(r *Report, why string) {
	why = t.sent.Text(why)
	r.Login = &Verdict{false, why}
	r.Outcome, r.Class, r.Code = harrow.Deferred, harrow.Transient, "login"
	r.reject(harrow.Permanent, "login", "fetch.login: "+why)
}
