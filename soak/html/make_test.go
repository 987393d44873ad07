package html

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/harrowdata/harrow/internal/html5/pages"
)

// maker writes one page as its random numbers will.
type maker struct {
	*rand.Rand
	bytes.Buffer
}

// kinds are the pages that are made, in turn: half of them soup.
var kinds = []struct {
	name  string
	write func(*maker)
}{
	{"shop", (*maker).shop}, {"soup", (*maker).soup}, {"news", (*maker).news}, {"soup", (*maker).soup},
	{"table", (*maker).table}, {"soup", (*maker).soup}, {"forum", (*maker).forum}, {"soup", (*maker).soup},
	{"template", (*maker).template}, {"soup", (*maker).soup},
}

func (m *maker) f(format string, args ...any) { fmt.Fprintf(m, format, args...) }

func pick[T any](m *maker, of ...T) T { return of[m.IntN(len(of))] }

var vocabulary = strings.Fields(`the of a price review book paper 12.50 €9 sale new &amp; &lt;b&gt; caf&eacute; naïve 東京 Straße &nbsp; &#8212; &#x2019;
	in stock out delivered Tuesday rating 4,5 stars comment reply quoted wrote yesterday at 10:45 A&B x<y tea`)

func (m *maker) words(n int) string {
	list := make([]string, 1+m.IntN(n))
	for i := range list {
		list[i] = pick(m, vocabulary...)
	}
	return strings.Join(list, " ")
}

// head begins a page as templates do.
func (m *maker) head(title string) {
	m.f("%s", pick(m, "<!DOCTYPE html>\n", "<!doctype html>", `<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "http://www.w3.org/TR/xhtml1/DTD/xhtml1-strict.dtd">`,
		`<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 4.01 Transitional//EN" "http://www.w3.org/TR/html4/loose.dtd">`, `<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 3.2 Final//EN">`, ""))
	m.f("%s<head>\n<meta charset=\"utf-8\">\n<title>%s</title>\n", pick(m, `<html lang="en">`, `<html lang="de-AT" class="no-js">`, "<html>\n"), title)
	for range m.IntN(4) {
		m.f("%s\n", pick(m, `<link rel="stylesheet" href="/style.css">`, `<meta property="og:title" content="A &amp; B">`, `<meta name="description" content='x "y" z' />`,
			`<script>if (a < b && "</p>") { document.write("<b>"); }</script>`, `<script type="application/ld+json">{"@type": "Product", "name": "<b>&amp;</b>"}</script>`,
			`<style>p > b { color: red } /* </p> */</style>`, `<noscript><img src="/pixel.gif"></noscript>`, `<base href="https://shop.example/">`, `<!-- [if IE]> <p> <![endif] -->`))
	}
	m.f("</head>\n<body class=\"%s\">\n", pick(m, "page", "page wide", "home  page\twide", ""))
	m.f(`<nav id="menu"><ul><li><a href="/">Home</a><li><a href="/new" rel="next" title="New &amp; used">New</a></li><li class=active><a HREF='/sale?a=1&b=2&copy=3'>Sale</a></ul></nav>` + "\n")
}

func (m *maker) foot() {
	m.f("%s", pick(m, "<footer><p>&copy; 2026 <a href=\"/imprint\">Imprint</a></footer>\n", "<hr><address>shop@example.org</address>", ""))
	m.f("%s", pick(m, "<script src=/app.js async></script></body></html>\n", "</body>\n</html>\n<!-- served in 3 ms -->\n", "</html>", "", "</body></html><p>late"))
}

// template is one of the pages that measurements use.
func (m *maker) template() {
	m.Write(pages.Make(pick(m, pages.Kinds...), 3000+m.IntN(30000), m.Uint64()).HTML)
}

func (m *maker) shop() {
	m.head("Shop: " + m.words(3))
	m.f("<main><h1>%s</h1>", m.words(4))
	for i := range 1 + m.IntN(12) {
		m.f("\n<article class=\"%s\" data-sku=%d itemscope>", pick(m, "product", "product sale", "product_pod sold-out"), i)
		m.f(`<a href="/p/%d"><img src="/i/%d.jpg" alt='%s'></a><h3><a href="/p/%d" title="%s">%s</a></h3>`, i, i, m.words(2), i, m.words(2), m.words(4))
		m.f(`<p class="price">%s</p>`, pick(m, "€12.50", "<b>12</b>.<sup>50</sup>", "&pound;51.77", "<del>20</del> <ins>15</ins>", "N/A"))
		m.f("%s</article>", pick(m, "", `<p class="stock instock">In stock`, `<ul class=tags><li>a<li>b<li>c</ul>`, `<dl><dt>Size<dd>10<dd>11<dt>Colour<dd>red</dl>`, "<form action=/cart method=post><input type=hidden name=id value=7><button disabled>Buy</button></form>"))
	}
	m.f(`</main><form><fieldset disabled><legend>Sort <input></legend><select name=sort><option value=1 selected>Price<option value=2>Name<optgroup label=x><option>y</optgroup></select><input type=checkbox checked><textarea>
a <b></textarea></fieldset><label><input type=radio CHECKED name=r> r</label></form>`)
	m.foot()
}

