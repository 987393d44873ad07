// Package pages makes pages for the tests and measurements of what reads HTML:
// pages as shops and papers have them, of any size, with the values that
// selectors must find in them, and pages made to be expensive.
package pages

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// Kind is what a page shows.
type Kind int

// Kinds of pages.
const (
	Product Kind = iota // one product with its details, reviews and others like it
	Listing             // many products in a grid, in pages that link to the next
	Article             // a long text with headings, pictures and comments
)

// Kinds are all of them.
var Kinds = []Kind{Product, Listing, Article}

// String is the kind's name in the singular.
func (k Kind) String() string { return [...]string{"product", "listing", "article"}[k] }

// Field is one value that a page holds.
type Field struct {
	Name string
	CSS  string // of the elements; the first counts, unless All
	Attr string // whose value is meant; empty: the text content
	All  bool   // every element, in document order
}

// Fields are the eight values to be had from pages of a kind. A value is
// [Clean]; those of a list are joined by LF.
func (k Kind) Fields() []Field { return fields[k] }

var fields = [...][]Field{
	Product: {
		{Name: "title", CSS: "h1"},
		{Name: "price", CSS: ".price--current"},
		{Name: "upc", CSS: "th:contains('UPC') + td"},
		{Name: "brand", CSS: `a[itemprop="brand"]`},
		{Name: "rating", CSS: "div.rating", Attr: "data-value"},
		{Name: "image", CSS: "#gallery img", Attr: "src"},
		{Name: "tags", CSS: "ul.tags > li", All: true},
		{Name: "description", CSS: `meta[name="description"]`, Attr: "content"},
	},
	Listing: {
		{Name: "title", CSS: "h1"},
		{Name: "count", CSS: ".toolbar .result-count"},
		{Name: "next", CSS: `a[rel="next"]`, Attr: "href"},
		{Name: "names", CSS: "li.card h3 > a", All: true},
		{Name: "prices", CSS: "li.card .price--current", All: true},
		{Name: "images", CSS: "li.card img", Attr: "data-src", All: true},
		{Name: "section", CSS: "ol.breadcrumb li:last-child"},
		{Name: "canonical", CSS: `link[rel="canonical"]`, Attr: "href"},
	},
	Article: {
		{Name: "title", CSS: "h1"},
		{Name: "author", CSS: ".byline a"},
		{Name: "published", CSS: ".byline time", Attr: "datetime"},
		{Name: "lead", CSS: "p.lead"},
		{Name: "headings", CSS: "#body h2", All: true},
		{Name: "caption", CSS: "figure figcaption"},
		{Name: "tags", CSS: "ul.tags > li", All: true},
		{Name: "image", CSS: `meta[property="og:image"]`, Attr: "content"},
	},
}

// Clean is a value as it is compared: each run of white space is one space, and
// there is none at the ends.
func Clean(s string) string { return strings.Join(strings.Fields(s), " ") }

// Page is one page.
type Page struct {
	Kind Kind
	HTML []byte   // UTF-8
	Want []string // the values of Kind.Fields
}

// Make makes the page of that kind and seed, of about size bytes: a few
// thousand make the frame that is around what the page shows, which is never
// left out. The same arguments make the same page.
func Make(kind Kind, size int, seed uint64) Page {
	w := &writer{r: rand.New(rand.NewPCG(seed, uint64(kind)<<32|uint64(size))), size: size, want: map[string][]string{}}
	switch kind {
	case Listing:
		w.listing()
	case Article:
		w.article()
	default:
		w.product()
	}
	p := Page{Kind: kind, HTML: []byte(w.b.String())}
	for _, f := range kind.Fields() {
		p.Want = append(p.Want, strings.Join(w.want[f.Name], "\n"))
	}
	return p
}

// writer writes one page.
type writer struct {
	b    strings.Builder
	r    *rand.Rand
	size int
	want map[string][]string
}

func (w *writer) print(format string, args ...any) { fmt.Fprintf(&w.b, format, args...) }

// is notes a value of a field, as a browser would read it.
func (w *writer) is(field, value string) string {
	w.want[field] = append(w.want[field], Clean(value))
	return value
}

// left is how many bytes are missing, when so many are still to come.
func (w *writer) left(tail int) int { return w.size - tail - w.b.Len() }

// escaped writes text as pages do: with the references that must be, and some
// that need not.
func (w *writer) escaped(s string) string {
	out := escapes.Replace(s)
	if w.r.IntN(2) == 0 {
		out = optional.Replace(out)
	}
	return out
}

var (
	escapes  = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;")
	optional = strings.NewReplacer("£", "&pound;", "é", "&eacute;", "’", "&#8217;", "…", "&hellip;", "\u00a0", "&nbsp;", "–", "&ndash;")
)

func (w *writer) pick(from []string) string { return from[w.r.IntN(len(from))] }

// sentence is some words with a full stop behind them.
func (w *writer) sentence(least, most int) string {
	var b strings.Builder
	n := least + w.r.IntN(most-least+1)
	for i := range n {
		word := w.pick(words)
		if i == 0 {
			word = strings.ToUpper(word[:1]) + word[1:]
		} else if w.r.IntN(14) == 0 {
			b.WriteByte(',')
		}
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(word)
	}
	b.WriteByte('.')
	return b.String()
}

// text is running text of about n bytes, with a reference or mark-up in it here
// and there.
func (w *writer) text(n int) string {
	var b strings.Builder
	for b.Len() < n {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		s := w.sentence(8, 18)
		switch w.r.IntN(9) {
		case 0:
			s = "<em>" + w.pick(nouns) + "</em> &ndash; " + s
		case 1:
			s = fmt.Sprintf(`<a href="/guide/%d?ref=text&amp;from=%d">%s</a>: %s`, w.r.IntN(900), w.r.IntN(900), w.pick(nouns), s)
		case 2:
			s += " It&rsquo;s that simple."
		case 3:
			s = "<strong>" + w.pick(nouns) + " &amp; " + w.pick(nouns) + "</strong> " + s
		}
		b.WriteString(s)
	}
	return b.String()
}

func (w *writer) name() string {
	n := w.pick(adjectives) + " " + w.pick(nouns)
	switch w.r.IntN(5) {
	case 0:
		return n + " & " + w.pick(nouns)
	case 1:
		return "Café " + n
	case 2:
		return w.pick(nouns) + "’s " + n
	}
	return n
}

func (w *writer) price() string { return fmt.Sprintf("£%d.%02d", 3+w.r.IntN(300), w.r.IntN(100)) }

var (
	brands     = strings.Fields("Tilth Harbourlane Seedbed Northfield Coulter Fallowdene Windrow Headland Swingletree Mouldboard")
	adjectives = strings.Fields("Quiet Wandering Golden Folding Lasting Northern Hollow Patient Bright Heavy Salted Narrow Early Woven Second")
	nouns      = strings.Fields("Furrow Lantern Orchard Kettle Harness Meadow Compass Barrow Ledger Thicket Anvil Causeway Bramble Sickle Granary Plough")
	subjects   = strings.Fields("Garden Kitchen Travel Science History Poetry Tools Lighting Outdoor Music Children Clearance")
	words      = strings.Fields(`the of and to in that it is was for on with as his they at be this from have or by one had not but what all
		were when we there can an your which their said if do will each about how up out them then she many some so these would other into has more her two
		like him see time could no make than first been its who now people my made over did down only way find use may water long little very after called
		just where most know field harvest weather season ground timber handle leather copper surface careful measure usually different remember together`)
)
