package rules

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"github.com/harrowdata/harrow"
)

// pieces is a page of which texts and values have to be put together, decoded
// or taken as they are.
const pieces = `<title> A &amp; B </title><base href="/x/"><h1>one <b>two</b></h1><p class=k title="&lt;p&gt;">plain</p><p class=k title=q>p&eacute;</p>` +
	`<a href="a?b&amp;c" rel=next>to <i>there</i></a><a href=plain>plain link</a><i>3</i><script type="application/ld+json">{"name":"Tom &amp; Jerry"}</script>`

const piecesFields = `{"title":{"css":"title"},"h":{"css":"h1"},"t":{"css":"p@title"},"all":{"css":"p","list":"all"},"titles":{"css":"p@title","list":"all"},"x":{"xpath":"//h1"},
"xa":{"xpath":"//p/@title","list":"all"},"ld":{"jsonld":"$.name"},"re":{"regex":"class=(\\w+)"},"u":{"css":"a@href","type":"url"},"any":{"any":[{"css":"h6"},{"css":"h1"}]},"m":{"css":"body > i","map":{"3":"three"}}}`

// keptOf is all that outlives a page, as JSON.
type keptOf struct {
	rejects []harrow.Reject
	links   []Link
	traces  []FieldTrace
	rows    []string // shown while they were valid
}