func (m *maker) news() {
	m.head("News")
	m.f("<section id=news>")
	for i := range 1 + m.IntN(10) {
		m.f("<article><header><h2 id=\"a%d\">%s</h2><time datetime=2026-11-%02d>%s</time></header>", i, m.words(6), i+1, m.words(2))
		for range 1 + m.IntN(5) {
			m.f("%s", pick(m, "<p>"+m.words(30), "<p>"+m.words(10)+"</p>", "<p lang=fr>"+m.words(5)+"<br>"+m.words(4)+"</p>", "<blockquote><p>"+m.words(9)+"</blockquote>",
				"<figure><img src=x.png><figcaption>"+m.words(3)+"</figcaption></figure>", "<p><b>"+m.words(3)+"<i>"+m.words(2)+"</b>"+m.words(2)+"</i></p>",
				"<svg viewBox='0 0 9 9' class=icon><title>"+m.words(2)+"</title><path d='M0 0'/><linearGradient id=g /><foreignObject><p>in</p></foreignObject></svg>", "<details open><summary>More</summary>"+m.words(7)+"</details>",
				"<math><mi>x</mi><mo>&lt;</mo><mn>2</mn></math>", "<ruby>漢<rp>(<rt>kan<rp>)</ruby>", "<pre>\n  "+m.words(5)+"\n</pre>", "<iframe src=/ad><p>no frames</iframe>", "<my-card data-a=1><span slot=x>"+m.words(2)+"</span></my-card>",
				"<template id=row><tr><td>"+m.words(1)+"</td></tr></template>", "<object data=x><param name=a value=b><p>fallback</object>", "<video controls><source src=a.mp4><track src=b.vtt></video>"))
		}
		m.f("</article>\n")
	}
	m.f("</section>")
	m.foot()
}

func (m *maker) table() {
	m.head("Rates")
	rows, cells := 1+m.IntN(30), 1+m.IntN(6)
	tidy := m.IntN(2) == 0
	m.f("<table class=rates border=1>%s", pick(m, "", "<caption>"+m.words(4)+"</caption>", "<colgroup><col><col span=2></colgroup>", "\n<thead><tr><th>A<th>B</thead>\n"))
	for r := range rows {
		m.f("<tr class=%s>", pick(m, "odd", "even"))
		for c := range cells {
			m.f("<td%s>%s", pick(m, "", " colspan=2", " class='n x'", ` id="c`+fmt.Sprint(r, "-", c)+`"`), pick(m, m.words(4), "", "<a href=#>"+m.words(2)+"</a>", "<b>"+m.words(2)+"</b>", "<table><tr><td>in</table>", "<p>"+m.words(3)))
			if tidy {
				m.f("</td>")
			}
		}
		m.f("%s", pick(m, "", "</tr>\n", "</tr>", "</tbody>"))
	}
	m.f("%s</table>\n", pick(m, "", "<tfoot><tr><td>Sum</tfoot>"))
	m.foot()
}

func (m *maker) forum() {
	m.head("Thread")
	depth := 0
	for i := range 1 + m.IntN(40) {
		m.f(`<div class="post level-%d" id=post-%d data-author="%s"><div class=meta><a class="author" href="/u/%d">%s</a> &raquo; <span class=date>%s</span></div><div class=body>`,
			depth, i, m.words(1), i, m.words(1), m.words(2))
		m.f("%s</div>", pick(m, m.words(30), "<font color=red>"+m.words(4)+"<br><br>"+m.words(4)+"</font>", "<i>"+m.words(4)+"<p>"+m.words(5)+"</i></p>", "<center><b>"+m.words(3)+"</center></b>", "<ul><li>"+m.words(2)+"<ul><li>"+m.words(2)+"</ul><li>"+m.words(2)+"</ul>",
			"<code>if (a &lt; b) &amp;&amp; c</code>", "<blockquote>"+m.words(8)+"<blockquote>"+m.words(4)+"</blockquote></blockquote>", "<a href=/1>"+m.words(2)+"<a href=/2>"+m.words(2)+"</a>"))
		if m.IntN(3) == 0 && depth < 12 {
			depth++ // replies are inside
			continue
		}
		m.f("</div>\n")
		for depth > 0 && m.IntN(2) == 0 {
			m.f("</div>")
			depth--
		}
	}
	m.foot()
}
