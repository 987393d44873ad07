package session

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/harrowdata/harrow"
	"github.com/harrowdata/harrow/internal/canon"
)

var secrets = map[string]string{"KEY": "k3y-value", "USER": "ann", "PASSWORD": "p:4 ss", "TWO": "a\nb"}

func env(name string) (string, bool) { v, ok := secrets[name]; return v, ok }

func at(t testing.TB, raw string) canon.URL {
	t.Helper()
	u, err := plainURLs.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func sentOf(t testing.TB, f harrow.Fetch, plain []string, hosts ...string) *Sent {
	t.Helper()
	scope, err := canon.NewScope(canon.ScopeConfig{Hosts: hosts})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{Fetch: f, Own: scope.HasHost, Plain: plain, Env: env})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func flat(headers []harrow.Header) string {
	var list []string
	for _, h := range headers {
		list = append(list, h.Name+"="+h.Value)
	}
	return strings.Join(list, " ")
}

func TestASecretGoesWhereTheJobFileSendsItAndNowhereElse(t *testing.T) {
	s := sentOf(t, harrow.Fetch{
		Headers: map[string]string{"Accept-Language": "en", "X-Key": "${KEY}"},
		HostHeaders: harrow.HostHeaders{
			"api.shop.example":        {"X-Key": "api-${KEY}", "X-Open": "1"},
			"*.cdn.test":              {"X-Cdn": "${KEY}", "X-Plain": "p"},
			"http://lan.test":         {"X-Lan": "${KEY}"},
			"https://api.shop2.test":  {"X-Only": "tls"},
			"api.shop2.test":          {"X-Only": "any"},
			"api.port.test:8443":      {"X-Port": "8443"},
			"deep.api.cdn.test":       {},
			"http://deep.api.one.www": {"X-Key": "one"},
		},
	}, []string{"plain.example"}, "shop.example", "*.shop.example", "plain.example")
	if got := flat(s.Everywhere()); got != "Accept-Language=en" {
		t.Errorf("everywhere: %s", got)
	}
	for url, want := range map[string]string{
		"https://shop.example/":        "X-Key=k3y-value",
		"https://www.shop.example/x?y": "X-Key=k3y-value",
		"http://shop.example/":         "", // a downgrade
		"http://plain.example/":        "X-Key=k3y-value",
		"https://plain.example/":       "X-Key=k3y-value",
		"https://other.example/":       "",
		"https://shop.example.evil/":   "",
		"https://api.shop.example/":    "X-Key=api-k3y-value X-Open=1",
		"http://api.shop.example/":     "X-Open=1",
		"https://a.cdn.test/":          "X-Cdn=k3y-value X-Plain=p",
		"http://a.cdn.test/":           "X-Plain=p",
		"https://cdn.test/":            "",
		"http://lan.test/":             "X-Lan=k3y-value",
		"https://lan.test/":            "",
		"https://api.shop2.test/":      "X-Only=tls",
		"http://api.shop2.test/":       "X-Only=any",
		"https://api.port.test:8443/":  "X-Port=8443",
		"https://api.port.test/":       "",
		"https://deep.api.cdn.test/":   "", // the longest pattern wins, whatever it holds
	} {
		if got := flat(s.Headers(at(t, url), nil)); got != want {
			t.Errorf("%s: %q, want %q", url, got, want)
		}
	}
	own := []harrow.Header{{Name: "x-key", Value: "mine"}, {Name: "X-Own", Value: "o"}}
	if got := flat(s.Headers(at(t, "https://api.shop.example/"), own)); got != "X-Open=1 x-key=mine X-Own=o" {
		t.Errorf("a request's own: %q", got)
	}
	if got := flat(s.Headers(at(t, "https://other.example/"), own)); got != "x-key=mine X-Own=o" {
		t.Errorf("a request's own elsewhere: %q", got)
	}
}

func TestAuthGoesWhereSecretsGo(t *testing.T) {
	basic := sentOf(t, harrow.Fetch{Headers: map[string]string{"authorization": "${KEY}", "X-A": "${KEY}"}, Auth: &harrow.Auth{Basic: "${USER}:${PASSWORD}"}}, nil, "shop.example")
	if got := flat(basic.Headers(at(t, "https://shop.example/"), nil)); got != "X-A=k3y-value Authorization=Basic YW5uOnA6NCBzcw==" {
		t.Errorf("basic: %s", got)
	}
	bearer := sentOf(t, harrow.Fetch{Auth: &harrow.Auth{Headers: map[string]string{"Authorization": "Bearer ${KEY}"}}}, nil, "shop.example")
	if got := flat(bearer.Headers(at(t, "https://shop.example/"), nil)); got != "Authorization=Bearer k3y-value" {
		t.Errorf("bearer: %s", got)
	}
	for _, u := range []string{"http://shop.example/", "https://other.example/"} {
		if got := flat(basic.Headers(at(t, u), nil)); got != "" {
			t.Errorf("%s: %s", u, got)
		}
	}
	for _, c := range []struct {
		url    string
		status int
		want   string
	}{
		{"https://shop.example/", 401, "; fetch.auth.basic was sent: check that what its secrets hold is right and still valid"},
		{"https://shop.example/", 403, "; fetch.auth.basic was sent: check that it may see this page"},
		{"https://other.example/", 401, "; fetch.auth.basic was not sent: the host is not in discover.scope.hosts"},
		{"http://shop.example/", 401, "; fetch.auth.basic was not sent: it goes over http only to hosts that the job file names with http:// and not with https://"},
		{"https://shop.example/", 404, ""},
	} {
		if got := basic.Refused(at(t, c.url), c.status); got != c.want {
			t.Errorf("%s %d: %q", c.url, c.status, got)
		}
	}
	if got := sentOf(t, harrow.Fetch{}, nil).Refused(at(t, "https://shop.example/"), 401); got != "" {
		t.Errorf("without auth: %q", got)
	}
}

func TestASecretFromAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("from-a-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := sentOf(t, harrow.Fetch{Headers: map[string]string{"X-Token": "t ${file:" + file + "}"}}, nil, "shop.example")
	if got := flat(s.Headers(at(t, "https://shop.example/"), nil)); got != "X-Token=t from-a-file" {
		t.Error(got)
	}
	if got := s.Text("it was from-a-file, t from-a-file"); got != "it was (secret), t (secret)" {
		t.Error(got)
	}
}

func TestWhatIsWrongIsNamedWithoutItsValue(t *testing.T) {
	for want, f := range map[string]harrow.Fetch{
		"fetch.headers.X: ${NONE} has no value":               {Headers: map[string]string{"X": "${NONE}"}},
		"fetch.headers.X: the value of header X has":          {Headers: map[string]string{"X": "${TWO}"}},
		"fetch.headers.Host: header Host can't be set":        {Headers: map[string]string{"Host": "${KEY}"}},
		"fetch.auth.basic: expected user:password":            {Auth: &harrow.Auth{Basic: "${KEY}"}},
		"fetch.auth.headers.Te: header Te can't be set":       {Auth: &harrow.Auth{Headers: map[string]string{"Te": "${KEY}"}}},
		"fetch.host_headers.a.test.X: ${NONE} has no value":   {HostHeaders: harrow.HostHeaders{"a.test": {"X": "${NONE}"}}},
		"fetch.host_headers: host pattern \"a test\": want a": {HostHeaders: harrow.HostHeaders{"a test": {"X": "1"}}},
	} {
		_, err := New(Config{Fetch: f, Env: env})
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v; want %s", err, want)
		}
		for _, v := range secrets {
			if err != nil && strings.Contains(err.Error(), v) {
				t.Errorf("%v holds a secret", err)
			}
		}
	}
}

