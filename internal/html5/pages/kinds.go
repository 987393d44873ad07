package pages

import (
	"fmt"
	"strconv"
	"strings"
)

// product writes a page of one product: half of what there is to fill goes to
// text and reviews, the other half to products like it.
func (w *writer) product() {
	title, price, brand := w.is("title", w.name()), w.price(), w.is("brand", w.pick(brands))
	upc := w.is("upc", fmt.Sprintf("978%010d", w.r.IntN(1e9)))
	image := w.is("image", fmt.Sprintf("/media/%d.jpg?w=800&h=800", w.r.IntN(1e6)))
	about := w.is("description", w.sentence(12, 20)+" From £3 – it’s “new” & good.")
	rating := w.is("rating", strconv.Itoa(1+w.r.IntN(5)))
	w.head(title, about, image, fmt.Sprintf("https://shop.example/p/%d?a=1&b=2", w.r.IntN(1e6)),
		fmt.Sprintf(`{"@context":"https://schema.org","@type":"Product","name":%q,"gtin13":%q,"offers":{"@type":"Offer","price":%q,"priceCurrency":"GBP"}}`, title, upc, price[len("£"):]))
	w.b.WriteString("<main id=\"content\"><div class=\"container\"><div class=\"row\"><div class=\"col\">\n")
	w.breadcrumb()
	w.print("<div id=\"gallery\" class=\"gallery\"><figure><img src=\"%s\" alt=\"%s\" width=800 height=800></figure>", escapes.Replace(image), w.escaped(title))
	for i := range 3 {
		w.print("<a href=\"#\" data-slide=%d><img src=\"/media/t%d.jpg\" alt=\"\"></a>", i, i)
	}
	w.print("</div>\n<h1 class=\"product__title\" itemprop=\"name\">\n  %s\n</h1>\n<p class=brand>by <a href=\"/brand/%s\" itemprop=\"brand\">%s</a></p>\n", w.escaped(title), strings.ToLower(brand), brand)
	w.print("<div class=\"rating\" data-value=\"%s\"><span class=\"rating__bar\" style=\"width:%s0%%\"></span> (%d reviews)</div>\n", rating, rating, w.r.IntN(400))
	w.print("<div class=\"price\"><span class=\"price--current\" itemprop=\"price\">%s&nbsp;<small>inc. VAT</small></span> <del>%s</del></div>\n", w.escaped(price), w.escaped(w.price()))
	w.is("price", price+" inc. VAT")
	w.b.WriteString("<form action=\"/basket\" method=\"post\" class=\"buy\"><label for=\"qty\">Quantity</label> <select id=\"qty\" name=\"qty\"><option value=1 selected>1<option value=2>2<option value=3>3</select> <button class=\"btn btn--primary\" disabled>Add to basket</button></form>\n")
	w.print("<table class=\"spec\"><tr><th>UPC</th><td>%s</td></tr><tr><th>Publisher<td>%s<tr><th>Weight<td>%d&nbsp;g</table>\n<ul class=\"tags\">", upc, brand, w.r.IntN(2000))
	for range 2 + w.r.IntN(3) {
		w.print("<li>%s", w.is("tags", w.pick(subjects)))
	}
	w.b.WriteString("</ul>\n</div></div>\n<section class=\"description\"><h2>Description</h2>\n")
	text := w.left(footLen) * 2 / 5
	w.paragraphs(text / 3)
	w.b.WriteString("</section>\n<section class=\"reviews\"><h2>Reviews</h2>\n")
	w.comments(text * 2 / 3)
	w.b.WriteString("</section>\n<section class=\"related\"><h2>You may also like</h2><ul class=\"grid\">\n")
	for i := 0; w.left(footLen) > 900; i++ {
		w.card(i)
	}
	w.b.WriteString("</ul></section>\n</div></main>\n")
	w.foot()
}

