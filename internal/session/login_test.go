package session

import (
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
)

func loginOf(t testing.TB, l harrow.Login) *Login {
	t.Helper()
	if l.URL == "" {
		l.URL = "https://shop.example/login"
	}
	return sentOf(t, harrow.Fetch{Login: &l}, nil, "shop.example").Login()
}

var filled = map[string]string{"user": "${USER}", "pass": "${PASSWORD}"}

// sentBy is what the form of a page would send.
func sentBy(t testing.TB, l *Login, page string, contentType string) (Step, string, error) {
	t.Helper()
	s := l.Begin()
	next, done, err := l.Next(s, Answer{Status: 200, ContentType: contentType, Body: []byte(page)}, 10)
	if done {
		t.Fatal("done before the form was sent")
	}
	text, uerr := url.QueryUnescape(string(next.Body))
	if uerr != nil {
		t.Fatal(uerr)
	}
	return next, text, err
}

func TestAFormIsSentAsABrowserWould(t *testing.T) {
	const secret = "user=ann&pass=p:4 ss"
	for name, c := range map[string]struct{ form, inside, want string }{
		"hidden fields":            {"", `<input type=hidden name=csrf value=t0k3n><input name=user><input type=password name=pass>`, "csrf=t0k3n&" + secret},
		"fields without a form":    {"", `<input name=user value=x><input type=password name=pass></form><input name=stray value=1>`, secret},
		"a field by its form":      {"", `<input name=user></form><input form=f type=password name=pass><input form=other name=x value=1>`, secret},
		"what stands in it":        {"", `<input name=user><input type=password name=pass><input name=lang value=en><input type=email name=mail>`, secret + "&lang=en&mail="},
		"checked boxes only":       {"", `<input name=user><input type=password name=pass><input type=checkbox name=a><input type=checkbox name=b checked><input type=radio name=c value=1><input type=radio name=c value=2 checked>`, secret + "&b=on&c=2"},
		"disabled fields are not":  {"", `<input name=user><input type=password name=pass><input name=x value=1 disabled><fieldset disabled><input name=y value=2></fieldset>`, secret},
		"unless filled in":         {"", `<input name=user disabled><input type=password name=pass>`, secret},
		"no files, no resets":      {"", `<input name=user><input type=password name=pass><input type=file name=f><input type=reset name=r value=1><input type=button name=b value=1><button type=button name=c>`, secret},
		"the first button":         {"", `<input name=user><input type=password name=pass><input type=submit name=go value=Go><button name=other value=1>`, secret + "&go=Go"},
		"a button that is one":     {"", `<input name=user><input type=password name=pass><button name=go value=1>Go</button>`, secret + "&go=1"},
		"a button of an image":     {"", `<input name=user><input type=password name=pass><input type=image name=i>`, secret + "&i.x=0&i.y=0"},
		"selects":                  {"", `<input name=user><input type=password name=pass><select name=s><option>a b<option selected value=2>c</select><select name=d><option disabled>x<option> y  z </select><select name=m multiple><option selected>1<option>2<option selected>3</select><select name=n multiple><option>1</select>`, secret + "&s=2&d=y z&m=1&m=3"},
		"the last one selected":    {"", `<input name=user><input type=password name=pass><select name=s><option selected>1<option selected>2</select>`, secret + "&s=2"},
		"texts":                    {"", "<input name=user><input type=password name=pass><textarea name=t>\na\nb</textarea>", secret + "&t=a\r\nb"},
		"once where there are two": {"", `<input name=user value=a><input name=user value=b><input type=password name=pass>`, secret},
		"templates are not there":  {"", `<template><input name=x value=1></template><input name=user><input type=password name=pass>`, secret},
		"its encoding":             {"", `<input type=hidden name=_charset_><input name=user><input type=password name=pass>`, "_charset_=UTF-8&" + secret},
		"no names, no values":      {"", `<input value=1><input name=""><input name=user><input type=password name=pass>`, secret},
		"the form by CSS":          {"form#second", `<input name=x></form><form id=second method=POST><input name=user><input name=pass>`, secret},
		"the one with a password":  {"", `<input name=q></form><form method=post><input name=user><input type=PASSWORD name=pass>`, secret},
		"nested deep":              {"", strings.Repeat("<div>", 50_000) + `<input name=user><input type=password name=pass>`, secret},
		"no UTF-8, though it says": {"", "\xff<input name=user><input type=password name=pass>", secret},
		"a form cut by a table":    {"", `</form><table><form method=post><tr><td><input name=user><input type=password name=pass></td></tr></form></table>`, secret},
	} {
		t.Run(name, func(t *testing.T) {
			l := loginOf(t, harrow.Login{Form: c.form, Fields: filled})
			s, got, err := sentBy(t, l, "<!doctype html><form id=f method=post action='/do'>"+c.inside, "text/html; charset=utf-8")
			if err != nil || got != c.want || s.Method != "POST" {
				t.Errorf("%v %q", err, got)
			}
		})
	}
}