func TestHostsThatTheJobFileNamesByHTTPAlone(t *testing.T) {
	d := harrow.Discover{Seeds: harrow.Seeds{URLs: []string{"http://a.example/x", "https://b.example/", "http://b.example:8080/", "no url"},
		Sitemaps: harrow.Sitemaps{URLs: []string{"http://c.example/s.xml"}}}}
	login := &harrow.Login{URL: "http://d.example/login"}
	if got := fmt.Sprint(Plain(d, harrow.Fetch{Auth: &harrow.Auth{}, Login: login})); got != "[a.example c.example d.example]" {
		t.Error(got)
	}
	for name, c := range map[string]struct {
		f    harrow.Fetch
		some bool
	}{
		"no secret":          {harrow.Fetch{Headers: map[string]string{"A": "b"}, HostHeaders: harrow.HostHeaders{"a": {"A": "b"}}}, false},
		"one in headers":     {harrow.Fetch{Headers: map[string]string{"A": "${B}"}}, true},
		"one in some hosts'": {harrow.Fetch{HostHeaders: harrow.HostHeaders{"a": {"A": "${B}"}}}, true},
	} {
		if got := len(Plain(d, c.f)) > 0; got != c.some {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestWhatIsStoredOfAnAnswerHoldsNoSecret(t *testing.T) {
	headers := []harrow.Header{{Name: "Content-Type", Value: "text/html"}, {Name: "Location", Value: "/?key=k3y-value&p=p%3A4+ss"},
		{Name: "Set-Cookie", Value: "sid=0123; Path=/"}, {Name: "set-cookie", Value: "odd"}, {Name: "X-User", Value: "ann"}}
	s := sentOf(t, harrow.Fetch{Auth: &harrow.Auth{Basic: "${USER}:${PASSWORD}"}, Headers: map[string]string{"X": "${KEY}"}}, nil, "shop.example")
	want := "Content-Type=text/html Location=/?key=(secret)&p=(secret) Set-Cookie=sid=(secret); Path=/ set-cookie=odd=(secret) X-User=ann"
	if got := flat(s.Kept(headers)); got != want {
		t.Errorf("%s", got)
	}
	if headers[2].Value != "sid=0123; Path=/" {
		t.Error("the answer itself was changed")
	}
	open := sentOf(t, harrow.Fetch{Headers: map[string]string{"A": "b"}}, nil, "shop.example")
	if got := open.Kept(headers); !reflect.DeepEqual(got, headers) || open.Private() {
		t.Errorf("of a job without secrets: %v", got)
	}
	if got := s.Text("Authorization: Basic YW5uOnA6NCBzcw=="); strings.Contains(got, "YW5u") {
		t.Error(got)
	}
}
