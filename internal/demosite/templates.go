package demosite

import "html/template"

// templates are the site's pages. Two layouts of products: A is classic
// mark-up; B keeps its facts in JSON-LD and its prices out of CSS's reach. The archive's
// tables name nothing that CSS could hold on to.
var templates = template.Must(template.New("").Parse(`
{{define "A"}}<!DOCTYPE html>
<html lang="en">
<head><meta charset="{{.Charset}}"><title>{{.Title}} | Books</title>
<link rel="canonical" href="{{.Canonical}}"></head>
<body>
<header><a href="/">Books</a> <a href="/catalogue/page-2.html">Catalogue</a></header>
<article class="product_page">
{{if .Broken}}<div id="gallery"><img src="{{.Image}}" alt="cover"
  ><p>Our <b>best <i>loved</b> title</i> <font color=red>of the year
<h1>{{.Title}}</h2></h1>
<p class="price_color">{{.Price}}<p class="instock availability">In stock ({{.Stock}} available)
<p class="star-rating {{.Stars}}"><i class=icon-star><i class=icon-star></p>
<table class="table table-striped">
<tr><th>UPC<td>{{.UPC}}
<tr><th>Publisher<td>{{.Brand}}
</table></div></div></span>
<ul class="tags">{{range .Tags}}<li>{{.}}{{end}}</ul>
{{.Debris}}{{range .Text}}<p>{{.}}{{end}}
{{else}}<div id="gallery"><img src="{{.Image}}" alt="cover"></div>
<h1>
  {{.Title}}
</h1>
{{if .Price}}<p class="price_color">{{.Price}}</p>{{end}}
<p class="instock availability"><i class="icon-ok"></i>
  In stock
  ({{.Stock}} available)
</p>
<p class="star-rating {{.Stars}}"><i class="icon-star"></i></p>
<table class="table table-striped">
<tr><th>UPC</th><td>{{.UPC}}</td></tr>
<tr><th>Publisher</th><td>{{.Brand}}</td></tr>
</table>
<ul class="tags">{{range .Tags}}<li>{{.}}</li>{{end}}</ul>
{{range .Text}}<p>{{.}}</p>
{{end}}{{end}}</article>
</body></html>
{{end}}

{{define "B"}}<!DOCTYPE html>
<html lang="en">
<head><title>{{.Title}}</title><meta charset="utf-8"><link href="{{.Canonical}}" rel="canonical">
{{range .LD}}<script type="application/ld+json">{{.}}</script>
{{end}}</head>
<body><nav><a href="/">Home</a></nav>
<main data-sku="{{.UPC}}"><h1 class="name">{{.Title}}</h1>
<span class="qty" data-left="{{.Stock}}">on the shelf</span>
<section class="about">{{range .Text}}<p>{{.}}</p>{{end}}</section>
</main><footer>by {{.Brand}}</footer></body></html>
{{end}}

{{define "listing"}}<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Books, page {{.Page}} of {{.Pages}}</title></head>
<body><h1>All books</h1>
<section>
{{range .Products}}<article class="product_pod">
<a class="thumb" href="{{.Decorated}}"><img src="{{.Image}}" alt=""></a>
<h3><a href="{{.URL}}" title="{{.Title}}">{{.Title}}</a></h3>
{{if .Price}}<p class="price_color">{{.Price}}</p>{{end}}
</article>
{{end}}</section>
<ul class="pager">{{if .Previous}}<li><a rel="prev" href="{{.Previous}}">previous</a></li>{{end}}
<li>Page {{.Page}} of {{.Pages}}</li>{{if .Next}}<li><a rel="next" href="{{.Next}}">next</a></li>{{end}}</ul>
{{if .Odd}}<aside>
{{range .Odd}}<a href="{{.}}">more</a>
{{end}}<a href="#top">Up</a> <a href="mailto:shop@books.example">Write to us</a> <a href="javascript:void(0)">Menu</a> <a href="tel:+440000000">Call us</a>
<a href="http://elsewhere.example/catalogue/page-1.html">A shop we do not know</a> <a href="https://social.example/books">Follow us</a>
<a>no address</a> <a href="">this page</a> <a href="http://[broken/">a broken address</a>
</aside>{{end}}
</body></html>
{{end}}

{{define "index"}}<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{{.Title}}</title>{{if .Base}}<base href="{{.Base}}">{{end}}</head>
<body><h1>{{.Title}}</h1>
<ul>{{range .Links}}<li><a href="{{.}}">{{.}}</a></li>
{{end}}</ul>
{{range .Images}}<img src="{{.}}" alt="">
{{end}}</body></html>
{{end}}

{{define "archived"}}<html><head>{{if .Meta}}<meta http-equiv="Content-Type" content="text/html; charset={{.Meta}}">{{end}}<title>Archive</title></head>
<body bgcolor="white"><center><table border=1>
<tr><td><font>Title</font><td>{{.Title}}
<tr><td><font>Published</font><td>{{.Date}}
<tr><td><font>Bound</font><td>{{.Cover}}
<tr><td><font>Weight</font><td>{{.Weight}} kg
<tr><td><font>Printings</font><td><ul>{{range .Printings}}<li>{{.}}{{end}}</ul>
<tr><td><font>Listed</font><td>{{.Time}}
</table></center></body></html>
{{end}}

{{define "branch"}}<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{{.City}}</title></head>
<body><h1>{{.Name}}</h1><dl><dt>Opens</dt><dd>{{index .Days 0}} at nine</dd><dt>Telephone</dt><dd>none</dd></dl></body></html>
{{end}}

{{define "news"}}<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>News</title></head><body>
{{if .Untitled}}<p>Nothing to say.</p><time datetime="{{.On}}">today</time>
{{else if eq .Way 0}}<article><h2>{{.Headline}}</h2><time datetime="{{.On}}">that day</time></article>
{{else}}<div class="entry"><strong>{{.Headline}}</strong> <span class="on">{{.On}}</span></div>
{{end}}</body></html>
{{end}}

{{define "notice"}}<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{{index . 0}}</title></head><body><h1>{{index . 0}}</h1><p>{{index . 1}}</p></body></html>
{{end}}
`))