func (w *writer) listing() {
	section := w.pick(subjects)
	title := w.is("title", section+" & "+w.pick(nouns))
	path := w.is("canonical", fmt.Sprintf("https://shop.example/c/%s?page=2&sort=new", strings.ToLower(section)))
	w.head(title, w.sentence(10, 18), "/media/hero.jpg", path, fmt.Sprintf(`{"@context":"https://schema.org","@type":"ItemList","name":%q}`, title))
	w.b.WriteString("<main id=\"content\"><div class=\"container\">\n")
	w.is("section", w.breadcrumb())
	w.print("<h1>%s</h1>\n<div class=\"toolbar\"><span class=\"result-count\">%s</span> <a href=\"?sort=price\">Price</a> <a href=\"?sort=new\">New</a></div>\n<ul class=\"grid\">\n",
		w.escaped(title), w.is("count", fmt.Sprintf("%d results", 20+w.r.IntN(4000))))
	for i := 0; i == 0 || w.left(footLen) > 1100; i++ {
		name, price, image := w.card(i)
		w.is("names", name)
		w.is("prices", price)
		w.is("images", image)
	}
	next := w.is("next", "/c/list?page=3&sort=new")
	w.print("</ul>\n<nav class=\"pagination\"><a href=\"?page=1\">1</a> <b>2</b> <a rel=\"next\" href=\"%s\">Next &raquo;</a></nav>\n</div></main>\n", escapes.Replace(next))
	w.foot()
}

func (w *writer) article() {
	title, author := w.is("title", w.name()), w.is("author", w.pick(adjectives)+" "+w.pick(brands))
	image := w.is("image", "https://cdn.example/a.jpg?w=1200&fit=crop")
	date := w.is("published", fmt.Sprintf("2026-%02d-%02dT09:30:00Z", 1+w.r.IntN(12), 1+w.r.IntN(28)))
	w.head(title, w.sentence(10, 18), image, fmt.Sprintf("https://paper.example/%d", w.r.IntN(1e6)), fmt.Sprintf(`{"@context":"https://schema.org","@type":"NewsArticle","headline":%q}`, title))
	w.b.WriteString("<main id=\"content\"><article class=\"story\">\n")
	w.breadcrumb()
	w.print("<h1>%s</h1>\n<p class=\"byline\">By <a href=\"/by/%d\" rel=author>%s</a>, <time datetime=\"%s\">%s</time>\n", w.escaped(title), w.r.IntN(99), author, date, date[:10])
	w.print("<p class=\"lead\">%s</p>\n<div id=\"body\" class=\"story__body\">\n", w.escaped(w.is("lead", w.sentence(20, 30)+" It’s café – “quoted” & done…")))
	w.print("<figure><img src=\"/media/%d.jpg\" alt=\"\"><figcaption>%s</figcaption></figure>\n", w.r.IntN(1e6), w.escaped(w.is("caption", w.name()+" in "+w.pick(subjects))))
	room := w.left(footLen + 300)
	for end := w.b.Len() + max(room*4/5, 1); w.b.Len() < end; {
		w.print("<h2 id=s%d>%s</h2>\n", w.r.IntN(1e6), w.escaped(w.is("headings", w.name())))
		w.paragraphs(min(3000, end-w.b.Len()-150))
		w.print("<blockquote><p>%s</blockquote>\n", w.text(60))
	}
	w.b.WriteString("</div>\n<ul class=\"tags\">")
	for range 3 {
		w.print("<li>%s</li>", w.is("tags", w.pick(subjects)))
	}
	w.b.WriteString("</ul>\n</article>\n<section class=\"comments\">\n")
	w.comments(room / 5)
	w.b.WriteString("</section></main>\n")
	w.foot()
}

// paragraphs writes about n bytes of them; some have no end tag.
func (w *writer) paragraphs(n int) {
	for end := w.b.Len() + n; w.b.Len() < end; {
		w.print("<p class=\"t\">%s", w.text(min(250+w.r.IntN(500), max(end-w.b.Len(), 60))))
		if w.r.IntN(4) > 0 {
			w.b.WriteString("</p>")
		}
		w.b.WriteByte('\n')
	}
}

// comments writes about n bytes of what readers said.
func (w *writer) comments(n int) {
	for end := w.b.Len() + n; w.b.Len() < end; {
		month := 1 + w.r.IntN(9)
		w.print("<div class=\"review\" id=\"review-%d\"><div class=\"review__head\"><h4>%s <small>%s</small></h4> <time datetime=\"2026-0%d-11\">%d months ago</time></div><div class=\"review__body\"><p>%s</div></div>\n",
			w.r.IntN(1e6), w.pick(brands), w.pick(subjects), month, month, w.text(min(200+w.r.IntN(200), max(end-w.b.Len(), 60))))
	}
}
