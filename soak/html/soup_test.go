package html

import "strings"

// flavours are the elements that one soup is cooked of: a page of few sorts of
// trouble shows more than one of all sorts, and a page that shows one difference
// hides no other.
var flavours = map[string][]string{
	"text":     strings.Fields("b i em a nobr font code u strong span small"),
	"block":    strings.Fields("div p h1 h2 ul ol li dl dt dd section address blockquote center fieldset pre listing hr form details summary main menu"),
	"table":    strings.Fields("table table tr td th tbody thead tfoot caption colgroup col tr td"),
	"void":     strings.Fields("br img input hr area embed wbr param source track link meta keygen image"),
	"foreign":  strings.Fields("svg svg math path g circle lineargradient foreignobject desc title mi mo mtext annotation-xml mglyph malignmark font a p style"),
	"form":     strings.Fields("form select select option option optgroup input button selectedcontent textarea label legend fieldset datalist"),
	"raw":      strings.Fields("script style textarea title xmp iframe noembed noframes noscript"),
	"page":     strings.Fields("html head body title base meta link noscript"),
	"frames":   strings.Fields("frameset frame noframes frameset html body"),
	"template": strings.Fields("template template tr td col div p b"),
	"ruby":     strings.Fields("ruby rb rt rtc rp span p"),
	"object":   strings.Fields("applet marquee object button b p"),
	"own":      strings.Fields("my-card x-y search dialog hgroup nav blink bgsound basefont dir figure figcaption marquee menuitem rb slot"),
}

// names are their names, in one order.
var flavourNames = strings.Fields("text block table void foreign form raw page frames template ruby object own")

// common are taken more often than the others.
var common = []string{"text", "block", "table"}

func (m *maker) soup() {
	var tags []string
	tags = append(tags, flavours[pick(m, common...)]...)
	for range m.IntN(3) {
		tags = append(tags, flavours[pick(m, flavourNames...)]...)
	}
	strange := m.IntN(3) == 0 // tokens that are odd, not only their order
	m.f("%s", pick(m, "<!DOCTYPE html>", "<!DOCTYPE html>", "", "<!doctype HTML SYSTEM 'about:legacy-compat'>", "<!DOCTYPE HTML PUBLIC '-//W3C//DTD HTML 4.01//EN'>", "<html><head>"))
	if strange {
		m.f("%s", pick(m, "", "", "<!-- first -->", " \n", "<!DOCTYPE>", "<!DOCTYPE x y z>", "<?xml version='1.0'?>", "\x00"))
	}
	for range 5 + m.IntN(60) {
		switch n := m.IntN(20); {
		case n < 9:
			m.tag(pick(m, tags...), strange)
		case n < 14:
			name := pick(m, tags...)
			if strange && m.IntN(8) == 0 {
				name = strings.ToUpper(name)
			}
			m.f("</%s>", name)
		case n < 18 || !strange:
			m.f("%s", pick(m, "x", "y ", " ", "\n", "text", "a &amp; b", m.words(3)))
		default:
			m.f("%s", pick(m, oddities...))
		}
	}
}

func (m *maker) tag(name string, strange bool) {
	if strange && m.IntN(6) == 0 {
		name = pick(m, strings.ToUpper(name), strings.ToUpper(name[:1])+name[1:], "\x00"[:m.IntN(2)]+name)
	}
	m.f("<%s", name)
	for range max(0, m.IntN(5)-2) {
		m.f(" %s", pick(m, attributes...))
		if strange && m.IntN(3) == 0 {
			m.f("%s", pick(m, oddAttributes...))
		}
	}
	m.f("%s", pick(m, ">", ">", ">", ">", ">", ">", "/>", " >"))
}

var attributes = []string{`class="a b"`, `class=c`, `id=x`, `href="/p?a=1&amp;b=2"`, `title='q "r"'`, `type=hidden`, `type=HIDDEN`, `type="text"`, `color=red`, `size=1`, `lang=en-GB`,
	`data-x="1"`, `viewBox="0 0 1 1"`, `xlink:href="#i"`, `xml:lang=fr`, `definitionURL=u`, `encoding="text/html"`, `encoding=application/xhtml+xml`, `disabled`, `checked`, `selected=""`, `name=n`, `value="v"`}

var oddAttributes = []string{` A=1 a=2`, ` =x`, ` "`, ` x"y=1`, ` a='&amp;&lt'`, " b=&ampx", ` c=&copy=1`, ` d="&notit; &not; &not"`, ` e=/`, ` /f`, ` g=a/`, " h\x00=\x00", " i = 'j' k", ` l=<b`, ` <`, ` m="a
b"`, " n=`o`", ` é=ü`, ` ID=X Class=Q`, ` p=""q`, " r='s\r\nt'"}

// oddities are what a page has but tags and texts, and texts that are odd.
var oddities = []string{"<!-- c -->", "<!-->", "<!--->", "<!-- a -- b --!>", "<!---->", "<!--a--b-->", "<!--<!---->", "<!x>", "<!>", "<?pi?>", "</>", "</ p>", "< p>", "<", "<3", "<a<b>", "</b x=1>", "</br>", "</p>", "<br/>",
	"<![CDATA[x<y]]>", "<![CDATA[", "]]>", "<![cdata[x]]>", "\x00", "a\x00b", "\r", "\r\n", "a\rb", "\f", "&", "&;", "&amp", "&ampx", "&#", "&#x", "&#0;", "&#x80;", "&#150", "&#xD800;", "&#x110000;", "&#xFDD0;", "&#99999999999;", "&notin;", "&notit;", "&NotEqualTilde;",
	"&copy", "&unknown;", "&Amp;", "&lt", "&ltb", "&#38;lt;", "&nbsp;", "&#13;", "&#10;", "<script><!--<script></script>--></script>", "<script><!-- </script>", "<title>&lt;</title>", "<textarea>\n\nx</textarea>", "<pre>\n\nx</pre>", "<listing>\n", "<plaintext>", "<!DOCTYPE html>", "<xmp><b></xmp>",
	"<style>a<b</style>", "</html> ", "</body> x", "<p/>x", "<svg/>", "<math><annotation-xml encoding='text/html'><p>", "<svg><![CDATA[a&amp;b\x00]]></svg>", "<svg><title><b>x</b></title></svg>", "<a href=/1><a href=/2>", "\u00a0", "\ufeff", "\U0001F600", "é"}
