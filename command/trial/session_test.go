package trial_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/command/trial"
	"github.com/harrowdata/harrow/command/view"
)

// club shows its books to members.
func club() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `<form method=post action="/login?x=1"><input type=hidden name=csrf value=1><input name=user><input type=password name=pass></form>`)
	})
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		if r.PostFormValue("csrf")+r.PostFormValue("user")+r.PostFormValue("pass") == "1anns3cret" {
			http.SetCookie(w, &http.Cookie{Name: "sid", Value: "1", Path: "/"})
			http.Redirect(w, r, "/", http.StatusSeeOther)
		}
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if c, err := r.Cookie("sid"); err != nil || c.Value != "1" || strings.HasPrefix(r.URL.Path, "/secret/") {
			http.Redirect(w, r, "/login", http.StatusFound)
			return
		}
		fmt.Fprint(w, "<h1>Members only</h1>")
	})
	return mux
}

func TestTryLogsInAsARunDoes(t *testing.T) {
	for name, c := range map[string]struct {
		url, user string
		outcome   harrow.Outcome
		login     string
	}{
		"in":                   {"http://books.example/book/1", "ann", harrow.Fetched, "a session is open for books.example"},
		"another domain":       {"http://else.example/", "ann", harrow.Deferred, ""},
		"no success":           {"http://books.example/book/1", "bob", harrow.Deferred, `http://books.example/login: the answer to the form does not hold fetch.login.success, "Members": check the fields' values`},
		"not in all the same":  {"http://books.example/secret/1", "ann", harrow.Deferred, "the session does not hold: right after a login http://books.example/secret/1 was answered with 302"},
		"what can't be filled": {"http://books.example/book/1", "", harrow.Deferred, `http://books.example/login: the form has no field "nick"; it has ["csrf" "user" "pass"]`},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := newConfig(t, club())
			cfg.Job.Fetch.Resolve["else.example"] = "127.0.0.1:1"
			cfg.Job.Fetch.Login = &harrow.Login{URL: "http://books.example/login", Fields: map[string]string{"user": c.user, "pass": "${PASSWORD}"}, Success: "Members"}
			if c.user == "" {
				cfg.Job.Fetch.Login.Fields["nick"] = "x"
			}
			r, err := trial.URL(t.Context(), cfg, c.url)
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			if err := r.WriteText(&b, 0, view.Paint(false)); err != nil {
				t.Fatal(err)
			}
			login := ""
			if r.Login != nil {
				login = r.Login.Why
				if !strings.Contains(b.String(), "login ") || r.Login.OK != (c.outcome == harrow.Fetched) {
					t.Errorf("%+v\n%s", r.Login, b.String())
				}
			}
			if r.Outcome != c.outcome || login != c.login {
				t.Errorf("%s %s: %q", r.Outcome, r.Code, login)
			}
			if c.login != "" && c.outcome == harrow.Deferred && (r.Code != "login" || len(r.Rejects) != 1 || r.Rejects[0].Reason != "fetch.login: "+c.login) {
				t.Errorf("%s %+v", r.Code, r.Rejects)
			}
			if strings.Contains(b.String(), "s3cret") {
				t.Errorf("a secret is shown: %s", b.String())
			}
		})
	}
}
