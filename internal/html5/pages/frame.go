package pages

import "strings"

// head writes all up to what the page shows: head, header, navigation.
func (w *writer) head(title, description, image, path, data string) {
	w.print("<!DOCTYPE html>\n<html lang=\"en-GB\" class=\"no-js\">\n<head>\n<meta charset=\"utf-8\">\n<title>%s | Tilth &amp; Sons</title>\n", w.escaped(title))
	w.print("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<meta name=\"description\" content=\"%s\">\n", w.escaped(description))
	w.print("<link rel=\"canonical\" href=\"%s\">\n<meta property=\"og:title\" content=\"%s\">\n<meta property=\"og:image\" content=\"%s\">\n", escapes.Replace(path), w.escaped(title), escapes.Replace(image))
	for i := range 2 + min(w.size/8_000, 8) {
		w.print("<link rel=\"%s\" href=\"/static/%d/%08x.css\" crossorigin>\n", [...]string{"stylesheet", "preload\" as=\"style"}[i%2], i, w.r.Uint32())
	}
	w.print("<script type=\"application/ld+json\">%s</script>\n", data)
	w.print("<style>.hero{background:#fff}.nav>li{display:inline-block}@media (min-width:40em){.grid{display:grid}}</style>\n")
	w.script(min(w.size/30, 12_000))
	w.print("</head>\n<body class=\"page page--%s theme-light\" data-page-id=\"%d\">\n<!-- rendered by node-%d -->\n", strings.ToLower(w.pick(subjects)), w.r.IntN(1<<20), w.r.IntN(40))
	w.print("<noscript><iframe src=\"//tags.example/ns.html?id=T-%d\" height=0 width=0></iframe></noscript>\n", w.r.IntN(9999))
	w.navigation()
}

// script writes a script of about n bytes, as shops have them inline.
func (w *writer) script(n int) {
	w.b.WriteString("<script>window.dataLayer=window.dataLayer||[];")
	for end := w.b.Len() + n; w.b.Len() < end; {
		w.print("dataLayer.push({event:\"%s\",id:%d,ok:a<b&&c>d,html:\"<div class='x'>%s<\\/div>\"});\n", w.pick(words), w.r.IntN(1e6), w.pick(words))
	}
	w.b.WriteString("</script>\n")
}

func (w *writer) navigation() {
	w.b.WriteString(`<header class="site-header" role="banner">
  <a class="logo" href="/" aria-label="Home"><svg width="24" height="24" viewBox="0 0 24 24" aria-hidden="true"><path d="M12 2L2 7l10 5 10-5z" fill="currentColor"/></svg></a>
  <form action="/search" method="get" class="search"><input type="search" name="q" placeholder="Search&hellip;" autocomplete=off><button type="submit" class="btn">Go</button></form>
  <nav><ul class="nav">
`)
	for i := range 6 + min(w.size/1_500, 90) {
		s := w.pick(subjects)
		w.print("    <li class=\"nav__item nav__item--level-%d\"><a href=\"/c/%s-%d?ref=nav&amp;pos=%d\" class=\"nav__link\" data-track=\"nav-%d\">%s &amp; %s</a>\n", i%3, strings.ToLower(s), i, i, i, s, w.pick(nouns))
	}
	w.b.WriteString("  </ul></nav>\n</header>\n")
}

// breadcrumb writes where the page is and returns the last name of it.
func (w *writer) breadcrumb() string {
	last := ""
	w.b.WriteString(`<ol class="breadcrumb">`)
	for i := range 3 {
		last = w.pick(subjects)
		w.print(`<li><a href="/c/%d">%s</a></li>`, i, last)
	}
	w.b.WriteString("</ol>\n")
	return last
}

// footLen is about what foot writes.
const footLen = 900

func (w *writer) foot() {
	w.b.WriteString("<footer class=\"site-footer\"><div class=\"site-footer__inner\">\n")
	for range 4 {
		w.print("<div class=\"column\"><h4>%s</h4><ul><li><a href=\"/help/%d\">Help</a><li><a href=\"/help/%d\">Delivery &amp; returns</a></ul></div>\n", w.pick(subjects), w.r.IntN(99), w.r.IntN(99))
	}
	w.b.WriteString("<p class=\"legal\">&copy; 2026 Tilth &amp; Sons Ltd. All prices include VAT.</p>\n</div></footer>\n<script src=\"/static/app.js\" async defer></script>\n</body>\n</html>\n")
}

// card writes a product as lists show it, and returns its name, price and
// picture.
func (w *writer) card(i int) (name, price, image string) {
	name, price = w.name(), w.price()
	id := w.r.IntN(1 << 20)
	image = "/media/cache/" + strings.ToLower(w.pick(nouns)) + "-thumb.jpg?w=300&h=300"
	w.print(`<li class="card col-xs-6 col-md-3" data-product-id="%d" data-position="%d">
  <article class="card__inner" itemscope itemtype="https://schema.org/Product">
    <div class="card__media"><a href="/p/%d?list=grid&amp;pos=%d" tabindex="-1"><img class="lazy" src="/static/blank.gif" data-src="%s" alt="%s" width="300" height="300" loading="lazy"></a></div>
    <div class="card__body">
`, id, i, id, i, escapes.Replace(image), w.escaped(name))
	w.print("      <h3 class=\"card__title\"><a href=\"/p/%d?list=grid&amp;pos=%d\" title=\"%s\">%s</a></h3>\n", id, i, w.escaped(name), w.escaped(name))
	w.print("      <div class=\"stars\" aria-label=\"%d of 5\">%s</div>\n", 1+w.r.IntN(5), strings.Repeat("<i class=\"icon icon-star\"></i>", 5))
	w.print("      <div class=\"price\"><span class=\"price--current\">%s</span>", w.escaped(price))
	if w.r.IntN(3) == 0 {
		w.print(" <del class=\"price--was\">%s</del>", w.escaped(w.price()))
	}
	w.b.WriteString("</div>\n      <form action=\"/basket\" method=\"post\"><button type=\"submit\" class=\"btn btn--primary\" data-action=\"add\">Add to basket</button></form>\n    </div>\n  </article>\n</li>\n")
	return name, price, image
}
