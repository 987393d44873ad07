package html

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/net/html/charset"

	"github.com/harrowdata/harrow/internal/demosite"
	"github.com/harrowdata/harrow/soak/rig"
)

// page is one page as the parser takes it: valid UTF-8 without a byte order
// mark.
type page struct {
	kind string // "documentation", "demo", "made" or "mutated"
	name string
	text []byte
}

const (
	// manual is Debian's postgresql-doc-15, which tools/setup installs.
	manual = "/usr/share/doc/postgresql-doc-15/html"
	// fetched is where tools/pages puts packages, from the top.
	fetched = ".build/pages"
	// perPackage bounds what is taken of one package: one generator's pages are
	// much alike.
	perPackage = 2000
	// largest bounds a page of documentation: an index of megabytes says no more
	// than one of this size, but takes the oracle minutes.
	largest = 512 << 10
)

// text is a body in UTF-8, as its own declaration has it.
func text(body []byte) []byte {
	if !utf8.Valid(body) {
		r, err := charset.NewReader(bytes.NewReader(body), "text/html")
		if err == nil {
			body, err = io.ReadAll(r)
		}
		if err != nil {
			body = bytes.ToValidUTF8(body, []byte("\uFFFD"))
		}
	}
	return bytes.TrimPrefix(body, []byte("\uFEFF"))
}

func isPage(name string) bool {
	return slices.Contains([]string{".html", ".htm", ".xhtml"}, strings.ToLower(filepath.Ext(name)))
}

// chance decides by its name whether a page is one of want out of all.
func chance(seed uint64, name string, want, all int) bool {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %s", seed, name)
	return all <= want || h.Sum64()%uint64(all) < uint64(want)
}

// folder yields about want of a folder's pages.
func folder(t *testing.T, seed uint64, dir string, want int, yield func(page)) {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.Type().IsRegular() && isPage(path) {
			names = append(names, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if !chance(seed, name, want, len(names)) {
			continue
		}
		body, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if len(body) <= largest {
			yield(page{"documentation", name, text(body)})
		}
	}
}

// archive yields about want of a package's pages.
func archive(t *testing.T, seed uint64, file string, want int, yield func(page)) {
	t.Helper()
	all := 0
	entries(t, file, func(string, io.Reader) { all++ })
	entries(t, file, func(name string, r io.Reader) {
		if !chance(seed, name, want, all) {
			return
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if len(body) <= largest {
			yield(page{"documentation", strings.TrimSuffix(filepath.Base(file), ".tar.gz") + strings.TrimPrefix(name, "."), text(body)})
		}
	})
}

func entries(t *testing.T, file string, do func(name string, r io.Reader)) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	for in := tar.NewReader(unzipped); ; {
		entry, err := in.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if entry.Typeflag == tar.TypeReg && isPage(entry.Name) {
			do(entry.Name, in)
		}
	}
}

// documentation yields the pages that are installed: about want of each
// package, the PostgreSQL manual alone in the short form.
func documentation(t *testing.T, seed uint64, want int, yield func(page)) {
	t.Helper()
	if _, err := os.Stat(manual); err == nil {
		folder(t, seed, manual, want, yield)
	} else {
		t.Logf("%s is not there: make setup installs it", manual)
	}
	if !rig.Long() {
		return
	}
	packages, err := filepath.Glob(filepath.Join(rig.Root(t), fetched, "*.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	if len(packages) == 0 {
		rig.Missing(t, "%s is empty: make pages fetches what goes there", fetched)
	}
	for _, file := range packages {
		archive(t, seed, file, want, yield)
	}
	for _, dir := range filepath.SplitList(os.Getenv("HARROW_PAGES")) {
		folder(t, seed, dir, want, yield)
	}
}

// demo yields the demo shop's pages and some of the larger one's that
// measurements use.
func demo(t *testing.T, seed uint64, want int, yield func(page)) {
	t.Helper()
	site := demosite.New(demosite.Options{Seed: seed + 1})
	get := func(h http.Handler, url string) {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, url, nil))
		if strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
			yield(page{"demo", url, text(w.Body.Bytes())})
		}
	}
	infos := site.Pages()
	for _, info := range infos {
		if info.Method == "" && chance(seed, info.URL, want, len(infos)) {
			get(site.Handler(), info.URL)
		}
	}
	for i, size := range []int{5 << 10, 30 << 10, 100 << 10} {
		get(demosite.Bench(100, size), demosite.BenchURL(i))
	}
}

// made yields pages that the seed makes.
func made(seed uint64, want int, yield func(page)) {
	for i := range want {
		r := rig.Random(seed, i)
		name, write := kinds[i%len(kinds)].name, kinds[i%len(kinds)].write
		g := &maker{Rand: r}
		write(g)
		yield(page{"made", fmt.Sprintf("%s-%d", name, i), g.Bytes()})
	}
}

// mutated hurts a page at a few places.
func mutated(seed uint64, number int, p page, of []byte) page {
	r := rig.Random(seed, 1<<32+number)
	return page{"mutated", fmt.Sprintf("%s#%d", p.name, number), mutate(r, p.text, of)}
}

// mutate cuts, doubles and swaps parts of a page, flips bytes, and brings in
// parts of another.
func mutate(r *rand.Rand, body, other []byte) []byte {
	body = bytes.Clone(body)
	span := func(of []byte) (a, b int) {
		if len(of) == 0 {
			return 0, 0
		}
		a = r.IntN(len(of))
		if near := bytes.IndexByte(of[a:], '<'); near >= 0 && r.IntN(3) > 0 {
			a += near
		}
		b = min(len(of), a+1+r.IntN(1<<(1+r.IntN(9))))
		if near := bytes.IndexByte(of[b:], '>'); near >= 0 && r.IntN(3) > 0 {
			b += near + 1
		}
		return a, b
	}
	for range 1 + r.IntN(8) {
		a, b := span(body)
		c, d := span(other)
		e, _ := span(body)
		switch r.IntN(6) {
		case 0:
			body = slices.Delete(body, a, b)
		case 1:
			body = slices.Insert(body, e, bytes.Clone(body[a:b])...)
		case 2:
			body = slices.Insert(body, e, other[c:d]...)
		case 3:
			part := bytes.Clone(body[a:b])
			body = slices.Delete(body, a, b)
			body = slices.Insert(body, min(e, len(body)), part...)
		case 4:
			body = slices.Replace(body, a, b, other[c:d]...)
		case 5:
			for range 1 + r.IntN(4) {
				if len(body) > 0 {
					body[r.IntN(len(body))] = `<>/="'&;!-? a`[r.IntN(13)]
				}
			}
		}
	}
	return bytes.TrimPrefix(bytes.ToValidUTF8(body, []byte("?")), []byte("\uFEFF"))
}
