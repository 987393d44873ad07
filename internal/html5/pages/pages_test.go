package pages

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/PuerkitoBio/goquery"
	"golang.org/x/net/html"
)

// What goquery finds is what the generator says, whatever the size and seed.
func TestPagesHoldTheirValues(t *testing.T) {
	for _, kind := range Kinds {
		for _, size := range []int{0, 5_000, 30_000, 250_000} {
			for seed := range uint64(5) {
				p := Make(kind, size, seed)
				if !utf8.Valid(p.HTML) {
					t.Fatal("not UTF-8")
				}
				doc, err := goquery.NewDocumentFromReader(bytes.NewReader(p.HTML))
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, f := range kind.Fields() {
					got = append(got, find(doc, f))
				}
				if !slices.Equal(got, p.Want) || slices.Contains(got, "") {
					t.Errorf("%v of %d bytes, seed %d: got %q, want %q", kind, size, seed, got, p.Want)
				}
			}
		}
	}
}

func find(doc *goquery.Document, f Field) string {
	var all []string
	doc.Find(f.CSS).EachWithBreak(func(_ int, s *goquery.Selection) bool {
		value := s.Text()
		if f.Attr != "" {
			value, _ = s.Attr(f.Attr)
		}
		all = append(all, Clean(value))
		return f.All
	})
	return strings.Join(all, "\n")
}

func TestPagesHaveTheirSizeAndStayTheSame(t *testing.T) {
	for _, kind := range Kinds {
		for _, size := range []int{5_000, 30_000, 250_000} {
			for seed := range uint64(20) {
				p := Make(kind, size, seed)
				if n := len(p.HTML); n < size*85/100-500 || n > size*115/100+500 {
					t.Errorf("%v of %d bytes, seed %d: %d bytes", kind, size, seed, n)
				}
				if again := Make(kind, size, seed); !bytes.Equal(again.HTML, p.HTML) {
					t.Errorf("%v of %d bytes, seed %d: another page the second time", kind, size, seed)
				}
				if other := Make(kind, size, seed+1); bytes.Equal(other.HTML, p.HTML) {
					t.Errorf("%v of %d bytes: the same page for another seed", kind, size)
				}
			}
		}
	}
}

// A page that a measurement calls realistic has the things that real ones do.
func TestPagesHaveWhatRealOnesHave(t *testing.T) {
	for _, kind := range Kinds {
		page := Make(kind, 30_000, 1).HTML
		for _, piece := range []string{"<!DOCTYPE", "application/ld+json", "<script>", "<style>", "<nav", "<!--", "<svg", "&amp;", "</form>", "<noscript>"} {
			if !bytes.Contains(page, []byte(piece)) {
				t.Errorf("%v without %s", kind, piece)
			}
		}
		tags, z := 0, html.NewTokenizer(bytes.NewReader(page))
		for tt := z.Next(); tt != html.ErrorToken; tt = z.Next() {
			if tt == html.StartTagToken {
				tags++
			}
		}
		if tags < 200 || tags > 2000 {
			t.Errorf("%v: %d start tags", kind, tags)
		}
	}
}

func TestHostilePagesHaveTheirSize(t *testing.T) {
	names := map[string]bool{}
	for _, h := range Hostiles {
		for _, size := range []int{1_000, 100_000} {
			if n := len(h.Make(size)); n < size*9/10 || n > size+300 {
				t.Errorf("%s of %d bytes: %d bytes", h.Name, size, n)
			}
		}
		if names[h.Name] {
			t.Errorf("%s twice", h.Name)
		}
		names[h.Name] = true
	}
}