func TestWhereAFormGoes(t *testing.T) {
	const inside = `<input name=user><input type=password name=pass>`
	for name, c := range map[string]struct{ at, page, want string }{
		"its action":             {"", `<form method=post action="do?x=1&amp;utm_a=2#y">` + inside, "https://shop.example/do?x=1&utm_a=2#y"},
		"the page itself":        {"https://shop.example/login?next=1", `<base href="/b/"><form method=post action="">` + inside, "https://shop.example/login?next=1"},
		"by the base":            {"", `<base target=x><base href="/b/"><form method=post action="do">` + inside, "https://shop.example/b/do"},
		"another host":           {"", `<form method=post action="https://id.shop.example/do">` + inside, "https://id.shop.example/do"},
		"as the button says":     {"", `<form action=/x>` + inside + `<button formaction=/y formmethod=post>`, "https://shop.example/y"},
		"into TLS":               {"http://shop.example/login", `<form method=post action="https://shop.example/do">` + inside, "https://shop.example/do"},
		"not out of TLS":         {"", `<form method=post action="http://shop.example/do">` + inside, "the form goes to http, while fetch.login.url is https"},
		"not out of the domain":  {"", `<form method=post action="https://shop.example.evil.test/do">` + inside, "the form goes to shop.example.evil.test, which is out of the registered domain shop.example"},
		"not into a URL":         {"", `<form action="/do">` + inside, `the form's method is "", which would put what is filled in into a URL; expected post`},
		"nor by a base":          {"", `<base href="https://evil.test/"><form method=post action="do">` + inside, "the form goes to evil.test, which is out of the registered domain shop.example"},
		"nowhere":                {"", `<form method=post action="javascript:x">` + inside, "the form's action is no URL"},
		"plain text":             {"", `<form method=post enctype=text/plain>` + inside, "the form's enctype is text/plain; expected application/x-www-form-urlencoded or multipart/form-data"},
		"no form":                {"", `<p>Welcome`, "the page has no form with a password field; expected one, or fetch.login.form to say which"},
		"a field is not there":   {"", `<form method=post><input name=login><input type=password name=pass><input name=pass><input name="">`, `the form has no field "user"; it has ["login" "pass"]`},
		"a field that is no one": {"", `<form method=post><input type=password>`, `the form has no field "pass"; it has []`},
	} {
		t.Run(name, func(t *testing.T) {
			l := loginOf(t, harrow.Login{URL: c.at, Fields: filled})
			s, _, err := sentBy(t, l, c.page, "text/html")
			got := s.URL.String()
			if err != nil {
				got = err.Error()
			}
			if want, _, _ := strings.Cut(c.want, "#"); got != c.want && got != want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
	l := loginOf(t, harrow.Login{Form: "div.x", Fields: filled})
	if _, _, err := sentBy(t, l, "<div class=x>", ""); err == nil || err.Error() != `fetch.login.form, "div.x", selects <div>; expected a form` {
		t.Error(err)
	}
	if _, _, err := sentBy(t, l, "<p>", ""); err == nil || err.Error() != `the page has no form that fetch.login.form, "div.x", selects` {
		t.Error(err)
	}
}

func TestWhatAFormIsSentWith(t *testing.T) {
	const page = `<form method=post action="https://id.shop.example/do"><input name=user><input name=pass type=password>`
	l := loginOf(t, harrow.Login{URL: "https://shop.example/login?next=/x", Fields: filled})
	s, _, _ := sentBy(t, l, page, "")
	if got := flat(s.Headers); got != "Content-Type=application/x-www-form-urlencoded Origin=https://shop.example Referer=https://shop.example/" {
		t.Error(got)
	}
	s, _, _ = sentBy(t, l, strings.Replace(page, "id.", "", 1), "")
	if got := flat(s.Headers); !strings.HasSuffix(got, "Referer=https://shop.example/login?next=/x") {
		t.Error(got)
	}
	s, _, err := sentBy(t, l, strings.Replace(page, "method", "enctype=multipart/form-data method", 1), "")
	if err != nil {
		t.Fatal(err)
	}
	_, params, err := mime.ParseMediaType(s.Headers[0].Value)
	if err != nil {
		t.Fatal(err)
	}
	r := multipart.NewReader(strings.NewReader(string(s.Body)), params["boundary"])
	var parts []string
	for p, err := r.NextPart(); err != io.EOF; p, err = r.NextPart() {
		if err != nil {
			t.Fatal(err)
		}
		value, err := io.ReadAll(p)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, p.FormName()+"="+string(value))
	}
	if want := []string{"user=ann", "pass=p:4 ss"}; !slices.Equal(parts, want) {
		t.Errorf("%q", parts)
	}
	// In the page's own encoding, and what that has no character for as browsers
	// do.
	l = loginOf(t, harrow.Login{Fields: map[string]string{"user": "é ж"}})
	s, _, err = sentBy(t, l, `<form method=post><input type=password name=user><input name=_charset_ type=hidden>`, "text/html; charset=iso-8859-1")
	if err != nil || string(s.Body) != "user=%E9+%26%231078%3B&_charset_=windows-1252" {
		t.Errorf("%v %s", err, s.Body)
	}
}

func TestTheAnswerToTheFormSaysWhetherTheSessionIsOpen(t *testing.T) {
	const form = `<form method=post><input name=user><input type=password name=pass>`
	for name, c := range map[string]struct {
		success string
		a       Answer
		want    string
	}{
		"2xx without the form":  {"", Answer{Status: 200, Body: []byte("Welcome")}, "done"},
		"no body":               {"", Answer{Status: 204}, "done"},
		"another form":          {"", Answer{Status: 200, Body: []byte(`<form><input name=q type=password>`)}, "done"},
		"the form again":        {"", Answer{Status: 200, Body: []byte(form)}, "the answer to the form is the form again: check the fields' values, or say by fetch.login.success what tells that they are right"},
		"a text":                {"Log out", Answer{Status: 200, Body: []byte("<a>Log out</a>" + form)}, "done"},
		"not the text":          {"Log out", Answer{Status: 200, Body: []byte("Log in")}, `the answer to the form does not hold fetch.login.success, "Log out": check the fields' values`},
		"RE2":                   {"re:Log ?out", Answer{Status: 200, Body: []byte("Logout")}, "done"},
		"not RE2":               {"re:Log ?out", Answer{Status: 200}, `the answer to the form does not hold fetch.login.success, "re:Log ?out": check the fields' values`},
		"refused":               {"", Answer{Status: 403}, "the form, filled in, was answered with 403"},
		"a redirect to nowhere": {"", Answer{Status: 302}, "the form, filled in, was answered with 302"},
	} {
		t.Run(name, func(t *testing.T) {
			l := loginOf(t, harrow.Login{Success: c.success, Fields: filled})
			s, _, err := sentBy(t, l, form, "")
			if err != nil {
				t.Fatal(err)
			}
			_, done, err := l.Next(s, c.a, 10)
			got := fmt.Sprint(err)
			if done {
				got = "done"
			}
			if got != c.want {
				t.Error(got)
			}
		})
	}
	l := loginOf(t, harrow.Login{Fields: filled})
	if _, _, err := l.Next(l.Begin(), Answer{Status: 404}, 10); err == nil || err.Error() != "the page with the form was answered with 404" {
		t.Error(err)
	}
}

func TestRedirectsOfALogin(t *testing.T) {
	const form = `<form method=post><input name=user><input type=password name=pass>`
	for name, c := range map[string]struct {
		at     string
		status int
		to     string
		want   string
	}{
		"to a page":              {"", 303, "/home", "GET https://shop.example/home "},
		"found":                  {"", 302, "https://www.shop.example/", "GET https://www.shop.example/ "},
		"with what is filled in": {"", 307, "/do", "POST https://shop.example/do user=ann&pass=p%3A4+ss"},
		"for good":               {"", 308, "/do", "POST https://shop.example/do user=ann&pass=p%3A4+ss"},
		"out of TLS, with it":    {"", 307, "http://shop.example/do", "it redirects what was filled in from https to http"},
		"out of TLS, without":    {"", 302, "http://shop.example/do", "GET http://shop.example/do "},
		"never was in TLS":       {"http://shop.example/", 307, "/do", "POST http://shop.example/do user=ann&pass=p%3A4+ss"},
		"out of the domain":      {"", 302, "https://evil.test/", "it redirects to evil.test, which is out of the registered domain shop.example"},
		"to no URL":              {"", 302, "mailto:x", "it redirects to what is no URL"},
	} {
		t.Run(name, func(t *testing.T) {
			l := loginOf(t, harrow.Login{URL: c.at, Fields: filled})
			s, _, err := sentBy(t, l, form, "")
			if err != nil {
				t.Fatal(err)
			}
			next, done, err := l.Next(s, Answer{Status: c.status, Location: c.to}, 10)
			got := fmt.Sprintf("%s %s %s", next.Method, next.URL, next.Body)
			if err != nil {
				got = err.Error()
			}
			if done || got != c.want {
				t.Errorf("%v %s", done, got)
			}
			if next.Method == "GET" && err == nil && len(next.Headers) > 0 {
				t.Errorf("a GET with %v", next.Headers)
			}
		})
	}
	l := loginOf(t, harrow.Login{Fields: filled})
	s, hops := l.Begin(), 0
	for err := error(nil); err == nil; hops++ {
		s, _, err = l.Next(s, Answer{Status: 302, Location: "/again"}, 3)
		if hops > 10 {
			t.Fatal("it goes on for ever")
		}
	}
	if hops != 4 {
		t.Errorf("%d redirects", hops-1)
	}
}

func TestWhichAnswersSayThatTheSessionIsOver(t *testing.T) {
	l := loginOf(t, harrow.Login{URL: "https://shop.example/login?x=1", Fields: filled})
	page := func(raw string) canon.URL { return at(t, raw) }
	for name, c := range map[string]struct {
		page, location string
		status         int
		want           bool
	}{
		"unauthorized":        {"https://shop.example/a", "", 401, true},
		"forbidden":           {"https://www.shop.example/a", "", 403, true},
		"sent to log in":      {"https://shop.example/a", "/login?next=%2Fa", 302, true},
		"from another host":   {"http://www.shop.example/a", "https://shop.example/login", 303, true},
		"to its own":          {"https://www.shop.example/a", "/login", 302, true},
		"to another's":        {"https://www.shop.example/a", "https://other.example/login", 302, false},
		"to a neighbour's":    {"https://blog.shop.example/a", "/login", 302, false},
		"sent somewhere else": {"https://shop.example/a", "/b", 302, false},
		"to the login's own":  {"https://shop.example/login", "/login?y=1", 302, false},
		"fine":                {"https://shop.example/a", "", 200, false},
		"not there":           {"https://shop.example/a", "", 404, false},
		"to no URL":           {"https://shop.example/a", "http://[", 302, false},
	} {
		if got := l.Over(page(c.page), c.status, c.location); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if l.Domain() != "shop.example" || l.URL().String() != "https://shop.example/login?x=1" {
		t.Errorf("%s %s", l.Domain(), l.URL())
	}
}

func TestWhatIsWrongWithALoginIsNamed(t *testing.T) {
	for want, l := range map[string]harrow.Login{
		"fetch.login.url: expected the URL of":          {URL: "ftp://x/", Fields: filled},
		"fetch.login.form: expected a selector (css)":   {URL: "https://a.test/", Form: "form[", Fields: filled},
		"fetch.login.success: expected RE2 after re:":   {URL: "https://a.test/", Success: "re:(", Fields: filled},
		"fetch.login.fields.user: ${NONE} has no value": {URL: "https://a.test/", Fields: map[string]string{"user": "${NONE}"}},
	} {
		if _, err := New(Config{Fetch: harrow.Fetch{Login: &l}, Env: env}); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v; want %s", err, want)
		}
	}
}

// Whatever the page, the form goes within the registered domain and over TLS, by
// POST, or nowhere.
func FuzzForm(f *testing.F) {
	f.Add(`<form method=post action=/x><input name=user><input type=password name=pass>`, "text/html")
	f.Add(`<table><form method=post><tr><td><input form=f name=user><select name=s><option></select>`, "text/html; charset=utf-16")
	f.Add(`<base href=//evil.test/><form method=post action=x enctype=multipart/form-data><input type=password name=pass><input name=user>`, "")
	f.Fuzz(func(t *testing.T, page, contentType string) {
		l := loginOf(t, harrow.Login{Fields: filled})
		s, done, err := l.Next(l.Begin(), Answer{Status: 200, ContentType: contentType, Body: []byte(page)}, 10)
		if done || err == nil && (s.Method != "POST" || s.URL.Scheme() != "https" || canon.Domain(s.URL.Host()) != "shop.example") {
			t.Fatalf("%+v", s)
		}
		if err != nil && strings.Contains(err.Error(), secrets["PASSWORD"]) {
			t.Fatal(err)
		}
	})
}