func (k *keptOf) String() string {
	text, err := json.Marshal([]any{k.rejects, k.links, k.traces, k.rows})
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func piecesRules(t testing.TB) (*Program, *Follower) {
	bad := `{"title":{"css":"title","map":{"x":"y"}},"h":{"css":"h1"},"all":{"css":"p","list":"all"}}`
	p := mustCompile(t, harrow.Rule{Record: "a", Fields: fields(t, piecesFields)}, harrow.Rule{Record: "b", Fields: fields(t, bad)},
		harrow.Rule{Record: "c", Each: "p", Fields: fields(t, `{"s":{"css":":scope"},"t":{"css":"@title","type":"int"}}`)},
		harrow.Rule{Record: "d", Fields: fields(t, `{"n":{"css":"p","type":"int"}}`)})
	f := mustFollow(t, harrow.Follow{CSS: "a@href", Carry: fields(t, `{"t":{"css":"title"},"h":{"css":"h1"}}`)}, harrow.Follow{XPath: "//a/@href"}, harrow.Follow{XPath: "//i"})
	return p, f
}

// use does to a page what there is to do.
func use(t testing.TB, p *Program, f *Follower, d *Document) *keptOf {
	k := &keptOf{}
	err := p.Apply(context.Background(), d, func(r Row) error { k.rows = append(k.rows, showRow(p, r)); return nil },
		func(r harrow.Reject) error { k.rejects = append(k.rejects, r); return nil })
	if err != nil {
		t.Fatal(err)
	}
	k.traces = p.Explain(d)
	err = f.Links(d, func(l Link) error {
		k.rows = append(k.rows, fmt.Sprintf("%q, %q", l.Ref, l.Text))
		k.links = append(k.links, Link{Carry: l.Carry})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestNothingThatOutlivesAPageLooksIntoItsMemory(t *testing.T) {
	p, f := piecesRules(t)
	page := shopPage(pieces)
	d := NewDocument(page, canonical, Limits{})
	got := use(t, p, f, d)
	if len(got.rejects) != 4 || len(got.links) != 6 || len(got.rows) != 7 || len(got.traces) < 10 {
		t.Fatalf("%d rejects, %d links, %d traces: %s", len(got.rejects), len(got.links), len(got.traces), got)
	}
	want := got.String()
	linked, _ := d.Linked()
	name := linked[0].(map[string]any)["name"]
	base, _ := d.Base()
	m := d.mem
	d.Close()
	for _, memory := range [][]byte{page.Body, m.texts[:cap(m.texts)], m.tree.Extra[:cap(m.tree.Extra)]} {
		for i := range memory {
			memory[i] = '#'
		}
	}
	if now := got.String(); now != want {
		t.Errorf("got  %s\nwant %s", now, want)
	}
	if name != "Tom &amp; Jerry" || base.String() != "http://books.example/x/" {
		t.Errorf("JSON-LD %q, base %s", name, base)
	}
}

func TestTextsOfARowStayUntilTheNextOne(t *testing.T) {
	// Many texts that are put together, so that their memory grows below them.
	body := strings.Repeat("<tr><td>a<b>b</b>c &amp; d</td></tr>", 3000)
	p := mustCompile(t, harrow.Rule{Record: "a", Fields: fields(t, `{"all":{"css":"td","list":"all"}}`)})
	n := 0
	err := p.Apply(context.Background(), shopDocument("<table>"+body), func(r Row) error {
		for _, text := range r.Values[0].([]string) {
			if n++; text != "abc & d" {
				return fmt.Errorf("text %d is %q", n, text)
			}
		}
		return nil
	}, func(r harrow.Reject) error { return fmt.Errorf("%+v", r) })
	if err != nil || n != 3000 {
		t.Errorf("%d texts, %v", n, err)
	}
}

func TestPagesReadInEachOthersMemoryAreAsPagesAlone(t *testing.T) {
	p, f := piecesRules(t)
	var shared Pages
	bodies := []string{pieces, shopHTML, listing, "", "<p", pieces + pieces, `<p title="&quot;&#65;">` + strings.Repeat("<div>x &gt; y", 700), "<odd-name odd-key=1><p odd-key=2>" + strings.Repeat("z", 5000)}
	kinds := []string{"text/html", "application/xml", "application/json", "text/html; charset=utf-16le"}
	rapid.Check(t, func(t *rapid.T) {
		for range rapid.IntRange(1, 6).Draw(t, "pages") {
			page := shopPage(rapid.SampledFrom(bodies).Draw(t, "body"))
			page.Capture.ContentType = rapid.SampledFrom(kinds).Draw(t, "kind")
			d := shared.Document(page, canonical, Limits{})
			got, want := useAny(p, f, d), useAny(p, f, NewDocument(page, canonical, Limits{}))
			if got != want {
				t.Fatalf("got  %s\nwant %s", got, want)
			}
			if rapid.Bool().Draw(t, "close twice") {
				d.Close()
			}
			d.Close()
		}
	})
}

// useAny is use for pages that rules may have no use for.
func useAny(p *Program, f *Follower, d *Document) string {
	k := &keptOf{}
	err := p.Apply(context.Background(), d, func(r Row) error { k.rows = append(k.rows, showRow(p, r)); return nil },
		func(r harrow.Reject) error { k.rejects = append(k.rejects, r); return nil })
	k.traces = p.Explain(d)
	linkErr := f.Links(d, func(l Link) error { k.rows = append(k.rows, fmt.Sprintf("%+v", l)); return nil })
	return fmt.Sprint(k, err, linkErr)
}

func TestAClosedDocumentIsReadAnew(t *testing.T) {
	p, f := piecesRules(t)
	var shared Pages
	d := shared.Document(shopPage(pieces), canonical, Limits{})
	want := useAny(p, f, d)
	d.Close()
	other := shared.Document(shopPage(listing), canonical, Limits{})
	useAny(p, f, other)
	if got := useAny(p, f, d); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestTheMemoryOfAHugePageIsLetGo(t *testing.T) {
	var shared Pages
	d := shared.Document(shopPage(strings.Repeat("<i>x</i>", 200_000)), canonical, Limits{})
	if _, fault := d.Tree(); fault != nil {
		t.Fatal(fault)
	}
	if size := d.mem.size(); size < keptMemory {
		t.Fatalf("%d bytes: not huge", size)
	}
	d.Close()
	if m := shared.free.Get(); m != nil {
		t.Errorf("%d bytes are kept", m.(*memory).size())
	}
}

func TestAPageTakesFewAllocations(t *testing.T) {
	if testing.Short() {
		t.Skip("pools leave out some of what they are given under the race detector, which goes with -short")
	}
	page := shopPage(string(benchPage()))
	p := mustCompile(t, harrow.Rule{Record: "book", Fields: fields(t, benchFields)})
	var shared Pages
	emit, reject := func(Row) error { return nil }, func(r harrow.Reject) error { return fmt.Errorf("%+v", r) }
	n := testing.AllocsPerRun(20, func() {
		d := shared.Document(page, canonical, Limits{})
		if err := p.Apply(context.Background(), d, emit, reject); err != nil {
			t.Fatal(err)
		}
		d.Close()
	})
	t.Logf("%v allocations a page", n)
	if n > mostAllocations {
		t.Errorf("%v allocations a page, want at most %d", n, mostAllocations)
	}
}

// mostAllocations is what a page with 8 fields may take, as goquery's way takes
// thousands.
const mostAllocations = 100

func TestARuleIsEvaluatedApartWhereAllTogetherTakeTooMuch(t *testing.T) {
	many := fields(t, `{"a":{"css":"i","list":"all"},"b":{"css":"i"},"c":{"css":"i:last-child"},"d":{"css":"i@id","list":"all"}}`)
	rules := []harrow.Rule{{Record: "a", Fields: many[1:]}, {Record: "b", Fields: many}, {Record: "c", Each: "i:nth-child(2)", Fields: many}, {Record: "d", Fields: many[:2]}}
	p := mustCompile(t, rules...)
	d := shopDocument("<i id=1>1</i><i id=2>2</i><i>3</i>")
	want := apply(t, p, d).rows
	if len(want) != 4 {
		t.Fatalf("%q", want)
	}
	found := p.selection(d)
	found.apart = true
	r := &run{ctx: context.Background(), program: p, doc: d, css: found, ordinals: make([]int64, 4)}
	var got []string
	r.emit = func(row Row) error { got = append(got, showRow(p, row)); return nil }
	for _, rule := range p.rules {
		if err := r.rule(rule); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAFollowerAndItsPagesServeSeveralGoroutines(t *testing.T) {
	_, f := piecesRules(t)
	var shared Pages
	find := func(d *Document) (list []string, err error) {
		err = f.Links(d, func(l Link) error { list = append(list, fmt.Sprintf("%+v", l)); return nil })
		return list, err
	}
	want, err := find(shopDocument(pieces))
	if err != nil || len(want) == 0 {
		t.Fatal(want, err)
	}
	var all errgroup.Group
	for range 4 {
		all.Go(func() error {
			for range 50 {
				d := shared.Document(shopPage(pieces), canonical, Limits{})
				got, err := find(d)
				d.Close()
				if err != nil || !slices.Equal(got, want) {
					return fmt.Errorf("got %q, %w", got, err)
				}
			}
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		t.Error(err)
	}
}
