package pipelines

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v17/arrow"
	"github.com/apache/arrow/go/v17/arrow/ipc"

	"github.com/harrowdata/harrow/io/lakeio"
)

// club shows pages to members who bring the key of its interface. What it
// answers tells their secrets, in headers and URLs.
func club(password, key string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/robots.txt", http.NotFound)
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `<form method=post action="/login?token=csrf-t0ken"><input name=user><input type=password name=pass></form>`)
	})
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		if r.PostFormValue("user") != "ann" || r.PostFormValue("pass") != password {
			w.Header().Set("X-Wrong", r.PostFormValue("pass"))
			w.WriteHeader(http.StatusForbidden)
			return
		}
		http.SetCookie(w, &http.Cookie{Name: "sid", Value: "s3ss10n-1d", Path: "/"})
		http.Redirect(w, r, "/?ticket=t1cket-0f-ann&was="+r.PostFormValue("pass"), http.StatusSeeOther)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		c, err := r.Cookie("sid")
		if err != nil || c.Value != "s3ss10n-1d" || r.Header.Get("X-Key") != key || r.Header.Get("Authorization") != "Bearer "+key {
			http.Redirect(w, r, "/login", http.StatusFound)
			return
		}
		w.Header().Set("X-Echo", "you are "+password+" with "+key)
		http.SetCookie(w, &http.Cookie{Name: "seen", Value: "s3ss10n-1d", Path: "/"})
		fmt.Fprintf(w, "<h1>%s</h1><a href=/page/1>1</a><a href=/page/2>2</a>", r.URL.Path)
	})
	return mux
}

// A job logs in with what its environment and a file hold, and nothing that it
// leaves behind tells a secret: no table, no run.json, no status, no database.
func TestNoFileOfTheWorkspaceHoldsASecret(t *testing.T) {
	const password, key = "p4ss/w0rd & m0re", "k3y-of-the-interface"
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HARROW_TEST_PASSWORD", password)
	sent := fmt.Sprintf(`fetch:
  login: {url: "http://shop.example/login?hint=h1nt-of-url", fields: {user: ann, pass: "${HARROW_TEST_PASSWORD}"}}
  auth: {headers: {Authorization: "Bearer ${file:%s}"}}
  host_headers: {"http://*.example": {X-Key: "${file:%s}"}}
`, file, file)
	job := strings.Replace(fmt.Sprintf(smallJob, `{urls: ["http://shop.example/"]}`, "/**"), "fetch:\n", sent, 1)
	b := newBench(t, club(password, key), job)
	run := b.must()
	var got []string
	for _, c := range rows(b, lakeio.Captures, run) {
		got = append(got, fmt.Sprintf("%s %s", c.URL, c.Outcome))
	}
	sameSet(t, "captures", got, []string{"http://shop.example/ fetched", "http://shop.example/page/1 fetched", "http://shop.example/page/2 fetched"})
	secrets := []string{password, "p4ss%2Fw0rd", key, "s3ss10n-1d", "t1cket-0f-ann", "csrf-t0ken"}
	checkWorkspace(t, b.dir, secrets, "X-Echo")

	// Refused: what says so tells no secret either.
	t.Setenv("HARROW_TEST_PASSWORD", "not-the-p4ss")
	res, err := b.run()
	if err != nil {
		t.Fatal(err)
	}
	if res.Exit != 3 || !strings.Contains(res.Why, "deferred") {
		t.Errorf("exit %d: %s", res.Exit, res.Why)
	}
	rejects := rows(b, lakeio.Rejects, res.Run)
	if len(rejects) != 1 || rejects[0].Code != "login" || rejects[0].Reason != "fetch.login: http://shop.example/login: the form, filled in, was answered with 403" {
		t.Errorf("%+v", rejects)
	}
	checkWorkspace(t, b.dir, append(secrets, "not-the-p4ss"), "X-Echo")
}

// checkWorkspace looks for secrets in every file below a folder, Arrow files
// decompressed. Something that is there has to be found, or the search is blind.
func checkWorkspace(t *testing.T, dir string, secrets []string, there string) {
	t.Helper()
	found, files := false, 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		data, err := os.ReadFile(path)
		if err == nil && strings.HasSuffix(path, ".arrow") {
			data, err = decoded(data)
		}
		for _, s := range secrets {
			if i := bytes.Index(data, []byte(s)); i >= 0 {
				t.Errorf("%s holds %q: %q", strings.TrimPrefix(path, dir), s, data[max(0, i-80):min(len(data), i+80)])
			}
		}
		found = found || bytes.Contains(data, []byte(there))
		return err
	})
	if err != nil || !found || files < 10 {
		t.Errorf("%v: %d files searched, %q found: %v", err, files, there, found)
	}
}

// decoded are the buffers of an Arrow file, and its schema's text.
func decoded(data []byte) ([]byte, error) {
	r, err := ipc.NewFileReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	out := slices.Clone(data)
	var add func(d arrow.ArrayData)
	add = func(d arrow.ArrayData) {
		for _, b := range d.Buffers() {
			if b != nil {
				out = append(append(out, b.Bytes()...), '\n')
			}
		}
		for _, c := range d.Children() {
			add(c)
		}
		if d.DataType().ID() == arrow.DICTIONARY {
			add(d.Dictionary())
		}
	}
	for i := range r.NumRecords() {
		rec, err := r.Record(i)
		if err != nil {
			return nil, err
		}
		for _, c := range rec.Columns() {
			add(c.Data())
		}
	}
	return out, r.Close()
}
